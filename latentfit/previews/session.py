"""Live: a preview at work, between a pipeline's steps."""

import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, final

import torch
from torch import Tensor

from latentfit.errors import LatentfitWarning, PreviewError
from latentfit.latents.likely_space import doubt_of
from latentfit.maps.autoencoder import Autoencoder
from latentfit.pairs.store import PairStore
from latentfit.previews.calls import Begins, Calls
from latentfit.previews.displays import Screen
from latentfit.previews.first_error import FirstError
from latentfit.previews.frames import GAP
from latentfit.previews.learning import Learner
from latentfit.previews.method_hook import MethodHook, Watch
from latentfit.previews.recording import EstimateFolder, PictureFolder
from latentfit.previews.rendering import Painter
from latentfit.previews.run_facts import Told
from latentfit.previews.steps import Costs, Step
from latentfit.previews.token_layouts import axes_of, canonical
from latentfit.previews.views import Place, Views, base_of, frame_in_base, is_view, parts_of, place_in_base, places_in
from latentfit.previews.x0 import X0, X0Reader


@dataclass
class _Run:
    """Where the pipeline is.

    Attributes
    ----------
    n_calls : int or None
        Of a timestep, where it has several; None until the first one is over.
    places : list of Place
        Of the views of the first timestep, which the later ones have too.
    """

    index: int = -1
    shown_index: int = 0
    shown_at: float = math.nan
    n_calls: int | None = None
    places: list[Place] = field(default_factory=list)


@dataclass
class _Pending:
    """A step whose picture is not whole yet: its calls so far."""

    timestep: float
    x0: X0
    n_calls: int = 0
    views: Views | None = None


@dataclass
class _Film:
    """A video whose frames have schedulers of their own.

    Attributes
    ----------
    latents : Tensor
        The pipeline's, (N, C, T, h, w).
    estimates : Tensor
        x0 of every frame, as far as there is one.
    frame : int
        The last that was stepped.
    """

    latents: Tensor
    estimates: Tensor
    frame: int = -1


