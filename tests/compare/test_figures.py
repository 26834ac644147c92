"""Figures: they draw what they are given, save equal bytes, and keep no state."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import matplotlib.colors
import matplotlib.text
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import latentfit as lf
from latentfit.compare import figures
from latentfit.compare.figures import MOST_ACROSS, SURROUND, front, placed, score_words
from latentfit.images import (
    delta_e2000,
    draw_chart,
    linear_to_srgb,
    oklab_to_rgb,
    rgb_tensor,
    rgb_to_oklab,
    srgb_to_linear,
)
from latentfit.palettes import Palette
from latentfit.scores import ErrorBands, as_seen

WHEEL = rgb_tensor(draw_chart("hue_wheel", 48))[0]


def table() -> lf.Approximation:
    return (
        lf.ChannelMap("affine").fit_arrays(torch.randn(4, 4, 8, 8), torch.rand(4, 3, 8, 8), space="sd1").approximation()
    )


FRAME = pd.DataFrame(
    {
        "approximation": ["a", "b", "c"],
        "origin": ["published", "ours", "oracle"],
        "psnr": [18.0, 21.0, 21.5],
        "n_pictures": [1, 2, 4],
        "form": ["affine", "affine", "3"],
        "family": ["published table", "closed form", "autoencoder"],
        "ms": [0.02, 0.01, 1600.0],
        "parameters": [12, 15, 1222531],
        "ms_ssim": [0.5, 0.6, 0.9],
        "delta_e": [9.0, 8.0, 3.0],
    }
)
DRAWN = {
    "contact_sheet": lambda **k: figures.contact_sheet(
        {"big": torch.rand(3, 16, 24), "small": torch.rand(3, 2, 3)}, {"big": "x"}, **k
    ),
    "coefficient_heatmap": lambda **k: figures.coefficient_heatmap(table(), **k),
    "curves": lambda **k: figures.curves(FRAME, "n_pictures", "psnr", "form", title="t", **k),
    "ranking": lambda **k: figures.ranking(FRAME, title="t", **k),
    "heatmap against another": lambda **k: figures.coefficient_heatmap(table(), against=table(), **k),
    "score_sheet": lambda **k: figures.score_sheet(
        {"p": {"vae": torch.rand(3, 16, 16), "a": torch.rand(3, 2, 2)}}, "vae", **k
    ),
    "sweep_strip": lambda **k: figures.sweep_strip({"a": torch.rand(2, 3, 8, 8)}, [0.5, 1], **k),
    "curtain": lambda **k: figures.curtain(torch.rand(3, 16, 24), torch.rand(3, 2, 3), 0.3, **k),
    "error_sheet": lambda **k: figures.error_sheet({"a": torch.rand(3, 4, 4)}, torch.rand(3, 8, 8), **k),
    "amplified_differences": lambda **k: figures.amplified_differences(
        {"a": torch.rand(3, 4, 4)}, torch.rand(3, 8, 8), **k
    ),
    "channel_residuals": lambda **k: figures.channel_residuals({"a": torch.rand(3, 4, 4)}, torch.rand(3, 8, 8), **k),
    "channel_histograms": lambda **k: figures.channel_histograms(torch.randn(2, 16, 8, 8), **k),
    "joint_channels": lambda **k: figures.joint_channels(torch.randn(2, 16, 8, 8), torch.rand(2, 3, 8, 8), **k),
    "latent_channels": lambda **k: figures.latent_channels(torch.randn(16, 8, 8), **k),
    "error_map": lambda **k: figures.error_map(torch.rand(3, 8, 8), torch.rand(3, 8, 8), **k),
    "clipping": lambda **k: figures.clipping(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), **k),
    "pareto": lambda **k: figures.pareto(FRAME, title="t", **k),
    "dots": lambda **k: figures.dots(FRAME, "origin", "psnr", "form", title="t", label="dB", **k),
    "bars": lambda **k: figures.bars({"one": 1.0, "two": 2.0}, title="t", **k),
    "swatches": lambda **k: figures.swatches([Palette.load("nes"), Palette.load("1-bit")], **k),
    "swatches of one": lambda **k: figures.swatches(Palette.load("slso8"), **k),
    "hue_rings": lambda **k: figures.hue_rings({"a": WHEEL, "b": WHEEL.flip(0)}, WHEEL, title="t", **k),
    "hue_turns": lambda **k: figures.hue_turns({"a": WHEEL, "b": WHEEL.flip(0)}, WHEEL, title="t", **k),
    "latent_sheet": lambda **k: figures.latent_sheet(
        {"narrow": torch.randn(4, 6, 8), "true": torch.randn(6, 6, 8), "made": torch.randn(6, 6, 8)},
        "true",
        errors=True,
        title="t",
        **k,
    ),
    "explained": lambda **k: figures.explained({"a": torch.rand(4, 5), "b": torch.rand(4, 5)}, torch.rand(5), **k),
    "noise_masking": lambda **k: figures.noise_masking(
        {"a": ErrorBands().add(torch.randn(1, 4, 16, 16), torch.zeros(1, 4, 16, 16))}, "flow", **k
    ),
    "palette_usage": lambda **k: figures.palette_usage(
        {"a": torch.randint(0, 16, (8, 8)), "b": torch.randint(0, 16, (2, 4, 4))}, Palette.load("ega16"), **k
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_each_figure_is_drawn_and_saved_the_same_each_time(name: str, tmp_path: Path) -> None:
    saved = []
    for copy in ("a.png", "b.png"):
        torch.manual_seed(1)
        assert isinstance(DRAWN[name](path=tmp_path / copy), Figure)
        saved.append((tmp_path / copy).read_bytes())
    assert saved[0] == saved[1]
    assert saved[0].startswith(b"\x89PNG")


def test_the_front_holds_what_nothing_beats() -> None:
    cost, score = pd.Series([1.0, 1.0, 5.0, 2.0, 9.0]), pd.Series([10.0, 12.0, 11.0, 15.0, 15.0])
    assert front(cost, score) == [1, 3]
    assert front(cost, -score, more_is_better=False) == [1, 3]


def test_pictures_of_a_sheet_share_one_size() -> None:
    sheet = DRAWN["contact_sheet"]()
    assert {axis.images[0].get_array().shape for axis in sheet.axes} == {(16, 24, 3)}


def test_heatmap_of_a_network_is_refused() -> None:
    with pytest.raises(TypeError, match="ChannelMap"):
        figures.coefficient_heatmap(lf.Approximation(torch.nn.Conv2d(4, 3, 1), "sd1"))


def drawn_images(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axis.images[0].get_array()) for axis in figure.axes if axis.images]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def test_a_score_sheet_of_many_breaks_into_lines_that_are_named() -> None:
    names = [f"map {index}" for index in range(2 * MOST_ACROSS + 2)]
    truth = torch.rand(3, 16, 16)
    sheet = figures.score_sheet({"p": dict.fromkeys(names, truth)}, names[0], width_in=1.0)
    assert [title for axis in sheet.axes if (title := axis.get_title(loc="left"))] == names
    assert len({round(axis.get_position().y0, 2) for axis in sheet.axes}) == 3


def test_a_score_sheet_scores_what_it_shows_against_its_rows_reference() -> None:
    grey = torch.full((3, 16, 16), 0.5)
    rows = {
        "one": {"vae": grey, "off by a tenth": torch.full((3, 2, 2), 0.6), "equal": grey.clone()},
        "two": {"vae": grey + 0.1, "off by a tenth": torch.full((3, 16, 16), 0.61), "equal": grey + 0.1},
    }
    sheet = figures.score_sheet(rows, "vae", milliseconds={"equal": 1.25})
    shown = [float(image.mean()) for image in drawn_images(sheet)]
    assert shown == pytest.approx([0.5, 0.6, 0.5, 0.6, 0.61, 0.6])
    said = words(sheet)
    assert sum("dB" in each for each in said) == 2
    assert {score_words(torch.full((3, 4, 4), 0.6), grey)} <= set(said)
    assert any(each.startswith("20.0 dB") for each in said)
    assert any(each.startswith("40.0 dB") for each in said)
    assert said.count("equal") == 2  # the two pictures; the column's name carries its milliseconds
    assert "equal\n1.25 ms" in said


def test_a_reason_stands_where_the_picture_would_be() -> None:
    reason = "of space 'sdxl', the latents of 'sd1'"
    sheet = figures.score_sheet({"p": {"vae": torch.rand(3, 8, 8), "alien": reason}}, "vae", width_in=6)
    assert reason in words(sheet)
    assert np.unique(drawn_images(sheet)[1]).size == 1
    assert reason in words(figures.contact_sheet({"a": torch.rand(3, 8, 8), "alien": reason}, height_in=6))
    with pytest.raises(ValueError, match="row 'p' lacks it"):
        figures.score_sheet({"p": {"vae": reason}}, "vae")


def test_a_strip_shows_its_values_in_their_order() -> None:
    first = torch.stack([torch.full((3, 4, 4), level) for level in (0.1, 0.2, 0.3)])
    strip = figures.sweep_strip({"vae": first, "a": first + 0.1}, [0, 0.5, 2], label="gain", reference="vae")
    assert [float(image.mean()) for image in drawn_images(strip)] == pytest.approx([0.1, 0.2, 0.3, 0.2, 0.3, 0.4])
    said = words(strip)
    assert [each for each in said if each.startswith("gain")] == ["gain 0", "gain 0.5", "gain 2"]
    assert sum(each.startswith("20.0 dB") for each in said) == 3
    with pytest.raises(ValueError, match="expected 2 pictures in row 'a', got 3"):
        figures.sweep_strip({"a": first}, [0, 1])
    with pytest.raises(ValueError, match="reference"):
        figures.sweep_strip({"a": first}, [0, 1, 2], reference="b")


@pytest.mark.parametrize(("at", "column"), [(0.0, 0), (0.25, 2), (1.0, 8)])
def test_the_curtain_shows_the_left_picture_left_of_it(at: float, column: int) -> None:
    joined = figures.under_curtain(torch.zeros(3, 4, 8), torch.ones(3, 1, 2), at)
    assert joined.shape == (3, 4, 8)
    assert bool((joined[..., :column] == 0).all())
    assert bool((joined[..., column:] == 1).all())
    assert np.array_equal(drawn_images(figures.curtain(torch.zeros(3, 4, 8), torch.ones(3, 1, 2), at))[0],
                          joined.permute(1, 2, 0).numpy())  # fmt: skip


def test_pictures_of_two_shapes_keep_them_under_one_curtain() -> None:
    joined = figures.under_curtain(torch.zeros(3, 60, 60), torch.ones(3, 40, 80), 0.5)
    assert joined.shape == (3, 60, 60)
    right = joined[0, :, 30:]
    assert bool((right[:15] == SURROUND).all())
    assert bool((right[15:45] == 1).all())
    assert bool((right[45:] == SURROUND).all())
    odd = placed(torch.ones(3, 8, 11), (66, 90))  # whole cells of a picture whose sides are none
    assert bool((odd > 0.99).all())


def test_smaller_pictures_are_smooth_or_blocks() -> None:
    small, large = torch.tensor([[0.0, 1.0]]).expand(3, 1, 2), torch.zeros(3, 4, 8)
    blocks = small.repeat_interleave(4, -1).repeat_interleave(4, -2)
    assert torch.equal(figures.under_curtain(large, small, 0, smooth=False), blocks)
    assert len(figures.under_curtain(large, small, 0).unique()) > 2
    for figure in (figures.curtain(large, small, 0, smooth=False),
                   figures.contact_sheet({"small": small, "large": large}, smooth=False)):  # fmt: skip
        assert np.array_equal(drawn_images(figure)[0], blocks.permute(1, 2, 0).numpy())


def test_a_picture_that_shrinks_is_antialiased() -> None:
    stripes = torch.tensor([0.0, 1, 0, 0, 1, 1]).repeat(8).expand(3, 48, 48)
    for given, size in ((stripes, (48, 16)), (stripes.mT, (16, 48)), (stripes.mT, (16, 60))):
        expected = torch.nn.functional.interpolate(given[None], size, mode="bilinear", antialias=True)[0]
        assert torch.equal(as_seen(given[None], size)[0], expected)
    drawn = drawn_images(figures.contact_sheet({"large": torch.zeros(3, 32, 32), "finer": torch.rand(3, 16, 48)}))
    assert drawn[1].shape == (32, 32, 3)


def test_a_curtain_past_the_rim_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\], got 1.5"):
        figures.curtain(torch.zeros(3, 4, 8), torch.zeros(3, 4, 8), 1.5)


def test_differences_are_amplified_about_grey() -> None:
    reference = torch.full((3, 2, 2), 0.5)
    predicted = reference.clone()
    predicted[0, 0, 0], predicted[1, 0, 1], predicted[2, 1, 1] = 0.55, 0.4, 1.0
    seen = figures.amplified(predicted, reference, gain=4)
    expected = torch.full((3, 2, 2), 0.5)
    expected[0, 0, 0], expected[1, 0, 1], expected[2, 1, 1] = 0.7, 0.1, 1.0
    assert torch.allclose(seen, expected)
    with pytest.raises(ValueError, match="gain"):
        figures.amplified(predicted, reference, gain=0)


def test_error_maps_show_sign_and_colour_distance() -> None:
    reference = torch.full((3, 4, 4), 0.5)
    brighter, darker = torch.full((3, 2, 2), 0.7), torch.full((3, 4, 4), 0.4)
    sheet = figures.error_sheet({"brighter": brighter, "darker": darker}, reference)
    maps = drawn_images(sheet)
    assert [float(image.mean()) for image in maps[4:6]] == pytest.approx([0.2, -0.1])
    assert float(maps[6].mean()) == pytest.approx(float(figures.delta_e(brighter, reference).mean()))
    single = drawn_images(figures.error_map(brighter, reference))
    assert [image.shape for image in single] == [(4, 4, 3), (4, 4, 3), (4, 4), (4, 4)]
    assert float(single[2].mean()) == pytest.approx(0.2)


def test_residuals_are_by_channel() -> None:
    reference = torch.full((3, 4, 4), 0.5)
    predicted = reference + torch.tensor([0.1, -0.2, 0.0]).reshape(3, 1, 1)
    axis = figures.channel_residuals({"a": predicted}, reference).axes[0]
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([25.5, 51, 0], abs=1e-4)
    assert list(axis.lines[0].get_ydata()) == pytest.approx([25.5, -51, 0], abs=1e-4)


def test_histograms_are_densities_of_each_channel() -> None:
    latents = torch.randn(2, 4, 32, 32) * torch.tensor([1.0, 2, 0.5, 1]).reshape(1, 4, 1, 1)
    figure = figures.channel_histograms(latents)
    assert len(figure.axes) == 4
    for index, axis in enumerate(figure.axes):
        area = sum(bar.get_height() * bar.get_width() for bar in axis.patches)
        assert area == pytest.approx(1, abs=1e-3)
        assert f"σ {float(latents[:, index].std()):.2f}" in axis.get_title(loc="left")
        assert len(axis.lines) == 1  # the standard normal
    assert [len(axis.lines) for axis in figures.channel_histograms(torch.rand(3, 8, 8)).axes] == [0, 0, 0]
    with pytest.raises(ValueError, match="NaN"):
        figures.channel_histograms(torch.full((4, 2, 2), float("nan")))
    with pytest.raises(ValueError, match="4 names, got 2"):
        figures.channel_histograms(latents, ["a", "b"])


def test_joint_plots_say_how_channels_go_together() -> None:
    latents = torch.randn(1, 16, 24, 24)
    cells = torch.stack([latents[0, 5], -latents[0, 9], torch.zeros(24, 24)])[None]
    figure = figures.joint_channels(latents, cells, most=2)
    said = [axis.get_title(loc="left") for axis in figure.axes]
    assert len(said) == 4
    assert said[0] == "+1.00"
    assert said[3] == "-1.00"
    assert [axis.get_xlabel() for axis in figure.axes[2:]] == ["x5", "x9"]
    assert [axis.get_ylabel() for axis in figure.axes[::2]] == ["R", "G"]
    with pytest.raises(ValueError, match="as many places"):
        figures.joint_channels(latents, cells[..., :12])


def test_small_coefficients_are_read_in_a_heatmap_and_zero_has_no_sign() -> None:
    latents, cells = torch.randn(4, 4, 8, 8), torch.rand(4, 3, 8, 8)
    cubic = lf.ChannelMap("cubic").fit_arrays(latents, cells, space="sd1").approximation()
    cubic.module.set_coefficients(np.full((35, 3), 0.004) * np.eye(35, 3))
    drawn = [text.get_text() for text in figures.coefficient_heatmap(cubic).axes[0].texts]
    assert sorted(set(drawn)) == ["+0.004", "0"]


def test_legend_of_a_ranking_covers_no_bar() -> None:
    figure = figures.ranking(FRAME)
    figure._repr_png_()
    (legend,) = figure.legends
    assert legend.get_window_extent().y1 <= figure.axes[0].get_window_extent().y0


def test_a_heatmap_against_another_shows_what_was_changed() -> None:
    before, after = table(), table()
    values = before.module.coefficients.clone()
    values[2, 1] += 0.75
    after.module.set_coefficients(values)
    panels = drawn_images(figures.coefficient_heatmap(after, against=before))
    changed = np.zeros((5, 3))
    changed[2, 1] = 0.75
    assert np.allclose(panels[1], changed, atol=1e-6)
    richer = lf.ChannelMap("quadratic").fit_arrays(torch.randn(4, 4, 8, 8), torch.rand(4, 3, 8, 8), space="sd1")
    with pytest.raises(ValueError, match="one form"):
        figures.coefficient_heatmap(after, against=richer.approximation())


@pytest.mark.parametrize(
    ("draw", "error", "words"),
    [
        (lambda: figures.latent_channels(torch.randn(1, 4, 8, 8)), ValueError, "expected (C, h, w), got (1, 4, 8, 8)"),
        (lambda: figures.clipping(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9)), ValueError, "of equal shape"),
        (lambda: figures.error_map(torch.rand(4, 8, 8), torch.rand(3, 8, 8)), ValueError, "got (4, 8, 8)"),
        (lambda: figures.curves(FRAME, "n_pictures", "none", "form"), KeyError, "none"),
        (lambda: figures.ranking(FRAME.assign(origin="nobody")), KeyError, "nobody"),
        (lambda: figures.ranking(FRAME, score="none"), KeyError, "none"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw: Callable[[], Figure], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        draw()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.contact_sheet({}),
        lambda: figures.score_sheet({}, "vae"),
        lambda: figures.sweep_strip({}, [1]),
        lambda: figures.error_sheet({}, torch.rand(3, 4, 4)),
        lambda: figures.channel_residuals({}, torch.rand(3, 4, 4)),
        lambda: figures.bars({}),
    ],
)
def test_nothing_to_draw_is_refused(draw: Callable[[], Figure]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        draw()


def test_swatches_show_every_colour_in_its_order() -> None:
    palette = Palette.load("nes")
    shown = drawn_images(figures.swatches([palette]))[0].reshape(-1, 3)[: len(palette)]
    np.testing.assert_allclose(shown, palette.rgb.numpy())
    assert {"nes", "55 colours"} <= set(words(figures.swatches([palette])))
    with pytest.raises(ValueError, match="swatches: palettes"):
        figures.swatches([])


def test_usage_shows_shares_in_the_palettes_colours() -> None:
    palette = Palette.load("1-bit")
    drawn = figures.palette_usage({"a": torch.tensor([0, 0, 0, 1]), "b": torch.tensor([[1, 1]])}, palette)
    first, second = ([bar.get_width() for bar in axis.containers[0]] for axis in drawn.axes)
    assert (first, second) == ([75, 25], [0, 100])
    assert [bar.get_facecolor()[:3] for bar in drawn.axes[0].containers[0]] == [(0, 0, 0), (1, 1, 1)]
    assert {"a  2 in use", "b  1 in use", "#ffffff"} <= set(words(drawn))
    with pytest.raises(ValueError, match="indices of 0 to 1, got 0 to 2"):
        figures.palette_usage({"a": torch.tensor([0, 2])}, palette)


def test_usage_of_many_colours_shows_the_most_used_in_the_palettes_order() -> None:
    palette = Palette.load("nes")
    drawn = figures.palette_usage({"a": torch.tensor([9, 9, 9, 40, 40, 3])}, palette, most=2)
    drawn.canvas.draw()
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == [palette.hex[9], palette.hex[40]]
    assert any("the 2 most used of 55" in each for each in words(drawn))


def test_a_contact_sheet_of_blocks_keeps_each_pictures_own_pixels() -> None:
    cells, picture = torch.rand(3, 4, 6), torch.rand(3, 32, 48)
    shown = drawn_images(figures.contact_sheet({"cells": cells, "picture": picture}, smooth=False))
    expected = cells.repeat_interleave(8, 1).repeat_interleave(8, 2)
    np.testing.assert_allclose(shown[0], expected.movedim(0, -1).numpy())
    np.testing.assert_allclose(shown[1], picture.movedim(0, -1).numpy())


def turned(picture: torch.Tensor, degrees: float, chroma: float) -> torch.Tensor:
    """In OKLab, about grey; paled beforehand so that nothing leaves the cube."""
    lab = rgb_to_oklab(picture.double()[None])
    angle = torch.tensor(degrees).deg2rad()
    a, b = lab[:, 1] * chroma, lab[:, 2] * chroma
    spun = torch.stack([lab[:, 0], a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], 1)
    return oklab_to_rgb(spun)[0]


def test_turns_by_hue_find_what_was_turned() -> None:
    pale = (0.4 + 0.3 * WHEEL).double()
    frame = figures.turns_by_hue(turned(pale, 10.0, 0.8), pale, n_hues=12)
    assert len(frame) == 12
    assert frame["turn"].to_numpy() == pytest.approx(np.full(12, 10.0), abs=0.1)
    assert frame["chroma"].to_numpy() == pytest.approx(np.full(12, 0.8), abs=0.01)


def test_hues_of_a_red_picture_are_those_of_red() -> None:
    red = torch.tensor([0.8, 0.2, 0.2])[:, None, None].expand(3, 4, 4)
    frame = figures.turns_by_hue(red, red, n_hues=36)
    assert frame["hue"].tolist() == [25.0]
    assert (frame["turn"].item(), frame["chroma"].item()) == pytest.approx((0.0, 1.0))


def test_hues_of_a_grey_truth_are_refused() -> None:
    with pytest.raises(ValueError, match="grey"):
        figures.hue_turns({"a": WHEEL}, torch.full((3, 48, 48), 0.5))
    with pytest.raises(ValueError, match="one size"):
        figures.turns_by_hue(WHEEL, WHEEL[:, :8])


def test_a_latent_sheet_holds_rows_of_its_shape_against_the_reference() -> None:
    true = torch.randn(2, 8, 8)
    sheet = figures.latent_sheet({"other": true, "true": true, "made": true, "wide": torch.randn(3, 8, 8)}, "true")
    assert [word for word in words(sheet) if word.startswith("R²")] == ["R² 1.00", "R² 1.00"]
    with_errors = figures.latent_sheet({"true": true, "made": 0.5 * true}, "true", errors=True)
    np.testing.assert_allclose(drawn_images(with_errors)[-1], -0.5 * true[-1].numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="reference"):
        figures.latent_sheet({"a": true}, "b")
    with pytest.raises(ValueError, match=r"\(C, h, w\)"):
        figures.latent_sheet({"a": true[None]})


def test_explained_wants_a_share_for_each_band() -> None:
    with pytest.raises(ValueError, match="5"):
        figures.explained({"a": torch.rand(4, 6)}, torch.rand(5))


def test_noise_masking_says_the_least_strength() -> None:
    error = torch.full((1, 4, 8, 8), 0.125)  # a mean over 64 cells stands out 8 times as far: sigma 1
    chart = figures.noise_masking({"off": ErrorBands().add(error, torch.zeros_like(error))}, "flow", strengths=(0.25,))
    assert "off: hidden from 0.50" in words(chart)
    assert "noise of refining at strength 0.25" in words(chart)


def test_bands_are_drawn_where_their_frequencies_are() -> None:
    frequencies = torch.tensor([0.1, 0.2, 0.4])
    (axis, _) = figures.explained({"a": torch.rand(2, 3)}, frequencies).axes
    corners = axis.collections[0].get_coordinates()[0, :, 0]
    assert corners.tolist() == pytest.approx([0.05, 0.15, 0.3, 0.5])


def test_a_pareto_chart_names_every_point_and_says_forms_in_words() -> None:
    frame = FRAME.assign(approximation=["comfyui/SD15", "(3, 1)", "TAESD"])
    chart = figures.pareto(frame)
    large, *small = chart.axes
    assert [axis.get_title(loc="left") for axis in (large, *small)] == [
        "mean ΔE (CIEDE2000) (up is better)", "PSNR, dB", "MS-SSIM",
    ]  # fmt: skip
    assert [" ".join(text.get_text().split()) for text in large.texts] == [
        "3×3 linear + 1×1 quadratic", "TAESD", "comfyui/SD15",
    ]  # fmt: skip
    assert all(not axis.texts for axis in small)
    assert len(figures.pareto(frame, scores=("psnr",)).axes) == 1


def test_names_beside_points_cover_neither_points_nor_each_other() -> None:
    frame = pd.concat([FRAME.iloc[[1]].assign(approximation=f"map {n}", ms=0.1 * 1.1**n) for n in range(8)])
    chart = figures.pareto(frame.assign(psnr=20 + 0.1 * np.arange(8)))
    chart.draw_without_rendering()
    axis = chart.axes[0]
    boxes = [matplotlib.text.Text.get_window_extent(text) for text in axis.texts]  # without its line
    assert len(boxes) == 8
    assert not [1 for index, one in enumerate(boxes) for other in boxes[:index] if one.overlaps(other)]
    points = axis.transData.transform(np.stack([frame["ms"], frame["delta_e"]], 1))
    assert not [1 for box in boxes for x, y in points if box.contains(x, y)]


def test_lines_are_told_apart_without_their_colours_and_named_at_their_ends() -> None:
    assert len({str(dash) + marker for _, dash, marker in figures.LOOKS}) == len(figures.LOOKS)
    rows = [(x, f"line {n}", 1.0) for n in range(6) for x in (1, 2)]  # all the same: their names move apart
    chart = figures.curves(pd.DataFrame(rows, columns=["x", "name", "y"]), "x", "y", "name")
    chart.draw_without_rendering()
    axis = chart.axes[0]
    boxes = [matplotlib.text.Text.get_window_extent(text) for text in axis.texts]  # without its line
    assert [text.get_text() for text in axis.texts] == [f"line {n}" for n in range(6)]
    assert len({(line.get_linestyle(), line.get_marker(), line.get_color()) for line in axis.lines}) == 6
    assert not [1 for index, one in enumerate(boxes) for other in boxes[:index] if one.overlaps(other)]
    assert min(box.x0 for box in boxes) > axis.get_window_extent().x1


def as_deuteranope(colour: str) -> torch.Tensor:
    """sRGB hex -> what a deuteranope sees, by Viénot, Brettel and Mollon's matrix of 1999, in linear light."""
    rgb = torch.tensor(matplotlib.colors.to_rgb(colour), dtype=torch.float64)[None, :, None, None]
    seen = torch.tensor([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]).double()
    linear = torch.einsum("ij,njhw->nihw", seen, srgb_to_linear(rgb)).clamp(0, 1)
    return linear_to_srgb(linear)


