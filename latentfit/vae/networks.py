"""What every reference autoencoder is made of: a network with two directions, and its crossing to the model domain."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from latentfit.errors import VaeError, gist_of
from latentfit.latents.spaces import rgb_to_signed, signed_to_rgb
from latentfit.nets.tiny import TinyDecoder, TinyDecoder32, TinyEncoder, TinyEncoder32
from latentfit.vae.stills import (
    alone,
    check_of_pictures,
    decode_options,
    draws_noise,
    has_opacity,
    is_of_video,
    takes_no_batch,
    way_of,
)


class Network(Protocol):
    """Pictures in [0, 1] to the network's own latents, and back. Own latents may be raw or of the model domain."""

    receptive_cells: int | None
    """Cells, each way, that an output depends on; None where something looks at the whole picture."""

    def encode(self, rgb: Tensor) -> Tensor:
        """``(N, 3, H, W)`` -> ``(N, C, h, w)``."""
        ...

    def decode(self, own: Tensor) -> Tensor:
        """``(N, C, h, w)`` -> ``(N, 3, H, W)``, not clamped by this package."""
        ...

    @property
    def decoder_parts(self) -> list[nn.Module]:
        """Modules that decoding runs through: their parameters are what a full decode costs; none: it only encodes."""
        ...


class TinyNetwork(nn.Module):
    """A TAESD pair, or half of one: pictures stay in [0, 1], latents in the model domain."""

    def __init__(
        self, encoder: TinyEncoder | TinyEncoder32 | None, decoder: TinyDecoder | TinyDecoder32 | None
    ) -> None:
        super().__init__()
        half = decoder if decoder is not None else encoder
        if half is None:
            raise VaeError("TinyNetwork", expected="an encoder, a decoder or both", got="neither")
        self.encoder = encoder
        self.decoder = decoder
        self.receptive_cells: int | None = None if decoder is None else decoder.receptive_cells
        self.n_channels, self.cell_px = half.n_channels, half.cell_px

    def encode(self, rgb: Tensor) -> Tensor:
        if self.encoder is None:
            raise VaeError(
                "encode: this autoencoder was loaded from its decoder alone, so it only decodes",
                remedy="load X_encoder.* and X_decoder.* as X, or collect from latent files",
            )
        own: Tensor = self.encoder(rgb)
        return own

    def decode(self, own: Tensor) -> Tensor:
        if self.decoder is None:
            raise VaeError(
                "decode: this autoencoder was loaded from its encoder alone, so it only encodes",
                remedy="load X_encoder.* and X_decoder.* as X, or fit to the photographs",
            )
        rgb: Tensor = self.decoder(own)
        return rgb

    @property
    def decoder_parts(self) -> list[nn.Module]:
        return [] if self.decoder is None else [self.decoder]


