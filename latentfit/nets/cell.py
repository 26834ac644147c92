"""Cell decoders: almost all work at latent resolution, pixel shuffles at the end.

Ours. What costs TAESD most is its last level, at full size; here a few narrow convolutions at two pixels a cell become
a whole cell of pixels at once, on top of the closed form that least squares found.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.nets.architecture import Architecture
from latentfit.nets.tiny import conv3

FINE = 2  # pixels a cell where the fine convolutions work


class ResidualBlock(nn.Module):
    """Two convolutions added to what came."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(conv3(width, width), nn.ReLU(), conv3(width, width))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.conv(x)
        return added


class CellDecoder(nn.Module):
    """Latents ``(N, C, h, w)``, model domain -> rgb ``(N, 3, h * cell_px, w * cell_px)``, about [0, 1], not clamped.

    Parameters
    ----------
    n_channels : int
        C.
    width : int
        Channels of the blocks, at latent resolution.
    n_blocks : int
        Residual blocks of two 3×3 convolutions.
    cell_px : int
        Pixels of a cell's side, even.
    fine_width, n_fine : int
        Channels and number of the convolutions at twice the latents' resolution: there edges find their place.
    sharp_side : int
        Side of the filter that the picture goes through in the end, in pixels, odd; 0: none.
    sharp_floor : float
        Where what the filter adds is no stronger than this (root mean square over the filter's window and the channels,
        of the range [0, 1]), nothing is added: flat areas stay as they are. See `above_floor`.

    Attributes
    ----------
    skip : nn.Conv2d
        A linear 3×3 decoder: `ChannelMap("3", scale=cell_px)` fits in exactly, see `latentfit.train.decoders`.
    sharp : nn.Conv2d or None
        The filter, the same for each channel: `latentfit.fit.sharpening` finds it.
    """

    def __init__(
        self,
        n_channels: int,
        width: int = 64,
        n_blocks: int = 5,
        cell_px: int = 8,
        fine_width: int = 32,
        n_fine: int = 1,
        sharp_side: int = 0,
        sharp_floor: float = 0.0,
    ) -> None:
        super().__init__()
        if cell_px % FINE:
            raise ValueError(f"cell_px: expected an even number, got {cell_px}; fit a closed-form decoder instead")
        self.n_channels, self.width, self.n_blocks, self.cell_px = n_channels, width, n_blocks, cell_px
        self.fine_width, self.n_fine = fine_width, n_fine
        self.sharp_side, self.sharp_floor = sharp_side, sharp_floor
        self.skip = nn.Conv2d(n_channels, 3 * cell_px**2, 3, padding=1, padding_mode="replicate")
        last = conv3(fine_width, 3 * (cell_px // FINE) ** 2)
        nn.init.zeros_(last.weight)  # it begins as its skip
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        fine: list[nn.Module] = []
        for _ in range(n_fine):
            fine += [conv3(fine_width, fine_width), nn.ReLU()]
        self.body = nn.Sequential(
            conv3(n_channels, width), nn.ReLU(),
            *[ResidualBlock(width) for _ in range(n_blocks)],
            conv3(width, fine_width * FINE**2), nn.PixelShuffle(FINE), nn.ReLU(),
            *fine,
            last, nn.PixelShuffle(cell_px // FINE),
        )  # fmt: skip
        self.sharp: nn.Conv2d | None = None
        if sharp_side:
            self.sharp = nn.Conv2d(3, 3, sharp_side, padding=sharp_side // 2, padding_mode="replicate", bias=False)
            nn.init.dirac_(self.sharp.weight)

    @property
    def receptive_cells(self) -> int:
        """Cells, each way, that an output depends on: tiles that overlap by as much are exact."""
        fine = (self.n_fine + 1) / FINE
        reach_px = self.sharp_side // 2 * (2 if self.sharp_floor else 1)  # the filter, and the window of its gate
        return 2 + 2 * self.n_blocks + math.ceil(fine + reach_px / self.cell_px)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        names = ("n_channels", "width", "n_blocks", "cell_px", "fine_width", "n_fine")
        told = {name: getattr(self, name) for name in (*names, "sharp_side")}
        return {**told, "sharp_floor": self.sharp_floor} if self.sharp_floor else told  # runs are told apart by it

    def forward(self, latents: Tensor) -> Tensor:
        added: Tensor = nn.functional.pixel_shuffle(self.skip(latents), self.cell_px) + self.body(latents)
        if self.sharp is None:
            return added
        filtered: Tensor = self.sharp(added)
        return filtered if not self.sharp_floor else above_floor(added, filtered, self.sharp_side, self.sharp_floor)

    @torch.no_grad()
    def sharpened(self, kernel: Tensor, floor: float = 0.0) -> "CellDecoder":
        """The same network with a filter ``(side, side)`` behind it, in place of the one that it has.

        Parameters
        ----------
        kernel : Tensor, (side, side)
        floor : float
            See the class.
        """
        made = CellDecoder(**{**self.config(), "sharp_side": len(kernel), "sharp_floor": floor})
        kept = {name: value for name, value in self.state_dict().items() if not name.startswith("sharp")}
        made.load_state_dict(kept, strict=False)
        assert made.sharp is not None
        made.sharp.weight.copy_(torch.eye(3)[..., None, None] * kernel)
        return made.eval()

    @torch.no_grad()
    def set_skip(self, weight: Tensor, bias: Tensor) -> "CellDecoder":
        """Put a fitted linear decoder in: weight ``(3 * cell_px², C, 3, 3)`` and bias, in the range [0, 1]."""
        self.skip.weight.copy_(weight)
        self.skip.bias.copy_(bias)  # type: ignore[union-attr]
        return self


def above_floor(plain: Tensor, filtered: Tensor, side: int, floor: float) -> Tensor:
    """A picture with what a filter adds to it, where that is stronger than a floor.

    What is added is scaled by ``1 − floor² / e``, at least 0, as Wiener's filter scales what lies in noise of that
    strength; e is its mean square over windows of `side` px and all channels.

    Parameters
    ----------
    plain, filtered : Tensor, (N, C, H, W)
    side : int
        Odd.
    floor : float
        In the pictures' own range.
    """
    added = filtered - plain
    energy = nn.functional.avg_pool2d(
        added.square().mean(1, keepdim=True), side, 1, side // 2, count_include_pad=False
    )  # fmt: skip
    return plain + added * (1 - floor**2 / (energy + 1e-12)).relu()


_EXAMPLE = {"n_channels": 4, "width": 8, "n_blocks": 1, "cell_px": 4, "fine_width": 4, "sharp_side": 3}
ARCHITECTURES = (Architecture("cell", CellDecoder, "the cell decoder", "colours", _EXAMPLE),)
