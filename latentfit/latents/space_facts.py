"""The registry file of latent spaces: what is known of a space beside its numbers, read and checked once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from latentfit.errors import BadFileError
from latentfit.runtime import schemas
from latentfit.runtime.storage import data_path

Schedule = Literal["sd", "flow"]
"""How a sampler mixes noise in. "sd": Stable Diffusion's 1000 "scaled linear" steps. "flow": ``(1 - s) x0 + s n``."""

Project = Literal["city96", "resizer", "sudo"]
"""Projects whose file names hold a code for a space: city96, Ttl's ``*_resizer``, styler00dollar's sudo upscalers."""

REGISTRY = "spaces/spaces.json"

_MOST_CHANNELS = 4096
_TEXTS = schemas.listed(schemas.text(200), 1000)
_TITLES = schemas.record({}, others=schemas.text(200))


_DENOISER = schemas.record(
    {"class_name": schemas.text(200), "config": schemas.record({}, others=schemas.listed(schemas.plain, 100, 1))},
    ("class_name", "config"),
)


NUMBERS: dict[str, schemas.Check] = {
    "name": schemas.name,
    "channels": schemas.integer(1, _MOST_CHANNELS),
    "cell_px": schemas.integer(1, 256),
    "shift": schemas.listed(schemas.number(), _MOST_CHANNELS, 1),
    "scale": schemas.listed(schemas.number(nonzero=True), _MOST_CHANNELS, 1),
    "normalised_by_vae": schemas.flag,
    "packing": schemas.one_of("flux2", None),
    "dims": schemas.one_of(2, 3),
    "temporal": schemas.integer(1, 256),
    "measured": schemas.flag,
    **dict.fromkeys(("aliases", "hub_ids"), _TEXTS),
    **dict.fromkeys(("tiny_decoder", "comfy_class", "comfy_tiny_name"), schemas.optional(schemas.text(200))),
    **dict.fromkeys(("source", "notes"), schemas.text(4000)),
}
"""The fields of a `LatentSpace`, which travel in the headers of saved maps and stores."""

_FACTS: dict[str, schemas.Check] = {
    "title": schemas.optional(schemas.text(80)),
    "kl_name": schemas.optional(schemas.text(80)),
    "schedule": schemas.one_of("sd", "flow", None),
    "tiny_vaes": _TITLES,
    "bundled_vaes": _TITLES,
    "checkpoint_keys": schemas.record({}, others=schemas.integer(1, 1000)),
    "checkpoint_architectures": _TEXTS,
    "denoisers": schemas.listed(lambda value, where: Denoiser(**_DENOISER(value, where)), 1000),
    "video_axes": schemas.record(dict.fromkeys(("frames first", "channels last"), _TEXTS)),
    "file_codes": schemas.record(dict.fromkeys(get_args(Project), schemas.text(40))),
    "invokeai": schemas.listed(schemas.one_of("bias", "smoothing"), 2),
}
_IN_EVERY_ENTRY = tuple(name for name in NUMBERS if name != "measured") + tuple(_FACTS)
_ENTRY = schemas.record(NUMBERS | _FACTS, _IN_EVERY_ENTRY)
_FILE = schemas.record({"about": schemas.text(4000), "spaces": schemas.listed(schemas.plain, 10_000)}, ("spaces",))


@dataclass(frozen=True)
class Denoiser:
    """A class of diffusers whose latents are of a space.

    Attributes
    ----------
    class_name : str
    config : mapping of str to tuple
        Keys of its config and the values that each may have, where the class alone does not tell.
    """

    class_name: str
    config: Mapping[str, tuple[str | int | None, ...]] = field(default_factory=dict)

    def fits(self, module: object) -> bool:
        """Whether a denoiser is of this class, by name, and its config says what is asked of it."""
        if type(module).__name__ != self.class_name:
            return False
        config: Any = getattr(module, "config", None)
        return not self.config or (
            hasattr(config, "get") and all(config.get(key) in allowed for key, allowed in self.config.items())
        )


@dataclass(frozen=True)
class SpaceFacts:
    """What the registry says of a space beside its numbers; nothing of it is saved with maps.

    Attributes
    ----------
    title : str or None
        Name for people, such as ``"FLUX.1"``.
    kl_name : str or None
        What its true VAE is called, such as ``"FLUX.1's KL-VAE"``.
    schedule : {"sd", "flow"} or None
        How the samplers of the model that the space was made for mix noise in. None: neither, or unknown.
    tiny_vaes, bundled_vaes : mapping of str to str
        Public names of tiny autoencoders, and those that ``data/vaes`` holds, with their names for people.
    checkpoint_keys : mapping of str to int
        Keys of a single-file checkpoint, beside its autoencoder, that tell the space; of several marks the one of the
        lowest rank decides.
    checkpoint_architectures : tuple of str
        Parts of ``modelspec.architecture`` in such a file's metadata that tell the space.
    denoisers : tuple of Denoiser
        Denoisers of diffusers that make its latents.
    video_axes : mapping of str to tuple of str
        Pipelines and denoisers of diffusers whose video does not lie channels first, by how it lies.
    file_codes : mapping of str to str
        What the file names of other projects call it: ``{"city96": "xl"}``.
    invokeai : tuple of {"bias", "smoothing"}
        What InvokeAI does to its previews of this space, which it does not do to those of others.
    """

    title: str | None = None
    kl_name: str | None = None
    schedule: Schedule | None = None
    tiny_vaes: Mapping[str, str] = field(default_factory=dict)
    bundled_vaes: Mapping[str, str] = field(default_factory=dict)
    checkpoint_keys: Mapping[str, int] = field(default_factory=dict)
    checkpoint_architectures: tuple[str, ...] = ()
    denoisers: tuple[Denoiser, ...] = ()
    video_axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    file_codes: Mapping[str, str] = field(default_factory=dict)
    invokeai: tuple[Literal["bias", "smoothing"], ...] = ()


@cache
def registered_entries() -> tuple[dict[str, Any], ...]:
    """Entries of the registry, checked, in its order."""
    return read_entries(data_path(REGISTRY))


def read_entries(path: Path) -> tuple[dict[str, Any], ...]:
    """Entries of a file like the registry, checked, in its order.

    Raises
    ------
    BadFileError
        When a field is of another type or out of range, unknown or missing, or a name stands there twice.
    """
    read = _FILE(schemas.read_json(path), path.name)
    entries = tuple(_ENTRY(entry, f"{path.name}: {_name_of(entry)}") for entry in read["spaces"])
    names = [entry["name"] for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise BadFileError(f"{path.name}: the space {name!r} stands there twice", remedy="leave one of them out")
    return entries


@cache
def all_facts() -> dict[str, SpaceFacts]:
    """Facts by the space's name, in the registry's order."""
    return {entry["name"]: SpaceFacts(**{key: entry[key] for key in _FACTS}) for entry in registered_entries()}


def facts_of(name: str) -> SpaceFacts:
    """Facts of the space of that name; of one that is not registered, nothing is known."""
    return all_facts().get(name, SpaceFacts())


def _name_of(entry: object) -> str:
    return schemas.shown(entry["name"]) if isinstance(entry, dict) and "name" in entry else "an entry without a name"
