"""The header of a saved map, checked once, before anything is built from it or allocated for it."""

import types
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import torch
from torch import nn

from latentfit.errors import BadFileError, part_of
from latentfit.fit.basis import form_in_words
from latentfit.formats.registry import ARCHITECTURES, KINDS
from latentfit.latents.spaces import LatentSpace
from latentfit.nets.architecture import Architecture
from latentfit.palettes.dithering import DITHERS
from latentfit.palettes.palette import Palette
from latentfit.runtime import schemas

SCHEMA = "latentfit/1"
MOST_CELLS_SIDE = 64  # of windows of attention, and of filters
_LARGEST = 1 << 16
_COUNTS = ("n_blocks", "n_convs", "n_fine", "n_hidden", "n_before", "n_after", "n_groups", "n_dilated", "depths")
_RANGES = {
    "n_channels": (1, 4096),
    "n_outputs": (1, 4096),
    "n_classes": (2, 256),
    "cell_px": (1, 64),
    "side": (1, MOST_CELLS_SIDE),
    "sharp_side": (0, MOST_CELLS_SIDE),
    "window": (1, MOST_CELLS_SIDE),
    "n_heads": (1, 1024),
}
_CROSSING = ("shift_in", "scale_in", "shift_out", "scale_out")

_CARD = schemas.record(
    {
        **dict.fromkeys(
            ("reference", "scored_on", "form", "vae", "target_vae", "target_reference"), schemas.text(4000)
        ),
        **dict.fromkeys(("title", "learned_from", "trained", "split", "file"), schemas.text(4000)),
        **dict.fromkeys(("fingerprint", "target_fingerprint"), schemas.text(200)),
        **dict.fromkeys(("n_images", "n_cells", "n_samples", "seen_images"), schemas.integer(0, 10**15)),
        **dict.fromkeys(
            ("ridge", "condition", "residual", "plain_residual"), schemas.optional(schemas.number(0, 1e300))
        ),
        "kernels": schemas.listed(schemas.integer(1, 31, odd=True), 8, 1),
        "scale": schemas.scale,
        **dict.fromkeys(("intercept", "censored"), schemas.flag),
        "train_hashes": schemas.listed(schemas.digest, 10**7),
        "scores": lambda value, where: _scores(value, where),
        **dict.fromkeys(("config", "weights", "losses"), schemas.record({}, others=schemas.plain)),
        "targets": schemas.record(
            {"method": schemas.text(80), "dither": schemas.text(80), "strength": schemas.number()}, others=schemas.plain
        ),
        "smoothing": schemas.optional(schemas.listed(schemas.listed(schemas.number(), 3, 3), 3, 3)),
    },
    others=schemas.plain,
)


