"""Objective: what a network is trained for: pixel losses with weights, and an adversary if there is one."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from latentfit.errors import TrainError
from latentfit.nets.patch_discriminator import PatchDiscriminator
from latentfit.train.losses import PIXEL_LOSSES, feature_matching, hinge_discriminator, hinge_generator

Batch = Mapping[str, Tensor]
ADVERSARIAL = ("gan", "features")


class AnyObjective(Protocol):
    """What the loop needs of an objective."""

    adversary: PatchDiscriminator | None

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]: ...
    def adversary_loss(self, adversary: nn.Module, losses: Mapping[str, Tensor]) -> Tensor: ...


class Objective:
    """Weighted losses between ``model(batch["input"])`` and ``batch["target"]``.

    Where ``batch["inside"]`` is 0, what the model made is replaced by the target: no loss comes from there.

    Parameters
    ----------
    weights : mapping of str to float
        Names of `latentfit.train.PIXEL_LOSSES`; with an adversary also "gan" and "features".
    adversary : PatchDiscriminator or None
    """

    def __init__(self, weights: Mapping[str, float], adversary: PatchDiscriminator | None = None) -> None:
        known = {*PIXEL_LOSSES, *(ADVERSARIAL if adversary is not None else ())}
        unknown = set(weights) - known
        if unknown or not weights:
            raise TrainError(
                "losses", expected=f"some of {', '.join(sorted(known))}", got=f"{', '.join(weights) or 'none'}"
            )
        self.weights, self.adversary = dict(weights), adversary

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Each loss by name, "loss" their weighted sum; "made" and "real" are kept for the adversary's turn."""
        made, real = model(batch["input"]), batch["target"]
        if made.shape != real.shape:
            raise TrainError(
                f"the network gave {tuple(made.shape)}, its target is {tuple(real.shape)}", remedy="check scales"
            )
        if "inside" in batch:
            made = torch.where(batch["inside"] > 0, made, real.to(made.dtype))
        found = {name: PIXEL_LOSSES[name](made, real) for name in self.weights if name in PIXEL_LOSSES}
        if self.adversary is not None:
            found |= judged(self.adversary, made, real, self.weights)
        total = torch.stack([self.weights[name] * value for name, value in found.items()]).sum()
        return {"loss": total, **found, "made": made.detach(), "real": real}

    def adversary_loss(self, adversary: nn.Module, losses: Mapping[str, Tensor]) -> Tensor:
        """The adversary's own, on what `losses` made."""
        return verdict_loss(adversary, losses)


def judged(
    adversary: PatchDiscriminator, made: Tensor, real: Tensor, weights: Mapping[str, float]
) -> dict[str, Tensor]:
    """The terms among "gan" and "features" that have weights."""
    found = {}
    features = adversary.features(made)
    if "features" in weights:
        with torch.no_grad():
            wanted = adversary.features(real)
        found["features"] = feature_matching(features[:-1], wanted[:-1])
    if "gan" in weights:
        found["gan"] = hinge_generator(features[-1])
    return found


def verdict_loss(adversary: nn.Module, losses: Mapping[str, Tensor]) -> Tensor:
    """What the adversary has to learn, from what an objective's `losses` kept as "made" and "real"."""
    real, made = adversary(torch.cat([losses["real"], losses["made"]])).chunk(2)
    return hinge_discriminator(real, made)
