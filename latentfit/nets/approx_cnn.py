"""A1111's approximate decoder: eight small convolutions at twice the latents' size (modules/sd_vae_approx.py)."""

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from latentfit.latents.spaces import signed_to_rgb
from latentfit.nets.architecture import Architecture
from latentfit.nets.state_dict import loaded

TITLE = "A1111's approximate decoder"
WIDTHS = (8, 16, 32, 64, 32, 16, 8, 3)
SIDES = (7, 5, 3, 3, 3, 3, 3, 3)
MARGIN = 11  # doubled cells that the unpadded convolutions take off, each way


class ApproxCnn(nn.Module):
    """Latents ``(N, C, h, w)``, model domain -> rgb ``(N, 3, 2h, 2w)``, about [0, 1], not clamped.

    Parameters
    ----------
    n_channels : int
        C.
    """

    cell_px = 2
    receptive_cells = 6  # MARGIN doubled cells, rounded up

    def __init__(self, n_channels: int = 4) -> None:
        super().__init__()
        self.n_channels = n_channels
        for index, (n_in, n_out, side) in enumerate(zip((n_channels, *WIDTHS), WIDTHS, SIDES, strict=False), start=1):
            self.add_module(f"conv{index}", nn.Conv2d(n_in, n_out, side))

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {"n_channels": self.n_channels}

    def forward(self, latents: Tensor) -> Tensor:
        x = nn.functional.interpolate(latents, scale_factor=2.0, mode="nearest")
        x = nn.functional.pad(x, (MARGIN,) * 4)
        for convolution in self.children():
            x = nn.functional.leaky_relu(convolution(x), 0.1)
        return signed_to_rgb(x)


def is_approx_cnn(keys: Collection[str]) -> bool:
    """Whether these are its keys: eight convolutions beside each other."""
    return "conv1.weight" in keys and "conv8.weight" in keys


def load_approx_cnn(weights: Mapping[str, Tensor]) -> ApproxCnn:
    """The network that these weights belong to, float32, in evaluation mode.

    Raises
    ------
    BadFileError
        When keys and shapes are not its.
    """
    first = weights["conv1.weight"]
    n_channels = int(first.shape[1]) if first.ndim == 4 else 4  # another shape is refused below
    return loaded(lambda: ApproxCnn(n_channels), weights, TITLE)


ARCHITECTURES = (
    Architecture("approx_cnn", ApproxCnn, TITLE, "colours", {}, recognise=is_approx_cnn, load=load_approx_cnn),
)