@final
class Live:
    """A live preview; made by `preview`, alive inside ``with``.

    Attributes
    ----------
    runs : list of list of Step
        Previews of each run of the pipeline in the block, the newest last; `states` are the newest run's.
    n_seen : int
        Steps, previewed or not: calls of the scheduler's `step`, those of the views of one timestep counted once.
    costs : Costs
        What the previews took.
    store : PairStore or None
        What was recorded, once the block has ended.
    calibration : Calibration or None
        What learns from the pipeline's decodes, where the preview is "auto".
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
        vae: Autoencoder | None = None,
        picture_size: tuple[int, int] | None = None,
        is_told: bool = True,
        learner: Learner | None = None,
    ) -> None:
        self.runs: list[list[Step]] = []
        self.n_seen = 0
        self.costs = Costs()
        self.store: PairStore | None = None
        self._pipe, self._painter, self._every, self._screen = pipe, painter, every, screen
        self._watcher, self._pictures, self._estimates, self._vae = watcher, pictures, estimates, vae
        self._scheduler, self._is_told = pipe.scheduler, is_told
        self._reader = X0Reader(self._scheduler)
        self._axes = axes_of(pipe)
        self._first_error = FirstError("latentfit preview")
        self._hooks: list[MethodHook] = []
        self._learner = learner
        self.calibration = None if learner is None else learner.calibration
        self._told = Told(pipe, picture_size)
        self._calls = Calls(self._scheduler)
        self._run = _Run()
        self._pending: _Pending | None = None
        self._film: _Film | None = None
        self._is_over = False  # the present step has been shown, or is not asked for

    @property
    def states(self) -> list[Step]:
        """Previews of the newest run: each has index, timestep, sigma, latents (the x0 estimate) and ms."""
        return self.runs[-1] if self.runs else []

    @property
    def error(self) -> Exception | None:
        """The first that a preview met; it was warned of, and the run and its later previews went on."""
        return self._first_error.first

    def __enter__(self) -> "Live":
        if self._hooks:
            raise PreviewError("preview: this one is open already", remedy="make another with preview(...)")
        hooks = [
            MethodHook(self._scheduler, {"step": Watch(self._after_step, self._before_step, of_copy=self._after_frame)})
        ]
        hooks += self._told.hooks(self._begin_pipeline, self._end_pipeline)
        if self._learner is not None:
            self._learner.refresh(self._painter)
        try:
            for hook in hooks:
                hook.open()
                self._hooks.append(hook)
        except PreviewError:
            self._close()
            raise
        if self._learner is not None:
            with self._first_error.kept():  # where the VAE cannot be watched, the preview still shows
                learning = self._learner.hook(self._first_error)
                learning.open()
                self._hooks.append(learning)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        with self._first_error.kept():
            self._finish_step()
        self._end_run()
        self._warn_of_doubt()
        if self.runs:
            with self._first_error.kept():
                self._screen.end(repr(self))
        if error is not None:
            return
        if self._estimates is not None and self._estimates.n_written:
            with self._first_error.kept(is_told=True):
                self.store = self._estimates.collect(self._pipe, self._vae)
        if not self.n_seen:
            warnings.warn(
                LatentfitWarning(
                    "latentfit preview: no step was seen",
                    expected="the pipeline to run inside the block, with the scheduler that it had when preview was "
                    "called",
                ),
                stacklevel=2,
            )

    def __repr__(self) -> str:
        parts = [f"{sum(map(len, self.runs))} previews of {self.n_seen} steps", self.costs.label]
        if self._learner is not None:
            parts.append(self._learner.label)
        if self.error is not None:
            parts.append(f"{self._first_error.n_errors} errors, the first: {self.error}")
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
                LatentfitWarning(
                    f"latentfit preview: the estimates were {doubt}",
                    remedy=f"if so, take an approximation of {doubt.spaces[0].name!r}",
                ),
                stacklevel=3,
            )

    def _close(self) -> None:
        for hook in reversed(self._hooks):
            hook.close()
        self._hooks = []

    def _begin_pipeline(self) -> None:
        if self._learner is not None:
            with self._first_error.kept():
                self._learner.refresh(self._painter)
        self._calls.begin_pipeline()
        self._film = None

    def _end_pipeline(self) -> None:
        with self._first_error.kept():
            self._finish_step()
        self._calls.end_pipeline()

    def _before_step(self, arguments: Mapping[str, Any]) -> float | None:
        level = None
        with self._first_error.kept():
            level = self._reader.level_before()
        return level

    def _after_step(self, arguments: Mapping[str, Any], output: Any, trial_sigma: float | None) -> None:
        with self._first_error.kept():
            sample = arguments["sample"]
            whole = self._told.whole_of(sample)
            is_part = is_view(sample, whole)
            self._count(self._calls.note(arguments, is_part=is_part))
            if self._is_over:
                return
            with self._painter.random_state_kept(sample):
                x0 = self._reader.read(arguments, output, trial_sigma)
                timestep = float(torch.as_tensor(arguments["timestep"]).flatten()[0])
                pending = self._pending or _Pending(timestep, x0)
                pending.n_calls += 1
                if is_part and whole is not None:
                    self._add_view(pending, x0, sample, whole)
                elif not self._told.is_other_batch(sample):
                    self._show_step(_Pending(timestep, x0, n_calls=1))
                    return
                if pending.n_calls == self._run.n_calls:
                    self._show_step(pending)
                else:
                    self._pending = pending

    def _after_frame(self, scheduler: Any, arguments: Mapping[str, Any], output: Any) -> None:
        """A copy of the scheduler stepped one frame of a video (SkyReels-V2): a pass over the frames is a step."""
        with self._first_error.kept():
            found = frame_in_base(arguments["sample"], self._told.source)
            if found is None:
                return
            latents, frame = found
            film = self._film
            if film is None or film.latents is not latents:
                film = self._film = _Film(latents, latents.detach().float().clone())
                self._count("run")
            elif frame <= film.frame:
                self._count("step")
            film.frame = frame
            with self._painter.random_state_kept(latents):
                x0 = X0Reader(scheduler).read(arguments, output)
            film.estimates[:, :, frame] = x0.latents
            if not self._is_over:
                timestep = float(torch.as_tensor(arguments["timestep"]).flatten()[0])
                self._pending = _Pending(timestep, replace(x0, latents=film.estimates.clone()))

    def _count(self, begins: Begins) -> None:
        """One step more, in a new run or not; a step whose calls were not known to be all is shown before."""
        if begins == "nothing":
            return
        self._finish_step()
        self.n_seen += 1
        if begins == "run":
            self._end_run()
            self._run = _Run()
            self.runs.append([])
            for part in (self._screen, self._pictures):
                if part is not None:
                    part.begin()
            if self._estimates is not None:
                self._estimates.begin(self._scheduler.timesteps)
        self._run.index += 1
        self._is_over = self._run.index % self._every != 0 and self._run.index != self._n_steps() - 1

    def _n_steps(self) -> int:
        """Calls of the model that the run makes: fewer than the timesteps where it begins among them."""
        told = self._told.n_steps()
        return told if told is not None and told > self._run.index else len(self._scheduler.timesteps)

    def _add_view(self, pending: _Pending, x0: X0, sample: Tensor, whole: Tensor) -> None:
        """Put a call's views where they were cut from."""
        first = pending.views is None
        pending.views = pending.views or Views(tuple(whole.shape))
        n_before, n_views = len(pending.views.places), len(sample) // len(whole)
        if base_of(sample, self._told.source) is whole:
            places = [place_in_base(sample, whole)]
        elif len(self._run.places) >= n_before + n_views:
            places = self._run.places[n_before : n_before + n_views]
        else:
            places = places_in(whole, sample)
            self._run.places = places if first else self._run.places + places
        pending.views.places += places
        pending.views.estimates += parts_of(x0.latents, len(whole))

    def _finish_step(self) -> None:
        """Show a step that waited for more calls, now that there are none."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._run.n_calls = self._run.n_calls or pending.n_calls
            if pending.n_calls >= self._run.n_calls:
                with self._painter.random_state_kept(pending.x0.latents):
                    self._show_step(pending)

    def _show_step(self, pending: _Pending) -> None:
        """A step's picture, of all its calls."""
        self._pending, self._is_over = None, True
        views = pending.views
        if views is None or (pending.n_calls == 1 and not views.covers()):  # cut down, and not a panorama's
            return self._preview(pending.timestep, pending.x0)
        self._preview(pending.timestep, replace(pending.x0, latents=views.stitched()))

    def _preview(self, timestep: float, x0: X0) -> None:
        run, found = self._run, x0.latents
        if found.device.type != "cpu":
            torch.get_device_module(found.device).synchronize()  # the model's own time is not the preview's
        began = time.perf_counter()
        n_since = run.index - run.shown_index
        step_ms = 1e3 * (began - run.shown_at) / n_since if n_since else math.nan
        latents = canonical(found, self._painter.space, self._told.size_px(), self._axes)
        step = Step(
            run.index,
            timestep,
            x0.sigma,
            latents.to("cpu", torch.float32, copy=True).contiguous(),
            step_ms=step_ms,
            n_steps=self._n_steps(),
            schedule=x0.schedule,
        )
        if self._estimates is not None:
            with self._first_error.kept():
                self._estimates.add(step)
        with self._first_error.kept():
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
            self._first_error.note(error)
        step = replace(step, picture=painted.picture, map_ms=painted.map_ms)
        if self._pictures is not None:
            with self._first_error.kept():
                self._pictures.add(step.index, painted.picture)
        with self._first_error.kept():
            self._screen.show(painted.picture, painted.tiles, caption)
        return step

    def _end_run(self) -> None:
        if self._pictures is not None:
            began = time.perf_counter()
            with self._first_error.kept():
                if self._pictures.end() is not None:
                    self.costs.animations_ms += 1e3 * (time.perf_counter() - began)
