"""StepScrubber: a denoising run's steps under one slider, several decoders side by side."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from latentfit.compare.figures.canvas import Figure
from latentfit.compare.figures.sheets import contact_sheet
from latentfit.compare.widgets.base import Widget
from latentfit.compare.widgets.decoders import Decoders, Side, named_decoders
from latentfit.compare.widgets.latest_request import LatestRequest
from latentfit.compare.widgets.page_data import pixels_of, png_of, without_bytes
from latentfit.errors import WidgetError
from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.maps.contracts import Approximation
from latentfit.vae.vae import Vae


class State(Protocol):
    """A step of a run: what `latentfit.preview` keeps, or anything with these attributes."""

    @property
    def index(self) -> int: ...
    @property
    def timestep(self) -> float: ...
    @property
    def sigma(self) -> float: ...
    @property
    def latents(self) -> Tensor: ...
    @property
    def ms(self) -> float: ...


class StepScrubber(Widget):
    """The predicted x0 of each step, decoded by each approximation when the step is first looked at.

    Parameters
    ----------
    states : sequence of State
        Their latents are (N, C, h, w) or (N, C, T, h, w), model domain.
    approximations : mapping of str to Approximation or Vae, or sequence
        One pane each; one of another space, or one that raises, shows its reason.
    vae : Vae, Approximation or None
        One pane more, at the end, that the others are scored against; each step costs one of its decodes.
    space : LatentSpace or str, or None
        Space of the latents; None: the VAE's, else that of the first approximation with as many channels.
    number : int
        Which of the N pictures; of a video its first frame is shown.
    smooth : bool
        Enlarge smaller pictures bilinearly.
    height : int or None
        Most CSS pixels of a pane; None: as wide as there is room, and at most 82 % of the window's height.

    Raises
    ------
    WidgetError
        When there is no step, or nothing to decode with.
    """

    def __init__(
        self,
        states: Sequence[State],
        approximations: Mapping[str, Approximation | Vae] | Sequence[Approximation | Vae] | Approximation | Vae = (),
        vae: Vae | Approximation | None = None,
        *,
        space: LatentSpace | str | None = None,
        number: int = 0,
        smooth: bool = True,
        height: int | None = None,
    ) -> None:
        self._given = (
            ("", states),
            ("", approximations),
            ("vae", vae),
            ("space", space),
            ("number", number or None),
        )
        self.states = list(states)
        if not self.states:
            raise WidgetError(
                "step scrubber", expected="at least one state", got="none", remedy="was the preview run to a step?"
            )
        named = named_decoders(approximations)
        self._reference = None
        if vae is not None:
            self._reference = vae.name if vae.name not in named else f"{vae.name} (reference)"
            named[self._reference] = vae.approximation() if isinstance(vae, Vae) else vae
        if not named:
            raise WidgetError("step scrubber", expected="at least one approximation or a vae", got="none")
        self._latents = [_one_picture(state, at, number) for at, state in enumerate(self.states)]
        self.decoders = Decoders(named, _space_of(self._latents[0], named, vae, space), 16 * len(named))
        self._position, self.smooth = len(self.states) - 1, smooth
        self._newest: LatestRequest[int] = LatestRequest(self._answer, self._failed)
        super().__init__("step_scrubber", {
            "names": list(named), "steps": [_step(state) for state in self.states], "position": self._position,
            "smooth": smooth, "height": height,
        })  # fmt: skip
        self._handlers["step"] = self._ask

    @property
    def position(self) -> int:
        """Number of the step that is shown; settable."""
        return self._position

    @position.setter
    def position(self, value: int) -> None:
        self._position = self._checked(value)
        self._begin_with(position=self._position)
        self._post(position=self._position)

    def still(self, position: int | None = None, *, smooth: bool | None = None) -> Figure:
        """The present step, or another, as a sheet; smaller pictures smooth or in blocks."""
        at = self._position if position is None else self._checked(position)
        sides = self._sides(at)
        shown = {name: side.reason if side.rgb is None else side.rgb for name, side in sides.items()}
        words = {name: side.score_words or " " for name, side in sides.items()}  # times would differ at each call
        figure = contact_sheet(
            shown, words, columns=min(5, len(shown)), smooth=self.smooth if smooth is None else smooth
        )
        state = _step(self.states[at])
        known = [f"step {state['index']}"]
        known += [f"t {state['timestep']:.4g}"] if state["timestep"] is not None else []
        known += [f"σ {state['sigma']:.3g}"] if state["sigma"] is not None else []
        figure.supxlabel("   ".join(known), fontsize=8, x=0.01, ha="left")
        return figure

    def code(self) -> str:
        """One call for the present step."""
        imports, said = self._said(*self._given)
        return f"{imports}{said}.still(position={self._position}{'' if self.smooth else ', smooth=False'})"

    def data(self) -> dict[str, Any]:
        """All steps, decoded now, for a page without kernel."""
        steps = []
        for at, state in enumerate(self.states):
            pictures = {name: _spec(side, png=True) for name, side in self._sides(at).items()}
            steps.append({**_step(state), "pictures": pictures})
        shown: dict[str, Any] = without_bytes(
            {**self.page, "steps": steps, "position": self._position, "smooth": self.smooth}
        )
        return shown

    def wait(self, seconds: float | None = None) -> bool:
        """Until everything that was asked is done; False when that takes longer."""
        return self._newest.wait(seconds)

    def __repr__(self) -> str:
        return f"StepScrubber({len(self.states)} steps of {self.decoders.space.name}; {', '.join(self.decoders.named)})"

    def _checked(self, position: int) -> int:
        if not 0 <= position < len(self.states):
            raise WidgetError("position", expected=f"0 to {len(self.states) - 1}", got=f"{position}")
        return int(position)

    def _sides(self, at: int) -> dict[str, Side]:
        sides = {name: self.decoders.decode(name, self._latents[at], str(at)) for name in self.decoders.named}
        truth = sides.get(self._reference) if self._reference else None
        return {name: side.against(truth) for name, side in sides.items()}

    def _ask(self, content: Mapping[str, Any], _: Sequence[Any]) -> None:
        self._position, self.smooth = self._checked(int(content["position"])), bool(content.get("smooth", self.smooth))
        self._begin_with(position=self._position, smooth=self.smooth)
        if not content.get("known"):  # else the page has it, and only says where it is
            self._newest.ask(self._position)

    def _answer(self, at: int) -> None:
        self._post(at=at, pictures={name: _spec(side) for name, side in self._sides(at).items()})

    def _failed(self, error: Exception) -> None:
        reason = {"reason": str(error) or type(error).__name__}
        self._post(at=self._position, pictures=dict.fromkeys(self.decoders.named, reason))


def _one_picture(state: State, at: int, number: int) -> Tensor:
    latents = state.latents
    if not isinstance(latents, Tensor) or latents.ndim not in (4, 5) or not 0 <= number < latents.shape[0]:
        got = tuple(latents.shape) if isinstance(latents, Tensor) else type(latents).__name__
        raise WidgetError(f"state {at}", expected=f"latents (N, C, h, w) with a picture {number}", got=f"{got}")
    one = latents[number : number + 1]
    return (one[:, :, 0] if one.ndim == 5 else one).detach().float().cpu()


def _space_of(
    latents: Tensor,
    named: Mapping[str, Approximation],
    vae: Vae | Approximation | None,
    space: LatentSpace | str | None,
) -> LatentSpace:
    if space is not None or vae is not None:
        found = get_space(space) if space is not None else vae.space  # type: ignore[union-attr]
        found.check(latents)
        return found
    for approximation in named.values():
        if approximation.space.channels == latents.shape[1]:
            return approximation.space
    raise WidgetError(
        f"step scrubber: the latents have {latents.shape[1]} channels, and no approximation takes as many",
        remedy="name their space: space='sd1'",
    )


def _step(state: State) -> dict[str, Any]:
    """Numbers of a step; None where one is not known."""
    numbers = {name: float(getattr(state, name)) for name in ("timestep", "sigma", "ms") if hasattr(state, name)}
    known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    return {"index": int(state.index), "timestep": None, "sigma": None, "ms": None, **known}


def _spec(side: Side, *, png: bool = False) -> dict[str, Any]:
    scores = {"psnr": side.scores.get("psnr"), "delta_e": side.scores.get("delta_e"), "ms": side.ms}
    if side.rgb is None:
        return {"reason": side.reason}
    return {**(png_of(side.rgb) if png else pixels_of(side.rgb)), "scores": scores}
