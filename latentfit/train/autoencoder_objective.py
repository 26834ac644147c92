"""AutoencoderObjective: what a KL autoencoder is trained for: its pictures back, and latents near a normal's."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.errors import TrainError
from latentfit.latents.spaces import rgb_to_signed, signed_to_rgb
from latentfit.nets.patch_discriminator import PatchDiscriminator
from latentfit.train.losses import PIXEL_LOSSES
from latentfit.train.objective import ADVERSARIAL, Batch, judged, verdict_loss

KL = "kl"


class ThereAndBack(nn.Module):
    """Pictures through diffusers' AutoencoderKL: the posterior, a latent drawn of it, and what that decodes to.

    Group norms compute in float32 whatever the precision: on a CPU their gradient takes a third of the time then.

    Parameters
    ----------
    autoencoder : AutoencoderKL, or a module with its `encode` and `decode`
    """

    def __init__(self, autoencoder: nn.Module) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        for module in autoencoder.modules():
            if isinstance(module, nn.GroupNorm):
                module.register_forward_pre_hook(_in_float32)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures ``(N, 3, H, W)`` in [0, 1] -> what came back, about [0, 1], and KL divergences in nats.

        The divergence from the standard normal is that of each cell and channel, ``(N, C, h, w)``. While it trains, the
        latents are drawn from the posterior; in evaluation mode they are its mode.
        """
        module: Any = self.autoencoder
        posterior = module.encode(rgb_to_signed(rgb)).latent_dist
        mean, log_variance = posterior.mean.float(), posterior.logvar.float()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        drawn = mean + (0.5 * log_variance).exp() * torch.randn_like(mean) if self.training else mean
        return signed_to_rgb(module.decode(drawn).sample.float()), divergence


def _in_float32(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(one.float() for one in inputs)


class AutoencoderObjective:
    """Weighted losses between the pictures and what came back, and the mean KL divergence of the latents.

    Parameters
    ----------
    weights : mapping of str to float
        Names of `latentfit.train.PIXEL_LOSSES`; ``kl``, nats a cell and channel; with an adversary also "gan" and
        "features".
    adversary : PatchDiscriminator or None

    Raises
    ------
    TrainError
        When a loss is unknown, or none is of the pictures.
    """

    def __init__(self, weights: Mapping[str, float], adversary: PatchDiscriminator | None = None) -> None:
        known = {*PIXEL_LOSSES, KL, *(ADVERSARIAL if adversary is not None else ())}
        if set(weights) - known or not set(weights) & set(PIXEL_LOSSES):
            raise TrainError(
                "losses of an autoencoder",
                expected=f"some of {', '.join(sorted(known))}, one of the pictures among them",
                got=", ".join(weights) or "none",
            )
        self.weights, self.adversary = dict(weights), adversary

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Each loss by name, "loss" their weighted sum; "made" and "real" are kept for the adversary's turn."""
        real = batch["target"]
        made, divergence = model(batch["input"])
        found = {name: PIXEL_LOSSES[name](made, real) for name in self.weights if name in PIXEL_LOSSES}
        if KL in self.weights:
            found[KL] = divergence.mean()
        if self.adversary is not None:
            found |= judged(self.adversary, made, real, self.weights)
        total = torch.stack([self.weights[name] * value for name, value in found.items()]).sum()
        return {"loss": total, **found, "made": made.detach(), "real": real}

    def adversary_loss(self, adversary: nn.Module, losses: Mapping[str, Tensor]) -> Tensor:
        """The adversary's own, on what `losses` made."""
        return verdict_loss(adversary, losses)
