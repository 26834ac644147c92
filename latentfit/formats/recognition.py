"""Other projects' networks, recognised by their weights' keys and shapes; a file's name tells nothing."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from latentfit.errors import BadFileError
from latentfit.latents.spaces import list_spaces
from latentfit.nets.approx_cnn import ApproxCnn
from latentfit.nets.interposer import INTERPOSER_KEYS, load_interposer
from latentfit.nets.pixel_mlp import load_pixel_mlp
from latentfit.nets.pixelvae import is_pixelvae, load_pixelvae
from latentfit.nets.state_dict import UNFIT, loaded
from latentfit.nets.third_party_upscalers import is_upscaler, load_upscaler
from latentfit.nets.tiny import TinyEncoder, TinyEncoder32, load_tiny_decoder, load_tiny_encoder
from latentfit.runtime.weights import WeightsFile
from latentfit.vae.keys import TinyHalves, is_tiny_video, tiny_halves, without_wrapper
from latentfit.vae.single_file import read_renamed


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
    space : str or None
        The latent space, where the file's own numbers tell it.
    """

    module: nn.Module
    title: str
    n_channels: int
    scale: int
    n_outputs: int | None = None
    times: float | None = None
    space: str | None = None


def recognised(path: Path) -> Recognised:
    """The network in a file of another project: a decoder, an interposer or an upscaler.

    Numbers of 8 and 16 bits are cast to float32 before anything looks at them. Of a file that holds an encoder too,
    such as TAESD's in diffusers' or ComfyUI's names, only the decoder is read.

    Raises
    ------
    BadFileError
        When the file is damaged, holds NaN, is of another architecture, lacks keys or has some to spare, or encodes.
    """
    file = WeightsFile(path)
    halves = _halves_in(file)
    weights = read_renamed(file, without_wrapper(file.names) if halves is None else halves.decoder)
    for key, tensor in weights.items():
        if not tensor.numel():
            raise BadFileError(
                f"tensor {key!r} of shape {tuple(tensor.shape)} is empty", place=path, remedy="fetch the file again"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise BadFileError(f"tensor {key!r} holds NaN or Inf", place=path, remedy="fetch the file again")
    try:
        found = _of(weights)
    except BadFileError as error:
        raise error.at(path) from error
    except UNFIT as error:
        raise BadFileError(
            f"known keys, but their shapes are of no known network ({error})", place=path, remedy="is the file whole?"
        ) from error
    return found if halves is None else replace(found, space=_space_by_scale(file, halves, found))


def _halves_in(file: WeightsFile) -> TinyHalves | None:
    """Where a file with TAESD's halves under other names has them; refuses its relative for video, and an encoder."""
    if is_tiny_video(file.names):
        raise BadFileError(
            "TAEHV's video decoder, a tiny autoencoder of Hunyuan's, Wan's and other videos",
            place=file.path,
            remedy=(
                "it is not supported yet: take a table or a network of that space, "
                "such as those that come with this package"
            ),
        )
    halves = tiny_halves(file.names)
    if halves is not None and not halves.decoder:
        raise BadFileError(
            "TAESD's encoder",
            place=file.path,
            expected="a decoder",
            remedy="name the decoder's file, or load both with Vae.load",
        )
    return halves


def _space_by_scale(file: WeightsFile, halves: TinyHalves, found: Recognised) -> str | None:
    """The one space of these channels whose numbers ComfyUI's combined file has; None where it has none, or 1 and 0."""
    keys = {halves.scale or "", halves.shift or ""} - {""}
    numbers = {key: tensor for key, tensor in file.read(keys.__contains__).items() if tensor.numel() == 1}
    scale = float(numbers[halves.scale]) if halves.scale in numbers else 1.0
    shift = float(numbers[halves.shift]) if halves.shift in numbers else 0.0
    if (scale, shift) == (1.0, 0.0):
        return None
    fitting = [
        space.name
        for space in list_spaces()
        if (space.channels, space.cell_px) == (found.n_channels, found.scale)
        and len(space.scale) == 1
        and math.isclose(space.scale[0], scale, rel_tol=1e-3)
        and math.isclose(space.shift[0], shift, rel_tol=1e-3, abs_tol=1e-4)
    ]
    return fitting[0] if len(fitting) == 1 else None


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
        raise error.at(path) from error
    except UNFIT as error:
        raise BadFileError(
            f"keys of TAESD's encoder, but shapes of none that is known ({error})",
            place=path,
            remedy="is the file whole?",
        ) from error


def recognisable(keys: Collection[str]) -> bool:
    """Whether these look like one of them, whole or not."""
    if tiny_halves(keys) is not None or is_tiny_video(keys):
        return True
    keys = without_wrapper(keys)
    single = ("in_proj.weight", "conv1.weight", *INTERPOSER_KEYS)
    return is_upscaler(keys) or any(key in single or re.fullmatch(r"\d+\.conv\.0\.weight", key) for key in keys)


def _of(weights: Mapping[str, Tensor]) -> Recognised:
    if "in_proj.weight" in weights:
        mlp = load_pixel_mlp(weights)
        if mlp.encodes:
            raise BadFileError(
                "an encoder, from rgb to latents", expected="a decoder", remedy="name the decoder's file"
            )
        return Recognised(mlp, "Birch-san's pixel MLP", mlp.n_channels, 1)
    if "conv1.weight" in weights and "conv8.weight" in weights:
        first = weights["conv1.weight"]
        n_channels = int(first.shape[1]) if first.ndim == 4 else 4  # another shape is refused by its loader
        return Recognised(
            loaded(lambda: ApproxCnn(n_channels), weights, "A1111's approximate decoder"),
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
        raise BadFileError(
            "TAESD's encoder", expected="a decoder", remedy="name the decoder's file, or load both with Vae.load"
        )
    listed = ", ".join(sorted(weights)[:4]) or "none"
    raise BadFileError(
        "expected the keys of TAESD's decoder, A1111's approximate decoder, Birch-san's "
        "pixel MLP, pixelvae's decoder, city96's interposers and upscalers, Ttl's "
        f"LatentResizer, SwinFIR, CRAFT, DAT or DRCT, got {listed}",
        remedy="an autoencoder is loaded with Vae.load",
    )
