"""Resampling: latents at another size as pictures are resized. What upscalers are measured against."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from latentfit.errors import ScaleError
from latentfit.nets.architecture import Architecture

Method = Literal["nearest", "bilinear", "bicubic", "bislerp"]
_TORCH = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}
_PARALLEL = 1e-5  # cosines this near to 1 and -1 have no arc


class Resampling(nn.Module):
    """Latents ``(N, C, h, w)`` and a size ``(H, W)`` -> latents ``(N, C, H, W)``, as ComfyUI's upscale nodes make them.

    Parameters
    ----------
    method : {"nearest", "bilinear", "bicubic", "bislerp"}
        ComfyUI calls the first one nearest-exact. Bislerp turns a cell's channels along the arc to the next cell's and
        interpolates their lengths, along the width, then along the height; it depends on the domain's shift.

    Raises
    ------
    ScaleError
        When there is no such method.
    """

    factors = (0.0, float("inf"))

    def __init__(self, method: Method) -> None:
        super().__init__()
        if method not in get_args(Method):
            raise ScaleError("resampling", expected=f"one of {', '.join(get_args(Method))}", got=f"{method!r}")
        self.method = method

    receptive_cells = 2

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {"method": self.method}

    def forward(self, latents: Tensor, size: tuple[int, int]) -> Tensor:
        if self.method == "bislerp":
            wide = _bislerped(latents.float(), size[1])
            return _bislerped(wide.transpose(2, 3), size[0]).transpose(2, 3).to(latents.dtype)
        return nn.functional.interpolate(latents, size=size, mode=_TORCH[self.method])

    def extra_repr(self) -> str:
        return repr(self.method)


def _bislerped(latents: Tensor, n_new: int) -> Tensor:
    """``(N, C, h, w)`` -> ``(N, C, h, n_new)``."""
    n_old = latents.shape[-1]
    centres = (torch.arange(n_new, dtype=torch.float64, device=latents.device) + 0.5) * n_old / n_new - 0.5
    centres = centres.clamp(0, n_old - 1)
    before = centres.floor().long()
    after = (before + 1).clamp(max=n_old - 1)
    return _slerp(latents[..., before], latents[..., after], (centres - before).to(latents.dtype))


def _slerp(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Between two vectors of channels; as they are where they are parallel, on the line where they are opposed."""
    lengths = first.norm(dim=1, keepdim=True), second.norm(dim=1, keepdim=True)
    units = [torch.where(length > 0, one / length, 0) for one, length in zip((first, second), lengths, strict=True)]
    cosine = (units[0] * units[1]).sum(1, keepdim=True)
    arc = cosine.clamp(-1, 1).acos()
    turned = (((1 - share) * arc).sin() * units[0] + (share * arc).sin() * units[1]) / arc.sin()
    turned = turned * (lengths[0] * (1 - share) + lengths[1] * share)
    turned = torch.where(cosine > 1 - _PARALLEL, first, turned)
    return torch.where(cosine < _PARALLEL - 1, first * (1 - share) + second * share, turned)


ARCHITECTURES = (
    Architecture("resampling", Resampling, "resampling", "latents", {"method": "bicubic"}, keeps_space=True),
)
