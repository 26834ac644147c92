"""Palette targets: k-centroid, voting and nearest against loops over cells, and ordered dithering."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from latentfit.errors import PaletteError
from latentfit.images import linear_to_oklab, photographs, rgb_tensor, rgb_to_oklab, srgb_to_linear
from latentfit.palettes import DITHERS, METHODS, Palette, bayer, cell_means, dither, k_centroid, palettize, vote


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """A photograph of 160 x 96 px."""
    return photographs()[0].load()[0].resize((160, 96), Image.Resampling.LANCZOS)


@pytest.fixture(scope="module")
def rgb(photograph: Image.Image) -> torch.Tensor:
    return rgb_tensor(np.array(photograph))


def two_means_by_hand(pixels: np.ndarray) -> tuple[int, ...]:
    """One cell ``(p, 3)`` of whole levels in float64 -> the larger cluster's mean: the rules, pixel by pixel."""

    def off(colour: np.ndarray) -> np.ndarray:
        return ((pixels - colour) ** 2).sum(1)

    def rounded(part: np.ndarray) -> np.ndarray:
        return np.floor(part.mean(0) + 0.5)

    first = pixels[off(rounded(pixels)).argmax()]
    second = pixels[off(first).argmax()]
    is_second = off(second) < off(first)
    for round_ in range(6):
        first = rounded(pixels[~is_second]) if (~is_second).any() else first
        second = rounded(pixels[is_second]) if is_second.any() else second
        tie = off(second) == off(first)
        moved = np.where(tie, is_second, off(second) < off(first))
        changes, is_second = (moved != is_second).sum(), moved
        if changes <= 1 or round_ == 5:
            return tuple(int(level) for level in (second if 2 * is_second.sum() > len(pixels) else first))
    raise AssertionError("the sixth round is the last")


def cells_of(rgb: torch.Tensor, cell_px: int) -> np.ndarray:
    """``(3, H, W)`` -> ``(h, w, p, 3)`` whole levels, by slices."""
    levels = (rgb.double() * 255).round().movedim(0, -1).numpy()
    rows, columns = levels.shape[0] // cell_px, levels.shape[1] // cell_px
    return np.array([
        [levels[y * cell_px:(y + 1) * cell_px, x * cell_px:(x + 1) * cell_px].reshape(-1, 3) for x in range(columns)]
        for y in range(rows)
    ])  # fmt: skip


@pytest.mark.parametrize("cell_px", [1, 2, 3, 4, 8, 16])
def test_k_centroid_equals_a_loop_over_cells(rgb: torch.Tensor, cell_px: int) -> None:
    batch = torch.stack([rgb[0, :, :50, :70], torch.rand(3, 50, 70), torch.rand(3, 50, 70).round()])
    found = (k_centroid(batch, cell_px) * 255).round().long()
    for picture, result in zip(batch, found, strict=True):
        by_hand = [[two_means_by_hand(cell) for cell in row] for row in cells_of(picture, cell_px)]
        assert torch.equal(result.movedim(0, -1), torch.tensor(by_hand))


def test_k_centroid_gives_pillows_colours(photograph: Image.Image, rgb: torch.Tensor) -> None:
    ours = (k_centroid(rgb, 8)[0] * 255).round().byte().movedim(0, -1).numpy()
    equal = []
    for y, x in np.ndindex(12, 20):
        tile = photograph.crop((8 * x, 8 * y, 8 * x + 8, 8 * y + 8))
        two = tile.quantize(colors=2, method=Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
        index = max(two.getcolors(), key=lambda count: count[0])[1]
        equal.append(two.getpalette()[3 * index : 3 * index + 3] == ours[y, x].tolist())
    assert np.mean(equal) > 0.97  # the rest: pixels equally far away, which Pillow takes in its hash table's order


def test_k_centroid_takes_the_larger_side_of_an_edge() -> None:
    picture = torch.zeros(1, 3, 8, 8)
    picture[..., 3:] = 0.8
    assert torch.allclose(k_centroid(picture, 8), torch.full((1, 3, 1, 1), 0.8))
    assert torch.allclose(cell_means(picture, 8), torch.full((1, 3, 1, 1), 0.5))


@pytest.mark.parametrize("n_pixels", [1, 640, 2000, 9999])
def test_cells_that_need_many_rounds_do_not_depend_on_blocks(n_pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = torch.rand(3, 3, 48, 40)
    whole = k_centroid(rgb, 8)
    monkeypatch.setattr("latentfit.palettes.k_centroids.BLOCK_PIXELS", n_pixels)
    assert torch.equal(k_centroid(rgb, 8), whole)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 3), rows=st.integers(1, 5), cell_px=st.integers(1, 5))
