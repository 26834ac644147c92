"""Key names of autoencoder checkpoints: those of latent diffusion and of Wan, turned into diffusers' own."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

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

# What other programs put before all keys of a tiny autoencoder: stable-diffusion.cpp, torch's wrappers, checkpoints.
_TINY_WRAPPERS = ("", "tae.", "taesd.", "vae.", "first_stage_model.", "module.", "model.", "_orig_mod.")
_VIDEO_KEY = re.compile(r"(^|\.)(encoder|decoder)\.\d+\.conv\.weight$")


@dataclass(frozen=True)
class TinyHalves:
    """The keys of a file that holds TAESD's halves under other names: TAESD's own key -> the file's.

    Attributes
    ----------
    encoder, decoder : dict of str to str
        Empty where the file lacks that half.
    scale, shift : str or None
        Keys of the numbers by which ComfyUI takes raw latents to the model domain.
    """

    encoder: dict[str, str]
    decoder: dict[str, str]
    scale: str | None = None
    shift: str | None = None


def tiny_halves(keys: Collection[str]) -> TinyHalves | None:
    """TAESD's halves in ComfyUI's combined file, in diffusers' AutoencoderTiny, or in TAESD's own module; else None.

    Also behind the prefixes of stable-diffusion.cpp (``tae.``) and of checkpoints.
    """
    for wrapper in _TINY_WRAPPERS:
        inner = {key[len(wrapper) :]: key for key in keys if key.startswith(wrapper)}
        for encoder, decoder, offset in (
            ("taesd_encoder.", "taesd_decoder.", 0),
            ("encoder.layers.", "decoder.layers.", 1),  # AutoencoderTiny's decoder does not count the soft clamp
            ("encoder.", "decoder.", 0),
        ):
            halves = _stack(inner, encoder, 0), _stack(inner, decoder, offset)
            is_encoder = "0.weight" in halves[0] and "1.conv.0.weight" in halves[0]
            is_decoder = "1.weight" in halves[1] and "3.conv.0.weight" in halves[1]
            if (is_encoder or is_decoder) and not is_tiny_video(inner):
                return TinyHalves(*halves, inner.get("vae_scale"), inner.get("vae_shift"))
    return None


def is_tiny_video(keys: Collection[str]) -> bool:
    """Whether these are TAEHV's: convolutions over time between the blocks."""
    return any(_VIDEO_KEY.search(key) for key in keys)


def without_wrapper(keys: Collection[str]) -> dict[str, str]:
    """Keys without the prefix of another program that all of them have -> the keys; themselves where there is none."""
    for wrapper in _TINY_WRAPPERS[1:]:
        if keys and all(key.startswith(wrapper) for key in keys):
            return {key[len(wrapper) :]: key for key in keys}
    return {key: key for key in keys}


def _stack(inner: Mapping[str, str], prefix: str, offset: int) -> dict[str, str]:
    """The numbered layers behind a prefix, with `offset` added to the number."""
    numbered = {}
    for key, whole in inner.items():
        found = re.match(r"(\d{1,3})(\..+)", key.removeprefix(prefix)) if key.startswith(prefix) else None
        if found:
            numbered[f"{int(found[1]) + offset}{found[2]}"] = whole
    return numbered


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