def checked_header(header: Any, where: str, tensors: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """A header as it may be used to build its network: `checked_fields`, and a network of just the file's tensors.

    Parameters
    ----------
    header : JSON-able
        The header as it was read.
    where : str
        The file, for errors.
    tensors : mapping of str to tuple of int
        The shapes of the file's tensors by name: nothing larger is ever built.

    Raises
    ------
    BadFileError
        When a field is wrong, or the header's network is not that of the tensors.
    """
    made = checked_fields(header, where, len(tensors))
    _check_tensors(made["kind"], made["config"], where, tensors)
    return made


def checked_fields(header: Any, where: str, n_tensors: int) -> dict[str, Any]:
    """A header every field of which is of its type, in its range, and agrees with the others.

    Raises
    ------
    BadFileError
        When one is not.
    """
    made: dict[str, Any] = _fields(header)(header, where)
    made["config"] = _config(made["kind"], made["config"], part_of(where, ".config"), n_tensors)
    made["name"], made["card"] = name_in_words(made["name"], {**made["card"], **_as_lists(made["card"])})
    _check_contract(made, where)
    return made


def name_in_words(name: str, card: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A map's name and card, the name of its form in words: older files have "(5, 3)" there.

    A name that its owner gave is left as it is.
    """
    form = card.get("form")
    if form is None:
        return name, dict(card)
    return form_in_words(name) if name == form else name, {**card, "form": form_in_words(form)}


def checked_card(card: Any, where: str) -> dict[str, Any]:
    """A map's card as it may be used.

    Raises
    ------
    BadFileError
        When a field that this package uses is of another type.
    """
    made: dict[str, Any] = _CARD(card, where)
    return {**made, **_as_lists(made)}


def _fields(header: Any) -> schemas.Check:
    required = ("schema", "kind", "config", "name", "scale", "card", "space")
    schema = header.get("schema") if isinstance(header, dict) else None
    if schema != SCHEMA:
        return lambda value, where: _raise_schema(value, where, required)
    numbers = schemas.listed(schemas.number(), 4096, 1)
    scales = schemas.listed(schemas.number(nonzero=True), 4096, 1)
    crossing = {name: scales if name.startswith("scale") else numbers for name in _CROSSING}
    return schemas.record(
        {
            "schema": schemas.one_of(SCHEMA),
            "kind": schemas.one_of(*KINDS),
            "config": schemas.record({}, others=lambda value, where: value),
            "name": schemas.text(),
            "scale": schemas.scale,
            "card": checked_card,
            "space": lambda value, where: LatentSpace.from_dict(value, where),
            "target": lambda value, where: LatentSpace.from_dict(value, where),
            "domain": schemas.record(crossing),
            "any_factor": schemas.flag,
        },
        required,
    )


def _raise_schema(header: Any, where: str, required: Sequence[str]) -> Any:
    found = header if isinstance(header, dict) else {}
    missing = [key for key in required if key not in found]
    raise BadFileError(
        place=where,
        expected=f"schema {SCHEMA!r} with all its fields",
        got=f"{schemas.shown(found.get('schema'))}{(', missing ' + ', '.join(missing) if missing else '')}",
        remedy="fit it anew or update latentfit",
    )


def _scores(value: Any, where: str) -> Any:
    """Rows of a table, as `fit` writes them, or any mapping of what training wrote."""
    if isinstance(value, dict):
        return schemas.plain(value, where)
    row = {name: schemas.text(200) for name in ("kind", "place", "reference", "image", "approximation")}
    numbers = {name: schemas.number() for name in ("psnr", "delta_e")}
    return list(schemas.listed(schemas.record({**row, **numbers}, others=schemas.plain), 10_000)(value, where))


def _as_lists(card: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as JSON has them, so that a card is written again as it was read."""
    return {key: _listed(value) for key, value in card.items() if isinstance(value, tuple)}


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, tuple) else value


def _config(kind: str, config: Mapping[str, Any], where: str, n_tensors: int) -> dict[str, Any]:
    """The arguments of a kind's network, as its row checks them; of one beside a palette those of the network in it."""
    if ARCHITECTURES[kind].gives != "classes":
        return _checked(ARCHITECTURES[kind], config, where, n_tensors)
    kinds = schemas.one_of(*(row.kind for row in ARCHITECTURES.values() if row.gives == "logits"))
    network = schemas.record({"kind": kinds, "config": lambda value, _: value}, ("kind", "config"))
    fields = {
        "network": network, "palette": _palette, "dither": schemas.one_of(*DITHERS), "n_channels": schemas.plain
    }  # fmt: skip
    made: dict[str, Any] = schemas.record(fields, ("network", "palette", "dither"))(config, where)
    inner, own = made["network"], part_of(where, ".network.config")
    inner["config"] = _checked(ARCHITECTURES[inner["kind"]], inner["config"], own, n_tensors)
    return made


def _checked(row: Architecture, config: Any, where: str, n_tensors: int) -> dict[str, Any]:
    """The config of a row's network, by its own check or by the types of its constructor."""
    if row.check is not None:
        return row.check(config, where)
    return _arguments(row.network, config, where, n_tensors, left_out=("colours",) if row.gives == "logits" else ())


def _palette(value: Any, where: str) -> dict[str, Any]:
    """A palette as a header has it."""
    fields = {
        "name": schemas.text(200), "source": schemas.text(1000), "colours": schemas.listed(schemas.text(7), 256, 2)
    }  # fmt: skip
    facts: dict[str, Any] = schemas.record(fields, ("colours",))(value, where)
    return Palette.from_dict(facts).to_dict()


def _arguments(
    made_by: type[nn.Module],
    config: Any,
    where: str,
    n_tensors: int,
    left_out: Sequence[str] = (),
) -> dict[str, Any]:
    hints = get_type_hints(vars(made_by)["__init__"])
    named = {name: one for name, one in signature(made_by).parameters.items() if name not in left_out}
    fields = {name: _check_of(hints[name], name, n_tensors) for name in named}
    required = tuple(name for name, one in named.items() if one.default is one.empty)
    made: dict[str, Any] = schemas.record(fields, required)(config, where)
    return made


def _check_of(hint: Any, name: str, n_tensors: int) -> schemas.Check:
    """The check of a constructor's argument, by its type and its name."""
    origin = get_origin(hint)
    if hint is bool:
        return schemas.flag
    if hint is int:  # each block has a tensor at least: more than the file holds cannot be meant
        return schemas.integer(*((0, n_tensors) if name in _COUNTS else _RANGES.get(name, (0, _LARGEST))))
    if hint is float:
        if name == "scale":
            return schemas.number(1 / 64, 64)
        return schemas.number(-1e6, 1e6)
    if origin is Literal:
        return schemas.one_of(*get_args(hint))
    if origin in (Union, types.UnionType):
        return schemas.optional(
            _check_of(next(one for one in get_args(hint) if one is not type(None)), name, n_tensors)
        )
    if origin is not None and issubclass(origin, Sequence):
        inner = schemas.number(nonzero=True) if name == "scale" else _check_of(get_args(hint)[0], name, n_tensors)
        return schemas.listed(inner, 4096, 1)
    raise TypeError(f"{name}: a constructor's argument of type {hint} has no check")


def _check_tensors(kind: str, config: Mapping[str, Any], where: str, tensors: Mapping[str, tuple[int, ...]]) -> None:
    """Build the network without memory, and compare its tensors with the file's."""
    try:
        expected = _shapes(kind, config)
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError, NotImplementedError) as error:
        raise BadFileError(
            f"its config makes no network of kind {kind!r} ({error})", place=where, remedy="fit it anew"
        ) from error
    if expected != dict(tensors):
        key = min(key for key in expected.keys() | tensors.keys() if expected.get(key) != tensors.get(key))
        words = [str(side.get(key, "none")) for side in (expected, tensors)]
        raise BadFileError(
            f"its header and tensors do not fit together (tensor {schemas.shown(key)}",
            place=where,
            expected=f"{words[0]}",
            got=f"{words[1]})",
            remedy="fit or export it anew",
        )


