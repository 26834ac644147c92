"""What a map costs: numbers, milliseconds and memory for one picture."""

import statistics
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from latentfit.maps.contracts import Approximation
from latentfit.runtime.devices import device_of
from latentfit.runtime.threads import torch_threads

_MOST_RUNS, _LEAST_RUNS, _ENOUGH_MS = 25, 3, 250.0


def costs(approximations: Mapping[str, Approximation], latents: Tensor) -> dict[str, dict[str, float]]:
    """Parameters, milliseconds and peak extra MiB of each on the same latents, all in this one run.

    Milliseconds are a median of 3 to 25 runs on one CPU thread, the copy to the host included; the maps take turns, so
    that a busy machine slows all of them alike (several threads would wait for each other there, small maps most). Each
    is given the latents in the layout in which it is faster, see `in_best_layout`.
    """
    with torch_threads(1):
        return _measured(approximations, latents)


def _measured(approximations: Mapping[str, Approximation], latents: Tensor) -> dict[str, dict[str, float]]:
    spent: dict[str, list[float]] = {name: [] for name in approximations}
    given = {name: in_best_layout(_to_host(one), latents) for name, one in approximations.items()}
    for _ in range(_MOST_RUNS):
        for name, approximation in approximations.items():
            if len(spent[name]) < _LEAST_RUNS or sum(spent[name]) < _ENOUGH_MS:
                spent[name].append(1e3 * _seconds(_to_host(approximation), given[name]))
    return {
        name: {
            "parameters": approximation.n_parameters,
            "ms": statistics.median(spent[name]),
            "extra_mib": _peak_mib_of(approximation, latents),
        }
        for name, approximation in approximations.items()
    }


def in_best_layout(call: Callable[[Tensor], object], latents: Tensor, n_trials: int = 2) -> Tensor:
    """The latents in the memory layout, contiguous or channels-last, in which `call` takes less time.

    Networks of convolutions often gain a third from channels-last latents; small maps may lose by them. Tried in turns
    after one call of each; the fastest call decides, for what else runs only ever slows a call.

    Parameters
    ----------
    call : callable
        A function of latents (N, C, h, w).
    latents : Tensor, (N, C, h, w)
    n_trials : int
        Calls of each layout that count.
    """
    layouts = [latents.contiguous(memory_format=one) for one in (torch.contiguous_format, torch.channels_last)]
    for layout in layouts:
        call(layout)  # caches, lazy set-up
    spent = [[_seconds(call, layout) for layout in layouts] for _ in range(n_trials)]
    fastest = [min(times) for times in zip(*spent, strict=True)]
    return layouts[fastest.index(min(fastest))]


def _seconds(call: Callable[[Tensor], object], latents: Tensor) -> float:
    started = time.perf_counter()
    call(latents)
    return time.perf_counter() - started


def _to_host(approximation: Approximation) -> Callable[[Tensor], Tensor]:
    return lambda latents: approximation(latents.to(device_of(approximation))).cpu()


def peak_mib(call: Callable[[], object]) -> float:
    """Most MiB of tensors alive at once that `call` itself allocated; what kernels use inside is not seen."""
    with _LiveBytes() as live:
        call()
    return float(live.peak) / 2**20


def _peak_mib_of(approximation: Approximation, latents: Tensor) -> float:
    there = latents.to(device_of(approximation))
    return peak_mib(lambda: approximation(there))


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds each new storage when an operation returns it, and takes it off when its last tensor dies."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._tensors: dict[int, int] = {}
        self._bytes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {a.untyped_storage().data_ptr() for a in args if isinstance(a, Tensor)}
        for tensor in out if isinstance(out, list | tuple) else [out]:
            if isinstance(tensor, Tensor):
                self._track(tensor, given)
        return out

    def _track(self, tensor: Tensor, given: set[int]) -> None:
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in self._tensors:
            if pointer in given:  # a view of something that was there before
                return
            self._tensors[pointer], self._bytes[pointer] = 0, tensor.untyped_storage().nbytes()
            self._now += self._bytes[pointer]
            self.peak = max(self.peak, self._now)
        self._tensors[pointer] += 1
        weakref.finalize(tensor, self._release, pointer)

    def _release(self, pointer: int) -> None:
        if pointer in self._tensors:
            self._tensors[pointer] -= 1
            if not self._tensors[pointer]:
                self._now -= self._bytes.pop(pointer)
                del self._tensors[pointer]
