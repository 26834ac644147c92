"""ModelDomain: a network that speaks raw latents, made to speak the model domain."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentfit.latents.spaces import LatentSpace
from latentfit.nets.traits import factors_of, receptive_cells_of


class ModelDomain(nn.Module):
    """Latents in the model domain -> latents in the model domain, through a network that wants others.

    A network of any factor is told the size as well.

    ``network((latents / scale_in + shift_in))`` is what it is given, ``(made - shift_out) * scale_out`` what comes out.

    Parameters
    ----------
    network : nn.Module
        Speaks ``raw = model / scale + shift`` on both sides.
    shift_in, scale_in, shift_out, scale_out : sequence of float, length 1 or C
        Shift and scale of the spaces, or of a domain of the network's own.
    """

    shift_in: Tensor
    scale_in: Tensor
    shift_out: Tensor
    scale_out: Tensor

    def __init__(
        self,
        network: nn.Module,
        shift_in: Sequence[float] = (0.0,),
        scale_in: Sequence[float] = (1.0,),
        shift_out: Sequence[float] = (0.0,),
        scale_out: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__()
        self.network = network
        named = {"shift_in": shift_in, "scale_in": scale_in, "shift_out": shift_out, "scale_out": scale_out}
        self.numbers = {name: [float(value) for value in values] for name, values in named.items()}
        for name, values in self.numbers.items():
            self.register_buffer(name, torch.tensor(values).reshape(1, -1, 1, 1), persistent=False)

    @classmethod
    def of_raw(
        cls, network: nn.Module, source: LatentSpace, target: LatentSpace | None = None, times: float = 1.0
    ) -> "ModelDomain":
        """Around a network that speaks raw latents of these spaces, multiplied by `times` on both sides.

        Where the VAE normalises, raw latents are the model domain's.
        """
        numbers: dict[str, Sequence[float]] = {}
        for side, space in (("in", source), ("out", target or source)):
            numbers[f"shift_{side}"] = [shift * times for shift in space.shift]
            numbers[f"scale_{side}"] = [scale / times for scale in space.scale]
        return cls(network, **numbers)

    @property
    def factors(self) -> tuple[float, float]:
        """The network's, where it gives any factor."""
        return factors_of(self.network)

    @property
    def receptive_cells(self) -> int | None:
        """The receptive field of the network, in cells."""
        return receptive_cells_of(self.network)

    def forward(self, latents: Tensor, *size: tuple[int, int]) -> Tensor:
        made: Tensor = self.network(latents / self.scale_in + self.shift_in, *size)
        return (made - self.shift_out) * self.scale_out
