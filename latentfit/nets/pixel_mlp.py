"""Birch-san's pixel MLP: every cell by itself, through two layers of twelve (github.com/Birch-san/diffusers-play)."""

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from latentfit.errors import BadFileError
from latentfit.latents.spaces import rgb_to_signed, signed_to_rgb
from latentfit.nets.architecture import Architecture
from latentfit.nets.state_dict import loaded


class PixelMlp(nn.Module):
    """Latents ``(N, C, h, w)``, model domain -> rgb ``(N, 3, h, w)``, about [0, 1], not clamped; or the other way.

    Parameters
    ----------
    n_channels : int
        C.
    width : int
        Width of the hidden layers.
    n_hidden : int
        Hidden layers after the first.
    encodes : bool
        False: latents to rgb. True: rgb of cells to latents.
    """

    def __init__(self, n_channels: int = 4, width: int = 12, n_hidden: int = 1, *, encodes: bool = False) -> None:
        super().__init__()
        self.n_channels, self.width, self.n_hidden, self.encodes = n_channels, width, n_hidden, encodes
        n_in, n_out = (3, n_channels) if encodes else (n_channels, 3)
        self.in_proj = nn.Linear(n_in, width)
        self.hidden_layers = nn.ModuleList([nn.Linear(width, width) for _ in range(n_hidden)])
        self.out_proj = nn.Linear(width, n_out)

    cell_px = 1
    receptive_cells = 0

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {
            "n_channels": self.n_channels,
            "width": self.width,
            "n_hidden": self.n_hidden,
            "encodes": self.encodes,
        }

    def forward(self, picture: Tensor) -> Tensor:
        signed = rgb_to_signed(picture) if self.encodes else picture
        x = nn.functional.silu(self.in_proj(signed.movedim(1, -1)))
        for layer in self.hidden_layers:
            x = nn.functional.silu(layer(x))
        mapped = self.out_proj(x).movedim(-1, 1)
        return mapped if self.encodes else signed_to_rgb(mapped)


def load_pixel_mlp(weights: Mapping[str, Tensor]) -> PixelMlp:
    """The MLP that these weights belong to, float32, loaded; a file that takes three channels in is an encoder.

    Raises
    ------
    BadFileError
        When keys and shapes are not its.
    """
    first, last = weights.get("in_proj.weight"), weights.get("out_proj.weight")
    if first is None or last is None or first.ndim != 2 or last.ndim != 2:
        raise BadFileError(
            "weights of a pixel MLP",
            expected="in_proj, hidden_layers and out_proj",
            got=f"{', '.join(sorted(weights)[:4])}",
        )
    encodes = first.shape[1] == 3
    n_hidden = sum(key.startswith("hidden_layers.") and key.endswith(".weight") for key in weights)
    n_channels = int(last.shape[0] if encodes else first.shape[1])
    width = int(first.shape[0])
    return loaded(lambda: PixelMlp(n_channels, width, n_hidden, encodes=encodes), weights, "a pixel MLP")


def is_pixel_mlp(keys: Collection[str]) -> bool:
    """Whether these are its keys, whole or not."""
    return "in_proj.weight" in keys


ARCHITECTURES = (
    Architecture(
        "pixel_mlp", PixelMlp, "Birch-san's pixel MLP",
        lambda config: "encoding" if config.get("encodes") else "colours",
        recognise=is_pixel_mlp, load=load_pixel_mlp,
    ),
)  # fmt: skip