def _shapes(kind: str, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors of a network that is never allocated."""
    prefix = ""
    with torch.device("meta"):
        if ARCHITECTURES[kind].gives == "classes":  # the network of logits alone: the palette has no tensors
            inner, prefix = config["network"], "network."
            colours = torch.zeros(len(config["palette"]["colours"]), 3, dtype=torch.uint8)
            network = ARCHITECTURES[inner["kind"]].built({**inner["config"], "colours": colours})
        else:
            network = KINDS[kind](dict(config))
    return {f"{prefix}{name}": tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _check_contract(header: Mapping[str, Any], where: str) -> None:
    """What the network takes and gives is what the header's spaces say."""
    kind, config, row = header["kind"], header["config"], ARCHITECTURES[header["kind"]]
    gives, made_by = row.gives_with(config), row.network
    inner = config["network"]["config"] if gives == "classes" else config
    defaults = {name: one.default for name, one in signature(made_by).parameters.items()}
    n_channels = inner.get("n_channels", defaults.get("n_channels"))
    space, target = header["space"], header.get("target")
    if isinstance(n_channels, int) and n_channels != space.channels:
        raise BadFileError(
            f"its network takes {n_channels} channels, its space {space.name!r} has {space.channels}",
            place=where,
            remedy="fit it anew",
        )
    if bool(header.get("any_factor")) != hasattr(made_by, "factors"):
        raise BadFileError(f"a network of kind {kind!r} is"
f"{('' if hasattr(made_by, 'factors') else ' not')} of any factor, its header says "
"otherwise", place=where, remedy="fit it anew")  # fmt: skip
    gives_rgb = gives in ("colours", "classes")
    if gives_rgb != (target is None) or gives == "encoding":
        raise BadFileError(f"its network gives {('pictures' if gives_rgb else 'latents')}, its header "
"says otherwise", place=where, remedy="fit it anew")  # fmt: skip
    n_outputs = config.get("n_outputs")
    wanted = 3 if target is None else target.channels
    if n_outputs is not None and n_outputs != wanted:
        raise BadFileError(
            f"its network gives {n_outputs} channels, expected {wanted}", place=where, remedy="fit it anew"
        )
    sizes = {1, space.channels}, {1, (target or space).channels}
    for name, values in header.get("domain", {}).items():
        if len(values) not in sizes[name.endswith("_out")]:
            raise BadFileError(
                f"{len(values)} numbers for {space.channels} channels",
                place=part_of(where, f".domain.{name}"),
                remedy="fit it anew",
            )
