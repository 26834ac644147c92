"""Configs of autoencoders, bundled, stated in a folder or told by shapes, and the modules that they make."""

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.errors import BadFileError, VaeError
from latentfit.nets.state_dict import UNFIT, whole_numbers_among
from latentfit.runtime import schemas
from latentfit.runtime.escaping import one_line
from latentfit.runtime.schemas import shown
from latentfit.runtime.storage import data_path
from latentfit.vae.keys import (
    Weights,
)

_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class BundledConfig:
    """A published autoencoder's config: a fact that lets a bare weights file be opened without asking anybody."""

    name: str
    space: str
    class_name: str
    config: dict[str, Any]

    def module(self) -> nn.Module:
        """The module, with weights yet to be loaded."""
        return build_module(self.class_name, self.config)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Key and shape of every weight."""
        return dict(_shapes_of_bundled(self.name))


@cache
def bundled_configs() -> tuple[BundledConfig, ...]:
    """All bundled configs, the commonest first."""
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(data_path("configs").glob("*.json"))}
    ordered = sorted(read.items(), key=lambda item: not item[1].get("is_commonest", False))
    return tuple(BundledConfig(stem, raw["space"], raw["class_name"], raw["config"]) for stem, raw in ordered)


def autoencoder_class(class_name: object) -> Any:
    """The class of that name in the installed diffusers.

    Raises
    ------
    VaeError
        When it has none.
    """
    import diffusers

    if not isinstance(class_name, str) or not hasattr(diffusers, class_name):
        known = ", ".join(name for name in dir(diffusers) if name.startswith("Autoencoder"))
        raise VaeError(
            f"autoencoder class {class_name!r}",
            expected=f"one of diffusers {diffusers.__version__}: {known}",
            remedy=("a newer diffusers may have it, and Vae.load also takes any module with encode and decode"),
        )
    return getattr(diffusers, class_name)


def build_module(class_name: str, config: Mapping[str, Any]) -> nn.Module:
    """A diffusers autoencoder of that class and config.

    Raises
    ------
    VaeError
        When the installed diffusers has no such class.
    """
    import diffusers

    kind = autoencoder_class(class_name)
    try:
        module: nn.Module = kind.from_config(dict(config))
    except (
        TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError, AssertionError
    ) as error:  # fmt: skip
        raise VaeError(
            f"config of {class_name}", expected=f"what diffusers {diffusers.__version__} takes: {one_line(error)}"
        ) from error
    if not isinstance(module, nn.Module):
        raise VaeError(f"config of {class_name}", expected=f"an autoencoder's, not that of a {type(module).__name__}")
    return module.eval().requires_grad_(False)


_NUMBERS = schemas.optional(lambda value, where: [schemas.number()(one, where) for one in _flat(value)])


_STATED: dict[str, schemas.Check] = {
    "scaling_factor": schemas.optional(schemas.number(nonzero=True)),
    "upsampling_scaling_factor": schemas.optional(schemas.number(1, 64)),
    "upsample_fn": schemas.one_of("nearest", "nearest-exact", "bilinear", "bicubic", "area", None),
    "shift_factor": schemas.optional(schemas.number()),
    **dict.fromkeys(("latents_mean", "latents_std"), _NUMBERS),
    "scale_factor_temporal": schemas.optional(schemas.integer(1, 256)),
    "temporal_compression_ratio": schemas.optional(schemas.integer(1, 256)),
}


def _flat(value: Any) -> list[Any]:
    """The values of a list of any depth."""
    return [leaf for one in value for leaf in _flat(one)] if isinstance(value, list | tuple) else [value]


def check_config(config: Mapping[str, Any], n_tensors: int, path: Path) -> None:
    """Refuse a config that asks for more layers than there are tensors, or for a size that no autoencoder has.

    Raises
    ------
    BadFileError
        Naming the field.
    """
    for key, value in config.items():
        if key in _STATED:
            _STATED[key](value, f"{path}: {key}")
        numbers = value if isinstance(value, list) else [value]
        is_count = re.search("layers|blocks|depth|num_", key) is not None
        most = max(n_tensors, 256) if is_count else 1 << 20
        for one in numbers:
            if len(numbers) > 4096 or (type(one) is int and abs(one) > most):
                raise BadFileError(f"{one_line(key)}", place=path, expected=f"at most {most}", got=f"{shown(value)}")


def check_weights(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Raise `BadFileError` unless these are the tensors of the module, none missing and none left over."""
    _given(module, weights, path)


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load all weights, none missing and none left over."""
    given = _given(module, weights, path)
    whole = whole_numbers_among(given, {key: own for key, own in module.state_dict().items() if key in given})
    if whole is not None:
        raise BadFileError(
            f"{path}: tensor {whole!r}",
            expected="floating numbers",
            got=f"{given[whole].dtype}",
            remedy="take the file in float32, float16 or bfloat16",
        )
    module.load_state_dict({key: tensor.to(torch.float32) for key, tensor in given.items()}, strict=False)


def _given(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Those of the weights that the module keeps, when they are just its own."""
    wanted = {key: tuple(tensor.shape) for key, tensor in _learned(module).items()}
    ignored = [re.compile(pattern) for pattern in getattr(module, "_keys_to_ignore_on_load_unexpected", None) or ()]
    given = {
        key: tensor
        for key, tensor in weights.items()
        if not key.endswith("num_batches_tracked") and not any(pattern.search(key) for pattern in ignored)
    }
    _check_shapes(type(module).__name__, wanted, given, path)
    return given


