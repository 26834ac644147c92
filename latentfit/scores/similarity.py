"""Structure of full-size pictures: SSIM, MS-SSIM, GMSD, ꟻLIP and the energy of fine detail of two `PictureFeatures`."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from latentfit.images.colour import rgb_to_lab, srgb_to_linear

_ROUNDING = 1 / (12 * 255**2)  # variance of what rounding to 8 bits adds
_HANN_POWER = 3 / 8  # mean square of a Hann window along a side
PIXELS_PER_DEGREE = 67.0  # ꟻLIP's default: 0.7 m from a 4K monitor 0.7 m wide


@dataclass(frozen=True)
class PictureFeatures:
    """One picture and what the scores need of it, computed once however many pictures it is compared with.

    Attributes
    ----------
    rgb : Tensor, (N, 3, H, W) floating in [0, 1]
        sRGB-encoded.
    """

    rgb: Tensor

    @classmethod
    def of(cls, picture: "Tensor | PictureFeatures") -> "PictureFeatures":
        """The picture's look; a look stays itself."""
        return picture if isinstance(picture, PictureFeatures) else cls(picture)

    @cached_property
    def lab(self) -> Tensor:
        """CIELAB, ``(N, 3, H, W)``."""
        return rgb_to_lab(self.rgb)

    @cached_property
    def chroma(self) -> Tensor:
        """CIELAB chroma, ``(N, H, W)``."""
        return torch.hypot(self.lab[:, 1], self.lab[:, 2])

    @cached_property
    def _half(self) -> "PictureFeatures":
        """The same at half the size, 2×2 means."""
        return PictureFeatures(torch.nn.functional.avg_pool2d(self.rgb, 2))

    @cached_property
    def _luma(self) -> Tensor:
        red, green, blue = self.rgb.unbind(1)
        return 0.299 * red + 0.587 * green + 0.114 * blue

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance under SSIM's window."""
        mean = _windowed(self.rgb)
        return mean, _windowed(self.rgb * self.rgb) - mean**2

    @cached_property
    def _gradient(self) -> Tensor:
        """GMSD's gradient magnitude, in 8-bit levels, at half size."""
        return _prewitt(torch.nn.functional.avg_pool2d(255 * self._luma, 2))

    @cached_property
    def _fine_energy(self) -> float:
        return fine_energy(self._luma)

    @cached_property
    def _opponent(self) -> Tensor:
        return _linear_to_ycxcz(srgb_to_linear(self.rgb))

    @cached_property
    def _filtered(self) -> Tensor:
        """Colours as they look from ꟻLIP's distance, in Hunt-adjusted CIELAB."""
        return _hunt_lab(_contrast_filtered(self._opponent))

    @cached_property
    def _features(self) -> tuple[Tensor, Tensor]:
        """Strength of edges and of points, ``(N, H, W)`` each."""
        return _features((self._opponent[:, 0] + 16) / 116)


def structure(predicted: Tensor | PictureFeatures, reference: Tensor | PictureFeatures) -> dict[str, float]:
    """All structure scores of pictures ``(N, 3, H, W)`` in [0, 1] at full size.

    Returns
    -------
    dict
        ``ssim`` and ``ms_ssim`` (1 is equal; NaN for pictures under 176 px), ``gmsd`` and ``flip`` (0 is equal),
        ``high_frequency`` (energy of fine detail over the reference's: 1 is as sharp; NaN where that has none).

    Examples
    --------
    >>> picture = torch.rand(1, 3, 32, 32)
    >>> {name: round(score, 3) for name, score in structure(picture, picture).items()}
    {'ssim': 1.0, 'ms_ssim': nan, 'gmsd': 0.0, 'flip': 0.0, 'high_frequency': 1.0}
    """
    first, second = PictureFeatures.of(predicted), PictureFeatures.of(reference)
    return {
        "ssim": ssim(first, second),
        "ms_ssim": ms_ssim(first, second),
        "gmsd": gmsd(first, second),
        "flip": flip(first, second),
        "high_frequency": high_frequency_ratio(first, second),
    }


