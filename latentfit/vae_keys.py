"""Key names of autoencoder checkpoints: those of latent diffusion and of Wan, turned into diffusers' own."""

import re
from collections.abc import Callable, Iterable, Mapping

from torch import Tensor

Weights = dict[str, Tensor]

_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.", "bn.", "conv1.", "conv2.")
_SIGNATURES = ("decoder.conv_in.weight", "decoder.conv1.weight", "decoder.layers.0.weight")
_ENCODER_SIGNATURES = ("encoder.conv_in.weight", "encoder.conv1.weight", "encoder.layers.0.weight")

# Names that differ everywhere; the decoder's levels also count backwards (see `_ldm_key`).
_LDM_RULES: tuple[tuple[str, str], ...] = (
    (r"^encoder\.quant_conv\.", "quant_conv."),
    (r"^decoder\.post_quant_conv\.", "post_quant_conv."),
    (r"^encoder\.down\.(\d+)\.block\.", r"encoder.down_blocks.\1.resnets."),
    (r"^encoder\.down\.(\d+)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.", ".mid_block.attentions.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"\.norm_out\.", ".conv_norm_out."),
)
_LDM_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
# diffusers before 0.18.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_ATTENTION = re.compile(r"(\.mid_block\.attentions\.0)\.(\w+)\.(weight|bias)$")

_WAN_RULES: tuple[tuple[str, str], ...] = (
    (r"^conv1\.", "quant_conv."),
    (r"^conv2\.", "post_quant_conv."),
    (r"^(encoder|decoder)\.conv1\.", r"\1.conv_in."),
    (r"\.head\.0\.", ".norm_out."),
    (r"\.head\.2\.", ".conv_out."),
    (r"\.middle\.0\.", ".mid_block.resnets.0."),
    (r"\.middle\.1\.", ".mid_block.attentions.0."),
    (r"\.middle\.2\.", ".mid_block.resnets.1."),
    (r"\.residual\.0\.", ".norm1."),
    (r"\.residual\.2\.", ".conv1."),
    (r"\.residual\.3\.", ".norm2."),
    (r"\.residual\.6\.", ".conv2."),
    (r"\.shortcut\.", ".conv_shortcut."),
)


def prefix_of_vae(keys: Iterable[str]) -> str | None:
    """What stands before the autoencoder's keys: ``""``, ``"vae."``, ``"first_stage_model."``; None: no autoencoder."""
    names = list(keys)
    for signatures in (_SIGNATURES, _ENCODER_SIGNATURES):
        prefixes = [name[: -len(end)] for name in names for end in signatures if name.endswith(end)]
        prefixes = [prefix for prefix in prefixes if not prefix or prefix.endswith(".")]
        if prefixes:
            return min(prefixes, key=len)
    return None


def is_vae_key(key: str) -> bool:
    """Whether a key without prefix is the autoencoder's, and not its discriminator's or a counter's."""
    return key.startswith(_PARTS) and not key.endswith("num_batches_tracked")


def to_diffusers_keys(weights: Mapping[str, Tensor]) -> Weights:
    """The same weights under diffusers' key names, whichever of the known names they came with."""
    if any(key.startswith(("encoder.middle.", "decoder.middle.")) for key in weights):
        return _renamed(weights, _wan_namer(weights))
    if any(key.startswith(("encoder.mid.", "decoder.mid.")) for key in weights):
        return _with_linear_attention(_renamed(weights, _ldm_namer(weights)))
    if any(key.endswith(".mid_block.attentions.0.query.weight") for key in weights):
        return _with_linear_attention(_renamed(weights, lambda key: _attention_key(key, _OLD_ATTENTION)))
    return dict(weights)


def _renamed(weights: Mapping[str, Tensor], name: Callable[[str], str]) -> Weights:
    return {name(key): tensor for key, tensor in weights.items()}


def _ldm_namer(weights: Mapping[str, Tensor]) -> Callable[[str], str]:
    levels = [int(found[1]) for key in weights if (found := re.match(r"decoder\.up\.(\d+)\.", key))]
    last = max(levels, default=0)

    def name(key: str) -> str:
        for pattern, replacement in _LDM_RULES:
            key = re.sub(pattern, replacement, key)
        level = re.match(r"decoder\.up\.(\d+)\.(block|upsample)\.", key)
        if level:
            part = "resnets" if level[2] == "block" else "upsamplers.0"
            key = f"decoder.up_blocks.{last - int(level[1])}.{part}.{key[level.end() :]}"
        return _attention_key(key, _LDM_ATTENTION)

    return name


def _attention_key(key: str, names: Mapping[str, str]) -> str:
    return _ATTENTION.sub(lambda found: f"{found[1]}.{names.get(found[2], found[2])}.{found[3]}", key)


def _with_linear_attention(weights: Weights) -> Weights:
    """1 x 1 convolutions of the attention as the matrices that diffusers has."""
    return {
        key: tensor[:, :, 0, 0] if ".attentions.0.to_" in key and tensor.ndim == 4 else tensor
        for key, tensor in weights.items()
    }


def _wan_namer(weights: Mapping[str, Tensor]) -> Callable[[str], str]:
    """Wan 2.1 numbers all layers of a side in one row, Wan 2.2 nests them by level."""
    upsamplers = [
        int(found[1]) for key in weights if (found := re.match(r"decoder\.upsamples\.(\d+)\.resample\.", key))
    ]
    per_level = min(upsamplers, default=0) + 1

    def name(key: str) -> str:
        nested = re.match(r"(encoder\.down|decoder\.up)samples\.(\d+)\.(?:down|up)samples\.(\d+)\.(.*)", key)
        flat = re.match(r"decoder\.upsamples\.(\d+)\.(.*)", key)
        if nested:
            is_sampler = nested[4].startswith(("resample.", "time_conv."))
            sampler = "downsampler" if nested[1] == "encoder.down" else "upsampler"
            part = sampler if is_sampler else f"resnets.{nested[3]}"
            key = f"{nested[1]}_blocks.{nested[2]}.{part}.{nested[4]}"
        elif flat:
            level, place = divmod(int(flat[1]), per_level)
            part = "upsamplers.0" if place == per_level - 1 else f"resnets.{place}"
            key = f"decoder.up_blocks.{level}.{part}.{flat[2]}"
        else:
            key = key.replace("encoder.downsamples.", "encoder.down_blocks.")
        for pattern, replacement in _WAN_RULES:
            key = re.sub(pattern, replacement, key)
        return key

    return name
