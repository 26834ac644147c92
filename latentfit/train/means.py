"""Means: running means of losses between two rows of metrics."""

from typing import Any

import torch
from torch import Tensor

from latentfit.runtime import distributed as parallel


class Means:
    """Means of scalars, summed without waiting for the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._n = 0

    def add(self, losses: dict[str, Tensor]) -> None:
        """Of one step."""
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value.double() if name in self._sums else value.double()
        self._n += 1

    def taken(self) -> dict[str, float]:
        """The means over what was added and over all ranks; then begin anew."""
        names = sorted(self._sums)
        stacked = torch.stack([self._sums[name] for name in names]) / self._n
        totals = parallel.sum_over_ranks(stacked) / parallel.world_size()
        self._sums, self._n = {}, 0
        return {name: float(value) for name, value in zip(names, totals, strict=True)}

    def so_far(self) -> dict[str, float]:
        """The means as `taken` gives them, and go on adding; nothing when nothing was added."""
        sums, n = dict(self._sums), self._n
        means = self.taken() if n else {}
        self._sums, self._n = sums, n
        return means

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"sums": dict(self._sums), "n": self._n}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a checkpoint's over."""
        self._sums, self._n = dict(state["sums"]), int(state["n"])