def ssim(predicted: Tensor | PictureFeatures, reference: Tensor | PictureFeatures) -> float:
    """Structural similarity, 1 for equal pictures: 11×11 Gaussian window of σ 1.5, mean over channels.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment" (2004). Pictures narrower than the window
    are taken as their mirrored continuation.
    """
    luminance, contrast = _similar(PictureFeatures.of(predicted), PictureFeatures.of(reference))
    return float((luminance * contrast).mean())


_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
LEAST_MS_SSIM_PX = 11 * 2 ** (len(_SCALE_WEIGHTS) - 1)
"""Five scales of an 11 px window."""


def ms_ssim(predicted: Tensor | PictureFeatures, reference: Tensor | PictureFeatures) -> float:
    """Structural similarity over five scales, 1 for equal pictures; NaN where the short side is under 176 px.

    Source: Wang, Simoncelli and Bovik, "Multiscale structural similarity" (2003), window and constants as `ssim`;
    contrasts below 0 count as 0.
    """
    first, second = PictureFeatures.of(predicted), PictureFeatures.of(reference)
    if min(first.rgb.shape[-2:]) < LEAST_MS_SSIM_PX:
        return math.nan
    product = torch.ones(len(first.rgb), dtype=first.rgb.dtype)
    for level, weight in enumerate(_SCALE_WEIGHTS):
        if level:
            first, second = first._half, second._half
        luminance, contrast = _similar(first, second)
        last = level + 1 == len(_SCALE_WEIGHTS)
        found = (luminance * contrast if last else contrast).flatten(1).mean(1)
        product = product * found.clamp(min=0) ** weight
    return float(product.mean())


def _similar(first: PictureFeatures, second: PictureFeatures) -> tuple[Tensor, Tensor]:
    """SSIM's two factors at every pixel: of luminance, of contrast and structure."""
    (mean_1, var_1), (mean_2, var_2) = first._moments, second._moments
    product = mean_1 * mean_2
    covariance = _windowed(first.rgb * second.rgb) - product
    c_1, c_2 = 0.01**2, 0.03**2
    luminance = (2 * product + c_1) / (mean_1**2 + mean_2**2 + c_1)
    return luminance, (2 * covariance + c_2) / (var_1 + var_2 + c_2)


def gmsd(predicted: Tensor | PictureFeatures, reference: Tensor | PictureFeatures) -> float:
    """Gradient magnitude similarity deviation of luma at half size, 0 for equal pictures.

    Source: Xue, Zhang, Mou and Bovik, "Gradient magnitude similarity deviation" (2014); borders replicate here.
    """
    first, second = PictureFeatures.of(predicted)._gradient, PictureFeatures.of(reference)._gradient
    similarity = (2 * first * second + 170) / (first**2 + second**2 + 170)
    return float(similarity.flatten(1).std(1, correction=0).mean())


def high_frequency_ratio(predicted: Tensor | PictureFeatures, reference: Tensor | PictureFeatures) -> float:
    """Energy of luma above half of Nyquist in either direction, over the reference's; below 1 is blur.

    Under a Hann window, so that the picture's borders are not taken for detail. NaN where the reference has less than
    rounding to 8 bits makes, as smooth ramps have: a ratio to that would say nothing, and drown others in a mean.
    """
    first, second = PictureFeatures.of(predicted), PictureFeatures.of(reference)
    n_pictures, (high, wide) = len(second.rgb), second.rgb.shape[-2:]
    least = _ROUNDING * n_pictures * (high * wide * _HANN_POWER) ** 2
    return first._fine_energy / second._fine_energy if second._fine_energy > least else math.nan


def flip(predicted: Tensor | PictureFeatures, reference: Tensor | PictureFeatures) -> float:
    """Mean ꟻLIP at 67 pixels per degree: 0 for equal pictures, to 1.

    Source: Andersson et al., "ꟻLIP: A Difference Evaluator for Alternating Images" (2020).
    """
    first, second = PictureFeatures.of(predicted), PictureFeatures.of(reference)
    colour = _redistributed(_hyab(first._filtered, second._filtered))
    (edge_1, point_1), (edge_2, point_2) = first._features, second._features
    feature = torch.maximum((edge_1 - edge_2).abs(), (point_1 - point_2).abs()) / math.sqrt(2)
    return float((colour ** (1 - feature.clamp(0, 1).sqrt())).mean())


