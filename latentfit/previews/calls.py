"""Which calls of a scheduler's `step` are one step, and which steps are one run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Begins = Literal["run", "step", "nothing"]


@dataclass
class _Call:
    position: int | None
    timestep: float
    sample: Tensor
    is_part: bool


class Calls:
    """Counts the calls of one scheduler.

    A step has several calls where a pipeline paints the views of a panorama one by one, setting its scheduler back for
    each, or asks the scheduler twice about one sample (Cosmos). The two calls of a second-order scheduler, whose state
    goes on, are two steps.

    Parameters
    ----------
    scheduler : diffusers scheduler
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._timesteps: Any = None
        self._last: _Call | None = None
        self._n_steps = 0
        self._is_inside = False

    def begin_pipeline(self) -> None:
        """The pipeline is called: what comes is a new run."""
        self._last, self._is_inside = None, True

    def end_pipeline(self) -> None:
        """The pipeline has returned, or raised."""
        self._last, self._is_inside = None, False

    def note(self, arguments: Mapping[str, Any], *, is_part: bool) -> Begins:
        """What the call that was just made begins.

        Parameters
        ----------
        arguments : mapping
            Arguments of the scheduler's `step` by name: timestep, sample.
        is_part : bool
            Whether its sample is a view of the picture.
        """
        timestep = float(torch.as_tensor(arguments["timestep"]).flatten()[0])
        call = _Call(self._position(), timestep, arguments["sample"], is_part)
        begins: Begins = "step"
        if self._last is not None and self._is_same_step(self._last, call):
            begins = "nothing"
        elif self._last is None or self._is_new_run(self._last, call):
            begins = "run"
        self._timesteps = self._scheduler.timesteps
        self._last = call
        self._n_steps = 1 if begins == "run" else self._n_steps + (begins == "step")
        return begins

    def _position(self) -> int | None:
        """Among the scheduler's own steps; schedulers count on before they return, and PNDM counts by another name."""
        for name in ("step_index", "counter"):
            count = getattr(self._scheduler, name, None)
            if isinstance(count, int):
                return count - 1
        return None

    def _is_same_step(self, last: _Call, call: _Call) -> bool:
        if call.timestep != last.timestep or call.position != last.position:
            return False
        if call.position is None and (self._scheduler.timesteps == call.timestep).sum() > 1:
            return False
        if call.is_part or last.is_part:
            return True
        return call.sample is last.sample or _repeats(last.sample, call.sample) or _repeats(call.sample, last.sample)

    def _is_new_run(self, last: _Call, call: _Call) -> bool:
        timesteps = self._scheduler.timesteps
        if self._n_steps >= len(timesteps):
            return True
        if timesteps is self._timesteps:
            return False
        if not self._is_inside or not _are_equal(timesteps, self._timesteps):
            return True
        if call.position is not None and last.position is not None:
            return call.position <= last.position
        places = [(timesteps == one.timestep).nonzero().flatten() for one in (last, call)]
        return any(len(place) == 0 for place in places) or bool(places[1][0] < places[0][0])


def _repeats(batch: Tensor, once: Tensor) -> bool:
    """Whether a batch is another one several times over, as guidance doubles it."""
    if batch.shape[1:] != once.shape[1:] or len(batch) <= len(once) or len(batch) % len(once):
        return False
    return torch.equal(batch, once.repeat(len(batch) // len(once), *[1] * (once.ndim - 1)))


def _are_equal(timesteps: Any, others: Any) -> bool:
    first, second = (torch.as_tensor(one).cpu() for one in (timesteps, others))
    return first.shape == second.shape and bool((first == second).all())
