"""Optimisers by name, and the course of the rate over the images seen."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from latentfit.train.config import TrainConfig

SHARE = "rate_share"  # of a group of parameters, relative to the config's rate
AMONG_MUON = 0.2


def optimizer_of(parameters: Iterable[nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, Muon, Prodigy or LAMB, at the config's rate.

    Muon (Jordan 2024) makes the changes of convolutions and matrices orthogonal; biases and the like go by AdamW, at a
    fifth of the rate.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(trained, config.lr, betas=config.betas, weight_decay=config.weight_decay)
    import pytorch_optimizer

    if config.optimizer == "muon":
        wide = [parameter for parameter in trained if parameter.ndim >= 2]
        others = [parameter for parameter in trained if parameter.ndim < 2]
        groups = [
            {"params": wide, "use_muon": True, "lr": config.lr, "weight_decay": config.weight_decay},
            {
                "params": others,
                "use_muon": False,
                "lr": config.lr * AMONG_MUON,
                "betas": config.betas,
                SHARE: AMONG_MUON,
            },
        ]
        muon: torch.optim.Optimizer = pytorch_optimizer.Muon(groups)
        set_rate(muon, config.lr)
        return muon
    if config.optimizer == "prodigy":
        made: torch.optim.Optimizer = pytorch_optimizer.Prodigy(
            trained, lr=config.lr, weight_decay=config.weight_decay, safeguard_warmup=True
        )
        return made
    lamb: torch.optim.Optimizer = pytorch_optimizer.Lamb(
        trained, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay
    )
    return lamb


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Every group's rate, by its share."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(SHARE, 1.0)


def rate_factor(config: TrainConfig, seen_images: int) -> float:
    """What the rate is multiplied with after so many images: a function of them alone, so nothing is to be restored.

    Examples
    --------
    >>> config = TrainConfig(n_images=100, warmup_images=10, schedule="cosine")
    >>> [round(rate_factor(config, seen), 2) for seen in (0, 5, 10, 55, 100)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if seen_images < config.warmup_images:
        return seen_images / config.warmup_images
    span = max(1, config.n_images - config.warmup_images)
    share = min(1.0, (seen_images - config.warmup_images) / span)
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * share))
    top = 0.3  # one cycle: up from a 25th, down to almost nothing (Smith & Topin 2018)
    if share < top:
        return 1 / 25 + (1 - 1 / 25) * 0.5 * (1 - math.cos(math.pi * share / top))
    return 0.5 * (1 + math.cos(math.pi * (share - top) / (1 - top)))
