"""A copy of somebody's module that is this package's own, and what of it departs from a plain one of its config."""

import copy
import functools
import inspect
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentfit.errors import VaeError

_SWITCHES = ("use_tiling", "use_slicing", "gradient_checkpointing", "training")
"""What a caller sets to save memory: off in the copy, which is tiled by `Vae` itself."""

_BESIDE_OUTPUT = (*_SWITCHES, "is_first_chunk", "cache_offset")
_HIDDEN_PADDING = ("_padding", "_reversed_padding_repeated_twice")
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")
_NUMBERS = ("latents_mean", "latents_std", "scaling_factor", "shift_factor")
_PLAIN_EPS = (1e-5, 1e-6)


def private_copy(module: nn.Module) -> nn.Module:
    """A copy with float32 weights of its own on the CPU, in eval mode, without gradients; the original stays as it is.

    Config, hooks and replaced methods come along, bound to the copy. Wrappers of ``torch.compile`` and accelerate's
    hooks for offloading do not: they belong to the original.

    Raises
    ------
    VaeError
        When its weights are elsewhere, offloaded one module at a time.
    """
    twins: dict[int, nn.Module] = {}
    weights: dict[int, Tensor] = {}
    twin = _twin(module, twins, weights)
    for one in twins.values():
        for name, value in list(vars(one).items()):
            if name not in ("_modules", "_parameters", "_buffers"):
                vars(one)[name] = own = _rebound(value, twins)
                if isinstance(own, types.MethodType) and own.__func__ is getattr(type(one), name, None):
                    del vars(one)[name]  # its class has it
    return twin


def plainly(module: nn.Module) -> nn.Module:
    """What ``torch.compile`` wrapped, or the module itself.

    Raises
    ------
    VaeError
        When it is no module of torch's.
    """
    if not isinstance(module, nn.Module):
        raise VaeError(
            "autoencoder",
            expected="a torch module with encode and decode",
            got=f"{type(module).__name__}",
            remedy="of a pipeline, give its vae: Vae.from_module(pipe.vae, name=...)",
        )
    inner = module._modules.get("_orig_mod")
    return module if inner is None else inner


def departures(module: nn.Module, *, is_own_space: bool = False) -> list[str]:
    """What changes a module's output beside its weights, one line each; none for a plain one.

    Told by comparing with a module of the same config that nobody changed: padding modes, epsilons, kinds of layers,
    methods replaced on an instance, hooks, weights that are integers; where there is no config, only paddings other
    than zeros, unusual epsilons, replaced methods and hooks are told.

    Parameters
    ----------
    module : nn.Module
    is_own_space : bool
        Whether the latents' shift and scale are known to nobody but the module's config; they count then as well.
    """
    plain = _plain_of(module)
    others = {} if plain is None else dict(plain.named_modules())
    found: list[str] = []
    for path, part in module.named_modules():
        found += [f"{path}\0{line}" for line in _of_part(part, others.get(path), has_plain=plain is not None)]
    found += [f"{path}\0absent" for path in sorted(set(others) - {path for path, _ in module.named_modules()})]
    for path, weight in module.named_parameters():
        if not weight.is_floating_point():
            found.append(f"{path}\0{weight.dtype}\0{weight.detach().cpu().flatten().tolist()}")
    return found + (list(_unusual_numbers(module)) if is_own_space else [])


def _twin(module: nn.Module, twins: dict[int, nn.Module], weights: dict[int, Tensor]) -> nn.Module:
    module = plainly(module)
    if id(module) in twins:
        return twins[id(module)]
    twin: nn.Module = object.__new__(type(module))
    twins[id(module)] = twin
    own = vars(twin)
    for name, value in vars(module).items():
        own[name] = copy.copy(value) if type(value) in (dict, OrderedDict, list, set) else value
    if own.pop("_hf_hook", None) is not None:  # accelerate's: the class has its forward again
        own.pop("forward", None)
        original = own.pop("_old_forward", None)
        if getattr(original, "__func__", None) is not getattr(type(module), "forward", None):
            own["forward"] = original
    own |= {name: False for name in _SWITCHES if name in own}
    own["_parameters"] = {name: _own_weight(part, weights) for name, part in module._parameters.items()}
    own["_buffers"] = {name: _own_weight(part, weights) for name, part in module._buffers.items()}
    own["_modules"] = {
        name: None if part is None else _twin(part, twins, weights) for name, part in module._modules.items()
    }
    return twin


def _own_weight(tensor: Tensor | None, weights: dict[int, Tensor]) -> Tensor | None:
    if tensor is None:
        return None
    if tensor.is_meta:
        raise VaeError(
            "autoencoder",
            expected="weights in memory",
            got="empty ones (device 'meta'), as when each layer is offloaded by itself",
            remedy=("load the VAE from its folder, or move the pipeline to one device before"),
        )
    if id(tensor) not in weights:
        is_parameter = isinstance(tensor, nn.Parameter)
        kept = tensor.dtype if not tensor.is_floating_point() else torch.float32
        own = tensor.detach().to("cpu", kept, copy=True)
        weights[id(tensor)] = nn.Parameter(own, requires_grad=False) if is_parameter else own
    return weights[id(tensor)]