@pytest.mark.parametrize(
    "colours",
    [
        [colour for colour, _, _ in figures.LOOKS[:4]],
        [colour for colour, _, _ in figures.ORIGINS.values()],
        [colour for colour, _ in figures.FAMILIES.values()],
    ],
    ids=["lines", "origins", "families"],
)
def test_colours_are_told_apart_by_a_deuteranope(colours: list[str]) -> None:
    seen = [as_deuteranope(colour) for colour in colours]
    apart = [float(delta_e2000(one, other)) for index, one in enumerate(seen) for other in seen[:index]]
    assert min(apart) > 10
    red, green = as_deuteranope("#c23b3b"), as_deuteranope("#5a6e1f")  # the test can fail: these two are alike
    assert float(delta_e2000(red, green)) < 10


def test_a_form_and_its_oracle_share_a_line() -> None:
    frame = pd.DataFrame(
        {
            "approximation": ["ours: (3, 1)", "oracle: (3, 1)", "a/table"],
            "origin": ["ours", "oracle", "published"],
            "psnr": [21.0, 21.5, 18.0],
        }
    )
    axis = figures.ranking(frame).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a/table", "3×3 linear + 1×1 quadratic"]
    marks = [line for line in axis.lines if len(line.get_xdata()) == 1]
    assert sorted((float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in marks) == [
        (18.0, 0.0), (21.0, 1.0), (21.5, 1.0),
    ]  # fmt: skip
    assert {"21.0  oracle 21.5", "18.0"} <= set(words(figures.ranking(frame)))


def test_dots_stand_at_their_values_in_their_rows() -> None:
    frame = pd.DataFrame({"space": ["a", "b", "b"], "form": ["x", "x", "y"], "dB": [1.0, 2.0, float("nan")]})
    axis = figures.dots(frame, "space", "dB", "form").axes[0]
    (line,) = [line for line in axis.lines if line.get_linestyle() == "None"]
    assert line.get_xydata().tolist() == [[1.0, 0.0], [2.0, 1.0]]


def test_a_shown_figure_is_sharp_at_twice_its_size_and_says_what_it_shows() -> None:
    figure = figures.ranking(FRAME, title="Three tables")
    bundle, told = figure._repr_mimebundle_()
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as image:
        assert image.width == pytest.approx(2 * told["image/png"]["width"], abs=1)
        assert image.height == pytest.approx(2 * told["image/png"]["height"], abs=1)
    assert told["image/png"]["alt"].startswith("Three tables; ")
    assert figure.described("a, b and c")._repr_mimebundle_()[1]["image/png"]["alt"] == "a, b and c"


def test_photographs_are_shown_as_jpeg_and_saved_as_webp(tmp_path: Path) -> None:
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 160, 160), 480, mode="bilinear")[0]
    sheet = figures.contact_sheet({"a": smooth, "b": smooth.flip(1)}, height_in=4, path=tmp_path / "a.webp")
    bundle, _ = sheet._repr_mimebundle_()
    assert set(bundle) == {"image/jpeg", "text/plain"}
    with Image.open(tmp_path / "a.webp") as image:
        assert image.format == "WEBP"
        assert image.width == pytest.approx(figures.FILE_DPI * sheet.get_size_inches()[0], abs=1)


def test_a_chart_is_kept_in_few_colours_and_a_picture_in_all_of_its_own(tmp_path: Path) -> None:
    figures.ranking(FRAME, path=tmp_path / "chart.png")
    wheel = torch.nn.functional.interpolate(WHEEL[None], 192, mode="bilinear")[0]
    figures.contact_sheet({"a": wheel}, path=tmp_path / "picture.png")
    with Image.open(tmp_path / "chart.png") as chart, Image.open(tmp_path / "picture.png") as picture:
        assert (chart.mode, picture.mode) == ("P", "RGB")
        colours = {colour for _, colour in chart.convert("RGB").getcolors(256)}
    ours = matplotlib.colors.to_rgb(figures.ORIGINS["ours"][0])
    nearest = min(max(abs(255 * a - b) for a, b in zip(ours, colour, strict=True)) for colour in colours)
    assert nearest <= 2  # its own colours stay what they are