class DiffusersNetwork(nn.Module):
    """Any module with diffusers' `encode` and `decode`: pictures in [-1, 1], single frames for video autoencoders.

    Pictures with a channel of opacity enter opaque, and their colours come out. Where decoding draws noise, it is of
    one seed for every picture, and the random state outside stays.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        check_of_pictures(module)
        self.module = module
        self.receptive_cells: int | None = None
        self.has_time = is_of_video(module)
        self._way = way_of(module)
        self.only_px = self._way.only_px
        self._has_opacity, self._draws_noise = has_opacity(module), draws_noise(module)
        self._options, self._takes_no_batch = decode_options(module), takes_no_batch(module)

    def encode(self, rgb: Tensor) -> Tensor:
        if self._takes_no_batch and len(rgb) > 1:
            return alone(self.encode, rgb)
        signed = rgb_to_signed(rgb)
        if self._has_opacity:
            signed = torch.cat([signed, torch.ones_like(signed[:, :1])], dim=1)
        return self._way.encode(self.module, signed)

    def decode(self, own: Tensor) -> Tensor:
        if self._takes_no_batch and len(own) > 1:
            return alone(self.decode, own)
        with _seeded(own.device) if self._draws_noise else nullcontext():
            signed = self._way.decode(self.module, own, self._options(own))
        return signed_to_rgb(signed[:, :3])

    @property
    def decoder_parts(self) -> list[nn.Module]:
        parts = [getattr(self.module, name, None) for name in ("post_quant_conv", "decoder")]
        return [part for part in parts if isinstance(part, nn.Module)] or [self.module]


class Crossing(nn.Module):
    """Own latents <-> model domain: ``model = (own - shift) * scale``.

    Parameters
    ----------
    shift, scale : Tensor of shape (C, p, q) or (1, 1, 1)
        Statistics that repeat with a period of p x q cells. The period is 1 but for flux2, whose batch norm counts
        every place of a 2 x 2 patch as a channel of its own.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: Tensor, scale: Tensor) -> None:
        super().__init__()
        if not bool(torch.isfinite(shift).all() and torch.isfinite(scale).all() and (scale != 0).all()):
            raise VaeError("statistics of the latents", expected="finite shifts and finite scales other than 0")
        self.register_buffer("shift", shift.float(), persistent=False)
        self.register_buffer("scale", scale.float(), persistent=False)

    def to_model(self, own: Tensor) -> Tensor:
        """Own latents ``(N, C, h, w)`` -> model domain, float32."""
        rows, columns = own.shape[-2:]
        return (own.float() - _repeated(self.shift, rows, columns)) * _repeated(self.scale, rows, columns)

    def to_own(self, latents: Tensor) -> Tensor:
        """Undo `to_model`."""
        rows, columns = latents.shape[-2:]
        return latents.float() / _repeated(self.scale, rows, columns) + _repeated(self.shift, rows, columns)


def plain_crossing(shift: tuple[float, ...], scale: tuple[float, ...]) -> Crossing:
    """A crossing from numbers per channel, or one for all channels."""
    return Crossing(*(torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1) for values in (shift, scale)))


def batch_norm_crossing(norm: nn.BatchNorm2d, patch: tuple[int, int]) -> Crossing:
    """A crossing from flux2's batch norm over packed latents, whose channel is ``c * 4 + py * 2 + px``."""
    if norm.running_mean is None or norm.running_var is None:
        raise VaeError(
            "batch norm of the latents", expected="running statistics", got="none", remedy="the weights are incomplete"
        )
    mean, deviation = norm.running_mean.float(), (norm.running_var.float() + norm.eps).sqrt()
    return Crossing(mean.reshape(-1, *patch), 1 / deviation.reshape(-1, *patch))


def shape_of_latents(network: Network) -> tuple[int, int]:
    """(channels, pixels per cell), found by encoding a grey picture; larger ones are tried where 64 px are too few."""
    if isinstance(network, TinyNetwork):
        return network.n_channels, network.cell_px
    failures: list[str] = []
    called, only_px = type(network).__name__, None
    if isinstance(network, DiffusersNetwork):
        called, only_px = type(network.module).__name__, network.only_px
    for n_pixels in (64, 256) if only_px is None else (only_px,):
        try:
            with torch.no_grad():
                own = network.encode(torch.full((1, 3, n_pixels, n_pixels), 0.5))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            failures.append(gist_of(error))
            continue
        if own.ndim == 4 and own.shape[-1] and n_pixels % own.shape[-1] == 0 and own.shape[-1] == own.shape[-2]:
            return int(own.shape[1]), n_pixels // int(own.shape[-1])
        failures.append(f"latents of shape {tuple(own.shape)}")
    raise VaeError(
        f"{called}",
        expected="latents (1, C, h, w) of a grey picture",
        got=f"{'; '.join(failures)}",
        remedy=("only autoencoders of pictures, or of video's single frames, can be a reference"),
    )


@contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    """Random numbers of one seed; the state outside stays."""
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device], device_type=_kind(device)):
        torch.manual_seed(0)
        yield


def _kind(device: torch.device) -> str:
    return "cuda" if device.type == "cpu" else device.type


def _repeated(statistics: Tensor, rows: int, columns: int) -> Tensor:
    period = statistics.shape[-2:]
    if period == (1, 1):
        return statistics
    repeats = (1, -(-rows // period[0]), -(-columns // period[1]))
    return statistics.repeat(repeats)[:, :rows, :columns]
