"""Other projects' networks, recognised by their weights' keys and shapes; a file's name tells nothing."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from latentfit.errors import BadFileError
from latentfit.formats.registry import ARCHITECTURES, architecture_of
from latentfit.latents.spaces import list_spaces
from latentfit.nets.architecture import Architecture, network_of, recognised_among
from latentfit.nets.tiny import TinyEncoder, TinyEncoder32
from latentfit.runtime.weights import WeightsFile
from latentfit.vae.keys import TinyHalves, is_tiny_video, tiny_halves, without_wrapper
from latentfit.vae.single_file import read_renamed


@dataclass(frozen=True)
class Recognised:
    """A checkpoint whose architecture is known by its keys and shapes.

    Attributes
    ----------
    module : nn.Module
        Loaded, float32, in evaluation mode.
    architecture : Architecture
        Row in the registry.
    space : str or None
        The latent space, where the file's own numbers tell it.
    """

    module: nn.Module
    architecture: Architecture
    space: str | None = None

    @property
    def title(self) -> str:
        """The architecture's title."""
        return self.architecture.title_of(self.module)

    @property
    def n_channels(self) -> int:
        """Latent channels that it takes."""
        return int(self.module.n_channels)  # type: ignore[arg-type]

    @property
    def scale(self) -> int:
        """Pixels a cell that it gives; 1 of classes and of latents."""
        return int(getattr(self.module, "cell_px", 1))

    @property
    def n_outputs(self) -> int | None:
        """Latent channels that an interposer or an upscaler gives; None: it gives colours."""
        if self.architecture.gives != "latents":
            return None
        return self.n_channels if self.architecture.keeps_space else int(self.module.n_outputs)  # type: ignore[arg-type]

    @property
    def times(self) -> float | None:
        """The factor that an upscaler wants its raw latents multiplied by; None: it is no upscaler."""
        return self.architecture.times(self.module) if self.architecture.keeps_space else None


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
        _ = found.times  # refuses an upscaler whose factor nobody knows
    except BadFileError as error:
        raise error.at(path) from error
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
    row = recognised_among(ARCHITECTURES.values(), file.names)
    if row is None or row.gives != "encoding":
        return None
    try:
        encoder = network_of(row, file.read())
    except BadFileError as error:
        raise error.at(path) from error
    assert isinstance(encoder, TinyEncoder | TinyEncoder32)
    return encoder


def recognisable(keys: Collection[str]) -> bool:
    """Whether these look like one of them, whole or not."""
    if tiny_halves(keys) is not None or is_tiny_video(keys):
        return True
    keys = without_wrapper(keys)
    if recognised_among(ARCHITECTURES.values(), keys) is not None:
        return True
    return any(key == "conv1.weight" or re.fullmatch(r"\d+\.conv\.0\.weight", key) for key in keys)


def _of(weights: Mapping[str, Tensor]) -> Recognised:
    row = recognised_among(ARCHITECTURES.values(), weights)
    if row is None:
        listed = ", ".join(sorted(weights)[:4]) or "none"
        raise BadFileError(
            expected=f"the keys of {_titles()}", got=listed, remedy="load it with Vae.load if it is an autoencoder"
        )
    if row.gives == "encoding":
        raise BadFileError(
            row.title, expected="a decoder", remedy="name the decoder's file, or load both with Vae.load"
        )
    network = network_of(row, weights)
    row = architecture_of(network)
    if row.gives_with(network.config()) == "encoding":  # type: ignore[operator]
        raise BadFileError("an encoder, from rgb to latents", expected="a decoder", remedy="name the decoder's file")
    return Recognised(network, row)


def _titles() -> str:
    """Those that are recognised and decode, for an error."""
    rows = [row for row in ARCHITECTURES.values() if row.recognise is not None and row.gives != "encoding"]
    titles = sorted({row.title for row in rows}, key=str.lower)
    return f"{', '.join(titles[:-1])} or {titles[-1]}"
