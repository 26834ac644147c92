"""A single weights file, turned into the autoencoder that its keys and shapes name. Nothing is fetched."""

import itertools
import json
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from latentfit.errors import BadFileError, VaeError
from latentfit.latents.space_facts import all_facts
from latentfit.nets.state_dict import UNFIT, whole_numbers_among
from latentfit.nets.tiny import is_tiny_encoder, load_tiny_decoder, load_tiny_encoder
from latentfit.runtime import schemas
from latentfit.runtime.escaping import one_line
from latentfit.runtime.schemas import shown
from latentfit.runtime.storage import data_path
from latentfit.runtime.weights import WeightsFile
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
_COUNTER = "num_batches_tracked"
Half = TypeVar("Half", bound=nn.Module)


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
        class_name, config = _checked_kl_config(path, weights)
        warnings.warn(
            f"{path}: no known config has these shapes, so it is taken for an {class_name} with norms of 32 groups, as "
            "usual; if its decode looks wrong, save it as a diffusers folder, whose config.json says it",
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


def _checked_kl_config(path: Path, weights: Weights) -> tuple[str, dict[str, Any]]:
    """As `_inferred_kl_config`, made without memory first: the shapes of a few small weights could ask for any size."""
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