def _check_shapes(
    class_name: str, wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor], path: Path
) -> None:
    differences = shape_differences(wanted, {key: one for key, one in given.items() if not key.endswith(_COUNTER)})
    if differences:
        raise BadFileError(
            place=path,
            expected=f"the {len(wanted)} tensors of {class_name}",
            got=(
                f"{len(given)}; they differ at {', '.join(differences[:4])}{(', ...' if len(differences) > 4 else '')}"
            ),
            remedy="fetch the file again, or check that config.json belongs to it",
        )


def checked_kl_config(path: Path, weights: Weights) -> tuple[str, dict[str, Any]]:
    """Tell class and config by shapes, made without memory first: a few small weights could ask for any size."""
    try:
        class_name, config = _inferred_kl_config(path, weights)
        with torch.device("meta"):
            shapes = {key: tuple(tensor.shape) for key, tensor in _learned(build_module(class_name, config)).items()}
    except (BadFileError, VaeError):
        raise
    except UNFIT as error:
        raise VaeError(
            f"an autoencoder's keys, but shapes of none that is known ({error})",
            place=path,
            remedy="is the file whole?",
        ) from error
    _check_shapes(class_name, shapes, weights, path)
    return class_name, config


def _inferred_kl_config(path: Path, weights: Weights) -> tuple[str, dict[str, Any]]:
    """Class and config of an AutoencoderKL of any widths, from its shapes alone."""
    widths = _widths(weights, "encoder.down_blocks.")
    decoder_widths = _widths(weights, "decoder.up_blocks.")[::-1]
    conv_in, conv_out = weights.get("decoder.conv_in.weight"), weights.get("decoder.conv_out.weight")
    if not widths or conv_in is None or conv_out is None or conv_in.ndim != 4:
        known = ", ".join(entry.name for entry in bundled_configs())
        raise VaeError(
            place=path,
            expected=(f"the keys and shapes of an AutoencoderKL of any size, or of one of {known}"),
            remedy=("save this autoencoder as a diffusers folder, whose config.json says what it is"),
        )
    if any(width % 32 for width in (*widths, *decoder_widths)):
        raise VaeError(
            place=path,
            expected="widths that are multiples of 32",
            got=f"{widths}: how its norms are grouped cannot be told from weights",
            remedy="save it as a diffusers folder, whose config.json says it",
        )
    config: dict[str, Any] = {
        "in_channels": int(weights["encoder.conv_in.weight"].shape[1]),
        "out_channels": int(conv_out.shape[0]),
        "down_block_types": ["DownEncoderBlock2D"] * len(widths),
        "up_block_types": ["UpDecoderBlock2D"] * len(widths),
        "block_out_channels": widths,
        "layers_per_block": _n_numbered(weights, "encoder.down_blocks.0.resnets."),
        "latent_channels": int(conv_in.shape[1]),
        "norm_num_groups": 32,
        "use_quant_conv": "quant_conv.weight" in weights,
        "use_post_quant_conv": "post_quant_conv.weight" in weights,
        "mid_block_add_attention": "decoder.mid_block.attentions.0.to_q.weight" in weights,
    }
    if "bn.running_mean" not in weights:
        return "AutoencoderKL", config
    side = math.isqrt(weights["bn.running_mean"].numel() // config["latent_channels"])
    return "AutoencoderKLFlux2", {**config, "patch_size": [side, side], "decoder_block_out_channels": decoder_widths}


def _widths(weights: Weights, levels: str) -> list[int]:
    rows = (weights.get(f"{levels}{level}.resnets.0.conv2.weight") for level in range(_n_numbered(weights, levels)))
    return [int(row.shape[0]) for row in rows if row is not None]


def _n_numbered(weights: Weights, prefix: str) -> int:
    """How many numbers stand behind the prefix, from 0 on without a gap."""
    numbers = {key[len(prefix) :].split(".", 1)[0] for key in weights if key.startswith(prefix)}
    return next(n for n in itertools.count() if str(n) not in numbers)


def shape_differences(shapes: Mapping[str, tuple[int, ...]], weights: Mapping[str, Tensor]) -> list[str]:
    """Keys that are missing, left over, or of another shape."""
    given = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    return sorted(key for key in shapes.keys() | given.keys() if shapes.get(key) != given.get(key))


def _learned(module: nn.Module) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in module.state_dict().items() if not key.endswith("num_batches_tracked")}


def _items(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    entry = next(entry for entry in bundled_configs() if entry.name == name)
    with torch.device("meta"):
        module = entry.module()
    yield from ((key, tuple(tensor.shape)) for key, tensor in _learned(module).items())


@cache
def _shapes_of_bundled(name: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple(_items(name))
