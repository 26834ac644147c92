"""Pictures are shrunk with Lanczos' filter of three lobes, computed here from its definition."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from latentfit.images import crop_to_cells, square_crops


def lanczos(n_from: int, n_to: int, begin: float = 0.0, end: float | None = None) -> np.ndarray:
    """Weights ``(n_to, n_from)`` of the samples between `begin` and `end`."""
    scale = ((n_from if end is None else end) - begin) / n_to
    centres = begin + (np.arange(n_to)[:, None] + 0.5) * scale
    away = (np.arange(n_from) + 0.5 - centres) / scale
    weights = np.where(np.abs(away) < 3, np.sinc(away) * np.sinc(away / 3), 0)
    return weights / weights.sum(1, keepdims=True)


def shrunk(rgb: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Columns first, then rows, each rounded to 8 bits, as images are stored between the two."""
    wide = np.clip(np.round(np.einsum("xj,yjc->yxc", across, rgb.astype(float))), 0, 255)
    return np.clip(np.round(np.einsum("yi,ixc->yxc", down, wide)), 0, 255)


def busy(rows: int, columns: int) -> np.ndarray:
    """Edges and fine texture: what filters differ on."""
    rng = np.random.default_rng(5)
    blocks = np.kron(rng.integers(0, 2, (rows // 8, columns // 8, 3)) * 160 + 40, np.ones((8, 8, 1), int))
    return np.clip(blocks + rng.integers(-30, 31, blocks.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("size", "rows", "columns"), [(40, 80, 120), (64, 80, 120), (56, 120, 80)])
def test_a_collected_picture_is_lanczos_to_a_level(size: int, rows: int, columns: int) -> None:
    rgb = busy(rows, columns)
    found, box = crop_to_cells(Image.fromarray(rgb), size, 8)
    ratio = size / min(rows, columns)
    tall, wide = (int(round(n * ratio) / 8) * 8 for n in (rows, columns))
    top, left = (((round(n * ratio) - cut) // 2) / ratio for n, cut in ((rows, tall), (columns, wide)))
    right = shrunk(rgb, lanczos(rows, tall, top, top + tall / ratio), lanczos(columns, wide, left, left + wide / ratio))
    assert found.shape == right.shape == (tall, wide, 3)
    assert np.abs(found - right).max() <= 1
    assert box == pytest.approx((left, top, left + wide / ratio, top + tall / ratio), abs=0.5)


def test_square_crops_and_smaller_shares_too() -> None:
    rgb = busy(80, 120)
    image = Image.fromarray(rgb)
    for share in (Fraction(1), Fraction(1, 2)):
        (centre, _), (other, (left, top, right, bottom)) = square_crops(image, 64, 8, 2, "5" * 64, share)
        n = int(64 * share)
        assert np.abs(centre - shrunk(rgb, lanczos(80, n), lanczos(120, n, 20, 100))).max() <= 1
        part = rgb[top:bottom, left:right]
        assert np.abs(other - shrunk(part, lanczos(bottom - top, n), lanczos(right - left, n))).max() <= 1


def test_what_is_small_enough_keeps_its_levels() -> None:
    rgb = busy(48, 64)
    np.testing.assert_array_equal(crop_to_cells(Image.fromarray(rgb), 48, 8)[0], rgb)


@pytest.mark.parametrize(("rows", "columns", "top", "left"), [(50, 67, 1, 1), (48, 71, 0, 3), (55, 64, 3, 0)])
def test_whole_cells_are_cut_around_the_centre(rows: int, columns: int, top: int, left: int) -> None:
    rgb = busy(56, 72)[:rows, :columns]
    found, box = crop_to_cells(Image.fromarray(rgb), 64, 8)
    np.testing.assert_array_equal(found, rgb[top : top + 48, left : left + 64])
    assert box == (left, top, left + 64, top + 48)
