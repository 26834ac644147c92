"""Other projects' networks, recognised by their weights' keys and shapes; a file's name tells nothing."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from latentfit.errors import BadFileError
from latentfit.nets.approx_cnn import ApproxCnn
from latentfit.nets.interposer import INTERPOSER_KEYS, load_interposer
from latentfit.nets.known_upscalers import is_upscaler, load_upscaler
from latentfit.nets.loading import loaded
from latentfit.nets.pixel_mlp import load_pixel_mlp
from latentfit.nets.pixelvae import is_pixelvae, load_pixelvae
from latentfit.nets.tiny import TinyEncoder, TinyEncoder32, load_tiny_decoder, load_tiny_encoder
from latentfit.vae_weights import WeightsFile


@dataclass(frozen=True)
class Recognised:
    """What a checkpoint is.

    Attributes
    ----------
    module : nn.Module
        Loaded, float32, in evaluation mode.
    title : str
    n_channels, scale : int
        Latent channels it takes, pixels a cell it gives.
    n_outputs : int or None
        Latent channels that an interposer or an upscaler gives; None: it gives colours.
    times : float or None
        Of an upscaler: it wants raw latents times this.
    """

    module: nn.Module
    title: str
    n_channels: int
    scale: int
    n_outputs: int | None = None
    times: float | None = None


def recognised(path: Path) -> Recognised:
    """The network in a file of another project: a decoder, an interposer or an upscaler.

    Raises
    ------
    BadFileError
        When the file is damaged, holds NaN, is of another architecture, lacks keys or has some to spare, or encodes.
    """
    weights = WeightsFile(path).read()
    for key, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise BadFileError(f"{path}: tensor {key!r} holds NaN or Inf; fetch the file again")
    try:
        return _of(weights)
    except BadFileError as error:
        raise BadFileError(f"{path}: {error}") from error


def encoder_in(path: Path) -> TinyEncoder | TinyEncoder32 | None:
    """The TAESD encoder in a file, ours or theirs; None when the file holds something else, or cannot be read.

    Raises
    ------
    BadFileError
        When it is an encoder of an unknown layout.
    """
    try:
        file = WeightsFile(path)
    except BadFileError:
        return None
    blocks = any(".conv." in name for name in file.names)
    if not ("0.weight" in file.names and blocks) or is_pixelvae(file.names):
        return None
    try:
        return load_tiny_encoder(file.read())
    except BadFileError as error:
        raise BadFileError(f"{path}: {error}") from error


def recognisable(keys: Collection[str]) -> bool:
    """Whether these look like one of them, whole or not."""
    single = ("in_proj.weight", "conv1.weight", *INTERPOSER_KEYS)
    return is_upscaler(keys) or any(key in single or re.fullmatch(r"\d+\.conv\.0\.weight", key) for key in keys)


def _of(weights: Mapping[str, Tensor]) -> Recognised:
    if "in_proj.weight" in weights:
        mlp = load_pixel_mlp(weights)
        if mlp.encodes:
            raise BadFileError("an encoder, from rgb to latents: expected a decoder; name the decoder's file")
        return Recognised(loaded(mlp, weights, "a pixel MLP"), "Birch-san's pixel MLP", mlp.n_channels, 1)
    if "conv1.weight" in weights and "conv8.weight" in weights:
        first = weights["conv1.weight"]
        n_channels = int(first.shape[1]) if first.ndim == 4 else 4  # another shape is refused by its loader
        return Recognised(
            loaded(ApproxCnn(n_channels), weights, "A1111's approximate decoder"),
            "A1111's approximate decoder",
            n_channels,
            2,
        )
    if "1.weight" in weights and "3.conv.0.weight" in weights:
        decoder = load_tiny_decoder(weights)
        return Recognised(decoder, "TAESD's decoder", int(weights["1.weight"].shape[1]), decoder.cell_px)
    if is_pixelvae(weights):
        palettized = load_pixelvae(weights)
        return Recognised(palettized, "pixelvae's decoder", palettized.n_channels, 1)
    if is_upscaler(weights):
        known = load_upscaler(weights)
        n_channels = known.network.n_channels
        return Recognised(known.network, known.title, n_channels, 1, n_channels, known.times)
    if any(key in weights for key in INTERPOSER_KEYS):
        version, network = load_interposer(weights)
        return Recognised(network, f"city96's interposer {version}", network.n_channels, 1, network.n_outputs)
    if "0.weight" in weights and any(".conv." in key for key in weights):
        raise BadFileError("TAESD's encoder: expected a decoder; name the decoder's file, or load both with Vae.load")
    listed = ", ".join(sorted(weights)[:4])
    raise BadFileError(
        "expected the keys of TAESD's decoder, A1111's approximate decoder, Birch-san's pixel MLP, pixelvae's decoder, "
        f"city96's interposers and upscalers, Ttl's LatentResizer, SwinFIR, CRAFT, DAT or DRCT, got {listed}; an "
        "autoencoder is loaded with Vae.load"
    )
