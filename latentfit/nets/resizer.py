"""Ttl's LatentResizer with its key names (github.com/Ttl/ComfyUi_NNLatentUpscale): any factor from 1 to 2.

naripok's for FLUX.1 is the same with 16 channels. Both want raw latents times a number of their own, the same for
every latent space of as many channels, and without that space's shift.
"""

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from latentfit.errors import BadFileError
from latentfit.nets.architecture import Architecture
from latentfit.nets.state_dict import loaded
from latentfit.nets.tiny import conv3

PRIVATE_FACTORS = {4: 0.13025, 16: 0.3611}
"""Channels -> what their nodes multiply raw latents with, also those of SD1."""

_EMBEDDED, _GROUPS = 32, 32
TITLE = "Ttl's LatentResizer"


class LatentResizer(nn.Module):
    """Latents ``(N, C, h, w)`` times a private factor, and a size ``(H, W)`` -> the same of that size.

    Attention over the whole picture: time grows with the square of the cells, and tiles are never exact.

    Parameters
    ----------
    n_channels, width : int
        C, and channels of the blocks, a multiple of 32.
    n_before, n_after : int
        Residual blocks before and after the features are resampled, two or more.
    """

    factors = (1.0, 2.0)

    def __init__(self, n_channels: int = 4, width: int = 128, n_before: int = 10, n_after: int = 10) -> None:
        super().__init__()
        self.n_channels, self.width, self.n_before, self.n_after = n_channels, width, n_before, n_after
        self.conv_in = conv3(n_channels, width)
        self.embed = nn.Sequential(nn.Linear(1, _EMBEDDED), nn.SiLU(), nn.Linear(_EMBEDDED, _EMBEDDED))
        self.in_blocks = _blocks(width, n_before)
        self.out_blocks = _blocks(width, n_after)
        self.norm_out = nn.GroupNorm(_GROUPS, width)
        self.conv_out = conv3(width, n_channels)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able."""
        return {name: getattr(self, name) for name in ("n_channels", "width", "n_before", "n_after")}

    def forward(self, latents: Tensor, size: tuple[int, int]) -> Tensor:
        if tuple(size) == tuple(latents.shape[-2:]):
            return latents
        factor = size[1] / latents.shape[-1]
        known = self.embed(latents.new_tensor([[factor - 1]]))
        x = self.conv_in(latents)
        for block in self.in_blocks:
            x = block(x, known)
        x = nn.functional.interpolate(x, size=size, mode="bilinear")
        for block in self.out_blocks:
            x = block(x, known)
        resized: Tensor = self.conv_out(nn.functional.silu(self.norm_out(x)))
        return resized


def _blocks(width: int, n_blocks: int) -> nn.ModuleList:
    """Residual blocks, an attention before the second one and before the last."""
    blocks: list[nn.Module] = []
    for index in range(n_blocks):
        if index in (1, n_blocks - 1):
            blocks.append(_Attention(width))
        blocks.append(_Block(width))
    return nn.ModuleList(blocks)


class _Block(nn.Module):
    """Two normalised convolutions added to what came; the factor's embedding is added between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        last = conv3(width, width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.in_layers = nn.Sequential(nn.GroupNorm(_GROUPS, width), nn.SiLU(), conv3(width, width))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(_EMBEDDED, width))
        self.out_layers = nn.Sequential(nn.GroupNorm(_GROUPS, width), nn.SiLU(), nn.Identity(), last)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        added: Tensor = x + self.out_layers(self.in_layers(x) + self.emb_layers(known)[..., None, None])
        return added


class _Attention(nn.Module):
    """One head over all cells, added to what came."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        normed = self.norm(x)
        q, k, v = (layer(normed).flatten(2).transpose(1, 2)[:, None].contiguous() for layer in (self.q, self.k, self.v))
        seen = nn.functional.scaled_dot_product_attention(q, k, v)
        added: Tensor = x + self.proj_out(seen[:, 0].transpose(1, 2).reshape(x.shape))
        return added


def load_resizer(weights: Mapping[str, Tensor]) -> LatentResizer:
    """The network that these weights belong to, float32, in evaluation mode.

    Raises
    ------
    BadFileError
        When keys or shapes are not its.
    """
    first = weights["conv_in.weight"]
    n_before, n_after = (
        sum(key.startswith(f"{part}.") and key.endswith(".in_layers.2.weight") for key in weights)
        for part in ("in_blocks", "out_blocks")
    )
    n_channels, width = int(first.shape[1]), int(first.shape[0])
    return loaded(lambda: LatentResizer(n_channels, width, n_before, n_after), weights, TITLE)


def is_resizer(keys: Collection[str]) -> bool:
    """Whether these are its keys, whole or not."""
    return "conv_in.weight" in keys and "in_blocks.0.in_layers.0.weight" in keys


def private_factor(network: LatentResizer) -> float:
    """What a public one wants raw latents multiplied with.

    Raises
    ------
    BadFileError
        When none of as many channels is public.
    """
    times = PRIVATE_FACTORS.get(network.n_channels)
    if times is None:
        raise BadFileError(
            f"{TITLE} of {network.n_channels} channels", expected="4 or 16, whose private factors are known"
        )
    return times


ARCHITECTURES = (
    Architecture(
        "latent_resizer", LatentResizer, TITLE, "latents", {"width": 32, "n_before": 2, "n_after": 3},
        recognise=is_resizer, load=load_resizer, keeps_space=True, times=private_factor,
    ),
)  # fmt: skip
