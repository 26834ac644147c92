"""A TAESD pair as a diffusers AutoencoderTiny folder: the same numbers under diffusers' names."""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

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
    root = Path(folder)
    weights = {
        name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in folder_weights(encoder, decoder).items()
    }
    write_atomic(root / WEIGHTS_NAME, to_bytes(weights, {"format": "pt"}))
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
