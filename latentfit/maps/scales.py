"""scales: factors between sizes as exact fractions, and networks of any factor held at one."""

from fractions import Fraction

from torch import Tensor, nn

from latentfit.errors import ScaleError
from latentfit.nets.traits import factors_of, receptive_cells_of

Scale = int | float | str | Fraction
_LARGEST = 10**12
_FINEST = 1000  # largest denominator: 1.37 is 137/100


def as_scale(scale: Scale) -> Fraction:
    """Cells or pixels per source cell as an exact fraction: 8, 1/2, ``"3/2"``.

    Raises
    ------
    ScaleError
        When it is no positive number.
    """
    try:
        is_power = isinstance(scale, str) and "e" in scale.lower()
        # as a float first: "1e999999999" is a fraction of a billion digits
        fraction = Fraction(float(scale) if is_power else scale).limit_denominator(_FINEST)
    except (ValueError, ZeroDivisionError, OverflowError, TypeError):
        fraction = Fraction(0)
    if not 0 < fraction <= _LARGEST:
        raise ScaleError("scale", expected="a positive number such as 2, 1.5 or 4/3", got=f"{str(scale)[:40]!r}")
    return fraction


def network_of(module: nn.Module) -> nn.Module:
    """The network of any factor that the module holds at one; of other modules the module itself."""
    return module.network if isinstance(module, AtScale) else module


def is_any_factor(module: nn.Module) -> bool:
    """Whether the module holds a network of any factor, which makes latents of any size within its factors."""
    return isinstance(module, AtScale)


class AtScale(nn.Module):
    """A network of any factor, held at one: ``(N, C, h, w)`` -> ``(N, C', int(h * scale), int(w * scale))``.

    Parameters
    ----------
    network : nn.Module
        Called with latents and a size ``(H, W)``; its `factors` are the least and the largest that it can give.
    scale : int, float, Fraction or str

    Raises
    ------
    ScaleError
        When the network cannot give that factor.
    """

    def __init__(self, network: nn.Module, scale: Scale) -> None:
        super().__init__()
        self.network = network
        self.scale = as_scale(scale)
        self._check(float(self.scale))

    @property
    def factors(self) -> tuple[float, float]:
        """The least and the largest factor that the network takes."""
        return factors_of(self.network)

    @property
    def receptive_cells(self) -> int | None:
        """The receptive field of the network, in cells."""
        return receptive_cells_of(self.network)

    def forward(self, latents: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Enlarge by the factor of this map; with `size`, to latents of exactly that size."""
        rows, columns = latents.shape[-2:]
        if size is None:
            size = int(rows * self.scale), int(columns * self.scale)
        else:
            self._check(size[0] / rows)
            self._check(size[1] / columns)
        made: Tensor = self.network(latents, size)
        return made

    def extra_repr(self) -> str:
        return f"scale={self.scale}"

    def _check(self, factor: float) -> None:
        low, high = self.factors
        if not low <= factor <= high:
            raise ScaleError(
                "scale",
                expected=f"{low:g} to {high:g}, what the network was made for",
                got=f"{factor:g}",
                remedy="go there in several steps, or decode, resize and encode",
            )
