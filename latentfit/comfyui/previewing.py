"""One sampling run's previews by a map: x0 -> picture, until something fails."""

import logging
from typing import Any, final

import torch
from PIL import Image
from torch import Tensor

from latentfit.latents.likely_space import doubt_of
from latentfit.latents.spaces import unpack_flux2
from latentfit.maps.contracts import Approximation
from latentfit.maps.tiled import decode_in_tiles
from latentfit.palettes.decoder import is_palettized
from latentfit.runtime.escaping import one_line

_SHARP_PX = 512  # pictures of a palette are enlarged to about this, since ComfyUI would smooth them
_log = logging.getLogger(__name__)


@final
class MapPreview:
    """Pictures of a denoiser's estimates.

    Parameters
    ----------
    approximation : Approximation
        Moved to wherever the estimates are.
    every : int
        Show each so many steps, the first included.
    is_told : bool
        Whether the model's own latents are known to be of the approximation's space; else their numbers are looked at.

    Attributes
    ----------
    has_failed : bool
        Once true, it shows nothing more; the reason was logged.
    """

    def __init__(self, approximation: Approximation, every: int = 1, *, is_told: bool = True) -> None:
        self._approximation, self._every, self._is_told = approximation, every, is_told
        self._n_steps = 0
        self.has_failed = False

    def is_due(self) -> bool:
        """Whether to show this step; counts it."""
        self._n_steps += 1
        return (self._n_steps - 1) % self._every == 0

    def picture(self, x0: Any) -> Image.Image | None:
        """The first picture, or first frame, of an estimate in the model domain; None once something has failed."""
        if self.has_failed:
            return None
        try:
            return self._of(x0)
        except Exception as error:  # noqa: BLE001 - a preview must not stop the sampling
            self.has_failed = True
            name = self._approximation.name
            _log.warning("LatentFit Preview: %s failed, ComfyUI shows its own from here on: %s", name, one_line(error))
            return None

    @torch.no_grad()
    def _of(self, x0: Tensor) -> Image.Image:
        approximation = self._approximation
        one = x0[:1, :, 0] if x0.ndim == 5 else x0[:1]
        latents = one.detach().float().clone()  # whatever a map does to its input, the sampler's stays
        if approximation.space.packing == "flux2" and latents.shape[1] == 4 * approximation.space.channels:
            latents = unpack_flux2(latents)
        self._warn_of_doubt(x0, latents)
        approximation.module.to(latents.device)
        rgb = decode_in_tiles(approximation, latents)[0]
        if not bool(rgb.isfinite().all()):
            raise ValueError("the picture holds NaN, as the estimate does")
        pixels = rgb.mul(255).round().to(torch.uint8).movedim(0, -1).cpu().numpy()
        picture = Image.fromarray(pixels)
        if not is_palettized(approximation):
            return picture
        times = max(1, _SHARP_PX // max(picture.size))
        return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)

    def _warn_of_doubt(self, x0: Tensor, latents: Tensor) -> None:
        """Log once what speaks against the estimates being of the map's space, where nothing told it."""
        if self._is_told:
            return
        space = self._approximation.space
        doubt = doubt_of((x0 if x0.ndim == 5 else latents).float().cpu(), space, "model")
        if doubt is not None and doubt.kind != "domain":
            self._is_told = True
            _log.warning(
                "LatentFit Preview: %s takes %s latents; the sampler's are %s; choose a map of their own space",
                self._approximation.name, space.title, doubt,
            )  # fmt: skip
