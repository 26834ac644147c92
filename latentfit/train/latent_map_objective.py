"""LatentObjective: what a map between latents is trained for: latents, what they decode to, and the way back."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from latentfit.errors import TrainError
from latentfit.images.colour import rgb_to_oklab
from latentfit.maps.contracts import Approximation
from latentfit.nets.patch_discriminator import PatchDiscriminator
from latentfit.train.losses import PIXEL_LOSSES
from latentfit.train.objective import ADVERSARIAL, Batch, judged, verdict_loss

DECODED = "decoded_"
CYCLES = ("round", "back", "back_round")
_DECODED_LOSSES = (*(f"{DECODED}{name}" for name in PIXEL_LOSSES), "oklab")


class BothWays(nn.Module):
    """A map and its inverse, trained together: what goes there must come back.

    Parameters
    ----------
    there, back : nn.Module
        Source -> target and target -> source.
    """

    def __init__(self, there: nn.Module, back: nn.Module) -> None:
        super().__init__()
        self.there, self.back = there, back

    def forward(self, source: Tensor, target: Tensor | None = None) -> dict[str, Tensor]:
        """``made`` and ``round``, the way there and back; from `target` also ``back`` and ``back_round``."""
        made = self.there(source)
        found = {"made": made, "round": self.back(made)}
        if target is not None:
            back = self.back(target)
            found |= {"back": back, "back_round": self.there(back)}
        return found


class LatentObjective:
    """Weighted losses between made and true latents.

    Parameters
    ----------
    weights : mapping of str to float
        Names of `PIXEL_LOSSES`, on latents; the same after ``decoded_``, on what `decoder` makes of both; ``oklab``, L1
        in OKLab over cells (hue and saturation); and, L1 as city96 has them, ``round``, ``back`` and ``back_round``.
    decoder : Approximation or None
        Decoder of the target's space, frozen; needed by the decoded losses.
    decoded_cells : int or None
        Side of the middle of each crop, in target cells, that is decoded: a decoder costs more than the map. None: all.
    adversary : PatchDiscriminator or None
        Judges latents, as ``gan`` and ``features`` weigh it.
    is_sized : bool
        The model is told the target's size: it gives any factor.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        decoder: Approximation | None = None,
        decoded_cells: int | None = None,
        adversary: PatchDiscriminator | None = None,
        *,
        is_sized: bool = False,
    ) -> None:
        known = [*PIXEL_LOSSES, *_DECODED_LOSSES, *CYCLES, *(ADVERSARIAL if adversary is not None else ())]
        if not weights or set(weights) - set(known):
            raise TrainError("losses", expected=f"some of {', '.join(known)}", got=f"{', '.join(weights) or 'none'}")
        if decoder is None and looks_at_pictures(weights):
            seen = ", ".join(sorted(set(weights) & set(_DECODED_LOSSES)))
            raise TrainError(f"losses {seen}", expected="a decoder", got="none")
        self.weights, self.cycles, self.adversary = dict(weights), bool(set(weights) & set(CYCLES)), adversary
        self.decoder = None if decoder is None else copy.deepcopy(decoder.module).eval().requires_grad_(False)
        self.decoded_cells, self.is_sized = decoded_cells, is_sized
        self.cell_px = 1 if decoder is None else decoder.scale.numerator

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Each loss by name, "loss" their weighted sum."""
        source, real, inside = batch["input"], batch["target"], batch.get("inside")
        needs_back = {"back", "back_round"} & set(self.weights)
        if self.cycles:
            paths = model(source, real if needs_back else None)
        else:
            paths = {"made": model(source, tuple(real.shape[-2:])) if self.is_sized else model(source)}
        made = _kept(paths["made"], real, inside)
        found = {name: PIXEL_LOSSES[name](made, real) for name in self.weights if name in PIXEL_LOSSES}
        for name, truth in (("round", source), ("back", source), ("back_round", real)):
            if name in self.weights:
                found[name] = PIXEL_LOSSES["l1"](paths[name], truth)
        if looks_at_pictures(self.weights):
            found |= self._decoded(self._middle(made), self._middle(real))
        kept = {}
        if self.adversary is not None:
            found |= judged(self.adversary, made, real, self.weights)
            kept = {"made": made.detach(), "real": real}
        total = torch.stack([self.weights[name] * value for name, value in found.items()]).sum()
        return {"loss": total, **found, **kept}

    def adversary_loss(self, adversary: nn.Module, losses: Mapping[str, Tensor]) -> Tensor:
        """The adversary's own, on what `losses` made."""
        return verdict_loss(adversary, losses)

    def _middle(self, latents: Tensor) -> Tensor:
        if self.decoded_cells is None:
            return latents
        top, left = (max(0, (side - self.decoded_cells) // 2) for side in latents.shape[-2:])
        return latents[..., top : top + self.decoded_cells, left : left + self.decoded_cells]

    def _decoded(self, made: Tensor, real: Tensor) -> dict[str, Tensor]:
        assert self.decoder is not None
        decoder: Any = self.decoder.to(real.device)
        with torch.no_grad():
            wanted = decoder(real).clamp(0, 1)
        shown = decoder(made)
        found = {
            name: PIXEL_LOSSES[name.removeprefix(DECODED)](shown, wanted)
            for name in self.weights
            if name.startswith(DECODED)
        }
        if "oklab" in self.weights:
            cells = [avg_pool2d(picture.clamp(1e-3, 1), self.cell_px).float() for picture in (shown, wanted)]
            found["oklab"] = (rgb_to_oklab(cells[0]) - rgb_to_oklab(cells[1])).abs().mean()
        return found


def looks_at_pictures(weights: Mapping[str, float]) -> bool:
    """Some of these losses are of decoded pictures: they need a decoder."""
    return bool(set(weights) & set(_DECODED_LOSSES))


def _kept(made: Tensor, real: Tensor, inside: Tensor | None) -> Tensor:
    """What was made, and the truth where no loss should look."""
    if made.shape != real.shape:
        raise TrainError(
            f"the network gave {tuple(made.shape)}, its target is {tuple(real.shape)}", remedy="check scales"
        )
    return made if inside is None else torch.where(inside > 0, made, real.to(made.dtype))
