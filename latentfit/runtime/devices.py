"""Where and how precisely torch computes: names of devices and dtypes, and where a module's numbers lie."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from latentfit.errors import Remedy, VaeError

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def torch_dtype(dtype: str) -> torch.dtype:
    """torch's dtype of that name."""
    if dtype not in _DTYPES:
        raise VaeError("dtype", expected=f"one of {', '.join(_DTYPES)}", got=f"{dtype!r}")
    return _DTYPES[dtype]


def device_name(device: str) -> str:
    """`device`; ``"auto"`` is the accelerator where there is one, else the CPU.

    Raises
    ------
    VaeError
        When this torch, or this machine, has no such device.
    """
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    there = ["cpu", *([accelerator.type] if accelerator is not None else [])]
    if device == "auto":
        return there[-1]
    if device.split(":")[0] not in (*there, "meta"):
        raise VaeError(
            f"device {device!r}",
            expected=f"one of auto, {', '.join(there)} with torch {torch.__version__} here",
            remedy=Remedy("take {}", device="auto"),
        )
    return device


@contextmanager
def plain_float32() -> Iterator[None]:
    """Convolutions without TF32: a reference has all its digits."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def device_of(module: nn.Module) -> torch.device:
    """Return the device of a module's numbers; the CPU when it has none."""
    tensors = (*module.parameters(), *module.buffers())
    return tensors[0].device if tensors else torch.device("cpu")
