"""Colour: sRGB to CIELAB and OKLab, and CIEDE2000, in torch."""

import math

import torch
from torch import Tensor

# sRGB (IEC 61966-2-1) linear -> CIE XYZ, D65; scikit-image uses the same digits
_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.95047, 1.0, 1.08883)
# Ottosson, "A perceptual color space for image processing" (2020)
_OK_LMS = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
           (0.0883024619, 0.2817188376, 0.6299787005))  # fmt: skip
_OK_LAB = ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
           (0.0259040371, 0.7827717662, -0.8086757660))  # fmt: skip
LEAST_CHROMA = 0.02  # OKLab: greyer pixels have no hue worth the name
_CHUNK_DISTANCES = 1 << 19  # at a time: 4 MiB of float64


def srgb_to_linear(rgb: Tensor) -> Tensor:
    """sRGB-encoded [0, 1] -> linear light [0, 1]."""
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Linear light [0, 1] -> sRGB-encoded [0, 1]."""
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """sRGB ``(N, 3, ...)`` in [0, 1] -> CIELAB under D65, L in [0, 100]."""
    white = rgb.new_tensor(_WHITE).reshape(3, *(1,) * (rgb.ndim - 2))
    xyz = _mixed(_XYZ, srgb_to_linear(rgb)) / white
    curved = torch.where(xyz > 0.008856, xyz.clamp(min=1e-9) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = curved.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def rgb_to_oklab(rgb: Tensor) -> Tensor:
    """sRGB ``(N, 3, ...)`` in [0, 1] -> OKLab, L in [0, 1]."""
    return linear_to_oklab(srgb_to_linear(rgb))


def linear_to_oklab(linear: Tensor) -> Tensor:
    """Linear light ``(N, 3, ...)`` -> OKLab, L in [0, 1]."""
    return _mixed(_OK_LAB, _mixed(_OK_LMS, linear).clamp(min=0) ** (1 / 3))


def oklab_to_rgb(oklab: Tensor) -> Tensor:
    """OKLab ``(N, 3, ...)`` -> sRGB, not clamped."""
    inverse = torch.linalg.inv(torch.tensor(_OK_LAB, dtype=torch.float64)).tolist()
    linear = torch.linalg.inv(torch.tensor(_OK_LMS, dtype=torch.float64)).tolist()
    return linear_to_srgb(_mixed(linear, _mixed(inverse, oklab) ** 3))


def nearest_rows(pixels: Tensor, colours: Tensor) -> Tensor:
    """Colours ``(n, 3)`` -> the nearest of ``(K, 3)``, int64 ``(n,)``, in bounded memory; a tie goes to the lower."""
    # |c|² / 2 - pc: in single precision it would take neighbouring 8-bit colours for each other; MPS has no other
    device = torch.device("cpu") if pixels.device.type == "mps" else pixels.device
    wide = colours.to(device, torch.float64)
    halves, n_rows = wide.square().sum(1) / 2, max(1, _CHUNK_DISTANCES // len(colours))
    found = [torch.addmm(halves, rows.to(device, torch.float64), -wide.T).argmin(1) for rows in _split(pixels, n_rows)]
    return torch.cat(found).to(pixels.device) if found else torch.empty(0, dtype=torch.int64, device=pixels.device)


def chroma(rgb: Tensor) -> Tensor:
    """sRGB ``(N, 3, ...)`` -> CIELAB chroma ``(N, ...)``."""
    lab = rgb_to_lab(rgb)
    return torch.hypot(lab[:, 1], lab[:, 2])


def delta_e2000(first: Tensor, second: Tensor) -> Tensor:
    """CIEDE2000 between two sRGB pictures ``(N, 3, ...)`` in [0, 1] -> ``(N, ...)``."""
    return delta_e2000_of_lab(rgb_to_lab(first), rgb_to_lab(second))


def delta_e2000_of_lab(first: Tensor, second: Tensor) -> Tensor:
    """CIEDE2000 between two CIELAB pictures ``(N, 3, ...)`` -> ``(N, ...)``, with unit weights.

    Source: Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula" (2005). Hues are compared as directions
    instead of angles: the same numbers with one arctangent, and without its cases.
    """
    lightness_1, a_1, b_1 = first.unbind(1)
    lightness_2, a_2, b_2 = second.unbind(1)
    stretch = 1.5 - 0.5 * _of_seventh_power((torch.hypot(a_1, b_1) + torch.hypot(a_2, b_2)) / 2)
    a_1, a_2 = a_1 * stretch, a_2 * stretch
    chroma_1, chroma_2 = torch.hypot(a_1, b_1), torch.hypot(a_2, b_2)
    mean_chroma, d_chroma = (chroma_1 + chroma_2) / 2, chroma_2 - chroma_1
    d_hue = _hue_difference(chroma_1 * chroma_2, a_1 * a_2 + b_1 * b_2, a_1 * b_2 - b_1 * a_2)
    # the bisector of both hues; where one colour is grey, the other's hue
    grey = chroma_1 * chroma_2 == 0
    across = torch.where(grey, a_1 + a_2, a_1 * chroma_2 + a_2 * chroma_1)
    along = torch.where(grey, b_1 + b_2, b_1 * chroma_2 + b_2 * chroma_1)
    s_h, rotation = _hue_weights(torch.atan2(along, across) % (2 * math.pi), mean_chroma)
    off_grey = ((lightness_1 + lightness_2) / 2 - 50) ** 2
    d_l = (lightness_2 - lightness_1) / (1 + 0.015 * off_grey / torch.sqrt(20 + off_grey))
    d_c, d_h = d_chroma / (1 + 0.045 * mean_chroma), d_hue / s_h
    return torch.sqrt((d_l**2 + d_c**2 + d_h**2 + rotation * d_c * d_h).clamp(min=0))


def _hue_difference(chromas: Tensor, dot: Tensor, cross: Tensor) -> Tensor:
    """``2 sqrt(C1 C2) sin(dh / 2)`` from products of both colours, without cancellation in single precision."""
    near = cross / ((chromas + dot) / 2).clamp(min=1e-12).sqrt()
    far = torch.where(cross < 0, -1.0, 1.0) * (2 * (chromas - dot)).clamp(min=0).sqrt()
    return torch.where(dot > 0, near, far)


def _hue_weights(hue: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
    """Weight of a hue difference, and the rotation term, at a mean hue in radians and a mean chroma."""
    degree = math.pi / 180
    t = (
        1
        - 0.17 * torch.cos(hue - 30 * degree)
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + 6 * degree)
        - 0.20 * torch.cos(4 * hue - 63 * degree)
    )
    turned = 60 * degree * torch.exp(-(((hue / degree - 275) / 25) ** 2))
    return 1 + 0.015 * chroma * t, -2 * torch.sin(turned) * _of_seventh_power(chroma)


def _of_seventh_power(chroma: Tensor) -> Tensor:
    seventh = chroma**7
    return torch.sqrt(seventh / (seventh + 25.0**7))


def _mixed(matrix: object, channels: Tensor) -> Tensor:
    return torch.einsum("oc,nc...->no...", channels.new_tensor(matrix), channels)


def _split(rows: Tensor, n_rows: int) -> list[Tensor]:
    return [rows[start : start + n_rows] for start in range(0, len(rows), n_rows)]
