"""Live: a preview at work, between a pipeline's steps."""

import inspect
import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, final

import torch

from latentfit.collector import AnyVae
from latentfit.errors import PreviewError
from latentfit.families import doubt_of
from latentfit.live.files import EstimateFolder, PictureFolder
from latentfit.live.frames import GAP
from latentfit.live.layouts import canonical
from latentfit.live.mishaps import Mishaps
from latentfit.live.painting import Painter
from latentfit.live.screens import Screen
from latentfit.live.states import Costs, Step
from latentfit.live.taps import Tap
from latentfit.live.x0 import X0Reader
from latentfit.pairs import PairStore


@dataclass
class _Run:
    """Where the pipeline is."""

    timesteps: Any
    index: int = -1
    shown_index: int = 0
    shown_at: float = math.nan


@final
class Live:
    """A live preview; made by `preview`, alive inside ``with``.

    Attributes
    ----------
    runs : list of list of Step
        Previews of each run of the pipeline in the block, the newest last; `states` are the newest run's.
    n_seen : int
        Calls of the scheduler's `step`, previewed or not.
    costs : Costs
        What the previews took.
    store : PairStore or None
        What was recorded, once the block has ended.
    """

    def __init__(
        self,
        pipe: Any,
        painter: Painter,
        every: int,
        screen: Screen,
        *,
        watcher: Callable[[Step], object] | None = None,
        pictures: PictureFolder | None = None,
        estimates: EstimateFolder | None = None,
        vae: AnyVae | None = None,
        is_told: bool = True,
    ) -> None:
        self.runs: list[list[Step]] = []
        self.n_seen = 0
        self.costs = Costs()
        self.store: PairStore | None = None
        self._pipe, self._painter, self._every, self._screen = pipe, painter, every, screen
        self._watcher, self._pictures, self._estimates, self._vae = watcher, pictures, estimates, vae
        self._scheduler, self._is_told = pipe.scheduler, is_told
        self._reader = X0Reader(self._scheduler)
        self._mishaps = Mishaps("latentfit preview")
        self._taps: list[Tap] = []
        self._size_px: tuple[int, int] | None = None
        self._run = _Run(None)

    @property
    def states(self) -> list[Step]:
        """Previews of the newest run: each has index, timestep, sigma, latents (the x0 estimate) and ms."""
        return self.runs[-1] if self.runs else []

    @property
    def error(self) -> Exception | None:
        """The first that a preview met; it was warned of, and the run and its later previews went on."""
        return self._mishaps.first

    def __enter__(self) -> "Live":
        if self._taps:
            raise PreviewError("preview: this one is open already; make another with preview(...)")
        taps = [Tap(self._scheduler, "step", self._after_step, self._before_step)]
        if inspect.ismethod(getattr(self._pipe, "prepare_latents", None)):
            taps.append(Tap(self._pipe, "prepare_latents", self._after_prepare))
        try:
            for tap in taps:
                tap.open()
                self._taps.append(tap)
        except PreviewError:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._end_run()
        self._warn_of_doubt()
        if self.runs:
            with self._mishaps.kept():
                self._screen.end(repr(self))
        if error is not None:
            return
        if self._estimates is not None and self._estimates.n_written:
            with self._mishaps.kept(is_told=True):
                self.store = self._estimates.collect(self._pipe, self._vae)
        if not self.n_seen:
            warnings.warn(
                "latentfit preview: no step was seen; expected the pipeline to run inside the block, with the "
                "scheduler that it had when preview was called",
                stacklevel=2,
            )

    def __repr__(self) -> str:
        parts = [f"{sum(map(len, self.runs))} previews of {self.n_seen} steps", self.costs.label]
        if self.error is not None:
            parts.append(f"{self._mishaps.n_errors} errors, the first: {self.error}")
        return "; ".join(part for part in parts if part)

    def _repr_png_(self) -> bytes | None:
        return self.states[-1]._repr_png_() if self.states else None

    def _warn_of_doubt(self) -> None:
        """Where the pipeline does not tell its space: of the newest run's last estimate, nearly the picture."""
        last = self.states[-1] if self.states else None
        if self._is_told or last is None or last.index < last.n_steps - 1:
            return
        doubt = doubt_of(last.latents, self._painter.space, "model")
        if doubt is not None and doubt.kind == "space":
            warnings.warn(
                f"latentfit preview: the estimates were {doubt}; if so, take an approximation of "
                f"{doubt.spaces[0].name!r}",
                stacklevel=3,
            )

    def _close(self) -> None:
        for tap in reversed(self._taps):
            tap.close()
        self._taps = []

    def _after_prepare(self, arguments: Mapping[str, Any], output: Any, noted: Any) -> None:
        height, width = arguments.get("height"), arguments.get("width")
        if isinstance(height, int) and isinstance(width, int):
            self._size_px = (height, width)

    def _before_step(self) -> float | None:
        level = None
        with self._mishaps.kept():
            level = self._reader.level_before()
        return level

    def _after_step(self, arguments: Mapping[str, Any], output: Any, trial_sigma: float | None) -> None:
        with self._mishaps.kept():
            self._count()
            n_steps = self._n_steps()
            if self._run.index % self._every == 0 or self._run.index == n_steps - 1:
                with self._painter.random_state_kept(arguments["sample"]):
                    self._preview(arguments, output, trial_sigma, n_steps)

    def _count(self) -> None:
        """One step more; new timesteps are a new run."""
        timesteps = self._scheduler.timesteps
        self.n_seen += 1
        if timesteps is not self._run.timesteps or self._run.index + 1 >= len(timesteps):
            self._end_run()
            self._run = _Run(timesteps)
            self.runs.append([])
            for part in (self._screen, self._pictures):
                if part is not None:
                    part.begin()
            if self._estimates is not None:
                self._estimates.begin(timesteps)
        self._run.index += 1

    def _n_steps(self) -> int:
        """Calls of the model that the run makes: fewer than the timesteps where it begins among them."""
        told = getattr(self._pipe, "_num_timesteps", None)
        return told if isinstance(told, int) and told > self._run.index else len(self._run.timesteps)

    def _preview(self, arguments: Mapping[str, Any], output: Any, trial_sigma: float | None, n_steps: int) -> None:
        sample, run = arguments["sample"], self._run
        if sample.device.type != "cpu":
            torch.get_device_module(sample.device).synchronize()  # the model's own time is not the preview's
        began = time.perf_counter()
        n_since = run.index - run.shown_index
        step_ms = 1e3 * (began - run.shown_at) / n_since if n_since else math.nan
        x0 = self._reader.read(arguments, output, trial_sigma)
        latents = canonical(x0.latents, self._painter.space, self._size_px)
        step = Step(
            run.index,
            float(torch.as_tensor(arguments["timestep"]).flatten()[0]),
            x0.sigma,
            latents.to("cpu", torch.float32, copy=True).contiguous(),
            step_ms=step_ms,
            n_steps=n_steps,
            schedule=x0.schedule,
        )
        if self._estimates is not None:
            with self._mishaps.kept():
                self._estimates.add(step)
        with self._mishaps.kept():
            step = self._shown(step)
        run.shown_at, run.shown_index = time.perf_counter(), run.index
        step = replace(step, ms=1e3 * (run.shown_at - began))
        self.costs.add(step.ms, step_ms, n_since)
        self.states.append(step)
        if self._watcher is not None:
            self._watcher(step)

    def _shown(self, step: Step) -> Step:
        """The step with its picture, which is on the screen and in the folder."""
        caption = GAP.join(part for part in (step.label, self.costs.label) if part)
        painted = self._painter.paint(step.latents, caption)
        for error in painted.errors:
            self._mishaps.note(error)
        step = replace(step, picture=painted.picture, map_ms=painted.map_ms)
        if self._pictures is not None:
            with self._mishaps.kept():
                self._pictures.add(step.index, painted.picture)
        with self._mishaps.kept():
            self._screen.show(painted.picture, painted.tiles, caption)
        return step

    def _end_run(self) -> None:
        if self._pictures is not None:
            began = time.perf_counter()
            with self._mishaps.kept():
                if self._pictures.end() is not None:
                    self.costs.animations_ms += 1e3 * (time.perf_counter() - began)
