"""pixelvae's network with its key names (github.com/vmedea/pixelvae, MIT): logits of a palette's classes."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.latents.spaces import LatentSpace
from latentfit.nets.architecture import Architecture
from latentfit.nets.state_dict import loaded
from latentfit.nets.tiny import Block, conv3


class PixelVae(nn.Sequential):
    """Latents ``(N, C, h, w)``, model domain -> logits ``(N, K, h, w)``: pixelvae's network.

    Parameters
    ----------
    n_channels, n_classes : int
        C and K.
    width : int
        Channels of the blocks; pixelvae has 64.
    n_blocks : int
        Blocks of three 3×3 convolutions; pixelvae has 1.
    shift, scale : sequence of float, length 1 or C
        For weights that learned raw latents: the latent space's, ``latents / scale + shift`` goes in. The released ones
        learned the model domain, which ComfyUI's files and wires held until 2023-06-23.
    """

    kind = "pixelvae"
    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        n_channels: int = 4,
        n_classes: int = 16,
        width: int = 64,
        n_blocks: int = 1,
        shift: Sequence[float] = (0.0,),
        scale: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__(
            conv3(n_channels, width), nn.ReLU(),
            *[Block(width) for _ in range(n_blocks)],
            conv3(width, n_classes),
        )  # fmt: skip
        self.n_channels, self.n_classes, self.width, self.n_blocks = n_channels, n_classes, width, n_blocks
        self.crossing = {"shift": [float(one) for one in shift], "scale": [float(one) for one in scale]}
        for name, values in self.crossing.items():
            self.register_buffer(name, torch.tensor(values).reshape(1, -1, 1, 1), persistent=False)

    @property
    def receptive_cells(self) -> int:
        """Cells, each way, that an output depends on."""
        return 2 + 3 * self.n_blocks

    def for_raw(self, space: LatentSpace) -> "PixelVae":
        """The same weights behind that space's crossing, for those that learned raw latents."""
        sizes = (self.n_channels, self.n_classes, self.width, self.n_blocks)
        return loaded(PixelVae(*sizes, space.shift, space.scale), self.state_dict(), "pixelvae's decoder")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        sizes = {name: getattr(self, name) for name in ("n_channels", "n_classes", "width", "n_blocks")}
        return {**sizes, **self.crossing}

    def forward(self, latents: Tensor) -> Tensor:
        logits: Tensor = super().forward(latents / self.scale + self.shift)  # type: ignore[no-untyped-call]
        return logits


def load_pixelvae(weights: Mapping[str, Tensor]) -> PixelVae:
    """pixelvae's network that these weights belong to, float32, loaded.

    Raises
    ------
    BadFileError
        When keys and shapes are not its.
    """
    n_blocks = sum(key.endswith(".conv.0.weight") for key in weights)
    first, last = weights["0.weight"], weights.get(f"{2 + n_blocks}.weight")
    width, n_channels = first.shape[:2] if first.ndim == 4 else (64, 4)
    n_classes = len(last) if last is not None and last.ndim == 4 else 16  # what is no convolution its loader refuses
    return loaded(lambda: PixelVae(int(n_channels), n_classes, int(width), n_blocks), weights, "pixelvae's decoder")


def is_pixelvae(keys: Collection[str]) -> bool:
    """Whether these are its keys: blocks from 2 on, and nothing at 1, where TAESD's networks have something."""
    return {"0.weight", "2.conv.0.weight"} <= set(keys) and not any(key.startswith("1.") for key in keys)


def _without_colours(config: dict[str, Any]) -> PixelVae:
    return PixelVae(**{name: value for name, value in config.items() if name != "colours"})


ARCHITECTURES = (
    Architecture(
        "pixelvae", PixelVae, "pixelvae's decoder", "logits", {"n_classes": 4, "width": 8}, _without_colours,
        recognise=is_pixelvae, load=load_pixelvae,
    ),
)  # fmt: skip
