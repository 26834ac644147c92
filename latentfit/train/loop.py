"""train(): the one loop."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from latentfit import parallel
from latentfit.errors import TrainError
from latentfit.train.checkpoint import State, load_state, save_state
from latentfit.train.config import TrainConfig
from latentfit.train.objective import Objective
from latentfit.train.optimizers import optimizer_of, rate_factor
from latentfit.vae_numerics import device_name

if TYPE_CHECKING:
    from accelerate import Accelerator


class Source(Protocol):
    """Where batches come from: the same for the same images."""

    def batch(self, images: Sequence[int]) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Trained:
    """What a run gave.

    Attributes
    ----------
    model : nn.Module
        With the averaged weights, in evaluation mode.
    rows : list of dict
        Metrics: seen_images, rate, each loss, images_per_s.
    seen_images : int
    """

    model: nn.Module
    rows: list[dict[str, float]]
    seen_images: int


Callback = Callable[[nn.Module, list[dict[str, float]], int], None]


def train(
    model: nn.Module,
    objective: Objective,
    source: Source,
    config: TrainConfig,
    checkpoint: Path,
    *,
    identity: dict[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    device: str = "auto",
    progress: bool = True,
) -> Trained:
    """Train until `config.n_images` are seen, going on from `checkpoint` when it is there.

    Parameters
    ----------
    model : nn.Module
        Its weights at the start must derive from the seed too.
    objective : Objective
    source : Source
        ``batch(images)`` -> tensors "input" and "target"; a function of the images' numbers alone.
    config : TrainConfig
    checkpoint : Path
        One file, replaced as a whole.
    identity : dict, optional
        What else the result depends on (the store, the network): a run goes on only with the same.
    callbacks : sequence of callable
        ``(averaged model, rows, seen_images)``, on the first rank, whenever a row is added.
    device : str
        "auto": a GPU when there is one.
    progress : bool
        Show loss, images a second and time left.

    Raises
    ------
    TrainError
        When the loss is no longer finite; the last good checkpoint is kept.
    """
    parallel.start()
    run = _Run(model, objective, source, config, checkpoint, identity or {}, device)
    run.resume()
    run.go(callbacks, progress)
    return Trained(run.averaged.eval(), run.rows, run.seen_images)


class _Run:
    """Everything that a step changes."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        source: Source,
        config: TrainConfig,
        checkpoint: Path,
        identity: dict[str, Any],
        device: str,
    ) -> None:
        self.config, self.objective, self.source, self.checkpoint = config, objective, source, checkpoint
        self.identity = {**config.deciding(), **identity, "processes": parallel.world_size()}
        self.accelerator = _accelerator(config, device)
        self.device = self.accelerator.device
        self.averaged = _copy_of(model).to(self.device)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer_of(model.parameters(), config))
        self.adversary: nn.Module | None = None
        if objective.adversary is not None:
            own = optimizer_of(objective.adversary.parameters(), config)
            self.adversary, self.adversary_optimizer = self.accelerator.prepare(objective.adversary, own)
        self.seen_images, self.rows, self.means = 0, list[dict[str, float]](), _Means()
        self.step_images = config.batch_images * config.accumulate * parallel.world_size()

    def resume(self) -> None:
        """Take over the checkpoint's state, when there is one."""
        state = load_state(self.checkpoint, self.identity)
        if state is None:
            return
        self._plain(self.model).load_state_dict(state.tensors["model"])
        self.averaged.load_state_dict(state.tensors["averaged"])
        self.optimizer.load_state_dict(state.tensors["optimizer"])
        if self.adversary is not None:
            self._plain(self.adversary).load_state_dict(state.tensors["adversary"])
            self.adversary_optimizer.load_state_dict(state.tensors["adversary_optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state.tensors["scaler"])
        self.seen_images, self.rows = state.seen_images, state.rows
        self.means.load_state_dict(state.tensors["means"])

    def save(self) -> None:
        """Write the checkpoint, on the first rank; an error instead when a loss or a weight went wrong."""
        if parallel.rank() != 0:
            return
        if not self.means.are_finite() or not self._weights_are_finite():
            raise self._no_longer_finite("the loss or a weight")
        tensors = {
            "model": self._plain(self.model).state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "means": self.means.state_dict(),
        }
        if self.adversary is not None:
            tensors["adversary"] = self._plain(self.adversary).state_dict()
            tensors["adversary_optimizer"] = self.adversary_optimizer.state_dict()
        if self.accelerator.scaler is not None:
            tensors["scaler"] = self.accelerator.scaler.state_dict()
        save_state(self.checkpoint, State(self.seen_images, tensors, self.rows), self.identity)

    def go(self, callbacks: Sequence[Callback], progress: bool) -> None:
        """Steps until all images are seen."""
        from tqdm.auto import tqdm

        config, first, saved = self.config, self.seen_images, time.monotonic()
        since, since_images = time.perf_counter(), self.seen_images
        hidden = not progress or parallel.rank() > 0
        bar = tqdm(total=config.n_images, initial=first, unit="image", desc="train", disable=hidden)
        with bar, ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._fetch, self.seen_images)
            while self.seen_images < config.n_images:
                batches, coming = self._take(ahead, coming)
                self.means.add(self._step(batches))
                before, self.seen_images = self.seen_images, self.seen_images + self.step_images
                bar.update(min(self.step_images, config.n_images - before))
                last = self.seen_images >= config.n_images
                if last or self.seen_images // config.log_images > before // config.log_images:
                    means = self._finite(self.means.taken())
                    elapsed = time.perf_counter() - since
                    speed = (self.seen_images - since_images) / elapsed
                    since, since_images = time.perf_counter(), self.seen_images
                    rate = self.optimizer.param_groups[0]["lr"]
                    self.rows.append({"seen_images": self.seen_images, "rate": rate, **means, "images_per_s": speed})
                    bar.set_postfix(loss=f"{means['loss']:.4g}")
                    for callback in callbacks if parallel.rank() == 0 else ():
                        callback(self.averaged, self.rows, self.seen_images)
                if last or time.monotonic() - saved > config.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
        parallel.barrier()

    def _fetch(self, seen_images: int) -> list[dict[str, Tensor]]:
        """This rank's batches of the step that begins after so many images."""
        n, world, rank = self.config.batch_images, parallel.world_size(), parallel.rank()
        starts = [seen_images + (turn * world + rank) * n for turn in range(self.config.accumulate)]
        return [self.source.batch(range(start, start + n)) for start in starts]

    def _take(
        self, ahead: ThreadPoolExecutor, coming: "Future[list[dict[str, Tensor]]]"
    ) -> tuple[list[dict[str, Tensor]], "Future[list[dict[str, Tensor]]]"]:
        """The batches that are ready, on the device, and the next ones being read meanwhile."""
        batches = [{name: value.to(self.device) for name, value in batch.items()} for batch in coming.result()]
        return batches, ahead.submit(self._fetch, self.seen_images + self.step_images)

    def _step(self, batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """One change of the weights; the losses' means over its batches."""
        config, accelerator = self.config, self.accelerator
        torch.manual_seed((config.seed * 1_000_003 + self.seen_images) * 1_009 + parallel.rank())
        factor = rate_factor(config, self.seen_images + self.step_images // 2)
        _set_rate(self.optimizer, config.lr * factor)
        found: list[dict[str, Tensor]] = []
        for index, batch in enumerate(batches):
            waits = accelerator.no_sync(self.model) if index + 1 < len(batches) else nullcontext()
            with waits, accelerator.autocast():
                losses = self.objective.losses(self.model, batch)
                accelerator.backward(losses["loss"] / len(batches))
            found.append(losses)
        if config.clip:
            accelerator.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.adversary is not None:
            self._adversary_step(found, config.lr * factor)
        self._average()
        names = [name for name, value in found[0].items() if value.ndim == 0]
        return {name: torch.stack([losses[name].detach() for losses in found]).mean() for name in names}

    def _adversary_step(self, found: list[dict[str, Tensor]], rate: float) -> None:
        """The adversary's turn; what the generator's turn left in its gradients goes first."""
        assert self.adversary is not None
        _set_rate(self.adversary_optimizer, rate)
        self.adversary_optimizer.zero_grad()
        for losses in found:
            with self.accelerator.autocast():
                own = self.objective.adversary_loss(self.adversary, losses)
            self.accelerator.backward(own / len(found))
            losses["adversary"] = own
        self.adversary_optimizer.step()
        self.adversary_optimizer.zero_grad()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights, faster at the start, when there is little to average."""
        half_life = min(self.config.ema_images, 0.1 * (self.seen_images + self.step_images))
        kept = 0.5 ** (self.step_images / half_life) if self.config.ema_images else 0.0
        mine = [*self.averaged.parameters(), *self.averaged.buffers()]
        plain = self._plain(self.model)
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

    def _finite(self, means: dict[str, float]) -> dict[str, float]:
        """The means, or an error that says what to try; the checkpoint before stays."""
        if all(math.isfinite(value) for value in means.values()):
            return means
        raise self._no_longer_finite(f"the loss ({means})")

    def _no_longer_finite(self, what: str) -> TrainError:
        kept = "the last good checkpoint is kept" if self.checkpoint.is_file() else "there is no checkpoint yet"
        return TrainError(
            f"{what} is no longer finite after {self.seen_images} images; {kept} ({self.checkpoint}). Try a "
            f"smaller rate than {self.config.lr:g}, gradients clipped at 1, precision 'no', or AdamW"
        )

    def _weights_are_finite(self) -> bool:
        """A loss is of the weights before its step: the last step may have spoilt them unseen."""
        return all(bool(parameter.isfinite().all()) for parameter in self.model.parameters())

    def _plain(self, module: nn.Module) -> nn.Module:
        plain: nn.Module = self.accelerator.unwrap_model(module)
        return plain


class _Means:
    """Means of scalars, summed without waiting for the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._n = 0

    def add(self, losses: dict[str, Tensor]) -> None:
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value.double() if name in self._sums else value.double()
        self._n += 1

    def are_finite(self) -> bool:
        """On this rank."""
        return all(bool(value.isfinite()) for value in self._sums.values())

    def taken(self) -> dict[str, float]:
        """The means over what was added and over all ranks; then begin anew."""
        names = sorted(self._sums)
        stacked = torch.stack([self._sums[name] for name in names]) / self._n
        totals = parallel.sum_over_ranks(stacked) / parallel.world_size()
        self._sums, self._n = {}, 0
        return {name: float(value) for name, value in zip(names, totals, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        return {"sums": dict(self._sums), "n": self._n}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sums, self._n = dict(state["sums"]), int(state["n"])


def _accelerator(config: TrainConfig, device: str) -> "Accelerator":
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)  # another run of this process may have had other settings
    return Accelerator(mixed_precision=config.precision, cpu=device_name(device) == "cpu")


def _copy_of(model: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(model).requires_grad_(False)


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
