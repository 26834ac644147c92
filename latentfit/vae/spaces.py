"""Which latent space an autoencoder speaks, and its crossing to the model domain: asked for, stated, or measured."""

import inspect
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.errors import Remedy, SpaceMismatchError, VaeError
from latentfit.latents.space_facts import all_facts
from latentfit.latents.spaces import LatentSpace, get_space, list_spaces
from latentfit.runtime.storage import data_path
from latentfit.vae.configs import bundled_configs
from latentfit.vae.networks import (
    Crossing,
    DiffusersNetwork,
    TinyNetwork,
    batch_norm_crossing,
    plain_crossing,
    shape_of_latents,
)

Numbers = tuple[tuple[float, ...], tuple[float, ...]]

PUBLIC_TINY = {name: (title, space) for space, facts in all_facts().items() for name, title in facts.tiny_vaes.items()}
"""The TAESD family by its public names: name for people, space."""

Title = tuple[str, str | None]


def _bundled() -> dict[str, Title]:
    """The autoencoders of data/vaes: those that a space names, and those of a space of their own."""
    found: dict[str, Title] = {
        name: (title, space) for space, facts in all_facts().items() for name, title in facts.bundled_vaes.items()
    }
    folders = sorted(path.parent.name for path in data_path("vaes").glob("*/config.json"))
    return found | {name: (name, None) for name in folders if name not in found}


BUNDLED = _bundled()
"""What data/vaes holds: name for people, space; None where its space is its own."""

NAMED: dict[str, Title] = {**PUBLIC_TINY, **BUNDLED}

# What of a config does not touch the latents: the decoder, and notes to the pipeline.
_BESIDE_LATENTS = re.compile(
    r"^(_.*|decoder_.*|up_block_types|out_channels|sample_size|force_upcast|dropout|.*momentum)$"
)


@dataclass(frozen=True)
class Spoken:
    """A space, and how the autoencoder's own latents cross into its model domain; `crossing` None: to be measured."""

    space: LatentSpace
    crossing: Crossing | None


def space_of(
    network: TinyNetwork | DiffusersNetwork,
    name: str,
    *,
    asked: LatentSpace | str | None,
    states_numbers: bool,
    candidates: Sequence[str] = (),
    hint: str | None = None,
) -> Spoken:
    """The space that `network` speaks.

    Parameters
    ----------
    network : TinyNetwork or DiffusersNetwork
        The autoencoder, loaded.
    name : str
        What an unregistered space will be called.
    asked : LatentSpace, str or None
        What the user says. ``"measured"`` asks for statistics of its own.
    states_numbers : bool
        Whether the module's config came with the weights, and so states shift and scale. False for bare files.
    candidates, hint
        For bare files: spaces whose published autoencoder has the same shapes, and the one that the file names.

    Raises
    ------
    VaeError
        When the space cannot be told.
    SpaceMismatchError
        When what is asked for contradicts the autoencoder.
    """
    n_channels, cell_px = shape_of_latents(network)
    to_measure = asked == "measured"
    wanted = None if asked is None or to_measure else get_space(asked)
    if wanted is not None and (wanted.channels, wanted.cell_px) != (n_channels, cell_px):
        raise SpaceMismatchError(
            f"space {wanted.name!r} for {name!r}",
            expected=(
                f"{wanted.channels} channels and {wanted.cell_px} px a cell, the autoencoder "
                f"has {n_channels} and {cell_px}"
            ),
            remedy="leave the space out to take it from the autoencoder",
        )
    own = _unregistered(network, name, n_channels, cell_px)
    if to_measure:
        return Spoken(replace(own, measured=True, normalised_by_vae=False, packing=None), None)
    if own.normalised_by_vae:
        return Spoken(wanted or _registered_twin(network, own, None) or own, own_crossing(network))
    numbers = stated_numbers(network, n_channels) if states_numbers else None
    if wanted is not None:
        return Spoken(wanted, _crossing_asked(network, wanted, numbers, explicit=isinstance(asked, LatentSpace)))
    if numbers is not None:
        own = replace(own, shift=numbers[0], scale=numbers[1])
        return Spoken(_registered_twin(network, own, numbers) or own, plain_crossing(*numbers))
    if not candidates:
        return Spoken(replace(own, measured=True), None)
    if hint is None and len(candidates) > 1:
        raise VaeError(
            f"{name!r}: its latent space cannot be told: {', '.join(candidates)} share its keys and shapes, and "
            "weights do not say their scale",
            remedy=Remedy(
                "pass {} or another of them, or the space 'measured' for an autoencoder of its own",
                space=candidates[0],
            ),
        )
    space = get_space(hint or candidates[0])
    return Spoken(space, plain_crossing(space.shift, space.scale))


