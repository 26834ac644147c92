"""PolynomialMap: a fitted form as a module, so that it exports, moves to a GPU and serves as a network's skip."""

from itertools import pairwise
from math import comb
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentfit.errors import BadFileError, NotFittedError, part_of
from latentfit.fit.basis import Basis, neighbourhoods
from latentfit.nets.architecture import Architecture
from latentfit.runtime import schemas

Kernel = tuple[tuple[float, ...], ...]

LARGEST_SIDE = 31  # of a neighbourhood in a file; none larger than 7 has been of use
MOST_COEFFICIENTS = 1 << 28
CHUNK_VALUES = 1 << 22  # products held at once: 16 MiB of float32, whatever the picture's size


class PolynomialMap(nn.Module):
    """Latents ``(N, C, h, w)`` -> rgb ``(N, 3, h * scale, w * scale)`` unclamped, or latents of another space.

    Parameters
    ----------
    n_channels : int
        C.
    kernels : tuple of int
        One odd side a degree; see `latentfit.fit.Basis`.
    scale : int
        Output pixels per cell; the outputs of a cell are ordered as `torch.nn.functional.pixel_unshuffle` has them:
        channel, row, column.
    intercept : bool
    target : {"rgb", "latents"}
        With "rgb" the coefficients give the signed range [-1, 1] and the module converts.
    n_outputs : int
        Output channels: 3 for rgb.
    smoothing : tuple of tuple of float, or None
        A 3×3 kernel that the program which will run a linear table runs over its picture afterwards, past the borders
        zero (InvokeAI, for SDXL): the module shows what that program shows.
    shrink : int
        Blocks of so many cells, each way, enter as one cell of ``C * shrink²`` channels (`pixel_unshuffle`'s order),
        and `scale` counts per block: scale 3 and shrink 2 enlarge 1.5 times.

    Attributes
    ----------
    coefficients : Tensor, (1 + n_terms, n_outputs * scale²) float32
        Signed domain for rgb; the first row is the intercept.
    """

    coefficients: Tensor

    def __init__(
        self,
        n_channels: int,
        kernels: tuple[int, ...] = (1,),
        scale: int = 1,
        intercept: bool = True,
        target: Literal["rgb", "latents"] = "rgb",
        n_outputs: int = 3,
        smoothing: Kernel | None = None,
        shrink: int = 1,
    ) -> None:
        super().__init__()
        self.basis = Basis(n_channels * shrink**2, tuple(kernels))
        self.n_channels, self.kernels, self.scale, self.shrink = n_channels, tuple(kernels), scale, shrink
        self.intercept, self.target, self.n_outputs = intercept, target, n_outputs
        self.smoothing = None if smoothing is None else tuple(map(tuple, smoothing))
        n_out = n_outputs * scale * scale
        self.register_buffer("coefficients", torch.full((1 + self.basis.n_terms, n_out), float("nan")))
        self._prepared: tuple[Any, ...] | None = None

    def set_coefficients(self, coefficients: NDArray[np.float64] | Tensor) -> "PolynomialMap":
        """Put in ``(1 + n_terms, n_out)`` coefficients."""
        values = torch.as_tensor(coefficients, dtype=torch.float32)
        if values.shape != self.coefficients.shape:
            raise NotFittedError(
                "coefficients", expected=f"{tuple(self.coefficients.shape)}", got=f"{tuple(values.shape)}"
            )
        self.coefficients = values.to(self.coefficients.device)
        self._prepared = None
        return self

    @property
    def terms(self) -> list[str]:
        """A name for each row of `coefficients`; the first is ``"1"``."""
        return ["1", *self.basis.names]

    @property
    def exponents(self) -> NDArray[np.int64]:
        """``(1 + n_terms, n_variables)`` powers, the constant first: scikit-learn's ``powers_``."""
        return np.vstack([np.zeros((1, self.basis.n_variables), dtype=np.int64), self.basis.exponents])

    @property
    def receptive_cells(self) -> int:
        """Cells, each way, that an output depends on: of a block's farthest cell, where blocks enter as one."""
        reach = max(self.kernels) // 2 + (self.smoothing is not None)
        return reach if self.shrink == 1 else (reach + 1) * self.shrink - 1

    @property
    def n_fitted(self) -> int:
        """The count of fitted numbers."""
        return int(self.coefficients.numel()) - (0 if self.intercept else int(self.coefficients.shape[1]))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {
            "n_channels": self.n_channels,
            "kernels": list(self.kernels),
            "scale": self.scale,
            "intercept": self.intercept,
            "target": self.target,
            "n_outputs": self.n_outputs,
            "smoothing": None if self.smoothing is None else [list(row) for row in self.smoothing],
            "shrink": self.shrink,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PolynomialMap":
        """Build from a `config`, without coefficients; a file's config is checked by `polynomial_config` first."""
        return cls(**{**config, "kernels": tuple(config["kernels"])})

    def forward(self, latents: Tensor) -> Tensor:
        if self.shrink > 1:
            latents = nn.functional.pixel_unshuffle(latents, self.shrink)
        constant, linear, higher = self._in_range_of(latents)
        latents = smoothed(latents, self.smoothing)  # before a linear map or after it: the same
        if self.kernels[0] == 1:
            mapped = _at_each_cell(latents, linear.flatten(1), constant)
        else:
            padded = nn.functional.pad(latents, (self.kernels[0] // 2,) * 4, mode="replicate")
            mapped = nn.functional.conv2d(padded, linear, constant)
        for degree, weights in higher:
            mapped = mapped + self._products(latents, degree, weights)
        return nn.functional.pixel_shuffle(mapped, self.scale) if self.scale > 1 else mapped

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._prepared = None

    def _in_range_of(self, latents: Tensor) -> tuple[Tensor, Tensor, list[tuple[int, Tensor]]]:
        """Constant, conv2d weight and product weights in the output's range, kept for this device and dtype."""
        key = (latents.device, latents.dtype)
        if self._prepared is None or self._prepared[0] != key:
            values = self.coefficients.to(latents.device, torch.float64)
            if not bool(torch.isfinite(values).all()):
                raise NotFittedError(
                    "this map holds no coefficients yet", remedy="call ChannelMap.fit, or load a saved map"
                )
            if self.target == "rgb":  # signed -> rgb
                values = torch.cat([values[:1] / 2 + 0.5, values[1:] / 2])
            bounds = np.cumsum([1, *(self.basis.n_terms_of(d + 1) for d in range(len(self.kernels)))])
            blocks = [values[start:stop].T.to(latents.dtype).contiguous() for start, stop in pairwise(bounds)]
            side = self.kernels[0]
            linear = blocks[0].reshape(-1, self.n_channels * self.shrink**2, side, side)
            higher = [(degree, block) for degree, block in enumerate(blocks[1:], start=2)]
            self._prepared = (key, (values[0].to(latents.dtype), linear, higher))
        prepared: tuple[Tensor, Tensor, list[tuple[int, Tensor]]] = self._prepared[1]
        return prepared

    def _products(self, latents: Tensor, degree: int, weights: Tensor) -> Tensor:
        """Weighted sum of all monomials of one degree, in strips of rows so that memory stays flat."""
        side = self.kernels[degree - 1]
        margin = side // 2
        padded = nn.functional.pad(latents, (margin,) * 4, mode="replicate") if margin else latents
        n, _, high, wide = latents.shape
        rows = max(1, CHUNK_VALUES // (weights.shape[1] * wide * n))
        strips = []
        for top in range(0, high, rows):
            strip = padded[:, :, top : min(top + rows, high) + 2 * margin]
            strips.append(weights @ monomials_of(_variables(strip, side), degree))
        sizes = [min(rows, high - top) for top in range(0, high, rows)]
        parts = [part.reshape(-1, n, size, wide) for part, size in zip(strips, sizes, strict=True)]
        return torch.cat(parts, 2).movedim(0, 1)


_CONFIG = schemas.record(
    {
        "n_channels": schemas.integer(1, 4096),
        "kernels": schemas.listed(schemas.integer(1, LARGEST_SIDE, odd=True), 8, 1),
        "scale": schemas.integer(1, 64),
        "intercept": schemas.flag,
        "target": schemas.one_of("rgb", "latents"),
        "n_outputs": schemas.integer(1, 4096),
        "smoothing": schemas.optional(schemas.listed(schemas.listed(schemas.number(), 3, 3), 3, 3)),
        "shrink": schemas.integer(1, 64),
    },
    ("n_channels", "kernels"),
)


def polynomial_config(config: Any, where: str, shape: tuple[int, ...] | None = None) -> dict[str, Any]:
    """The config of a `PolynomialMap` as it was read from a file, checked; nothing is allocated.

    Parameters
    ----------
    config : JSON-able
    where : str
        The file, for errors.
    shape : tuple of int or None
        Shape of the coefficients that come with it.

    Raises
    ------
    BadFileError
        When a field is wrong, or the coefficients are not so many.
    """
    made: dict[str, Any] = _CONFIG(config, where)
    if made.get("target", "rgb") == "rgb" and made.get("n_outputs", 3) != 3:
        raise schemas.wrong(part_of(where, ".n_outputs"), "3 for rgb", made["n_outputs"])
    basis = Basis(made["n_channels"] * made.get("shrink", 1) ** 2, made["kernels"])
    expected = (1 + basis.n_terms, made.get("n_outputs", 3) * made.get("scale", 1) ** 2)
    if expected[0] * expected[1] > MOST_COEFFICIENTS:
        raise BadFileError(
            f"{expected[0]} × {expected[1]} coefficients are more than {MOST_COEFFICIENTS}",
            place=where,
            remedy="fit a smaller form",
        )
    if shape is not None and tuple(shape) != expected:
        raise BadFileError(
            place=where, expected=f"{expected} coefficients", got=f"{tuple(shape)}", remedy="export the table anew"
        )
    return made


def smoothed(picture: Tensor, kernel: Kernel | None) -> Tensor:
    """``(N, c, h, w)``, each channel convolved with a 3×3 kernel, zero past the borders; as it is without one."""
    if kernel is None:
        return picture
    n_channels = picture.shape[1]
    weight = picture.new_tensor(kernel).expand(n_channels, 1, 3, 3)
    return nn.functional.conv2d(picture, weight, padding=1, groups=n_channels)


def _at_each_cell(latents: Tensor, weights: Tensor, constant: Tensor) -> Tensor:
    """A 1×1 convolution as one product of matrices: for so few outputs threads only make oneDNN's slower."""
    n, _, high, wide = latents.shape
    product = torch.baddbmm(constant[None, :, None], weights.expand(n, -1, -1), latents.flatten(2))
    return product.reshape(n, -1, high, wide)


def monomials_of(variables: Tensor, degree: int) -> Tensor:
    """Variables ``(v, n)`` -> all monomials of one degree ``(comb(v + degree - 1, degree), n)``, lexicographic."""
    v = variables.shape[0]
    previous = variables
    for d in range(2, degree + 1):
        starts = [previous.shape[0] - comb(v - i + d - 2, d - 1) for i in range(v)]
        previous = torch.cat([variables[i] * previous[start:] for i, start in enumerate(starts)])
    return previous


def _variables(padded: Tensor, side: int) -> Tensor:
    """Padded ``(N, C, h + side - 1, w + side - 1)`` -> ``(C * side², N * h * w)``."""
    if side == 1:
        return neighbourhoods(padded, 1)
    unfolded = nn.functional.unfold(padded, side)
    return unfolded.movedim(1, 0).reshape(unfolded.shape[1], -1)


ARCHITECTURES = (
    Architecture(
        "polynomial", PolynomialMap, "the fitted polynomial",
        lambda config: "colours" if config.get("target", "rgb") == "rgb" else "latents",
        {"n_channels": 4, "kernels": [3, 1], "scale": 2}, PolynomialMap.from_config, polynomial_config,
    ),
)  # fmt: skip
