"""What people hand over as a picture -> ``(3, H, W)`` in [0, 1]; and pictures and arrays as the page takes them."""

import base64
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentfit.errors import WidgetError
from latentfit.images.pixels import open_rgb, rgb_tensor, to_pil
from latentfit.images.profiles import declared

PictureLike = Tensor | np.ndarray[Any, Any] | Image.Image | str | os.PathLike[str]
MOST_PIXELS = 1 << 24
_WRITTEN_AS = {"HSV": "RGB", "RGBX": "RGB", "RGBa": "RGBA", "PA": "RGBA", "La": "LA"}  # which no file format keeps
_DTYPES = {torch.float16: "float16", torch.float32: "float32", torch.float64: "float32", torch.uint8: "uint8"}


def as_picture(given: PictureLike, name: str = "picture") -> Tensor:
    """A picture in any usual form.

    Parameters
    ----------
    given : Tensor, ndarray, PIL image or path
        Tensor (3, H, W) or (1, 3, H, W), floating in [0, 1] or uint8; array (H, W, 3) or (3, H, W), likewise; grey ones
        (H, W), of either kind; any mode of a PIL image; a picture file.
    name : str
        For messages.

    Returns
    -------
    Tensor, (3, H, W) float32 in [0, 1], on the CPU
        Of more than `MOST_PIXELS`, shrunk by area.

    Raises
    ------
    WidgetError
        When it is of another shape, range or type.
    ImageError
        When a file is no picture, or a damaged one.
    """
    if isinstance(given, Image.Image):
        buffer = io.BytesIO()
        plain = given.convert(_WRITTEN_AS[given.mode]) if given.mode in _WRITTEN_AS else given
        form = "TIFF" if plain.mode in ("F", "I", "CMYK", "YCbCr", "LAB") else "PNG"
        plain.save(buffer, form, icc_profile=declared(given, b"").icc)
        given = rgb_tensor(np.array(open_rgb(buffer.getvalue(), name)))[0]
    elif isinstance(given, str | os.PathLike):
        path = Path(given)
        if not path.is_file():
            raise WidgetError(f"{name}: {path}: no such file", expected="a picture")
        given = rgb_tensor(np.array(open_rgb(path.read_bytes(), path.name)))[0]
    elif isinstance(given, np.ndarray):
        given = torch.from_numpy(np.array(given))
        if given.ndim == 3 and given.shape[2] == 3 and given.shape[0] != 3:
            given = given.movedim(2, 0)
    return _small_enough(_checked(given, name))


def crop_size(size: tuple[int, int], most: int) -> tuple[slice, slice]:
    """The middle of ``(rows, columns)``, at most `most` each way."""
    starts = [max(0, (length - most) // 2) for length in size]
    rows, columns = (slice(start, start + min(length, most)) for start, length in zip(starts, size, strict=True))
    return rows, columns


def pixels_of(rgb: Tensor) -> dict[str, Any]:
    """Picture ``(3, H, W)`` in [0, 1] -> the page's raw pixels."""
    levels = rgb.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu()
    return {"pixels": levels.numpy().tobytes(), "width": levels.shape[1], "height": levels.shape[0]}


def png_of(rgb: Tensor, most_px: int | None = None) -> dict[str, Any]:
    """Picture ``(3, H, W)`` in [0, 1] -> the page's PNG, shrunk where a side is longer than `most_px`."""
    image, buffer = to_pil(rgb), io.BytesIO()
    if most_px is not None:
        image.thumbnail((most_px, most_px))
    image.save(buffer, "PNG", compress_level=3)
    return {"bytes": buffer.getvalue()}


def array_of(tensor: Tensor) -> dict[str, Any]:
    """A tensor as the page's ARRAY: float16, float32 or uint8."""
    dtype = _DTYPES[tensor.dtype]
    values = tensor.detach().cpu().contiguous().to(getattr(torch, dtype))
    return {"shape": list(values.shape), "dtype": dtype, "data": values.numpy().tobytes()}


def without_bytes(value: Any) -> Any:
    """The same data for a page without kernel: PNGs as data URLs, other bytes as base64, so that JSON can hold it."""
    if isinstance(value, Mapping):
        if isinstance(value.get("bytes"), bytes):
            rest = {key: each for key, each in value.items() if key != "bytes"}
            return {"src": f"data:image/png;base64,{_base64(value['bytes'])}", **without_bytes(rest)}
        return {key: without_bytes(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_bytes(each) for each in value]
    return _base64(value) if isinstance(value, bytes) else value


def _base64(blob: bytes) -> str:
    return base64.b64encode(blob).decode("ascii")


def _checked(given: object, name: str) -> Tensor:
    if not isinstance(given, Tensor):
        raise WidgetError(
            f"{name}",
            expected=("a picture: a tensor (3, H, W), an array (H, W, 3) or (H, W), a PIL image or a path"),
            got=f"{type(given).__name__}",
        )
    picture = given.detach().cpu()
    if picture.ndim == 4 and picture.shape[0] == 1:
        picture = picture[0]
    if picture.ndim == 2:
        picture = picture.expand(3, -1, -1)
    if picture.ndim != 3 or picture.shape[0] != 3 or not picture.numel():
        raise WidgetError(
            f"{name}", expected="one picture (3, H, W), (1, 3, H, W) or (H, W)", got=f"{tuple(given.shape)}"
        )
    if picture.dtype == torch.uint8:
        return picture.float().div_(255)
    if not picture.is_floating_point():
        raise WidgetError(f"{name}", expected="floats in [0, 1] or uint8", got=f"{picture.dtype}")
    low, high = (float(bound) for bound in torch.aminmax(picture))
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise WidgetError(
            f"{name}",
            expected="values in [0, 1]",
            got=f"[{low:.4g}, {high:.4g}]",
            remedy=("clamp what overshoots, divide bytes by 255, and take signed pictures through signed_to_rgb"),
        )
    return picture.float().clamp(0, 1)


def _small_enough(picture: Tensor) -> Tensor:
    n_pixels = picture.shape[1] * picture.shape[2]
    if n_pixels <= MOST_PIXELS:
        return picture
    share = (MOST_PIXELS / n_pixels) ** 0.5
    size = [max(1, int(length * share)) for length in picture.shape[1:]]
    return torch.nn.functional.interpolate(picture[None], size, mode="area")[0]
