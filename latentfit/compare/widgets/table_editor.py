"""TableEditor: a fitted map's coefficients under sliders, the picture evaluated in the page."""

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfit.compare.figures.canvas import Figure
from latentfit.compare.figures.sheets import contact_sheet
from latentfit.compare.widgets.base import Widget
from latentfit.compare.widgets.page_data import array_of
from latentfit.compare.widgets.table_editor_data import (
    EditorPicture,
    Solved,
    bundled_pairs,
    comfyui_templates,
    editable,
    editor_pictures,
    solved,
    without_evidence,
)
from latentfit.errors import WidgetError
from latentfit.fit import ChannelMap, PolynomialMap
from latentfit.formats.programs.registry import PROGRAMS
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import PairStore

Floats = NDArray[np.float64]
_MOST_SAID = 24  # edited numbers, each on a line


class TableEditor(Widget):
    """Every coefficient as a slider and a number; the picture follows while one is dragged, without the kernel.

    "Nudge" goes a quarter of the way to least squares, whose place on each slider is marked; "Export" downloads a table
    that `latentfit.formats.read` takes; "Copy as ComfyUI" copies the lines of a latent format, where ComfyUI runs the
    form. What is edited is here too: `coefficients`, `approximation`, `channel_map`.

    Parameters
    ----------
    channel_map : ChannelMap or Approximation
        Fitted, to rgb, at one pixel a cell: a table or a kernel, of any degree.
    store : PairStore or None
        Pictures to look at (held-out photographs first), and what "least squares" is over. None, and no `latents`: six
        bundled photographs by the bundled mini VAE; in a space that none is bundled for, drawn noise.
    latents : Tensor (N, C, h, w) or None
        Instead of a store; model domain.
    cells : Tensor (N, 3, h, w) in [0, 1] or None
        The true cells of `latents`: without them no residual is shown.
    solution : ndarray (1 + n_terms, 3) or None
        Least squares, signed range. None: over the store, else over latents and cells, else the map's own fit.

    Raises
    ------
    WidgetError
        When the map has no table of three colours, or the pictures are of another space.

    Examples
    --------
    >>> latents = torch.randn(2, 4, 8, 8)
    >>> fitted = ChannelMap("affine").fit_arrays(latents, torch.rand(2, 3, 8, 8), space="sd1")
    >>> TableEditor(fitted, latents=latents)
    TableEditor('affine', 5 × 3 coefficients of sd1, 2 pictures)
    """

    def __init__(
        self,
        channel_map: ChannelMap | Approximation,
        store: PairStore | None = None,
        *,
        latents: Tensor | None = None,
        cells: Tensor | None = None,
        solution: Floats | None = None,
        height: int | None = None,
    ) -> None:
        self._given = (
            ("", channel_map),
            ("", store),
            ("latents", latents),
            ("cells", cells),
            ("solution", solution),
        )
        self._map = channel_map if isinstance(channel_map, ChannelMap) else None
        first = channel_map.approximation() if isinstance(channel_map, ChannelMap) else channel_map
        self._first, module = first, editable(first)
        names: list[str] = []
        if store is None and latents is None:
            latents, cells, names = bundled_pairs(first.space)
        self._pictures = editor_pictures(first, store, latents, cells, names)
        self._picture = 0
        self._values: Floats = module.coefficients.double().numpy().copy()
        self.solved: Solved | None = solved(channel_map, module, store, latents, cells, solution)
        super().__init__("table_editor", {
            "name": first.name, "space": first.space.name, "n_channels": module.n_channels,
            "kernels": list(module.kernels), "intercept": module.intercept, "terms": module.terms,
            "factors": module.basis.factors.tolist(), "coefficients": array_of(torch.from_numpy(self._values)),
            "solution": None if self.solved is None else array_of(torch.from_numpy(self.solved.coefficients)),
            "solution_label": "" if self.solved is None else self.solved.label,
            "document": json.loads(PROGRAMS["json"].write(first, None)), "height": height,
            "comfyui": comfyui_templates(first, self._renamed()),
            "pictures": [
                self._opened(at) if at == 0 else {"name": picture.name} for at, picture in enumerate(self._pictures)
            ],
        })  # fmt: skip
        self._handlers |= {"coefficients": self._edit, "picture": self._open}

    @property
    def coefficients(self) -> Floats:
        """``(1 + n_terms, 3)``, signed range, as edited; settable."""
        return self._values.copy()

    @coefficients.setter
    def coefficients(self, values: Floats) -> None:
        changed = np.asarray(values, dtype=np.float64)
        if changed.shape != self._values.shape or not np.isfinite(changed).all():
            raise WidgetError(
                "coefficients",
                expected=f"{self._values.shape} finite numbers",
                got=f"{changed.shape}{('' if np.isfinite(changed).all() else ' with NaN or Inf')}",
            )
        self._values = changed.copy()
        self._begin_with(edited=self._values.tolist())
        self._post(coefficients=array_of(torch.from_numpy(self._values)))

    @property
    def is_edited(self) -> bool:
        """Whether any coefficient is another than at first."""
        return not np.array_equal(self._values.astype(np.float32), editable(self._first).coefficients.numpy())

    @property
    def module(self) -> PolynomialMap:
        """A new module with the coefficients as edited."""
        return PolynomialMap.from_config(editable(self._first).config()).set_coefficients(self._values)

    def approximation(self, name: str = "") -> Approximation:
        """The edited map with its contract; its card says what it was edited from, and no longer how well it fitted."""
        if not self.is_edited:
            return self._first
        return self._renamed(name)

    def _renamed(self, name: str = "") -> Approximation:
        """The map with the present coefficients, as an edited one."""
        card = without_evidence(self._first.card) | {"edited_from": self._first.name}
        name = name or f"{self._first.name}, edited"
        return Approximation(self.module, self._first.space, self._first.scale, name=name, card=card)

    @property
    def channel_map(self) -> ChannelMap:
        """The `ChannelMap` that was given, with the coefficients as edited; its evidence is that of the fit.

        Raises
        ------
        WidgetError
            When an Approximation was given.
        """
        if self._map is None:
            raise WidgetError(
                "channel_map: an Approximation was given to edit, not a ChannelMap", remedy="use approximation()"
            )
        changed = copy(self._map)
        changed.module_ = self.module
        changed.solution_ = replace(self._map.solution_, coefficients=self._values.copy())
        return changed

    def residual(self) -> dict[str, float]:
        """Root mean square error of R, G and B over the picture shown, in 8-bit levels; empty without true cells."""
        picture = self._pictures[self._picture]
        if picture.cells is None:
            return {}
        error = 255 * (_drawn(self.module, picture) - picture.cells)
        return dict(zip("RGB", error.square().mean((1, 2)).sqrt().tolist(), strict=True))

    def still(self, picture: int | None = None) -> Figure:
        """The present picture, or another by its number: as edited, as least squares has it, and the true cells."""
        at = self._picture if picture is None else picture
        if not 0 <= at < len(self._pictures):
            raise WidgetError("picture", expected=f"0 to {len(self._pictures) - 1}", got=f"{at}")
        one = self._pictures[at]
        shown = {f"{self._first.name}{', edited' if self.is_edited else ''}": _drawn(self.module, one)}
        if self.solved is not None:
            best = PolynomialMap.from_config(editable(self._first).config()).set_coefficients(self.solved.coefficients)
            shown["least squares"] = _drawn(best, one)
        captions = {}
        if one.cells is not None:
            for name, drawn in shown.items():
                levels = (255 * (drawn - one.cells)).square().mean((1, 2)).sqrt().tolist()
                captions[name] = "RMSE " + " ".join(
                    f"{letter} {level:.1f}" for letter, level in zip("RGB", levels, strict=True)
                )
            shown["the VAE's cells"] = one.cells
        return contact_sheet(shown, captions)

    def code(self) -> str:
        """Return one call for the present view, after the edited coefficients; where few differ, those alone."""
        imports, said = self._said(*self._given)
        shown = f"still(picture={self._picture})" if self._picture else "still()"
        if not self.is_edited:
            return f"{imports}{said}.{shown}"
        name = said if said.isidentifier() else "editor"
        made = "" if said.isidentifier() else f"{name} = {said}\n"
        return f"{imports}{made}{self._edit_in_words(name)}{name}.{shown}"

    def _edit_in_words(self, name: str) -> str:
        """Python that edits a new editor as this one is."""
        first = editable(self._first).coefficients.double().numpy()
        changed = np.argwhere(self._values.astype(np.float32) != first.astype(np.float32))
        if len(changed) > _MOST_SAID:
            rows = [[float(f"{value:.9g}") for value in row] for row in self._values.tolist()]
            return f"{name}.coefficients = {rows}\n"
        terms = editable(self._first).terms
        lines = [
            f"coefficients[{row}, {at}] = {float(f'{self._values[row, at]:.9g}')}  # {terms[row]}, {'RGB'[at]}"
            for row, at in changed.tolist()
        ]
        return "\n".join([f"coefficients = {name}.coefficients", *lines, f"{name}.coefficients = coefficients", ""])

    def data(self) -> dict[str, Any]:
        """The present state, all pictures with it, for a page without kernel."""
        self.page = {**self.page, "pictures": [self._opened(at) for at in range(len(self._pictures))]}
        return {**super().data(), "picture": self._picture, "edited": self._values.tolist()}

    def __repr__(self) -> str:
        n_terms, n_pictures = len(self._values), len(self._pictures)
        many = "" if n_pictures == 1 else "s"
        return (
            f"TableEditor({self._first.name!r}, {n_terms} × 3 coefficients of {self._first.space.name}, {n_pictures} "
            f"picture{many})"
        )

    def _opened(self, at: int) -> dict[str, Any]:
        return self._pictures[at].for_page(editable(self._first))

    def _edit(self, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        values = np.frombuffer(bytes(buffers[0]), dtype="<f8")
        if values.size == self._values.size and np.isfinite(values).all():
            self._values = values.reshape(self._values.shape).copy()
            self._begin_with(edited=self._values.tolist())
        self._picture = min(max(int(content["picture"]), 0), len(self._pictures) - 1)

    def _open(self, content: Mapping[str, Any], _: Sequence[Any]) -> None:
        self._picture = min(max(int(content["picture"]), 0), len(self._pictures) - 1)
        self._post(opened={"at": self._picture, "picture": self._opened(self._picture)})


def _drawn(module: PolynomialMap, picture: EditorPicture) -> Tensor:
    """``(3, h, w)`` in [0, 1]."""
    with torch.no_grad():
        drawn: Tensor = module(picture.latents)[0].clamp(0, 1)
    return drawn
