"""train(): the one loop."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from latentfit.runtime import distributed as parallel
from latentfit.train.config import TrainConfig
from latentfit.train.objective import AnyObjective
from latentfit.train.optimizers import rate_factor, set_rate
from latentfit.train.state import RunState


class Source(Protocol):
    """The source of a run's batches: the same for the same images."""

    def batch(self, images: Sequence[int]) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class Trained:
    """The result of a run.

    Attributes
    ----------
    model : nn.Module
        With the averaged weights, in evaluation mode.
    rows : list of dict
        Metrics: seen_images, rate, each loss, images_per_s.
    seen_images : int
        Less than the config's `n_images` when the time was up before: the same call goes on.
    """

    model: nn.Module
    rows: list[dict[str, float]]
    seen_images: int


Callback = Callable[[nn.Module, list[dict[str, float]], int], None]


def train(
    model: nn.Module,
    objective: AnyObjective,
    source: Source,
    config: TrainConfig,
    checkpoint: Path,
    *,
    identity: dict[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    device: str = "auto",
    progress: bool = True,
) -> Trained:
    """Train until `config.n_images` are seen or the time is up, going on from `checkpoint` when it is there.

    Parameters
    ----------
    model : nn.Module
        Network whose weights at the start must derive from the seed too.
    objective : Objective, or one of its kind
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
    parallel.start_ranks()
    state = RunState(model, objective, config, checkpoint, identity or {}, device)
    state.resume()
    _Loop(state, objective, source, config).go(callbacks, progress)
    return Trained(state.averaged.eval(), state.rows, state.seen_images)


class _Loop:
    """Steps of a run's state over a source's batches."""

    def __init__(self, state: RunState, objective: AnyObjective, source: Source, config: TrainConfig) -> None:
        self.state, self.objective, self.source, self.config = state, objective, source, config
        self._since = time.perf_counter(), state.seen_images

    def go(self, callbacks: Sequence[Callback], progress: bool) -> None:
        """Steps until all images are seen."""
        from tqdm.auto import tqdm

        config, state = self.config, self.state
        started = saved = time.monotonic()
        self._cpu_started = time.process_time() if config.cpu_seconds else 0.0
        hidden = not progress or parallel.rank() > 0
        bar = tqdm(total=config.n_images, initial=state.seen_images, unit="image", desc="train", disable=hidden)
        with bar, ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self._fetch, state.seen_images)
            while state.seen_images < config.n_images:
                batches, coming = self._take(ahead, coming)
                state.means.add(self._step(batches))
                before, state.seen_images = state.seen_images, state.seen_images + state.step_images
                bar.update(min(state.step_images, config.n_images - before))
                last = state.seen_images >= config.n_images
                time_is_up = not last and self._time_is_up(started)
                if last or state.seen_images // config.log_images > before // config.log_images:
                    state.rows.append(self._row(state.finite(state.means.taken())))
                    bar.set_postfix(loss=f"{state.rows[-1]['loss']:.4g}")
                    self._post(callbacks, state.rows)
                elif time_is_up:  # shown, but no row of the run: that is written when it has gone on so far
                    self._post(callbacks, [*state.rows, self._row(state.finite(state.means.so_far()))])
                if last or time_is_up or time.monotonic() - saved > config.checkpoint_seconds:
                    state.save()
                    saved = time.monotonic()
                if time_is_up:
                    break
        parallel.barrier()

    def _time_is_up(self, started: float) -> bool:
        """Whether any rank's clock is past a limit, on the wall or of its CPU; all ranks stop after the same step."""
        wall, cpu = self.config.wall_seconds, self.config.cpu_seconds
        over = bool(wall) and time.monotonic() - started >= wall
        over = over or (bool(cpu) and time.process_time() - self._cpu_started >= cpu)
        return bool(wall or cpu) and any(parallel.gather(over))

    def _row(self, means: dict[str, float]) -> dict[str, float]:
        """Metrics of the steps since the last row."""
        state, (at, images) = self.state, self._since
        now = self._since = time.perf_counter(), state.seen_images
        rate, speed = state.optimizer.param_groups[0]["lr"], (now[1] - images) / (now[0] - at)
        return {"seen_images": state.seen_images, "rate": rate, **means, "images_per_s": speed}

    def _post(self, callbacks: Sequence[Callback], rows: list[dict[str, float]]) -> None:
        for callback in callbacks if parallel.rank() == 0 else ():
            callback(self.state.averaged, rows, self.state.seen_images)

    def _fetch(self, seen_images: int) -> list[dict[str, Tensor]]:
        """This rank's batches of the step that begins after so many images."""
        n, world, rank = self.config.batch_images, parallel.world_size(), parallel.rank()
        starts = [seen_images + (turn * world + rank) * n for turn in range(self.config.accumulate)]
        return [self.source.batch(range(start, start + n)) for start in starts]

    def _take(
        self, ahead: ThreadPoolExecutor, coming: "Future[list[dict[str, Tensor]]]"
    ) -> tuple[list[dict[str, Tensor]], "Future[list[dict[str, Tensor]]]"]:
        """The batches that are ready, on the device, and the next ones being read meanwhile."""
        batches = [{name: self._placed(value) for name, value in batch.items()} for batch in coming.result()]
        return batches, ahead.submit(self._fetch, self.state.seen_images + self.state.step_images)

    def _placed(self, value: Tensor) -> Tensor:
        layout = torch.channels_last if value.ndim == 4 else torch.preserve_format
        return value.to(self.state.device, memory_format=layout)

    def _step(self, batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """One change of the weights; the losses' means over its batches."""
        config, state, accelerator = self.config, self.state, self.state.accelerator
        torch.manual_seed((config.seed * 1_000_003 + state.seen_images) * 1_009 + parallel.rank())
        factor = rate_factor(config, state.seen_images + state.step_images // 2)
        set_rate(state.optimizer, config.lr * factor)
        found: list[dict[str, Tensor]] = []
        for index, batch in enumerate(batches):
            waits = accelerator.no_sync(state.model) if index + 1 < len(batches) else nullcontext()
            with waits, accelerator.autocast():
                losses = self.objective.losses(state.model, batch)
                accelerator.backward(losses["loss"] / len(batches))
            found.append(losses)
        if config.clip:
            accelerator.clip_grad_norm_(state.model.parameters(), config.clip)
        state.optimizer.step()
        state.optimizer.zero_grad()
        if state.adversary is not None:
            self._adversary_step(found, config.adversary_lr * factor)
        state.average()
        names = [name for name, value in found[0].items() if value.ndim == 0]
        return {name: torch.stack([losses[name].detach() for losses in found]).mean() for name in names}

    def _adversary_step(self, found: list[dict[str, Tensor]], rate: float) -> None:
        """The adversary's turn; what the generator's turn left in its gradients goes first."""
        state = self.state
        assert state.adversary is not None
        set_rate(state.adversary_optimizer, rate)
        state.adversary_optimizer.zero_grad()
        for losses in found:
            with state.accelerator.autocast():
                own = self.objective.adversary_loss(state.adversary, losses)
            state.accelerator.backward(own / len(found))
            losses["adversary"] = own
        if self.config.clip:
            state.accelerator.clip_grad_norm_(state.adversary.parameters(), self.config.clip)
        state.adversary_optimizer.step()
        state.adversary_optimizer.zero_grad()
