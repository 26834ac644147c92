"""What a live preview keeps of a step."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image
from torch import Tensor

from latentfit.previews.frames import GAP, png_of
from latentfit.previews.x0 import Schedule
from latentfit.scores.simulated_estimates import noise_beside_x0


@dataclass(frozen=True, eq=False)
class Step:
    """One step of the model, as a preview saw it: one call, or the calls for the views of one timestep together.

    Attributes
    ----------
    index : int
        Number of the step, from 0. Second-order schedulers and PNDM's warm-up call the model at trial points, too: each
        such call is a step here.
    timestep : float
        Timestep as the scheduler counts it.
    sigma : float
        Strength of the noise in what the model saw; see `schedule`.
    latents : Tensor, (N, C, h, w) or (N, C, T, h, w) float32, on the CPU
        The predicted x0, model domain, unpacked.
    ms : float
        Milliseconds that the preview took of this step, all of it: estimate, approximations, picture, files, display.
    step_ms : float
        Milliseconds of the pipeline's own step; NaN for the first, whose beginning nobody saw.
    n_steps : int
        Calls that the run will make, as its timesteps say.
    schedule : {"ve", "flow"}
        What `sigma` counts: noise relative to x0 (epsilon, v and sample prediction, whatever the scheduler), or the
        noise's share, 0 to 1 (flow matching).
    map_ms : dict of str to float
        Milliseconds of each approximation alone, by name.
    picture : PIL image or None
        What was shown, its caption below.
    """

    index: int
    timestep: float
    sigma: float
    latents: Tensor
    ms: float = math.nan
    step_ms: float = math.nan
    n_steps: int = 0
    schedule: Schedule = "ve"
    map_ms: dict[str, float] = field(default_factory=dict)
    picture: Image.Image | None = None

    @property
    def share(self) -> float:
        """The preview's part of this step's time, 0 to 1; NaN for the first."""
        return self.ms / (self.ms + self.step_ms)

    @property
    def noise(self) -> float:
        """Noise beside x0 in units of the model domain, whatever the schedule; infinite where there is no x0 yet."""
        if not math.isfinite(self.sigma) or (self.schedule == "flow" and self.sigma >= 1):
            return math.inf
        return noise_beside_x0(self.sigma, self.schedule)

    @property
    def label(self) -> str:
        """``"step 5/20   t 801   σ 3.21"``, counted from 1."""
        of = f"/{self.n_steps}" if self.n_steps else ""
        return GAP.join([f"step {self.index + 1}{of}", f"t {self.timestep:.4g}", f"σ {self.sigma:.3g}"])

    def __repr__(self) -> str:
        return f"Step({self.label}{GAP}x0 {tuple(self.latents.shape)}{GAP}{self.ms:.1f} ms)"

    def _repr_png_(self) -> bytes | None:
        return None if self.picture is None else png_of(self.picture)


@dataclass
class Costs:
    """What previews took of a run: only steps whose beginning was seen are counted.

    Attributes
    ----------
    previews_ms, steps_ms : float
        Milliseconds of the previews, and of the pipeline's own steps beside them.
    every_ms : list of float
        Milliseconds of each preview.
    animations_ms : float
        Milliseconds of the animations that `save` writes after each run; no part of `share`.
    """

    previews_ms: float = 0.0
    steps_ms: float = 0.0
    every_ms: list[float] = field(default_factory=list)
    animations_ms: float = 0.0

    def add(self, ms: float, step_ms: float, n_steps: int) -> None:
        """One preview, and the time of one step of the `n_steps` since the one before."""
        self.every_ms.append(ms)
        if math.isfinite(step_ms):
            self.previews_ms += ms
            self.steps_ms += step_ms * n_steps

    @property
    def share(self) -> float:
        """The previews' part of the run's time, 0 to 1; NaN before the second preview."""
        together = self.previews_ms + self.steps_ms
        return self.previews_ms / together if together else math.nan

    @property
    def label(self) -> str:
        """``"previews: 4.1 ms each, 1.3 % of the time"``; "" before the first."""
        return ", ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        if self.every_ms:
            middle = sorted(self.every_ms)[len(self.every_ms) // 2]
            yield f"previews: {middle:.1f} ms each"
        if math.isfinite(self.share):
            yield f"{self.share:.1%} of the time".replace("%", " %")
        if self.animations_ms:
            yield f"animations: {self.animations_ms:.0f} ms"