def stated_numbers(network: TinyNetwork | DiffusersNetwork, n_channels: int) -> Numbers | None:
    """(shift, scale) that a diffusers module states, in its config or its buffers; None where it states none."""
    module = network.module if isinstance(network, DiffusersNetwork) else network
    config: Any = getattr(module, "config", {})
    mean, deviation = (_per_channel(module, config, name, n_channels) for name in ("latents_mean", "latents_std"))
    scaling = config.get("scaling_factor") if hasattr(config, "get") else None
    if mean and deviation:
        return mean, tuple((1.0 if scaling is None else float(scaling)) / value for value in deviation)
    if scaling is None:
        return None
    return (float(config.get("shift_factor") or 0.0),), (float(scaling),)


def measured_numbers(own_latents: Iterable[Tensor]) -> Numbers:
    """(shift, scale) that bring these own latents ``(N, C, h, w)`` to mean 0 and variance 1, channel by channel."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for own in own_latents:
        flat = own.double().movedim(1, 0).flatten(1)
        count, total, squares = count + flat.shape[1], total + flat.sum(1), squares + flat.square().sum(1)
    if not count:
        raise VaeError("measured space", expected="at least one picture to encode", got="none")
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
    # A dead channel keeps its scale: dividing by nothing would only blow up its noise.
    deviation = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
    return tuple(mean.tolist()), tuple((1 / deviation).tolist())


def speaks_model_domain(network: TinyNetwork | DiffusersNetwork) -> bool:
    """Whether `encode` and `decode` already give and take the model domain, as TAESD's do in any wrapping."""
    if isinstance(network, TinyNetwork):
        return True
    import diffusers

    found = (getattr(diffusers, label, None) for label in ("AutoencoderTiny", "AutoencoderRAE"))
    return isinstance(network.module, tuple(kind for kind in found if isinstance(kind, type)))


def slug(name: str) -> str:
    """A name for an unregistered space, which no registered one has."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "own"
    try:
        get_space(plain)
    except SpaceMismatchError:
        return plain
    return f"{plain}-own"


def _unregistered(network: TinyNetwork | DiffusersNetwork, name: str, n_channels: int, cell_px: int) -> LatentSpace:
    """The space as the autoencoder alone describes it, shift and scale aside."""
    if isinstance(network, TinyNetwork):
        return LatentSpace(slug(name), n_channels, cell_px, normalised_by_vae=True, source=name)
    module: Any = network.module
    # diffusers' modules warn when their config is read through them, so the config is asked first.
    temporal = _config_value(module, "scale_factor_temporal") or vars(module).get("temporal_compression_ratio") or 1
    return LatentSpace(
        slug(name),
        n_channels,
        cell_px,
        normalised_by_vae=speaks_model_domain(network) or _batch_norm(module) is not None,
        packing="flux2" if _batch_norm(module) is not None else None,
        dims=3 if network.has_time else 2,
        temporal=int(temporal) if network.has_time else 1,
        source=f"config of {name}",
    )


def _batch_norm(module: nn.Module) -> nn.BatchNorm2d | None:
    """flux2's normalisation of packed latents."""
    norm = getattr(module, "bn", None)
    return norm if isinstance(norm, nn.BatchNorm2d) else None


