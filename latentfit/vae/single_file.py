"""A single weights file, turned into the autoencoder that its keys and shapes name. Nothing is fetched."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import nn

from latentfit.errors import BadFileError, LatentfitWarning, VaeError
from latentfit.latents.space_facts import all_facts
from latentfit.nets.state_dict import UNFIT
from latentfit.nets.tiny import is_tiny_encoder, load_tiny_decoder, load_tiny_encoder
from latentfit.runtime.weights import WeightsFile
from latentfit.vae.configs import (
    build_module,
    bundled_configs,
    checked_kl_config,
    load_weights,
    shape_differences,
)
from latentfit.vae.keys import (
    TinyHalves,
    Weights,
    is_tiny_video,
    is_vae_key,
    prefix_of_vae,
    tiny_halves,
    to_diffusers_keys,
    without_wrapper,
)
from latentfit.vae.networks import DiffusersNetwork, TinyNetwork

_VIDEO_ADVICE = "name the autoencoder of its space as a diffusers folder or a file of its own"
Half = TypeVar("Half", bound=nn.Module)


@dataclass(frozen=True)
class OpenedFile:
    """What a weights file turned out to be.

    Attributes
    ----------
    network : TinyNetwork or DiffusersNetwork
    spaces : tuple of str
        Spaces whose published autoencoder has these very shapes; empty where none has.
    hint : str or None
        The space that other keys of a checkpoint, or its metadata, name.
    """

    network: TinyNetwork | DiffusersNetwork
    spaces: tuple[str, ...] = ()
    hint: str | None = None


def open_vae_file(path: Path) -> OpenedFile:
    """The autoencoder in a weights file: alone, or inside a checkpoint.

    Parameters
    ----------
    path : Path
        safetensors, or a torch file that `weights_only` can read. Keys of diffusers, of latent diffusion or of Wan.

    Raises
    ------
    BadFileError
        When it cannot be read, or only by running code.
    VaeError
        When it holds no autoencoder, half of one, or one that is not known.
    """
    file = WeightsFile(path)
    names = file.names
    tiny = _open_tiny(file)
    if tiny is not None:
        return OpenedFile(tiny)
    if is_tiny_video(names):
        raise VaeError(
            "TAEHV, a tiny autoencoder of video, which is not supported yet", place=path, remedy=f"{_VIDEO_ADVICE}"
        )
    prefix = prefix_of_vae(names)
    if prefix is None and {"14.weight", "14.conv.0.weight"} & set(names):
        raise VaeError(
            place=path,
            expected="an encoder and a decoder",
            got="what looks like half of a TAESD",
            remedy="put X_encoder.* and X_decoder.* into one folder and name X",
        )
    if prefix is None:
        raise VaeError(
            place=path,
            expected=("the weights of an autoencoder, alone or as first_stage_model.* or vae.* in a checkpoint"),
            got=f"{len(names)} tensors such as {', '.join(names[:3]) or 'none'}",
            remedy="name the VAE's own file or folder",
        )
    own_keys = {name for name in names if name.startswith(prefix) and is_vae_key(name[len(prefix) :])}
    weights = {key[len(prefix) :]: tensor for key, tensor in file.read(own_keys.__contains__).items()}
    _check_both_halves(path, weights)
    weights = to_diffusers_keys(weights)
    hint = _space_named(names, file.metadata)
    matching = [entry for entry in bundled_configs() if shape_differences(entry.shapes, weights) == []]
    if matching:
        chosen = next((entry for entry in matching if entry.space == hint), matching[0])
        module = chosen.module()
    else:
        class_name, config = checked_kl_config(path, weights)
        warnings.warn(
            LatentfitWarning(
                f"no known config has these shapes: taken for an {class_name} with norms of 32 groups, as usual",
                place=path,
                remedy="if its decode looks wrong, save it as a diffusers folder, whose config.json says it",
            ),
            stacklevel=2,
        )
        module = build_module(class_name, config)
    load_weights(module, weights, path)
    spaces = tuple(dict.fromkeys(entry.space for entry in matching))
    return OpenedFile(DiffusersNetwork(module), spaces, hint if hint in spaces else None)


def open_tiny_pair(encoder: Path, decoder: Path) -> TinyNetwork:
    """A TAESD pair from its two files."""
    halves = _half_of(encoder, load_tiny_encoder), _half_of(decoder, load_tiny_decoder)
    n_latent = {"encoder": halves[0].n_channels, "decoder": halves[1].n_channels}
    if n_latent["encoder"] != n_latent["decoder"]:
        raise VaeError(f"{encoder} and {decoder}", expected="one number of latent channels", got=f"{n_latent}")
    return TinyNetwork(*halves)


def _half_of(path: Path, load: Callable[[Weights], Half]) -> Half:
    try:
        return load(_plainly_named(WeightsFile(path)))
    except BadFileError as error:
        raise error.at(path) from error
    except UNFIT as error:
        raise BadFileError(
            f"TAESD's keys, but shapes of none that is known ({error})", place=path, remedy="is the file whole?"
        ) from error


def _plainly_named(file: WeightsFile) -> Weights:
    """The weights of one half, without a prefix that all of them have."""
    return read_renamed(file, without_wrapper(file.names))


def _open_tiny(file: WeightsFile) -> TinyNetwork | None:
    """TAESD in one file: under ComfyUI's names or diffusers', or half of it, which only encodes or only decodes."""
    halves = tiny_halves(file.names)
    names = without_wrapper(file.names)
    if halves is None and "1.weight" in names and "3.conv.0.weight" in names:
        halves = TinyHalves({}, names)
    if halves is None and "0.weight" in names and is_tiny_encoder(names):
        halves = TinyHalves(names, {})
    if halves is None:
        return None
    try:
        encoder = load_tiny_encoder(read_renamed(file, halves.encoder)) if halves.encoder else None
        decoder = load_tiny_decoder(read_renamed(file, halves.decoder)) if halves.decoder else None
        return TinyNetwork(encoder, decoder)
    except BadFileError as error:
        raise error.at(file.path) from error
    except UNFIT as error:
        raise BadFileError(
            f"TAESD's keys, but shapes of none that is known ({error})", place=file.path, remedy="is the file whole?"
        ) from error


def read_renamed(file: WeightsFile, names: Mapping[str, str]) -> Weights:
    """The tensors of a file under other names: new name -> the file's."""
    tensors = file.read(set(names.values()).__contains__)
    return {new: tensors[name] for new, name in names.items()}


def _check_both_halves(path: Path, weights: Weights) -> None:
    halves = {part: any(key.startswith(f"{part}.") for key in weights) for part in ("encoder", "decoder")}
    if not all(halves.values()):
        missing = next(part for part, present in halves.items() if not present)
        raise VaeError(
            place=path, expected="an encoder and a decoder", got=f"no {missing}", remedy="name a file that has both"
        )


def _space_named(names: list[str], metadata: Mapping[str, str]) -> str | None:
    """What a checkpoint's other keys, or its modelspec, say about its space."""
    spec = metadata.get("modelspec.architecture", "").lower()
    for space, facts in all_facts().items():
        if any(mark in spec for mark in facts.checkpoint_architectures):
            return space
    ranked = sorted(
        (rank, mark, space) for space, facts in all_facts().items() for mark, rank in facts.checkpoint_keys.items()
    )
    return next((space for _, mark, space in ranked if any(mark in name for name in names)), None)
