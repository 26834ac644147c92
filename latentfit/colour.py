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
    lms = _mixed(_OK_LMS, srgb_to_linear(rgb)).clamp(min=0) ** (1 / 3)
    return _mixed(_OK_LAB, lms)


def oklab_to_rgb(oklab: Tensor) -> Tensor:
    """OKLab ``(N, 3, ...)`` -> sRGB, not clamped."""
    inverse = torch.linalg.inv(torch.tensor(_OK_LAB, dtype=torch.float64)).tolist()
    linear = torch.linalg.inv(torch.tensor(_OK_LMS, dtype=torch.float64)).tolist()
    return linear_to_srgb(_mixed(linear, _mixed(inverse, oklab) ** 3))


def chroma(rgb: Tensor) -> Tensor:
    """sRGB ``(N, 3, ...)`` -> CIELAB chroma ``(N, ...)``."""
    lab = rgb_to_lab(rgb)
    return torch.hypot(lab[:, 1], lab[:, 2])


def delta_e2000(first: Tensor, second: Tensor) -> Tensor:
    """CIEDE2000 between two sRGB pictures ``(N, 3, ...)`` in [0, 1] -> ``(N, ...)``.

    Source: Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula" (2005), with unit weights.
    """
    lightness_1, a_1, b_1 = rgb_to_lab(first).unbind(1)
    lightness_2, a_2, b_2 = rgb_to_lab(second).unbind(1)
    mean_chroma = (torch.hypot(a_1, b_1) + torch.hypot(a_2, b_2)) / 2
    seventh = mean_chroma**7
    g = 0.5 * (1 - torch.sqrt(seventh / (seventh + 25.0**7)))
    a_1, a_2 = a_1 * (1 + g), a_2 * (1 + g)
    chroma_1, chroma_2 = torch.hypot(a_1, b_1), torch.hypot(a_2, b_2)
    hue_1, hue_2 = torch.atan2(b_1, a_1) % (2 * math.pi), torch.atan2(b_2, a_2) % (2 * math.pi)
    coloured = chroma_1 * chroma_2 > 0
    turn = hue_2 - hue_1
    turn = turn - 2 * math.pi * (turn > math.pi) + 2 * math.pi * (turn < -math.pi)
    turn = torch.where(coloured, turn, torch.zeros_like(turn))
    d_hue = 2 * torch.sqrt(chroma_1 * chroma_2) * torch.sin(turn / 2)
    total = hue_1 + hue_2
    far = (hue_1 - hue_2).abs() > math.pi
    mean_hue = torch.where(far, torch.where(total < 2 * math.pi, total + 2 * math.pi, total - 2 * math.pi), total) / 2
    mean_hue = torch.where(coloured, mean_hue, total)
    lightness, mean_chroma = (lightness_1 + lightness_2) / 2, (chroma_1 + chroma_2) / 2
    degrees = math.pi / 180
    t = (
        1
        - 0.17 * torch.cos(mean_hue - 30 * degrees)
        + 0.24 * torch.cos(2 * mean_hue)
        + 0.32 * torch.cos(3 * mean_hue + 6 * degrees)
        - 0.20 * torch.cos(4 * mean_hue - 63 * degrees)
    )
    s_l = 1 + 0.015 * (lightness - 50) ** 2 / torch.sqrt(20 + (lightness - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_chroma, 1 + 0.015 * mean_chroma * t
    seventh = mean_chroma**7
    rotation = 30 * degrees * torch.exp(-(((mean_hue / degrees - 275) / 25) ** 2))
    r_t = -torch.sin(2 * rotation) * 2 * torch.sqrt(seventh / (seventh + 25.0**7))
    d_l, d_c, d_h = (lightness_2 - lightness_1) / s_l, (chroma_2 - chroma_1) / s_c, d_hue / s_h
    return torch.sqrt((d_l**2 + d_c**2 + d_h**2 + r_t * d_c * d_h).clamp(min=0))


def _mixed(matrix: object, channels: Tensor) -> Tensor:
    return torch.einsum("oc,nc...->no...", channels.new_tensor(matrix), channels)
