"""TAESD's latents as pictures: four channels in the RGBA of an 8-bit PNG, ``latents / 6 + 1/2``.

Small, lossy by half a level (1/85 of a unit), and to be looked at. Format: github.com/madebyollin/taesd, taesd.py.
"""

import io
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from latentfit.errors import BadFileError, SpaceMismatchError
from latentfit.runtime.storage import write_atomic

MAGNITUDE = 3.0  # latents beyond are clamped
_MOST_CELLS = 1 << 24


def write_latent_png(path: str | os.PathLike[str], latents: Tensor) -> Path:
    """Write one latent ``(4, h, w)`` or ``(1, 4, h, w)``, model domain, as RGBA; values beyond ±3 are clamped.

    Raises
    ------
    SpaceMismatchError
        When it is not one latent of four channels.
    """
    one = latents[0] if latents.ndim == 4 and latents.shape[0] == 1 else latents
    if one.ndim != 3 or one.shape[0] != 4:
        raise SpaceMismatchError(
            f"an 8-bit latent PNG holds one latent of 4 channels, got {tuple(latents.shape)}",
            place=path,
            remedy="write_latents keeps any",
        )
    if not bool(one.isfinite().all()):
        raise SpaceMismatchError(
            "the latent holds NaN or Inf, which 8 bits cannot", place=path, expected="finite numbers"
        )
    unit = (one.float().cpu() / (2 * MAGNITUDE) + 0.5).clamp(0, 1)
    levels = unit.mul(255).round().to(torch.uint8).movedim(0, -1).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(levels, "RGBA").save(buffer, "PNG")
    return write_atomic(path, buffer.getvalue())


def read_latent_png(path: str | os.PathLike[str]) -> Tensor:
    """Latents ``(1, 4, h, w)``, model domain, of a PNG that `write_latent_png` or taesd.py wrote.

    Raises
    ------
    BadFileError
        When it is no PNG, or not of 8-bit RGBA: an ordinary picture.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.width * image.height > _MOST_CELLS:
                raise BadFileError(
                    f"{image.width}x{image.height} cells", place=path, expected="a latent of at most 16 million"
                )
            if image.mode != "RGBA":
                raise BadFileError(
                    f"a latent PNG is of 8-bit RGBA, this is of {image.mode}: an ordinary picture?",
                    place=path,
                    remedy="encode it with a VAE, or collect it",
                )
            levels = np.asarray(image)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, BadFileError):
            raise
        raise BadFileError(f"not a whole PNG ({error})", place=path, remedy="save it again") from error
    unit = torch.from_numpy(levels.copy()).movedim(-1, 0).float() / 255
    return ((unit - 0.5) * 2 * MAGNITUDE)[None]