def _rebound(value: Any, twins: Mapping[int, nn.Module]) -> Any:
    """Bound methods, partial calls and lists that name an original module, naming its copy."""
    value = getattr(value, "_torchdynamo_orig_callable", value) if callable(value) else value
    if isinstance(value, nn.Module):
        return twins.get(id(value), value)
    if isinstance(value, types.MethodType) and id(value.__self__) in twins:
        return types.MethodType(value.__func__, twins[id(value.__self__)])
    if type(value) is functools.partial:
        named = {name: _rebound(part, twins) for name, part in value.keywords.items()}
        given = [_rebound(part, twins) for part in value.args]
        return functools.partial(_rebound(value.func, twins), *given, **named)
    if type(value) in (list, tuple):
        return type(value)(_rebound(part, twins) for part in value)
    if type(value) in (dict, OrderedDict):
        return type(value)((name, _rebound(part, twins)) for name, part in value.items())
    return value


def _plain_of(module: nn.Module) -> nn.Module | None:
    """A module of the same class and config, without weights; None where no config says how to make one."""
    make: type[nn.Module] = type(module)
    config: Any = getattr(module, "config", None)
    if not hasattr(config, "get"):
        return None
    asked = inspect.signature(make.__init__).parameters
    try:
        with torch.device("meta"):
            plain = make(**{name: config[name] for name in asked if name in config})
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError, ImportError):
        return None  # a class of somebody's own: it is looked at without one
    return plain


def _of_part(part: nn.Module, plain: nn.Module | None, *, has_plain: bool) -> Iterator[str]:
    replaced = [name for name, value in vars(part).items() if callable(value) and hasattr(type(part), name)]
    for name in replaced:
        if plain is None or name not in vars(plain):
            yield f"{name}\0{_described(vars(part)[name])}"
    for name, value in sorted(vars(part).items() if plain is not None else ()):
        if callable(value) and name not in replaced and not _is_diffusers_own(value):
            there = vars(plain).get(name)
            if there is None or _described(there) != _described(value):
                yield f"{name}\0{_described(value)}"
    for name in _HOOKS:
        there = [] if plain is None else [_described(hook) for hook in vars(plain)[name].values()]
        own = [_described(hook) for hook in vars(part)[name].values() if not _is_capturing(hook)]
        yield from (f"{name}\0{told}" for told in own if told not in there)
    if not has_plain:
        if getattr(part, "padding_mode", "zeros") != "zeros":
            yield f"padding_mode\0{part.padding_mode}"
        if isinstance(getattr(part, "eps", None), float) and part.eps not in _PLAIN_EPS:
            yield f"eps\0{part.eps}"
    elif plain is None or type(part).__qualname__ != type(plain).__qualname__:
        yield f"class\0{type(part).__qualname__}"
    known = {} if plain is None else _simple(plain)
    for name, value in sorted(_simple(part).items()):
        if (name in known and value != known[name]) or (name not in known and replaced):
            yield f"{name}\0{value!r}"


def _is_diffusers_own(function: Any) -> bool:
    """Whether it is one of diffusers' processors of attention, which are ways to compute the same."""
    return type(function).__module__ == "diffusers.models.attention_processor"


def _is_capturing(hook: Any) -> bool:
    """Whether a hook is transformers' own, which it puts into its models at their first call and which only listens."""
    return str(getattr(hook, "__module__", "")).startswith("transformers.")


def _simple(part: nn.Module) -> dict[str, Any]:
    """Attributes that are numbers, words, or rows of them."""
    return {
        name: _as_row(value)
        for name, value in vars(part).items()
        if (not name.startswith("_") or name in _HIDDEN_PADDING)
        and name not in _BESIDE_OUTPUT
        and not name.startswith(("tile_", "use_framewise"))
        and _is_simple(value)
    }


def _is_simple(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_simple(part) for part in value)
    return value is None or isinstance(value, bool | int | float | str)


def _as_row(value: Any) -> Any:
    return [_as_row(part) for part in value] if isinstance(value, list | tuple) else value


def _described(function: Any) -> str:
    """Where a function comes from, the constants and names in it, and what it was bound to: the same in every run."""
    if isinstance(function, functools.partial):
        given = [part for part in (*function.args, *function.keywords.values()) if _is_simple(part)]
        return f"{_described(function.func)} {given!r}"
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        call = getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004
        told = [] if call is None else [[part for part in call.co_consts if _is_simple(part)], call.co_names]
        name = getattr(function, "__qualname__", type(function).__qualname__)
        return f"{name} {sorted(_simple_vars(function).items())!r} {told!r}"
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell.cell_contents is not function]
    bound = [part for part in (*cells, *(function.__defaults__ or ())) if _is_simple(part)]
    constants = [part for part in code.co_consts if _is_simple(part)]
    return f"{function.__module__}.{function.__qualname__} {constants!r} {code.co_names!r} {bound!r}"


def _simple_vars(thing: Any) -> dict[str, Any]:
    return {name: value for name, value in getattr(thing, "__dict__", {}).items() if _is_simple(value)}


def _unusual_numbers(module: nn.Module) -> Iterator[str]:
    """Shift and scale of the config that are not the class's own, and not among the weights."""
    config: Any = getattr(module, "config", None)
    if not hasattr(config, "get"):
        return
    usual = inspect.signature(type(module).__init__).parameters
    for label in _NUMBERS:
        value = _as_row(config.get(label))
        if label in usual and value != _as_row(usual[label].default) and label not in module._buffers:
            yield f"{label}\0{value!r}"
