"""Workbench: pictures, decoders and their VAE, in a split view, a grid or in turns, at any noise, gain and exposure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from latentfit.compare.figures.canvas import Figure
from latentfit.compare.widgets.base import Widget
from latentfit.compare.widgets.decoders import Decoders, Side, named_decoders
from latentfit.compare.widgets.latest_request import LatestRequest
from latentfit.compare.widgets.page_data import pixels_of, png_of, without_bytes
from latentfit.compare.widgets.workbench_pictures import (
    Images,
    Subject,
    grey,
    place_of_kind,
    subject_of_bytes,
    subjects_of_images,
    subjects_of_latents,
    subjects_of_store,
)
from latentfit.compare.widgets.workbench_state import Bench, View
from latentfit.errors import WidgetError
from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import PairStore
from latentfit.vae.vae import Vae

THUMB_PX, MOST_DROPPED_BYTES = 152, 64 << 20


class Workbench(Widget):
    """Choose a picture and decoders, and see them under a movable line or in a grid, their errors, scores and times.

    Decoding is done on a thread beside the notebook's; while a slider is dragged, only the newest position is decoded.
    A decoder of another space, or one that raises, is shown as its reason. A decoder that was fitted on the picture
    that is shown, as its card tells, is marked: its scores are better there than elsewhere.

    Parameters
    ----------
    images : PairStore, folder, or pictures, or None
        Pictures in any form of `latentfit.compare.widgets.as_picture`, alone, in a sequence or by name; a folder, or
        what else `latentfit.images.pictures` takes; a store, whose latents are taken as they are. More can be dropped.
    approximations : mapping of str to Approximation or Vae, or sequence
    vae : Vae, Approximation or None
        The reference. None: a store's own decode where it keeps one (it does when collected with
        ``keep='rgb'``), else no scores are shown.
    latents : Tensor (N, C, h, w), or mapping of str to Tensor, or None
        Instead of images; model domain.
    space : LatentSpace or str, or None
        Space of `latents`, where no VAE says it.
    size_px : int
        Pictures are shrunk to this short side and cut to whole cells, at most twice as long.
    sigma_most : float
        End of the noise slider.
    height : int or None
        Most CSS pixels of the picture; None: as wide as there is room, and at most 82 % of the window's height.

    Raises
    ------
    WidgetError
        When there is nothing to show, or images without a VAE to encode them.

    Examples
    --------
    >>> import torch
    >>> table = Approximation(torch.nn.Conv2d(4, 3, 1), "sd1", name="table")
    >>> Workbench(latents=torch.randn(2, 4, 8, 8), approximations=[table], space="sd1")
    Workbench(2 pictures of sd1; table; no reference)
    """

    def __init__(
        self,
        images: Images | None = None,
        approximations: Mapping[str, Approximation | Vae] | Sequence[Approximation | Vae] = (),
        vae: Vae | Approximation | None = None,
        *,
        latents: Tensor | Mapping[str, Tensor] | None = None,
        space: LatentSpace | str | None = None,
        size_px: int = 512,
        sigma_most: float = 4.0,
        height: int | None = None,
    ) -> None:
        if (images is None) == (latents is None):
            raise WidgetError(
                "workbench", expected="either images or latents=", got="neither" if images is None else "both"
            )
        self._given = (
            ("images", images),
            ("approximations", approximations),
            ("vae", vae),
            ("latents", latents),
            ("space", space),
            ("size_px", None if size_px == 512 else size_px),
        )
        self._encoder = vae if isinstance(vae, Vae) else None
        self.size_px = size_px
        self.bench = _bench(images, approximations, vae, latents, space, size_px)
        self._view, self._n_given = _first_view(self.bench), len(self.bench.subjects)
        self._parts: dict[str, list[bytes]] = {}
        self._newest: LatestRequest[tuple[Any, ...]] = LatestRequest(
            lambda request: request[0](*request[1:]), self._failed
        )
        super().__init__("workbench", {
            "pictures": [self._tile(at) for at in range(len(self.bench.subjects))],
            "sides": self.bench.names, "reference": self.bench.reference, "drops": self._encoder is not None,
            "sigma_most": sigma_most, "height": height, **_page_view(self._view),
        })  # fmt: skip
        self._handlers |= {"view": self._ask, "look": self._look, "file": self._take}

    @property
    def shown(self) -> View:
        """What the page shows now."""
        return self._view

    def show(self, picture: int | str | None = None, **changes: Any) -> None:
        """Show something else: any of `View`'s attributes, the picture also by its name."""
        self._view = self._changed(picture, changes)
        self._begin_with(**_page_view(self._view))
        self._post(view=_page_view(self._view), position=self._view.position)

    def view(self, picture: int | str | None = None, **changes: Any) -> Figure:
        """A view as a figure: the present one, or with changes as `show` takes them."""
        return self.bench.figure(self._changed(picture, changes))

    def still(self) -> Figure:
        """The present view as a figure."""
        return self.view()

    def code(self) -> str:
        """One call for the present view."""
        view, plain = self._view, View()
        if view.layout != "grid":
            view = replace(view, grid=())
        is_given = view.picture < self._n_given  # a dropped picture is in this very widget alone
        imports, said = self._said(*(self._given if is_given else ()))
        told = [repr(self.bench.subjects[view.picture].name if self._is_only(view.picture) else view.picture)]
        told += [f"left={view.left!r}", f"right={view.right!r}"]
        for name in ("layout", "grid", "mode", "scale", "sigma", "gain", "exposure", "position", "smooth"):
            if (value := getattr(view, name)) != getattr(plain, name):
                told.append(f"{name}={value!r}")
        return f"{imports}{said}.view({', '.join(told)})"

    def data(self, sigmas: Sequence[float] = (0.0,)) -> dict[str, Any]:
        """All pictures by all decoders, decoded now, for a page without kernel; a σ slider with these stops."""
        pictures = []
        for at in range(len(self.bench.subjects)):
            views = []
            for sigma in dict.fromkeys((0.0, *sigmas)):
                sides = self.bench.sides(at, self.bench.names, sigma)
                specs = {name: {**_spec(side), **_png(side)} for name, side in sides.items()}
                views.append({"sigma": sigma, "gain": 1.0, "sides": specs})
            pictures.append({**self._tile(at), "views": views})
        shown: dict[str, Any] = without_bytes({**self.page, **_page_view(self._view), "pictures": pictures})
        return shown

    def wait(self, seconds: float | None = None) -> bool:
        """Until everything that was asked is done; False when that takes longer."""
        return self._newest.wait(seconds)

    def __repr__(self) -> str:
        bench = self.bench
        decoders = ", ".join(name for name in bench.decoders.named if name != bench.reference) or "no approximation"
        against = f"against {bench.reference}" if bench.reference else "no reference"
        return f"Workbench({len(bench.subjects)} pictures of {bench.decoders.space.name}; {decoders}; {against})"

    def _changed(self, picture: int | str | None, changes: Mapping[str, Any]) -> View:
        unknown = set(changes) - set(asdict(self._view))
        if unknown:
            raise WidgetError("view", expected=f"{', '.join(asdict(self._view))}", got=f"{', '.join(sorted(unknown))}")
        at = self._view.picture if picture is None else self._at(picture)
        view = replace(self._view, **{**changes, "picture": at})
        for name in (view.left, view.right, *view.grid):
            if name not in self.bench.names:
                raise WidgetError("view", expected=f"one of {', '.join(map(repr, self.bench.names))}", got=f"{name!r}")
        return view

    def _at(self, picture: int | str) -> int:
        names = [subject.name for subject in self.bench.subjects]
        if isinstance(picture, str) and picture in names:
            return names.index(picture)
        if isinstance(picture, int) and 0 <= picture < len(names):
            return picture
        raise WidgetError(
            "picture", expected=f"one of {', '.join(map(repr, names))}, or its number", got=f"{picture!r}"
        )

    def _is_only(self, at: int) -> bool:
        names = [subject.name for subject in self.bench.subjects]
        return names.count(names[at]) == 1

    def _tile(self, at: int) -> dict[str, Any]:
        subject, bench = self.bench.subjects[at], self.bench
        thumb = png_of(self._thumb(subject), THUMB_PX)
        standing, standings = bench.standing(at), bench.standings(at)
        return {
            "name": subject.name, "note": subject.note, "thumb": thumb, "standing": standing, "standings": standings,
        }  # fmt: skip

    def _thumb(self, subject: Subject) -> Tensor:
        """What a tile shows: the picture itself, else what the cheapest decoder makes of it."""
        for fixed in subject.fixed.values():
            return fixed.float() / 255
        decoders = self.bench.decoders
        cheap = sorted((one.scale, name) for name, one in decoders.named.items() if one.space == decoders.space)
        side = decoders.decode(cheap[0][1], subject.latents, f"{subject.key[:24]} 0 1") if cheap else Side(None)
        return side.rgb if side.rgb is not None else grey(subject.latents)

    # what the page asks, on the notebook's thread, and what is done for it, on another

    def _look(self, content: Mapping[str, Any], _: Sequence[Any]) -> None:
        told = {key: content[key] for key in asdict(self._view) if key in content and key != "picture"}
        self._view = self._changed(int(content["at"]), told)
        self._begin_with(**_page_view(self._view))

    def _ask(self, content: Mapping[str, Any], _: Sequence[Any]) -> None:
        self._newest.ask((self._answer, dict(content)), "view")

    def _answer(self, asked: Mapping[str, Any]) -> None:
        at, sigma, gain = int(asked["picture"]), float(asked["sigma"]), float(asked["gain"])
        view = replace(self._view, sigma=sigma, gain=gain)  # whose checks are those of the settings
        wanted = [str(name) for name in (*asked["names"], self.bench.reference) if name]
        sides = self.bench.sides(at, dict.fromkeys(wanted), sigma, gain)
        specs = {}
        for name, side in sides.items():
            key = f"{name} {self.bench.key(at, sigma, gain)}"
            there = key in asked["have"]
            pixels = {} if there or side.rgb is None else pixels_of(side.rgb)
            specs[name] = {"key": key, "kept": there, **_spec(side), **pixels}
        self._post(sides=specs, key=asked["key"], estimate=self.bench.label(view.sigma, view.gain))

    def _take(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """A part of a dropped file."""
        number, n_parts = str(content["id"]), int(content["n_parts"])
        parts = self._parts.setdefault(number, [])
        parts.append(bytes(buffers[0]))
        if len(parts) == n_parts:
            blob = b"".join(self._parts.pop(number))
            self._newest.ask((self._put, str(content["name"]), blob), f"file {number}")

    def _put(self, name: str, blob: bytes) -> None:
        if self._encoder is None:
            raise WidgetError(
                f"{name}: no VAE was given that could encode it", remedy="Workbench(…, vae=lf.Vae.load(…))"
            )
        if len(blob) > MOST_DROPPED_BYTES:
            raise WidgetError(f"{name}: {len(blob) >> 20} MiB", expected=f"at most {MOST_DROPPED_BYTES >> 20} MiB")
        subject = subject_of_bytes(name, blob, self._encoder, self.size_px)
        self.bench.subjects.append(subject)
        self.page = {
            **self.page,
            "pictures": [*self.page["pictures"], self._tile(len(self.bench.subjects) - 1)],
            "sides": self.bench.names,
        }
        self._post(pictures=self.page["pictures"], all_sides=self.bench.names, note="")
        self.show(len(self.bench.subjects) - 1)

    def _failed(self, error: Exception) -> None:
        self._post(note=str(error) or type(error).__name__, failed=True)


def _bench(
    images: Images | None,
    approximations: Mapping[str, Approximation | Vae] | Sequence[Approximation | Vae],
    vae: Vae | Approximation | None,
    latents: Tensor | Mapping[str, Tensor] | None,
    space: LatentSpace | str | None,
    size_px: int,
) -> Bench:
    """Everything that is put on the bench, under names that are told apart."""
    named = named_decoders(approximations)
    reference = None
    if vae is not None:
        reference = vae.name if vae.name not in named else f"{vae.name} (reference)"
        named[reference] = vae.approximation() if isinstance(vae, Vae) else vae
    if isinstance(images, PairStore):
        stored = "" if reference else "the VAE's decode"
        subjects = subjects_of_store(images, stored)
        reference = reference or (stored if "rgb" in images.columns else None)
        return Bench(subjects, Decoders(named, images.space), reference, images)
    known = vae.space if vae is not None else get_space(space) if space is not None else None
    if images is not None:
        found = subjects_of_images(images, vae if isinstance(vae, Vae) else None, size_px)
        assert known is not None  # the VAE's, without which there are no subjects
    else:
        if known is None:
            raise WidgetError("latents", expected="to be told their space: space='sd1', or a vae")
        assert latents is not None
        found = subjects_of_latents(latents, known)
    return Bench(found, Decoders(named, known), reference)


def _first_view(bench: Bench) -> View:
    names = bench.names
    if not names:
        raise WidgetError(
            "workbench",
            expected="at least one approximation or a vae",
            got="none",
            remedy="give one, for nothing can be shown",
        )
    others = [name for name in names if name != bench.reference]
    left = others[0] if others else names[0]
    photographs = [at for at, subject in enumerate(bench.subjects) if place_of_kind(subject.kind) == 0]
    held_out = (at for at in [*photographs, *range(len(bench.subjects))] if bench.standing(at) == "held_out")
    return View(picture=next(held_out, 0), left=left, right=bench.reference or (others[1] if len(others) > 1 else left))


def _page_view(view: View) -> dict[str, Any]:
    return {**asdict(view), "grid": list(view.grid)}


def _spec(side: Side) -> dict[str, Any]:
    scores = {"psnr": side.scores.get("psnr"), "delta_e": side.scores.get("delta_e"), "ms": side.ms}
    return {"scores": scores, **({} if side.rgb is not None else {"reason": side.reason})}


def _png(side: Side) -> dict[str, Any]:
    return {} if side.rgb is None else png_of(side.rgb)