def own_crossing(network: TinyNetwork | DiffusersNetwork) -> Crossing:
    """The crossing of an autoencoder that normalises by itself."""
    if isinstance(network, DiffusersNetwork):
        norm = _batch_norm(network.module)
        if norm is not None:
            patch = _config_value(network.module, "patch_size") or (2, 2)
            return batch_norm_crossing(norm, (int(patch[0]), int(patch[1])))
        if not hasattr(network.module, "_latents_mean"):
            return plain_crossing(*(stated_numbers(network, 1) or ((0.0,), (1.0,))))
    return plain_crossing((0.0,), (1.0,))


def _crossing_asked(
    network: TinyNetwork | DiffusersNetwork, space: LatentSpace, numbers: Numbers | None, *, explicit: bool
) -> Crossing:
    if space.normalised_by_vae:
        if numbers is None:
            raise VaeError(
                f"space {space.name!r}: its normalisation lives in the VAE's weights, and this one carries none",
                remedy='name the published folder, or pass space="measured"',
            )
        return plain_crossing(*numbers)
    if numbers is not None and not explicit and not _same_numbers(numbers, (space.shift, space.scale)):
        raise SpaceMismatchError(
            f"space {space.name!r} has shift {_brief(space.shift)} and scale "
            f"{_brief(space.scale)}, but the autoencoder's config states {_brief(numbers[0])} "
            f"and {_brief(numbers[1])}",
            remedy=("leave the space out, correct config.json, or pass a LatentSpace with the numbers that you mean"),
        )
    return plain_crossing(space.shift, space.scale)


def _registered_twin(
    network: TinyNetwork | DiffusersNetwork, own: LatentSpace, numbers: Numbers | None
) -> LatentSpace | None:
    """The registered space that this is: the same numbers, and the same architecture up to the latents.

    Numbers of many channels are telling by themselves; a single factor is not, so there the architecture must agree.
    """
    if isinstance(network, TinyNetwork):
        return None
    for space in list_spaces():
        shape_fits = (space.channels, space.cell_px) == (own.channels, own.cell_px)
        if numbers and shape_fits and len(space.scale) > 3 and _same_numbers(numbers, (space.shift, space.scale)):
            return space
    for entry in bundled_configs():
        space = get_space(entry.space)
        numbers_fit = numbers is None or _same_numbers(numbers, (space.shift, space.scale))
        if numbers_fit and type(network.module).__name__ == entry.class_name and _same_encoder(network, entry.config):
            return space
    return None


def _same_encoder(network: DiffusersNetwork, published: dict[str, Any]) -> bool:
    module: Any = network.module
    defaults = {
        label: parameter.default
        for label, parameter in inspect.signature(type(module).__init__).parameters.items()
        if parameter.default is not parameter.empty
    }
    return all(
        _plain(_config_value(module, label)) == _plain(value)
        for label, value in {**defaults, **published}.items()
        if not _BESIDE_LATENTS.match(label)
    )


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _same_numbers(first: Numbers, second: Numbers) -> bool:
    for ours, theirs in zip(first, second, strict=True):
        n_values = max(len(ours), len(theirs))
        pairs = zip(ours * (n_values // len(ours)), theirs * (n_values // len(theirs)), strict=True)
        if not all(math.isclose(a, b, rel_tol=1e-3, abs_tol=1e-4) for a, b in pairs):
            return False
    return True


def _config_value(module: nn.Module, label: str) -> Any:
    config: Any = getattr(module, "config", {})
    return config.get(label) if hasattr(config, "get") else None


def _per_channel(module: nn.Module, config: Any, label: str, n_channels: int) -> tuple[float, ...] | None:
    """Numbers per channel from config or buffer; of numbers per channel and frame (Cosmos), the first frame's."""
    values = config.get(label) if hasattr(config, "get") else None
    if values is None:
        values = dict(module.named_buffers(recurse=False)).get(label)
    if values is None:
        return None
    flat = torch.as_tensor(values, dtype=torch.float64).flatten()
    if flat.numel() == 0 or flat.numel() % n_channels:
        raise VaeError(
            f"{label}",
            expected=f"{n_channels} numbers, one a channel",
            got=f"{flat.numel()}",
            remedy="check config.json",
        )
    return tuple(flat.reshape(n_channels, -1)[:, 0].tolist())


def _brief(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.5g}" for value in values[:3]) + (", ..." if len(values) > 3 else "")
