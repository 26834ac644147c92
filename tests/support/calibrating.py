"""Pairs of a known map for calibrations, and a process that observes; run as a script it does so until it is killed."""

import os
import sys

import torch
from torch import Tensor

import latentfit as lf

SLOPES = torch.tensor([[0.10, 0.02, 0.01], [0.01, 0.12, -0.02], [0.02, -0.01, 0.09], [0.03, 0.02, 0.01]])


def pairs(n: int, seed: int = 0, side: int = 8, noise: float = 0.01) -> tuple[Tensor, Tensor]:
    """Latents ``(n, 4, side, side)`` and pictures of 4 px a cell, affine but for a little noise, none near a bound."""
    generator = torch.Generator().manual_seed(seed)
    latents = 0.7 * torch.randn(n, 4, side, side, generator=generator)
    cells = torch.einsum("nchw,co->nohw", latents, SLOPES) + 0.5
    cells += noise * torch.randn(cells.shape, generator=generator)
    return latents, cells.clamp(0, 1).repeat_interleave(4, 2).repeat_interleave(4, 3)


def main() -> None:
    """``path n seed``: observe so many pictures one by one, and print a line after each."""
    path, n, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    calibration = lf.Calibration("sd1", path=path, prior=None)
    latents, rgb = pairs(n, seed)
    os.write(1, b"ready\n")
    for one, picture in zip(latents, rgb, strict=True):
        calibration.observe(one[None], picture[None])
        os.write(1, b"1\n")


if __name__ == "__main__":
    main()
