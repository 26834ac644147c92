"""What a picture is judged by: pooled colour errors that stream, and structure at full size."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latentfit.colour import chroma, delta_e2000, srgb_to_linear

_DELTA_BINS, _DELTA_TOP = 4000, 100.0


@dataclass
class ColourSums:
    """Sums over pixels, from which pooled scores follow; pictures may come in any order and be merged.

    PSNR is pooled: of the mean squared error over all pixels, not a mean of PSNRs.
    """

    n_values: int = 0
    squared: float = 0.0
    error: float = 0.0
    reference: float = 0.0
    reference_squared: float = 0.0
    chroma_predicted: float = 0.0
    chroma_reference: float = 0.0
    n_clipped: int = 0
    delta: float = 0.0
    delta_histogram: Tensor = field(default_factory=lambda: torch.zeros(_DELTA_BINS, dtype=torch.float64))

    def add(self, unclamped: Tensor, reference: Tensor) -> "ColourSums":
        """Add a prediction before clamping and its reference, both ``(N, 3, H, W)``."""
        predicted = unclamped.clamp(0, 1)
        error = (predicted - reference).double()
        self.n_values += error.numel()
        self.squared += float(error.square().sum())
        self.error += float(error.sum())
        self.reference += float(reference.double().sum())
        self.reference_squared += float(reference.double().square().sum())
        self.chroma_predicted += float(chroma(predicted).double().sum())
        self.chroma_reference += float(chroma(reference).double().sum())
        self.n_clipped += int(((unclamped < 0) | (unclamped > 1)).sum())
        delta = delta_e2000(predicted, reference)
        self.delta += float(delta.double().sum())
        self.delta_histogram += torch.histc(delta.clamp(max=_DELTA_TOP).float(), _DELTA_BINS, 0, _DELTA_TOP).double()
        return self

    def merge(self, other: "ColourSums") -> "ColourSums":
        """Add another's sums."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def scores(self) -> dict[str, float]:
        """Pooled scores.

        Returns
        -------
        dict
            ``psnr`` dB; ``rmse`` 8-bit levels; ``delta_e``, ``delta_e95`` CIEDE2000; ``bias`` mean signed error, 8-bit
            levels; ``saturation`` mean chroma over the reference's; ``clipped`` share of values outside [0, 1] before
            clamping; ``r2`` share of the reference's variance explained.
        """
        mse = self.squared / self.n_values
        variance = self.reference_squared / self.n_values - (self.reference / self.n_values) ** 2
        cumulated = self.delta_histogram.cumsum(0)
        bin_95 = int(torch.searchsorted(cumulated, 0.95 * cumulated[-1]))
        return {
            "psnr": -10 * math.log10(max(mse, 1e-12)),
            "rmse": 255 * math.sqrt(mse),
            "delta_e": self.delta / (self.n_values / 3),
            "delta_e95": (bin_95 + 0.5) * _DELTA_TOP / _DELTA_BINS,
            "bias": 255 * self.error / self.n_values,
            "saturation": self.chroma_predicted / max(self.chroma_reference, 1e-9),
            "clipped": self.n_clipped / self.n_values,
            "r2": 1 - mse / variance if variance > 1e-9 else float("nan"),
        }


def structure(predicted: Tensor, reference: Tensor) -> dict[str, float]:
    """Structure scores of pictures ``(N, 3, H, W)`` in [0, 1] at full size: ssim, gmsd, flip, high_frequency."""
    return {
        "ssim": ssim(predicted, reference),
        "gmsd": gmsd(predicted, reference),
        "flip": flip(predicted, reference),
        "high_frequency": high_frequency_ratio(predicted, reference),
    }


def ssim(predicted: Tensor, reference: Tensor) -> float:
    """Structural similarity, 11×11 Gaussian window of σ 1.5, mean over channels (Wang et al., 2004)."""
    window = _gaussian(11, 1.5).to(reference)
    x, y = predicted.flatten(0, 1)[:, None], reference.flatten(0, 1)[:, None]
    mean_x, mean_y = _blurred(x, window), _blurred(y, window)
    var_x, var_y = _blurred(x * x, window) - mean_x**2, _blurred(y * y, window) - mean_y**2
    covariance = _blurred(x * y, window) - mean_x * mean_y
    c_1, c_2 = 0.01**2, 0.03**2
    ratio = (2 * mean_x * mean_y + c_1) * (2 * covariance + c_2)
    return float((ratio / ((mean_x**2 + mean_y**2 + c_1) * (var_x + var_y + c_2))).mean())