def test_blocks_and_batches_do_not_matter(seed: int, n: int, rows: int, cell_px: int) -> None:
    rgb = torch.rand(n, 3, rows * cell_px + cell_px - 1, 3 * cell_px, generator=torch.Generator().manual_seed(seed))
    palette = Palette.load("slso8")
    whole = [k_centroid(rgb, cell_px), vote(rgb, palette, cell_px)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latentfit.palettes.k_centroids.BLOCK_PIXELS", 3 * cell_px**2 * 2)
        assert torch.equal(k_centroid(rgb, cell_px), whole[0])
        assert torch.equal(vote(rgb, palette, cell_px), whole[1])
    assert torch.equal(k_centroid(rgb[-1:], cell_px)[0], whole[0][-1])
    assert whole[0].shape == (n, 3, rows, 3)


def test_pictures_are_left_as_they_are(rgb: torch.Tensor) -> None:
    """Of memory that could be written in place: one cell as large as the picture."""
    picture = torch.rand(2, 3, 8, 8)
    before = picture.clone()
    for method in METHODS:
        palettize(picture, Palette.load("ega16"), 8, method)
    assert torch.equal(picture, before)


@pytest.mark.parametrize("name", ["ega16", "nes", "atari-8-bit"])
def test_vote_equals_a_loop_over_cells_at_six_bits(rgb: torch.Tensor, name: str) -> None:
    palette = Palette.load(name)
    boxes = [tuple(level // 4 for level in colour) for colour in palette.colours.tolist()]
    oklab = rgb_to_oklab(palette.colours.double().div(255).T[None])[0].T.numpy()

    def nearest(level: np.ndarray) -> int:
        box = tuple(int(part) // 4 for part in level)
        if boxes.count(box) == 1:
            return boxes.index(box)
        compared = level if box in boxes else np.array(box) * 4 + 1.5
        point = rgb_to_oklab(torch.tensor(compared, dtype=torch.float64)[None] / 255)[0].numpy()
        return int(((oklab - point) ** 2).sum(1).argmin())

    found = vote(rgb[..., :40, :48], palette, 8)[0]
    by_hand = [
        [np.bincount([nearest(pixel) for pixel in cell]).argmax() for cell in row]
        for row in cells_of(rgb[0, :, :40, :48], 8)
    ]
    assert (found.numpy() == np.array(by_hand)).mean() > 0.96  # a pixel between two colours may go to either


def test_vote_counts_cells_of_any_size() -> None:
    """Of 256 colours cells of 8 px are counted in 16 bits, and of 12 px in 32."""
    palette = Palette.load("atari-8-bit")
    for cell_px in (8, 12):
        indices = torch.randint(250, 256, (1, 3 * cell_px, 2 * cell_px))
        found = vote(palette.picture(indices), palette, cell_px)
        cells = indices.unfold(1, cell_px, cell_px).unfold(2, cell_px, cell_px).flatten(3)
        assert torch.equal(found, cells.mode(-1).values)


def test_nearest_is_the_nearest_of_the_mean(rgb: torch.Tensor) -> None:
    palette = Palette.load("endesga-32")
    means = torch.nn.functional.avg_pool2d(rgb, 8)
    assert torch.equal(palettize(rgb, palette, 8, "nearest"), palette.nearest(means))


@pytest.mark.parametrize("name", ["1-bit", "slso8", "nes", "atari-8-bit", "web-safe"])
@pytest.mark.parametrize("method", METHODS)
def test_pixel_art_enlarged_gives_its_indices_back(name: str, method: str) -> None:
    palette = Palette.load(name)
    indices = torch.randint(0, len(palette), (2, 7, 9))
    enlarged = palette.picture(indices).repeat_interleave(4, -1).repeat_interleave(4, -2)
    assert torch.equal(palettize(enlarged, palette, 4, method), indices)


@pytest.mark.parametrize("dithering", [dithering for dithering in DITHERS if dithering != "none"])
def test_pixel_art_is_not_dithered(dithering: str) -> None:
    palette = Palette.load("pico-8")
    indices = torch.randint(0, 16, (1, 8, 8))
    assert torch.equal(dither(palette.picture(indices), palette, dithering), indices)


def test_pixels_beyond_the_last_whole_cell_are_left_out(rgb: torch.Tensor) -> None:
    palette = Palette.load("ega16")
    for method in METHODS:
        odd = palettize(rgb[..., :95, :159], palette, 8, method)
        assert odd.shape == (1, 11, 19)
        assert torch.equal(odd, palettize(rgb[..., :88, :152], palette, 8, method))


def test_values_out_of_range_are_clamped() -> None:
    wild = torch.tensor([-2.0, 3.0])[None, None, None].expand(1, 3, 2, 2)
    for method in METHODS:
        assert palettize(wild, Palette.load("1-bit"), 1, method).tolist() == [[[0, 1], [0, 1]]]


@pytest.mark.parametrize("method", METHODS)
def test_runs_and_layouts_give_equal_indices(rgb: torch.Tensor, method: str) -> None:
    palette, found = Palette.load("pico-8"), []
    for layout in (rgb, rgb.contiguous(), rgb.to(memory_format=torch.channels_last), rgb.double()):
        found.append(palettize(layout, palette, 8, method))
    assert all(torch.equal(each, found[0]) for each in found)
    assert not any(each.is_inference() for each in found)


def test_bayer_of_two_four_and_eight() -> None:
    assert (bayer(4) * 16 - 0.5).int().tolist() == [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]
    for side in (1, 2, 4, 8, 16):
        assert sorted((bayer(side).flatten() * side**2 - 0.5).tolist()) == list(range(side**2))
    with pytest.raises(PaletteError, match="power of two, got 3"):
        bayer(3)


@pytest.mark.parametrize(("dithering", "n_shades"), [("bayer-2", 4), ("bayer-4", 16), ("bayer-8", 64)])
def test_a_grey_of_black_and_white_has_its_share_of_white(dithering: str, n_shades: int) -> None:
    palette = Palette.load("1-bit")
    for light in (0.2, 0.5, 0.8):
        grey = torch.full((1, 3, 16, 16), 1.055 * light ** (1 / 2.4) - 0.055)
        share = float(dither(grey, palette, dithering).double().mean())
        assert abs(share - light) <= 0.5 / n_shades + 1e-6


def test_dithering_brings_neighbourhoods_nearer_to_the_picture(rgb: torch.Tensor) -> None:
    palette = Palette.load("ega16")
    blurred = torch.nn.functional.avg_pool2d(srgb_to_linear(rgb), 8)

    def off(indices: torch.Tensor) -> float:
        seen = torch.nn.functional.avg_pool2d(srgb_to_linear(palette.picture(indices)), 8)
        return float((linear_to_oklab(seen) - linear_to_oklab(blurred)).norm(dim=1).mean())

    errors = {form: off(dither(rgb, palette, form)) for form in DITHERS}
    assert errors["bayer-2"] < 0.8 * errors["none"]
    assert max(errors["bayer-4"], errors["bayer-8"]) < 0.5 * errors["none"]


def test_a_mixture_takes_near_colours_first() -> None:
    """Of the greys 0, 103, 182, 255 a level between the middle ones mixes just these."""
    palette = Palette.load("2-bit-grey")
    found = dither(torch.full((1, 3, 8, 8), 0.57), palette, "bayer-4")
    assert set(found.unique().tolist()) == {1, 2}


def test_strength_goes_from_none_to_all(rgb: torch.Tensor) -> None:
    palette = Palette.load("pico-8")
    assert torch.equal(dither(rgb, palette, "bayer-4", 0.0), palette.nearest(rgb))
    plain = palette.nearest(rgb)
    changed = [(dither(rgb, palette, "bayer-4", s) != plain).double().mean() for s in (0.25, 0.5, 1.0)]
    assert 0 < changed[0] < changed[1] < changed[2]


def test_cells_that_are_no_pictures() -> None:
    with pytest.raises(PaletteError, match=r"cells \(N, 3, h, w\), got \(3, 8, 8\)"):
        dither(torch.rand(3, 8, 8), Palette.load("1-bit"))


def test_dithering_does_not_depend_on_chunks(rgb: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    palette, small = Palette.load("nes"), rgb[..., :20, :30]
    whole = dither(small, palette, "bayer-8")
    monkeypatch.setattr("latentfit.palettes.dithering._CHUNK_MIXTURES", 55 * 7)
    assert torch.equal(dither(small, palette, "bayer-8"), whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "mode"}, "expected a method of k-centroid, vote, nearest, got 'mode'"),
        ({"dither": "floyd"}, "expected one of none, bayer-2, bayer-4, bayer-8, got 'floyd'"),
        ({"method": "vote", "dither": "bayer-2"}, "'vote' leaves no colours to dither"),
        ({"dither": "bayer-2", "strength": 1.5}, "strength of 0 to 1, got 1.5"),
        ({"cell_px": 0}, "cells of 1 to 8 px in pictures of 9x8 px, got 0"),
        ({"cell_px": 9}, "cells of 1 to 8 px"),
        ({"rgb": torch.rand(3, 8, 9)}, r"rgb as float \(N, 3, H, W\)"),
        ({"rgb": torch.rand(1, 4, 8, 9)}, r"got torch.float32 \(1, 4, 8, 9\)"),
        ({"rgb": torch.zeros(1, 3, 8, 9, dtype=torch.uint8)}, "got torch.uint8"),
        ({"rgb": torch.full((1, 3, 8, 9), float("nan"))}, "finite pictures, got NaN or Inf"),
    ],
)
def test_choices_and_pictures_that_do_not_fit(options: dict[str, object], message: str) -> None:
    for method in (None,) if "method" in options or "dither" in options else METHODS:
        given = {"rgb": torch.rand(1, 3, 8, 9), "palette": Palette.load("1-bit"), "cell_px": 4, **options}
        if method:
            given["method"] = method
        with pytest.raises(PaletteError, match=message):
            palettize(**given)
