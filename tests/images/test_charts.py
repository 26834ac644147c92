"""Charts: the same bytes everywhere, every promised kind of content, and the colours that photographs leave out."""

import colorsys
import hashlib
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from latentfit import images
from latentfit.images import chart_kind, chart_names, draw_chart, hsv_to_rgb

SIDE = 128
CORNERS = np.array([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)])


@cache
def chart(name: str, side: int = SIDE) -> NDArray[np.int64]:
    return draw_chart(name, side).astype(np.int64)


def named(prefix: str) -> list[str]:
    found = [name for name in chart_names() if name.startswith(prefix)]
    assert found, f"no chart is named {prefix}…"
    return found


def colour_cells(rgb: NDArray[np.int64]) -> set[tuple[int, ...]]:
    """The 32-level cells of the RGB cube, 512 in all, in which the pixels lie."""
    return set(map(tuple, np.unique(rgb.reshape(-1, 3) // 32, axis=0).tolist()))


def is_flat(rgb: NDArray[np.int64]) -> float:
    """Share of pixels that equal their right neighbour."""
    return float((np.diff(rgb, axis=1) == 0).all(-1).mean())


def test_every_chart_is_the_same_in_another_process() -> None:
    code = (
        "import hashlib; from latentfit.images import *; "
        "print(*(hashlib.sha256(draw_chart(name, 128).tobytes()).hexdigest() for name in reversed(chart_names())))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    ours = [hashlib.sha256(draw_chart(name, SIDE).tobytes()).hexdigest() for name in chart_names()]
    assert printed.split()[::-1] == ours
    assert len(set(ours)) == len(ours), "two charts are the same picture"


@pytest.mark.parametrize("side", [16, 33, 64])
def test_any_side(side: int) -> None:
    for name in chart_names():
        rgb = draw_chart(name, side)
        assert rgb.shape == (side, side, 3), name
        assert rgb.dtype == np.uint8
        assert rgb.std() > 10, f"{name} is nearly flat"


def test_as_pictures_they_keep_name_kind_and_bytes() -> None:
    found = images.chart_pictures()
    assert [picture.name for picture in found] == [f"chart/{name}" for name in chart_names()]
    assert [picture.kind for picture in found] == [chart_kind(name) for name in chart_names()]
    image, sha256 = found[-1].load()
    assert np.array_equal(np.asarray(image), draw_chart(chart_names()[-1]))
    assert sha256 == found[-1].load()[1]


def test_hsv_is_the_usual_one() -> None:
    hsv = np.random.default_rng(0).random((200, 3))
    expected = [colorsys.hsv_to_rgb(*row) for row in hsv.tolist()]
    np.testing.assert_allclose(hsv_to_rgb(*hsv.T), expected, atol=1e-12)


def test_sweeps_pass_every_hue_at_every_saturation_or_value() -> None:
    for name in named("hue_saturation") + named("hue_value"):
        rgb = chart(name)
        hsv = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in (rgb[::4, ::4].reshape(-1, 3) / 255).tolist()])
        along = hsv[:, 1 if "saturation" in name else 2]
        coloured = hsv[(hsv[:, 1] > 0.2) & (hsv[:, 2] > 0.2)]
        assert set((coloured[:, 0] * 24).astype(int)) == set(range(24)), name
        full = along.max()  # of the dark and pale sweeps: what they name
        assert set((along / full * 9.99).astype(int)) == set(range(10)), name


def test_ramps_rise_and_fall_evenly_in_eight_tints() -> None:
    rgb = chart("ramps")
    rows = rgb[SIDE // 16 :: SIDE // 8]
    assert len(rows) == 8
    for index, row in enumerate(rows):
        steps = np.diff(row.sum(-1)) * (1 if index % 2 == 0 else -1)
        assert steps.min() >= 0
        assert row.sum(-1).min() <= 6
        assert row.max() >= 253
    assert (rows[0].min(-1) == rows[0].max(-1)).all(), "the first is grey"


def test_tints_are_ramps_from_white() -> None:
    rows = chart("tints")[SIDE // 16 :: SIDE // 8]
    assert (rows.max(1) >= 253).all(), "every row reaches white"
    assert len({tuple(row[row.sum(-1).argmin()].tolist()) for row in rows}) == 8


@pytest.mark.parametrize("n_patches", [4, 8, 16, 32])
def test_patches_are_flat_and_hold_the_corners_of_the_cube(n_patches: int) -> None:
    rgb = chart(f"patches_{n_patches}")
    edge = SIDE // n_patches
    patches = rgb.reshape(n_patches, edge, n_patches, edge, 3)
    assert (patches == patches[:, :1, :, :1]).all()
    colours = {tuple(colour) for colour in patches[:, 0, :, 0].reshape(-1, 3).tolist()}
    assert len(colours) > 0.99 * n_patches**2
    assert {tuple(corner) for corner in CORNERS.tolist()} <= colours


def test_dead_leaves_have_edges_at_many_scales_and_the_saturation_they_name() -> None:
    chroma = {}
    for name in named("dead_leaves"):
        rgb = chart(name)
        assert is_flat(rgb) > 0.6, f"{name}: leaves are flat inside"
        grey = rgb.sum(-1)
        runs = [np.diff(np.flatnonzero(np.diff(row, prepend=-1, append=-1))) for row in grey]
        lengths = np.concatenate(runs)
        assert lengths.min() <= 2
        assert lengths.max() >= SIDE // 8, f"{name}: no large leaf"
        assert len(set(np.log2(lengths).astype(int).tolist())) >= 4, f"{name}: leaves of few sizes"
        chroma[name] = float((rgb.max(-1) - rgb.min(-1)).mean())
    assert chroma["dead_leaves_grey"] == 0 < chroma["dead_leaves_muted"] < chroma["dead_leaves_vivid"]


def test_line_art_is_flat_colour_with_hard_dark_edges() -> None:
    drawings = [name for name in chart_names() if chart_kind(name) == "drawing"]
    assert {name.split("_")[0] for name in drawings} == {"cartoon", "hatching", "lettering"}
    for name in drawings:
        rgb = chart(name, 256)
        assert len(np.unique(rgb.reshape(-1, 3), axis=0)) < 64, name
        assert is_flat(rgb) > 0.6, name
        assert np.abs(np.diff(rgb.sum(-1), axis=1)).max() > 400, f"{name}: no hard edge"


def test_zone_plate_reaches_high_frequencies_and_noise_falls_off() -> None:
    def share_above(name: str) -> float:
        power = np.abs(np.fft.rfft2(chart(name)[..., 1] - chart(name)[..., 1].mean())) ** 2
        frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE))
        return float(power[frequency > 0.2].sum() / power.sum())

    assert share_above("zone_plate") > 0.3
    assert share_above("smooth_noise_steep") < share_above("smooth_noise_natural") < 0.15


def test_together_they_fill_the_cube_that_photographs_leave_empty() -> None:
    drawn = set().union(*(colour_cells(chart(name)) for name in chart_names()))
    assert len(drawn) == 512
    seen: set[tuple[int, ...]] = set()
    for picture in images.photographs():
        image, _ = picture.load()
        image.thumbnail((160, 160))
        seen |= colour_cells(np.asarray(image, dtype=np.int64))
    assert 0 < len(seen) < 400


def test_saturated_colours_are_reached_and_common() -> None:
    every = np.concatenate([chart(name).reshape(-1, 3) for name in chart_names()])
    for corner in CORNERS:
        assert (np.abs(every - corner).max(-1) <= 1).any(), f"no pixel is {corner}"
    assert ((every.max(-1) - every.min(-1)) > 200).mean() > 0.1