def gmsd(predicted: Tensor, reference: Tensor) -> float:
    """Gradient magnitude similarity deviation, 0 for equal pictures (Xue et al., 2014); on luma, halved first."""
    x, y = (_gradient(torch.nn.functional.avg_pool2d(_luma(p) * 255, 2)) for p in (predicted, reference))
    similarity = (2 * x * y + 170) / (x**2 + y**2 + 170)
    return float(similarity.flatten(1).std(1, correction=0).mean())


def high_frequency_ratio(predicted: Tensor, reference: Tensor) -> float:
    """Luma energy above half of Nyquist, over the reference's; below 1 is blur."""
    return _high_energy(predicted) / max(_high_energy(reference), 1e-12)


def flip(predicted: Tensor, reference: Tensor, pixels_per_degree: float = 67.0) -> float:
    """Mean ꟻLIP, 0 for equal pictures to 1 (Andersson et al., "FLIP: A Difference Evaluator", 2020)."""
    first, second = (
        _contrast_filtered(_linear_to_ycxcz(srgb_to_linear(p)), pixels_per_degree) for p in (predicted, reference)
    )
    colour = _redistributed(_hyab(_hunt_lab(first), _hunt_lab(second)))
    feature = _feature_difference(predicted, reference, pixels_per_degree)
    return float((colour ** (1 - feature)).mean())


# Illuminant and matrices of ꟻLIP's reference: linear RGB -> XYZ (D65, from the sRGB primaries)
_TO_XYZ = ((10135552 / 24577794, 8788810 / 24577794, 4435075 / 24577794),
           (2613072 / 12288897, 8788810 / 12288897, 887015 / 12288897),
           (1425312 / 73733382, 8788810 / 73733382, 70074185 / 73733382))  # fmt: skip


def _to_xyz(linear: Tensor) -> Tensor:
    return torch.einsum("oc,nchw->nohw", linear.new_tensor(_TO_XYZ), linear)


def _white(like: Tensor) -> Tensor:
    return like.new_tensor(_TO_XYZ).sum(1).reshape(1, 3, 1, 1)


def _linear_to_ycxcz(linear: Tensor) -> Tensor:
    """Linear RGB -> the linearised CIELAB of the paper: Y, Cx, Cz."""
    x, y, z = (_to_xyz(linear) / _white(linear)).unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def _ycxcz_to_linear(ycxcz: Tensor) -> Tensor:
    first, second, third = ycxcz.unbind(1)
    y = (first + 16) / 116
    xyz = torch.stack([y + second / 500, y, y - third / 200], 1) * _white(ycxcz)
    inverse = torch.linalg.inv(torch.tensor(_TO_XYZ, dtype=torch.float64)).to(ycxcz)
    return torch.einsum("oc,nchw->nohw", inverse, xyz)


def _contrast_filtered(ycxcz: Tensor, pixels_per_degree: float) -> Tensor:
    """The paper's spatial filters (its table 1: a1, b1, a2, b2 for A, RG, BY); linear RGB, clamped."""
    table = ((1.0, 0.0047, 0.0, 1e-5), (1.0, 0.0053, 0.0, 1e-5), (34.1, 0.04, 13.5, 0.025))
    radius = math.ceil(3 * math.sqrt(0.04 / (2 * math.pi**2)) * pixels_per_degree)
    offsets = torch.arange(-radius, radius + 1, dtype=ycxcz.dtype, device=ycxcz.device) / pixels_per_degree
    squared = offsets[:, None] ** 2 + offsets**2
    padded = torch.nn.functional.pad(ycxcz, (radius,) * 4, mode="replicate")
    channels = []
    for index, (a_1, b_1, a_2, b_2) in enumerate(table):
        kernel = a_1 * math.sqrt(math.pi / b_1) * torch.exp(-(math.pi**2) * squared / b_1)
        kernel = kernel + a_2 * math.sqrt(math.pi / b_2) * torch.exp(-(math.pi**2) * squared / b_2)
        kernel = kernel / kernel.sum()
        channels.append(torch.nn.functional.conv2d(padded[:, index : index + 1], kernel[None, None]))
    return _ycxcz_to_linear(torch.cat(channels, 1)).clamp(0, 1)


