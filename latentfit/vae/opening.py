"""Opening what a source names: the network with its weights, and the space that it speaks."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.errors import BadFileError, SpaceMismatchError, VaeError, reason_of
from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.runtime.schemas import read_json
from latentfit.runtime.weights import WeightsFile
from latentfit.vae.configs import autoencoder_class, build_module, check_config, check_weights, load_weights
from latentfit.vae.keys import to_diffusers_keys
from latentfit.vae.networks import DiffusersNetwork, TinyNetwork
from latentfit.vae.single_file import open_tiny_pair, open_vae_file
from latentfit.vae.sources import Source, weights_in
from latentfit.vae.spaces import NAMED, Spoken, space_of


def open_source(source: Source, space: LatentSpace | str | None) -> tuple[TinyNetwork | DiffusersNetwork, Spoken]:
    """The network at a source, and the space that it speaks.

    Raises
    ------
    SpaceMismatchError
        When a published autoencoder is asked for by name, and another space than its own.
    """
    if isinstance(space, str) and space != "measured" and source.name in NAMED:
        own = NAMED[source.name][1]
        if get_space(space).name != own:
            raise SpaceMismatchError(
                f"space {space!r} for {source.name!r}",
                expected=f"{own!r}, which it was made for",
                remedy="leave the space out, or name the autoencoder of the space that you mean",
            )
    asked = NAMED[source.name][1] if space is None and source.name in NAMED else space
    if source.pair is not None:
        network: TinyNetwork | DiffusersNetwork = open_tiny_pair(*source.pair)
        return network, space_of(network, source.name, asked=asked, states_numbers=True)
    if source.folder is not None:
        config = _config_in(source.folder)
        if asked not in (None, "measured") and _is_plain_tiny(config):  # ours is tiled exactly, diffusers' is not
            network = open_vae_file(weights_in(source.folder)[0]).network
        else:
            network = DiffusersNetwork(_folder_module(source.folder, config))
        return network, space_of(network, source.name, asked=asked, states_numbers=True)
    assert source.file is not None
    opened = open_vae_file(source.file)
    return opened.network, space_of(
        opened.network, source.name, asked=asked, states_numbers=False, candidates=opened.spaces, hint=opened.hint
    )


_PLAIN_TINY = {"act_fn": "relu", "upsample_fn": "nearest", "upsampling_scaling_factor": 2, "scaling_factor": 1.0}


def _is_plain_tiny(config: dict[str, Any]) -> bool:
    """An AutoencoderTiny as TAESD is, whatever its width and number of blocks."""
    plain = all(config.get(name, value) == value for name, value in _PLAIN_TINY.items())
    return config["_class_name"] == "AutoencoderTiny" and plain and not config.get("shift_factor")


def _config_in(folder: Path) -> dict[str, Any]:
    """A diffusers folder's config."""
    try:
        config = read_json(folder / "config.json")
    except (OSError, BadFileError) as error:
        raise VaeError(
            f"not read ({reason_of(error)})",
            place=folder / "config.json",
            expected="the JSON of an autoencoder's config",
        ) from error
    if not isinstance(config, dict) or "_class_name" not in config:
        raise VaeError(place=folder / "config.json", expected="a diffusers config with _class_name", got="none")
    return config


def _folder_module(folder: Path, config: dict[str, Any]) -> nn.Module:
    """The module of a diffusers folder."""
    autoencoder_class(config["_class_name"])
    paths = weights_in(folder)
    weights: dict[str, Tensor] = {}
    for path in paths:
        weights |= WeightsFile(path).read()
    renamed = to_diffusers_keys(weights)
    stated = {key: value for key, value in config.items() if not key.startswith("_")}
    check_config(stated, len(renamed), folder / "config.json")
    with torch.device("meta"):  # without memory first: a config can ask for any size
        check_weights(build_module(config["_class_name"], stated), renamed, paths[0])
    module = build_module(config["_class_name"], stated)
    load_weights(module, renamed, paths[0])
    return module
