"""RunState: everything that a step changes: weights, optimisers, averages, means, and the checkpoint of them."""

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from latentfit.errors import TrainError, reason_of
from latentfit.runtime import distributed as parallel
from latentfit.runtime.devices import device_name
from latentfit.train.checkpoint import State, load_state, save_state
from latentfit.train.config import TrainConfig
from latentfit.train.objective import AnyObjective
from latentfit.train.optimizers import optimizer_of

if TYPE_CHECKING:
    from accelerate import Accelerator


class RunState:
    """A run between two steps.

    Attributes
    ----------
    model, averaged : nn.Module
        The network as trained, and its running mean, which is the result.
    adversary : nn.Module or None
    seen_images : int
    rows : list of dict
        Metrics so far.
    means : Means
        Means of the losses since the last row.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: AnyObjective,
        config: TrainConfig,
        checkpoint: Path,
        identity: dict[str, Any],
        device: str,
    ) -> None:
        self.config, self.checkpoint = config, checkpoint
        self.identity = {**config.deciding(), **identity, "processes": parallel.world_size()}
        self.accelerator = _accelerator(config, device)
        self.device = self.accelerator.device
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # up to 1.8 times as fast
        self.averaged = copy.deepcopy(model).requires_grad_(False).to(self.device)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer_of(model.parameters(), config))
        self.adversary: nn.Module | None = None
        if objective.adversary is not None:
            own = optimizer_of(objective.adversary.parameters(), replace(config, optimizer="adamw", betas=(0.5, 0.99)))
            self.adversary, self.adversary_optimizer = self.accelerator.prepare(objective.adversary, own)
        self.seen_images, self.rows, self.means = 0, list[dict[str, float]](), Means()
        self.step_images = config.batch_images * config.accumulate * parallel.world_size()

    def resume(self) -> None:
        """Take over the checkpoint's state, when there is one."""
        state = load_state(self.checkpoint, self.identity)
        if state is None:
            return
        try:
            self._take_over(state)
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise TrainError(
                f"not the checkpoint of this network and optimiser ({reason_of(error)})",
                place=self.checkpoint,
                remedy="remove it to begin anew",
            ) from error

    def _take_over(self, state: State) -> None:
        self.plain(self.model).load_state_dict(state.tensors["model"])
        self.averaged.load_state_dict(state.tensors["averaged"])
        self.optimizer.load_state_dict(state.tensors["optimizer"])
        if self.adversary is not None:
            self.plain(self.adversary).load_state_dict(state.tensors["adversary"])
            self.adversary_optimizer.load_state_dict(state.tensors["adversary_optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state.tensors["scaler"])
        self.seen_images, self.rows = state.seen_images, state.rows
        self.means.load_state_dict(state.tensors["means"])

    def save(self) -> None:
        """Write the checkpoint, on the first rank; an error instead when a loss or a weight went wrong."""
        if parallel.rank() != 0:
            return
        tensors = {
            "model": self.plain(self.model).state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "means": self.means.state_dict(),
        }
        if self.adversary is not None:
            tensors["adversary"] = self.plain(self.adversary).state_dict()
            tensors["adversary_optimizer"] = self.adversary_optimizer.state_dict()
        if self.accelerator.scaler is not None:
            tensors["scaler"] = self.accelerator.scaler.state_dict()
        if not _finite(tensors):  # a loss is of the weights before its step: the last step may have spoilt them unseen
            raise self.no_longer_finite("the loss, a weight or what the optimiser remembers")
        save_state(self.checkpoint, State(self.seen_images, tensors, self.rows), self.identity)

    @torch.no_grad()
    def average(self) -> None:
        """Move the averaged weights, faster at the start, when there is little to average."""
        half_life = min(self.config.ema_images, 0.1 * (self.seen_images + self.step_images))
        kept = 0.5 ** (self.step_images / half_life) if self.config.ema_images else 0.0
        mine = [*self.averaged.parameters(), *self.averaged.buffers()]
        plain = self.plain(self.model)
        theirs = [*plain.parameters(), *plain.buffers()]
        moving = [a.is_floating_point() for a in mine]
        torch._foreach_lerp_(
            [a for a, moves in zip(mine, moving, strict=True) if moves],
            [b for b, moves in zip(theirs, moving, strict=True) if moves],
            1 - kept,
        )
        for a, b, moves in zip(mine, theirs, moving, strict=True):
            if not moves:
                a.copy_(b)

    def finite(self, means: dict[str, float]) -> dict[str, float]:
        """The means, or an error that says what to try; the checkpoint before stays."""
        if all(math.isfinite(value) for value in means.values()):
            return means
        raise self.no_longer_finite(f"the loss ({means})")

    def no_longer_finite(self, what: str) -> TrainError:
        kept = "the last good checkpoint is kept" if self.checkpoint.is_file() else "there is no checkpoint yet"
        return TrainError(
            f"{what} is no longer finite after {self.seen_images} images",
            remedy=(
                f"{kept} ({self.checkpoint}). Try a smaller rate than {self.config.lr:g}, "
                "gradients clipped at 1, precision 'no', or AdamW"
            ),
        )

    def plain(self, module: nn.Module) -> nn.Module:
        """The network itself, without what distributes it."""
        plain: nn.Module = self.accelerator.unwrap_model(module)
        return plain


def _finite(kept: Any) -> bool:
    """Whether every floating tensor in nested dicts and lists is."""
    if isinstance(kept, torch.Tensor):
        return not kept.is_floating_point() or bool(kept.isfinite().all())
    if isinstance(kept, dict):
        return all(_finite(part) for part in kept.values())
    return all(_finite(part) for part in kept) if isinstance(kept, list | tuple) else True


def _accelerator(config: TrainConfig, device: str) -> "Accelerator":
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)  # another run of this process may have had other settings
    return Accelerator(mixed_precision=config.precision, cpu=device_name(device) == "cpu")


class Means:
    """Means of scalars, summed without waiting for the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._n = 0

    def add(self, losses: dict[str, Tensor]) -> None:
        """Add the losses of one step."""
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
        """Return what a checkpoint holds."""
        return {"sums": dict(self._sums), "n": self._n}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what a checkpoint holds."""
        self._sums, self._n = dict(state["sums"]), int(state["n"])
