"""What a table editor edits: a map that can be, pictures of its space, and least squares to go to."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfit.compare.widgets.page_data import array_of, crop_size
from latentfit.errors import ExportError, FitError, WidgetError, reason_of
from latentfit.fit import ChannelMap, PolynomialMap
from latentfit.fit.polynomial_map import smoothed
from latentfit.formats.programs.registry import PROGRAMS
from latentfit.images.pixels import crop_to_cells, rgb_tensor
from latentfit.images.sources import photographs
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import PairStore
from latentfit.vae.spaces import BUNDLED
from latentfit.vae.vae import Vae

MOST_PICTURES, MOST_CELLS = 24, 160
N_BUNDLED, BUNDLED_PX, DRAWN_CELLS = 6, 256, 48
# What a card says of numbers that were fitted; not true of edited ones
EVIDENCE = ("ridge", "censored", "rank", "condition", "residual", "r2", "converged", "n_passes", "plain_residual",
            "scores", "scored_on")  # fmt: skip


@dataclass(frozen=True, eq=False)
class EditorPicture:
    """One picture to look at.

    Attributes
    ----------
    name : str
    latents : Tensor, (1, C, h, w) float32
        Model domain.
    cells : Tensor or None, (3, h, w) in [0, 1]
    """

    name: str
    latents: Tensor
    cells: Tensor | None

    def for_page(self, module: PolynomialMap) -> dict[str, Any]:
        """Return the picture as the page takes it, smoothed as the map smooths: before or after it is one."""
        latents = smoothed(self.latents, module.smoothing)[0]
        return {
            "name": self.name,
            "latents": array_of(latents),
            "cells": None if self.cells is None else array_of(self.cells),
        }


@dataclass(frozen=True, eq=False)
class Solved:
    """Least squares: coefficients ``(1 + n_terms, 3)`` in the signed range, and over what, in words."""

    coefficients: NDArray[np.float64]
    label: str


def editable(approximation: Approximation) -> PolynomialMap:
    """The table of an approximation.

    Raises
    ------
    WidgetError
        When it has none: a network, a decoder of several pixels a cell, a map between latent spaces.
    """
    if not isinstance(approximation, Approximation):
        raise WidgetError(
            "table editor", expected="a fitted ChannelMap, or its approximation", got=f"{type(approximation).__name__}"
        )
    module = approximation.module
    if not isinstance(module, PolynomialMap) or module.target != "rgb" or module.scale != 1:
        raise WidgetError(
            f"table editor: {approximation.name!r}",
            expected="a fitted map to rgb at one pixel a cell",
            got=f"{type(module).__name__} at {approximation.scale} pixels a cell",
            remedy="fit one with ChannelMap(kernels, scale=1)",
        )
    return module


def bundled_pairs(space: LatentSpace) -> tuple[Tensor, Tensor | None, list[str]]:
    """What is looked at where nothing is given: bundled photographs by the bundled mini VAE of the space.

    Returns
    -------
    Tensor (N, C, h, w), Tensor (N, 3, h, w) or None, list of str
        Latents, cells, names. For a space that no VAE is bundled for: drawn noise, which has no cells.
    """
    reference = f"mini-{space.name}"
    if reference not in BUNDLED:
        drawn = torch.randn(
            1, space.channels, DRAWN_CELLS // 4, DRAWN_CELLS // 4, generator=torch.Generator().manual_seed(0)
        )
        large = torch.nn.functional.interpolate(drawn, (DRAWN_CELLS, DRAWN_CELLS), mode="bicubic")
        return large / large.std(), None, [f"drawn noise: no VAE of {space.name} is bundled"]
    vae, chosen = Vae.load(reference), photographs()[:N_BUNDLED]
    cut = [crop_to_cells(one.load()[0], BUNDLED_PX, vae.cell_px, square=True)[0] for one in chosen]
    latents = torch.cat([vae.encode(rgb_tensor(pixels)) for pixels in cut])
    cells = [torch.nn.functional.avg_pool2d(vae.decode(one[None]).clamp(0, 1), vae.cell_px) for one in latents]
    return latents, torch.cat(cells), [f"{one.name}, {reference}" for one in chosen]


def editor_pictures(
    approximation: Approximation,
    store: PairStore | None,
    latents: Tensor | None,
    cells: Tensor | None,
    names: Sequence[str] = (),
) -> list[EditorPicture]:
    """Pictures from a store, those held out first, or from tensors, by their names; of large ones the middle.

    Raises
    ------
    WidgetError
        When there is neither or both, they are of another space, or do not fit together.
    """
    space = approximation.space
    if (store is None) == (latents is None):
        raise WidgetError(
            "table editor", expected="a store or latents= to look at", got=f"{('neither' if store is None else 'both')}"
        )
    if store is not None:
        if store.space != space:
            raise WidgetError(
                f"table editor: {approximation.name!r} is of space {space.name!r}, the store of {store.space.name!r}",
                remedy="take a store of its own space",
            )
        samples = sorted(store.samples, key=lambda s: (not s.is_test, s.kind != "photograph"))[:MOST_PICTURES]
        batches = (next(store.batches([sample], n_cells=1)) for sample in samples)
        return [_cut(batch.samples[0].name, batch.latents, batch.cells[0]) for batch in batches]
    assert latents is not None
    space.check(latents)
    flat = latents.movedim(2, 1).flatten(0, 1) if latents.ndim == 5 else latents
    flat = flat.detach().float().cpu()
    if not bool(flat.isfinite().all()):
        raise WidgetError("latents", expected="finite numbers", got="NaN or Inf")
    if cells is not None and tuple(cells.shape) != (len(flat), 3, *flat.shape[2:]):
        raise WidgetError("cells", expected=f"{(len(flat), 3, *flat.shape[2:])}", got=f"{tuple(cells.shape)}")
    truths = [None] * len(flat) if cells is None else list(cells.detach().float().cpu())
    pairs = zip(flat[:MOST_PICTURES], truths, strict=False)
    called = names or [f"latents {index}" for index in range(len(flat))]
    return [_cut(name, one[None], truth) for name, (one, truth) in zip(called, pairs, strict=False)]


def solved(
    channel_map: ChannelMap | Approximation,
    module: PolynomialMap,
    store: PairStore | None,
    latents: Tensor | None,
    cells: Tensor | None,
    given: NDArray[np.float64] | None,
) -> Solved | None:
    """Least squares to go to: as given, over the store, over the pictures, or the map's own; None where there is none.

    Raises
    ------
    WidgetError
        When the given solution is of another size.
    """
    shape = tuple(module.coefficients.shape)
    if given is not None:
        if np.shape(given) != shape or not np.isfinite(given).all():
            raise WidgetError("solution", expected=f"{shape} finite numbers", got=f"{np.shape(given)}")
        return Solved(np.asarray(given, dtype=np.float64), "the given solution")
    anew = ChannelMap(module.kernels, intercept=module.intercept, smoothing=module.smoothing)
    try:
        if store is not None:
            anew.fit(store, "all")
            return Solved(anew.solution_.coefficients, f"least squares over {len(store)} samples of {store.path.name}")
        if latents is not None and cells is not None:
            space: LatentSpace = channel_map.space_ if isinstance(channel_map, ChannelMap) else channel_map.space
            anew.fit_arrays(latents.detach().float().cpu(), cells.detach().float().cpu(), space=space)
            return Solved(
                anew.solution_.coefficients,
                "least squares over " + ("this picture" if len(latents) == 1 else f"these {len(latents)} pictures"),
            )
    except FitError as error:  # too few cells for the terms
        return _own(channel_map, f"its own fit; not these pictures' ({error})")
    return _own(channel_map, "its own fit")


def comfyui_templates(first: Approximation, edited: Approximation) -> dict[str, str]:
    """ComfyUI's lines with ``{rows}`` and ``{bias}`` where a page puts its numbers.

    Parameters
    ----------
    first, edited : Approximation
        The table as it was given, and under the card of an edited one.

    Returns
    -------
    dict of str to str
        "template" and "edited"; or "reason", where ComfyUI cannot run this form.
    """
    try:
        texts = {"template": PROGRAMS["comfyui"].write(first, None), "edited": PROGRAMS["comfyui"].write(edited, None)}
    except ExportError as error:
        return {"reason": reason_of(error)}
    return {name: _without_numbers(str(text)) for name, text in texts.items()}


def _without_numbers(written: str | bytes) -> str:
    text = written if isinstance(written, str) else written.decode()
    rows = re.sub(r"^    \[ ?-?\d.*\],\n(    \[.*\],\n)*", "{rows}\n", text, count=1, flags=re.M)
    return re.sub(r"^(self\.latent_rgb_factors_bias = )\[.*\]$", r"\1[{bias}]", rows, count=1, flags=re.M)


def without_evidence(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card without what it says of the fit."""
    return {name: value for name, value in card.items() if name not in EVIDENCE}


def _own(channel_map: ChannelMap | Approximation, label: str) -> Solved | None:
    return Solved(channel_map.solution_.coefficients, label) if isinstance(channel_map, ChannelMap) else None


def _cut(name: str, latents: Tensor, cells: Tensor | None) -> EditorPicture:
    size = (latents.shape[-2], latents.shape[-1])
    rows, columns = crop_size(size, MOST_CELLS)
    cut = latents[..., rows, columns].float().contiguous()
    if cut.shape[-2:] != size:
        name = f"{name} (the middle {cut.shape[-1]} × {cut.shape[-2]} of {size[1]} × {size[0]} cells)"
    return EditorPicture(name, cut, None if cells is None else cells[:, rows, columns].contiguous())
