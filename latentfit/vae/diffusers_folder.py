"""Autoencoders as diffusers' folders: a TAESD pair as AutoencoderTiny's, and a module of diffusers' own."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from latentfit.errors import VaeError
from latentfit.nets.tiny import TinyDecoder, TinyEncoder
from latentfit.runtime.storage import write_atomic

WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"


def save_tiny_folder(
    encoder: TinyEncoder,
    decoder: TinyDecoder,
    folder: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.float16,
    card: str = "",
) -> Path:
    """Write config.json, the weights and, when given, a model card; `AutoencoderTiny.from_pretrained` reads them.

    Read back by ``Vae.load(folder, space=…)``, whose ``network.encoder`` and ``network.decoder`` are the same networks
    again, with TAESD's keys.

    Parameters
    ----------
    encoder, decoder : TinyEncoder, TinyDecoder
        Two halves of one width and one number of channels: diffusers' class knows no other.
    folder : path
    dtype : torch.dtype
        Type of the stored weights.
    card : str
        README.md.

    Raises
    ------
    VaeError
        When the two do not belong together, or have flux2's pooling, which the class lacks.
    """
    pair = (encoder.n_channels, encoder.width, encoder.pool), (decoder.n_channels, decoder.width, decoder.pool)
    if pair[0] != pair[1] or encoder.pool:
        raise VaeError(
            "AutoencoderTiny",
            expected="an encoder and a decoder of equal channels and width, without pooling",
            got=f"{pair[0]} and {pair[1]} (channels, width, pooling)",
        )
    widths = [encoder.width] * 4
    config = {
        "_class_name": "AutoencoderTiny", "in_channels": 3, "out_channels": 3, "latent_channels": encoder.n_channels,
        "encoder_block_out_channels": widths, "decoder_block_out_channels": widths, "block_out_channels": widths,
        "num_encoder_blocks": list(encoder.n_blocks), "num_decoder_blocks": list(decoder.n_blocks), "act_fn": "relu",
        "upsample_fn": "nearest", "upsampling_scaling_factor": 2, "latent_magnitude": 3, "latent_shift": 0.5,
        "force_upcast": False, "scaling_factor": 1.0, "shift_factor": 0.0,
    }  # fmt: skip
    return _written(Path(folder), folder_weights(encoder, decoder), config, dtype, card, {})


def save_autoencoder_folder(
    module: nn.Module,
    folder: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.float32,
    card: str = "",
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write an autoencoder of one of diffusers' classes as its `save_pretrained` does, each file whole.

    Parameters
    ----------
    module : ModelMixin
        Autoencoder of diffusers, such as AutoencoderKL.
    folder : path
    dtype : torch.dtype
        Type of the stored weights.
    card : str
        README.md.
    about : mapping, optional
        JSON-able; kept in the weights file's header, under "latentfit_vae".

    Raises
    ------
    VaeError
        When the module has no config of diffusers'.
    """
    config: Any = getattr(module, "config", None)
    if not isinstance(config, Mapping):
        raise VaeError("autoencoder", expected="a module with a config of diffusers'", got=type(module).__name__)
    stated = {
        "_class_name": type(module).__name__, **{key: value for key, value in config.items() if key[:1] != "_"}
    }  # fmt: skip
    noted = {"latentfit_vae": json.dumps(dict(about))} if about is not None else {}
    return _written(Path(folder), module.state_dict(), stated, dtype, card, noted)


def _written(
    root: Path,
    weights: Mapping[str, Tensor],
    config: Mapping[str, Any],
    dtype: torch.dtype,
    card: str,
    noted: Mapping[str, str],
) -> Path:
    """The folder's files; the config last, so that a folder with one is whole."""
    stored = {name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in weights.items()}
    write_atomic(root / WEIGHTS_NAME, to_bytes(stored, {"format": "pt", **noted}))
    if card:
        write_atomic(root / "README.md", card)
    write_atomic(root / "config.json", json.dumps(config, indent=1) + "\n")
    return root


def folder_weights(encoder: TinyEncoder, decoder: TinyDecoder) -> dict[str, Tensor]:
    """TAESD's keys -> diffusers': its decoder's list lacks the soft clamp at 0."""
    renamed = {f"encoder.layers.{key}": tensor for key, tensor in encoder.state_dict().items()}
    for key, tensor in decoder.state_dict().items():
        place, rest = key.split(".", 1)
        renamed[f"decoder.layers.{int(place) - 1}.{rest}"] = tensor
    return renamed
