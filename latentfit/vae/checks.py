"""What goes into a reference autoencoder and comes out, looked at in every call."""

import torch
from torch import Tensor

from latentfit.errors import DomainError, Remedy, VaeError


def check_rgb(rgb: Tensor, cell_px: int) -> None:
    """Raise `DomainError` unless `rgb` is ``(N, 3, H, W)``, in [0, 1], of whole cells."""
    if not isinstance(rgb, Tensor) or not rgb.is_floating_point() or rgb.ndim != 4 or rgb.shape[1] != 3:
        got = f"{tuple(rgb.shape)} {rgb.dtype}" if isinstance(rgb, Tensor) else type(rgb).__name__
        raise DomainError("rgb", expected="a floating tensor (N, 3, H, W) in [0, 1]", got=f"{got}")
    if not rgb.numel() or rgb.shape[2] % cell_px or rgb.shape[3] % cell_px:
        raise DomainError(
            "rgb",
            expected=f"sides that are multiples of {cell_px} px",
            got=f"{rgb.shape[2]} x {rgb.shape[3]}",
            remedy="crop to whole cells (images.crop_to_cells)",
        )
    low, high = (float(bound) for bound in torch.aminmax(rgb))
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise DomainError(
            "rgb",
            expected="values in [0, 1]",
            got=f"[{low:.4g}, {high:.4g}]",
            remedy="signed pictures cross with signed_to_rgb, bytes by dividing by 255",
        )


def check_finite(output: Tensor, given: Tensor, what: str, dtype: torch.dtype) -> Tensor:
    """`output`, once it is known to hold neither NaN nor infinity."""
    if bool(torch.isfinite(output).all()):
        return output
    if not bool(torch.isfinite(given).all()):
        raise VaeError(f"{what}", expected="finite numbers", got="NaN or infinity")
    if dtype != torch.float32:
        raise VaeError(
            f"{what}: gives NaN or infinity in {str(dtype).removeprefix('torch.')}, as some VAEs do",
            remedy=Remedy("load it with {}", dtype="float32"),
        )
    raise VaeError(f"{what}: gives NaN or infinity in float32", remedy="fetch its weights again, which are damaged")