def _hunt_lab(linear: Tensor) -> Tensor:
    """CIELAB with Hunt's adjustment: chroma scaled by lightness."""
    ratio = _to_xyz(linear) / _white(linear)
    delta = 6 / 29
    curved = torch.where(ratio > delta**3, ratio.clamp(min=1e-12) ** (1 / 3), ratio / (3 * delta**2) + 4 / 29)
    x, y, z = curved.unbind(1)
    lightness = 116 * y - 16
    return torch.stack([lightness, 0.01 * lightness * 500 * (x - y), 0.01 * lightness * 200 * (y - z)], 1)


def _hyab(first: Tensor, second: Tensor) -> Tensor:
    difference = first - second
    return difference[:, :1].abs() + torch.hypot(difference[:, 1:2], difference[:, 2:])


def _redistributed(hyab: Tensor, exponent: float = 0.7, knee: float = 0.4, level: float = 0.95) -> Tensor:
    """The paper's mapping of colour differences to [0, 1]; the largest one is green against blue."""
    green, blue = (hyab.new_tensor(colour).reshape(1, 3, 1, 1) for colour in ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0]))
    largest = float(_hyab(_hunt_lab(green), _hunt_lab(blue)) ** exponent)
    powered = hyab**exponent
    low = powered * level / (knee * largest)
    high = level + (powered - knee * largest) / (largest - knee * largest) * (1 - level)
    return torch.where(powered < knee * largest, low, high)


def _feature_difference(predicted: Tensor, reference: Tensor, pixels_per_degree: float) -> Tensor:
    """Edges and points in the achromatic channel, 0.082 degrees wide, combined as the paper does."""
    sigma = 0.5 * 0.082 * pixels_per_degree
    radius = math.ceil(3 * sigma)
    line = torch.arange(-radius, radius + 1, dtype=reference.dtype, device=reference.device)
    gauss = torch.exp(-(line**2) / (2 * sigma**2))
    first, second = -line * gauss, (line**2 / sigma**2 - 1) * gauss
    smooth = gauss / gauss.sum()
    found = []
    for picture in (predicted, reference):
        grey = torch.nn.functional.pad(
            (_linear_to_ycxcz(srgb_to_linear(picture))[:, :1] + 16) / 116, (radius,) * 4, mode="replicate"
        )
        for profile in (first, second):
            signed = torch.where(
                profile < 0, profile / -profile[profile < 0].sum(), profile / profile[profile > 0].sum()
            )
            along = torch.nn.functional.conv2d(
                torch.nn.functional.conv2d(grey, smooth[None, None, :, None]), signed[None, None, None]
            )
            down = torch.nn.functional.conv2d(
                torch.nn.functional.conv2d(grey, smooth[None, None, None]), signed[None, None, :, None]
            )
            found.append(torch.hypot(along, down))
    edge, point = (found[0] - found[2]).abs(), (found[1] - found[3]).abs()
    return (torch.maximum(edge, point) / math.sqrt(2)).clamp(0, 1) ** 0.5


def _gaussian(side: int, sigma: float) -> Tensor:
    line = torch.exp(-((torch.arange(side) - side // 2) ** 2) / (2 * sigma**2))
    return line / line.sum()


def _blurred(picture: Tensor, window: Tensor) -> Tensor:
    rows = torch.nn.functional.conv2d(picture, window[None, None, :, None])
    return torch.nn.functional.conv2d(rows, window[None, None, None])


def _luma(rgb: Tensor) -> Tensor:
    return torch.einsum("c,nchw->nhw", rgb.new_tensor([0.299, 0.587, 0.114]), rgb)[:, None]


def _gradient(grey: Tensor) -> Tensor:
    prewitt = torch.tensor([[1.0, 0.0, -1.0]] * 3).to(grey)[None, None] / 3
    padded = torch.nn.functional.pad(grey, (1,) * 4, mode="replicate")
    across = torch.nn.functional.conv2d(padded, prewitt)
    return torch.sqrt(across**2 + torch.nn.functional.conv2d(padded, prewitt.mT) ** 2 + 1e-12)


def _high_energy(rgb: Tensor) -> float:
    spectrum = torch.fft.rfft2(_luma(rgb)[:, 0] - _luma(rgb)[:, 0].mean((1, 2), keepdim=True))
    down = torch.fft.fftfreq(rgb.shape[-2], device=rgb.device)[:, None]
    right = torch.fft.rfftfreq(rgb.shape[-1], device=rgb.device)
    return float((spectrum.abs().double() ** 2)[:, torch.maximum(down.abs(), right) > 0.25].sum())
