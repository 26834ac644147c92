"""What every reference autoencoder is made of: a network with two directions, and its crossing to the model domain."""

import inspect
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from latentfit.errors import VaeError
from latentfit.nets.tiny import TinyDecoder, TinyDecoder32, TinyEncoder, TinyEncoder32
from latentfit.spaces import rgb_to_signed, signed_to_rgb


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
        """Modules that decoding runs through: their parameters are what a full decode costs."""
        ...


class TinyNetwork(nn.Module):
    """A TAESD pair, or its decoder alone: pictures stay in [0, 1], latents in the model domain."""

    def __init__(self, encoder: TinyEncoder | TinyEncoder32 | None, decoder: TinyDecoder | TinyDecoder32) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.receptive_cells: int | None = decoder.receptive_cells

    def encode(self, rgb: Tensor) -> Tensor:
        if self.encoder is None:
            raise VaeError(
                "encode: this autoencoder was loaded from its decoder alone, so it only decodes; load X_encoder.* and "
                "X_decoder.* as X, or collect from latent files"
            )
        own: Tensor = self.encoder(rgb)
        return own

    def decode(self, own: Tensor) -> Tensor:
        rgb: Tensor = self.decoder(own)
        return rgb

    @property
    def decoder_parts(self) -> list[nn.Module]:
        return [self.decoder]


class DiffusersNetwork(nn.Module):
    """Any module with diffusers' `encode` and `decode`: pictures in [-1, 1], single frames for video autoencoders."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        if not (callable(getattr(module, "encode", None)) and callable(getattr(module, "decode", None))):
            raise VaeError(f"autoencoder: expected a module with encode and decode, got {type(module).__name__}")
        self.module = module
        self.receptive_cells: int | None = None
        self.has_time = _first_kernel_ndim(module) == 5
        # SVD's decoder wants to be told how many frames a batch holds.
        self._decode_options = (
            {"num_frames": 1} if "num_frames" in inspect.signature(cast(Any, module).decode).parameters else {}
        )  # fmt: skip

    def encode(self, rgb: Tensor) -> Tensor:
        signed = rgb_to_signed(rgb)
        own = _mode(self.module.encode(signed.unsqueeze(2) if self.has_time else signed))  # type: ignore[operator]
        return own[:, :, 0] if own.ndim == 5 else own

    def decode(self, own: Tensor) -> Tensor:
        decoded = self.module.decode(own.unsqueeze(2) if self.has_time else own, **self._decode_options)  # type: ignore[operator]
        signed: Tensor = decoded if isinstance(decoded, Tensor) else decoded[0]
        return signed_to_rgb(signed[:, :, 0] if signed.ndim == 5 else signed)

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
            raise VaeError("statistics of the latents: expected finite shifts and finite scales other than 0")
        self.register_buffer("shift", shift.float(), persistent=False)
        self.register_buffer("scale", scale.float(), persistent=False)

    def to_model(self, own: Tensor) -> Tensor:
        """Own latents ``(N, C, h, w)`` -> model domain, float32."""
        rows, columns = own.shape[-2:]
        return (own.float() - _repeated(self.shift, rows, columns)) * _repeated(self.scale, rows, columns)

    def to_own(self, latents: Tensor) -> Tensor:
        """Inverse of `to_model`."""
        rows, columns = latents.shape[-2:]
        return latents.float() / _repeated(self.scale, rows, columns) + _repeated(self.shift, rows, columns)


def plain_crossing(shift: tuple[float, ...], scale: tuple[float, ...]) -> Crossing:
    """A crossing from numbers per channel, or one for all channels."""
    return Crossing(*(torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1) for values in (shift, scale)))


def batch_norm_crossing(norm: nn.BatchNorm2d, patch: tuple[int, int]) -> Crossing:
    """A crossing from flux2's batch norm over packed latents, whose channel is ``c * 4 + py * 2 + px``."""
    if norm.running_mean is None or norm.running_var is None:
        raise VaeError("batch norm of the latents: expected running statistics, got none; the weights are incomplete")
    mean, deviation = norm.running_mean.float(), (norm.running_var.float() + norm.eps).sqrt()
    return Crossing(mean.reshape(-1, *patch), 1 / deviation.reshape(-1, *patch))


def shape_of_latents(network: Network) -> tuple[int, int]:
    """(channels, pixels per cell), found by encoding a grey picture; larger ones are tried where 64 px are too few."""
    if isinstance(network, TinyNetwork):
        return network.decoder.n_channels, network.decoder.cell_px
    failures: list[str] = []
    for n_pixels in (64, 256):
        try:
            with torch.no_grad():
                own = network.encode(torch.full((1, 3, n_pixels, n_pixels), 0.5))
        except (RuntimeError, ValueError) as error:
            failures.append(str(error).splitlines()[0])
            continue
        if own.ndim == 4 and own.shape[-1] and n_pixels % own.shape[-1] == 0 and own.shape[-1] == own.shape[-2]:
            return int(own.shape[1]), n_pixels // int(own.shape[-1])
        failures.append(f"latents of shape {tuple(own.shape)}")
    raise VaeError(
        f"autoencoder: expected latents (1, C, h, w) of a grey picture, got {'; '.join(failures)}; only "
        "autoencoders of pictures, or of video's single frames, can be a reference"
    )


def _mode(posterior: Any) -> Tensor:
    """The posterior's mode, or the latents themselves, from any of diffusers' answers."""
    if isinstance(posterior, Tensor):
        return posterior
    for name in ("latent_dist", "latents", "latent"):
        found = getattr(posterior, name, None)
        if found is not None:
            mode: Tensor = found if isinstance(found, Tensor) else found.mode()
            return mode
    if isinstance(posterior, tuple) and posterior:
        return _mode(posterior[0])
    raise VaeError(f"encode: expected latents or a posterior, got {type(posterior).__name__}")


def _first_kernel_ndim(module: nn.Module) -> int:
    """4 for a network of pictures, 5 for one of video: that of the encoder's first convolution."""
    encoder = getattr(module, "encoder", module)
    return next((weights.ndim for weights in encoder.parameters() if weights.ndim in (4, 5)), 4)


def _repeated(statistics: Tensor, rows: int, columns: int) -> Tensor:
    period = statistics.shape[-2:]
    if period == (1, 1):
        return statistics
    repeats = (1, -(-rows // period[0]), -(-columns // period[1]))
    return statistics.repeat(repeats)[:, :rows, :columns]
