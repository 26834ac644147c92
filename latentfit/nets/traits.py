"""What a network may tell of itself besides its numbers: declared here once, and asked for here."""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class HasReceptiveField(Protocol):
    """A network that knows how far it looks."""

    @property
    def receptive_cells(self) -> int | None:
        """Cells, each way, that an output depends on; None where something looks at the whole picture."""
        ...


@runtime_checkable
class CountsFitted(Protocol):
    """A network of which not every parameter was fitted, or whose fitted numbers are no parameters."""

    @property
    def n_fitted(self) -> int:
        """Numbers that were fitted or trained."""
        ...


@runtime_checkable
class Classifies(Protocol):
    """A network that chooses a class of a palette for every cell."""

    def indices(self, latents: Tensor) -> Tensor:
        """Latents ``(N, C, h, w)`` -> classes ``(N, h, w)``, int64."""
        ...


@runtime_checkable
class GivesAnyFactor(Protocol):
    """A network that is told the size of what it gives."""

    @property
    def factors(self) -> tuple[float, float]:
        """The least and the largest factor between sizes that it gives."""
        ...


def factors_of(network: nn.Module) -> tuple[float, float]:
    """The least and the largest factor that a network of any factor gives.

    Raises
    ------
    AttributeError
        When it gives one factor alone.
    """
    if not isinstance(network, GivesAnyFactor):
        raise AttributeError(f"{type(network).__name__} gives one factor alone")
    low, high = network.factors
    return float(low), float(high)


def receptive_cells_of(module: nn.Module) -> int | None:
    """Cells, each way, that an output depends on; None where something looks at the whole picture, or nothing is told.

    Examples
    --------
    >>> from latentfit.nets.pixel_mlp import PixelMlp
    >>> receptive_cells_of(PixelMlp(4)), receptive_cells_of(nn.Conv2d(4, 3, 3))
    (0, None)
    """
    cells = module.receptive_cells if isinstance(module, HasReceptiveField) else None
    return None if cells is None else int(cells)


def n_fitted_of(module: nn.Module) -> int:
    """Numbers that were fitted or trained: what the network counts itself, else all its parameters.

    Examples
    --------
    >>> n_fitted_of(nn.Conv2d(4, 3, 1))
    15
    """
    if isinstance(module, CountsFitted):
        return int(module.n_fitted)
    return sum(parameter.numel() for parameter in module.parameters())