def correlated(picture: Tensor, taps: Tensor, dim: int) -> Tensor:
    """Correlation with `taps` along one dimension, whole overlaps only; shifted sums beat a one-channel convolution."""
    length = picture.shape[dim] - len(taps) + 1
    total = torch.zeros_like(picture.narrow(dim, 0, length))
    for offset, weight in enumerate(taps.tolist()):
        total.add_(picture.narrow(dim, offset, length), alpha=weight)
    return total


def _both(picture: Tensor, down: Tensor, right: Tensor) -> Tensor:
    return correlated(correlated(picture, down, -2), right, -1)


def _padded(picture: Tensor, radius: int) -> Tensor:
    """Borders replicated; of ``(N, H, W)`` or ``(N, C, H, W)``."""
    return torch.nn.functional.pad(picture, (radius,) * 4, mode="replicate")


def _gaussian(radius: int, sigma: float) -> Tensor:
    line = torch.exp(-(torch.arange(-radius, radius + 1, dtype=torch.float64) ** 2) / (2 * sigma**2))
    return line / line.sum()


def _windowed(picture: Tensor) -> Tensor:
    short = max(0, 11 - min(picture.shape[-2:]))
    if short:
        picture = _padded(picture, (short + 1) // 2)
    taps = _gaussian(5, 1.5)
    return _both(picture, taps, taps)


def _prewitt(grey: Tensor) -> Tensor:
    padded, flat = _padded(grey, 1), torch.full((3,), 1 / 3, dtype=torch.float64)
    step = torch.tensor([1.0, 0.0, -1.0])
    return torch.hypot(_both(padded, flat, step), _both(padded, step, flat))


def fine_energy(luma: Tensor) -> float:
    """Energy of frequencies above half of Nyquist, of luma ``(N, H, W)`` under a Hann window, each counted once."""
    high, wide = luma.shape[-2:]
    window = torch.outer(*(torch.hann_window(n, dtype=luma.dtype, device=luma.device) for n in (high, wide)))
    mean = luma.mean((-2, -1), keepdim=True)
    spectrum = torch.fft.rfft2((luma - mean) * window)
    down = torch.fft.fftfreq(high, device=luma.device).abs()[:, None]
    fine = torch.maximum(down, torch.fft.rfftfreq(wide, device=luma.device)) > 0.25
    # half of a spectrum: each column stands for itself and its mirror, but the first and an even width's last
    counted = torch.full((wide // 2 + 1,), 2.0, dtype=torch.float64, device=luma.device)
    counted[0] = 1
    if wide % 2 == 0:
        counted[-1] = 1
    energy = torch.view_as_real(spectrum).double().square().sum(-1) * (fine * counted)
    return float(energy.sum())


# linear RGB -> CIE XYZ from the sRGB primaries and D65, as ꟻLIP states it
_TO_XYZ = ((10135552 / 24577794, 8788810 / 24577794, 4435075 / 24577794),
           (2613072 / 12288897, 8788810 / 12288897, 887015 / 12288897),
           (1425312 / 73733382, 8788810 / 73733382, 70074185 / 73733382))  # fmt: skip
# its contrast sensitivity, table 1: (a, b) of one or two Gaussians for the channels A, RG, BY
_SENSITIVITY = (((1.0, 0.0047),), ((1.0, 0.0053),), ((34.1, 0.04), (13.5, 0.025)))


def _white(like: Tensor) -> Tensor:
    return like.new_tensor(_TO_XYZ).sum(1).reshape(1, 3, 1, 1)


def _linear_to_ycxcz(linear: Tensor) -> Tensor:
    """Linear RGB -> the linearised CIELAB of the paper: Y, Cx, Cz."""
    xyz = torch.einsum("oc,nchw->nohw", linear.new_tensor(_TO_XYZ), linear)
    x, y, z = (xyz / _white(linear)).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def _contrast_filtered(ycxcz: Tensor) -> Tensor:
    """What the eye resolves at that distance: ratios of XYZ to white of the filtered, clamped linear RGB."""
    radius = math.ceil(3 * math.sqrt(0.04 / (2 * math.pi**2)) * PIXELS_PER_DEGREE)
    padded = _padded(ycxcz, radius)
    y, c_x, c_z = (_sensed(padded[:, index], radius, pairs) for index, pairs in enumerate(_SENSITIVITY))
    y = (y + 16) / 116
    matrix = torch.tensor(_TO_XYZ, dtype=torch.float64)
    to_linear = torch.linalg.inv(matrix) * matrix.sum(1)
    ratios = torch.stack([y + c_x / 500, y, y - c_z / 200], 1)
    linear = torch.einsum("oc,nchw->nohw", to_linear.to(ycxcz), ratios).clamp(0, 1)
    return torch.einsum("oc,nchw->nohw", (matrix / matrix.sum(1, keepdim=True)).to(ycxcz), linear)


def _sensed(padded: Tensor, radius: int, pairs: tuple[tuple[float, float], ...]) -> Tensor:
    """One channel under its sum of Gaussians; each is separable."""
    degrees = torch.arange(-radius, radius + 1, dtype=torch.float64) / PIXELS_PER_DEGREE
    lines = [torch.exp(-(math.pi**2) * degrees**2 / b) for _, b in pairs]
    weights = [a * math.sqrt(math.pi / b) * float(line.sum()) ** 2 for (a, b), line in zip(pairs, lines, strict=True)]
    total = torch.zeros((), dtype=padded.dtype, device=padded.device)
    for weight, line in zip(weights, lines, strict=True):
        taps = line / line.sum()
        spare = int((taps < 1e-9).sum()) // 2  # a narrow Gaussian ends before the common radius
        taps = taps[spare : len(taps) - spare]
        inner = padded[..., spare : padded.shape[-2] - spare, spare : padded.shape[-1] - spare]
        total = total + _both(inner, taps, taps) * (weight / sum(weights))
    return total


def _hunt_lab(ratios: Tensor) -> Tensor:
    """Ratios of XYZ to white -> CIELAB with Hunt's adjustment: chroma scaled by lightness."""
    delta = 6 / 29
    curved = torch.where(ratios > delta**3, ratios.clamp(min=1e-12) ** (1 / 3), ratios / (3 * delta**2) + 4 / 29)
    x, y, z = curved.unbind(1)
    lightness = 116 * y - 16
    return torch.stack([lightness, 0.01 * lightness * 500 * (x - y), 0.01 * lightness * 200 * (y - z)], 1)


def _hyab(first: Tensor, second: Tensor) -> Tensor:
    lightness, a, b = (first - second).unbind(1)
    return lightness.abs() + torch.hypot(a, b)


def _redistributed(hyab: Tensor, exponent: float = 0.7, knee: float = 0.4, level: float = 0.95) -> Tensor:
    """The paper's mapping of colour differences to [0, 1]; the largest one is green against blue."""
    matrix = torch.tensor(_TO_XYZ, dtype=torch.float64)
    _, green, blue = (matrix / matrix.sum(1, keepdim=True)).T.reshape(3, 1, 3, 1, 1)
    largest = float(_hyab(_hunt_lab(green), _hunt_lab(blue))) ** exponent
    powered = hyab**exponent
    low = powered * level / (knee * largest)
    high = level + (powered - knee * largest) / (largest - knee * largest) * (1 - level)
    return torch.where(powered < knee * largest, low, high)


def _features(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Edges and points 0.082 degrees wide: norms of the first and second derivatives of a Gaussian."""
    sigma = 0.5 * 0.082 * PIXELS_PER_DEGREE
    radius = math.ceil(3 * sigma)
    line = torch.arange(-radius, radius + 1, dtype=torch.float64)
    smooth = _gaussian(radius, sigma)
    padded = _padded(grey, radius)
    tall, broad = correlated(padded, smooth, -2), correlated(padded, smooth, -1)
    strengths = []
    for profile in (-line * smooth, (line**2 / sigma**2 - 1) * smooth):
        negative, positive = -profile[profile < 0].sum(), profile[profile > 0].sum()
        taps = torch.where(profile < 0, profile / negative, profile / positive)
        strengths.append(torch.hypot(correlated(tall, taps, -1), correlated(broad, taps, -2)))
    return strengths[0], strengths[1]
