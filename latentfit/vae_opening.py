"""Opening what a source names: the network with its weights, and the space that it speaks."""

import hashlib
import json
from pathlib import Path

from torch import Tensor, nn

from latentfit.errors import VaeError
from latentfit.spaces import LatentSpace
from latentfit.vae_files import build_module, load_weights, open_tiny_pair, open_vae_file
from latentfit.vae_keys import to_diffusers_keys
from latentfit.vae_networks import DiffusersNetwork, TinyNetwork
from latentfit.vae_sources import Source, weights_in
from latentfit.vae_spaces import PUBLIC_TINY, Spoken, space_of
from latentfit.vae_weights import WeightsFile


def open_source(source: Source, space: LatentSpace | str | None) -> tuple[TinyNetwork | DiffusersNetwork, Spoken]:
    """The network at a source, and the space that it speaks."""
    asked = PUBLIC_TINY[source.name][1] if space is None and source.name in PUBLIC_TINY else space
    if source.pair is not None:
        network: TinyNetwork | DiffusersNetwork = open_tiny_pair(*source.pair)
        return network, space_of(network, source.name, asked=asked, states_numbers=True)
    if source.folder is not None:
        network = DiffusersNetwork(_folder_module(source.folder))
        return network, space_of(network, source.name, asked=asked, states_numbers=True)
    assert source.file is not None
    opened = open_vae_file(source.file)
    return opened.network, space_of(
        opened.network, source.name, asked=asked, states_numbers=False, candidates=opened.spaces, hint=opened.hint
    )


def _folder_module(folder: Path) -> nn.Module:
    """The module of a diffusers folder."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise VaeError(f"{folder / 'config.json'}: expected the JSON of an autoencoder's config: {error}") from error
    if not isinstance(config, dict) or "_class_name" not in config:
        raise VaeError(f"{folder / 'config.json'}: expected a diffusers config with _class_name, got none")
    module = build_module(config["_class_name"], {key: value for key, value in config.items() if key[0] != "_"})
    paths = weights_in(folder)
    weights: dict[str, Tensor] = {}
    for path in paths:
        weights |= WeightsFile(path).read()
    load_weights(module, to_diffusers_keys(weights), paths[0])
    return module


def fingerprint_of(network: nn.Module) -> str:
    """SHA-256, hex, over the sorted (name, shape, little-endian float32 values) of a network's weights."""
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        if tensor.is_floating_point():
            digest.update(f"{key}\0{tuple(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().astype("<f4", copy=False).data)
    return digest.hexdigest()
