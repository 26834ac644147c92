"""The report from disk, without a network: used with mouse and keyboard, and looked at pixel by pixel."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import latentfit as lf
from latentfit.compare import figures as errors
from latentfit.compare.reports import VAE
from latentfit.formats import read
from tests.support.browser import Watched
from tests.support.seen import drag, eventually, levels, pane_difference, pane_off_by, ready, settle, shot, state, until

SLOT, EDITOR = '[data-widget="workbench"]', 'main > [data-widget="table_editor"]'
NASTY = "</script><img src=x onerror=alert(1)> & '"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> lf.PairStore:
    folder = tmp_path_factory.mktemp("pairs")
    return lf.collect(
        lf.Vae.load("mini-sd1"), "photographs", folder / "store", size=128, keep="photo", square=True, limit=8,
        progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def maps(store: lf.PairStore) -> dict[str, lf.Approximation]:
    made = {
        form: lf.ChannelMap(form).fit(store, samples=store.samples[:4]).approximation() for form in ("affine", "cubic")
    }
    arrays = (torch.randn(4, 4, 8, 8), torch.rand(4, 3, 8, 8))
    made["sdxl"] = lf.ChannelMap("affine").fit_arrays(*arrays, space="sdxl").approximation()
    made["affine"].name, made["cubic"].name, made["sdxl"].name = "affine", "cubic", NASTY
    return made


@pytest.fixture(scope="module")
def path(store: lf.PairStore, maps: dict[str, lf.Approximation], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lf.report(store, list(maps.values()), tmp_path_factory.mktemp("report") / "a report & more.html")


@pytest.fixture(scope="module")
def opened(path: Path, open_file: Callable[..., Watched], shots: Path) -> Watched:
    watched = open_file(path)
    watched.page.on("dialog", lambda dialog: watched.errors.append(f"dialog: {dialog.message}"))
    ready(watched.page, SLOT)
    ready(watched.page, EDITOR)
    watched.page.screenshot(path=shots / "report.png", full_page=True)
    return watched


@pytest.fixture(autouse=True)
def _from_the_beginning(opened: Watched) -> None:
    page = opened.page
    page.locator(SLOT).get_by_role("button", name="Reset").click()
    page.locator(SLOT).get_by_label("left picture").select_option("affine")
    page.locator(SLOT).get_by_label("right picture").select_option(VAE)
    page.locator(SLOT).get_by_role("button", name="Picture", exact=True).click()
    page.locator(f"{SLOT} .lf-tile").first.click()
    page.locator(f"{SLOT} .lf-handle").focus()
    page.keyboard.press("Home")
    for _ in range(5):
        page.keyboard.press("Shift+ArrowRight")
    page.locator(EDITOR).get_by_role("button", name="Reset").first.click()
    settle(page)


def sides(store: lf.PairStore, opened: Watched, one: lf.Approximation) -> tuple[torch.Tensor, torch.Tensor]:
    """Left and right of the curtain as Python has them: the map's output, and the VAE's decode."""
    batch = store.sample(state(opened.page, SLOT)["picture_name"])
    return one(batch.latents)[0], batch.rgb[0]


def test_the_page_stands_alone_and_without_an_error(opened: Watched, path: Path) -> None:
    assert opened.errors == []
    assert opened.from_elsewhere == []
    assert [url for url in opened.asked if url.startswith("file:")] == [path.resolve().as_uri()]
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_both_sides_of_a_dragged_curtain_stands_the_right_picture(
    opened: Watched, store: lf.PairStore, maps: dict[str, lf.Approximation], shots: Path
) -> None:
    pane = opened.page.locator(f"{SLOT} .lf-pane")
    left, right = sides(store, opened, maps["affine"])
    before = 0.5
    for share in (0.2, 0.8):
        drag(opened.page, pane, share, before)
        assert state(opened.page, SLOT)["position"] == pytest.approx(100 * share, abs=0.5)
        assert pane_off_by(opened.page, SLOT, left, right) <= 1
        before = share
    opened.page.screenshot(path=shots / "report_curtain.png")


def test_another_picture_and_another_map(
    opened: Watched, store: lf.PairStore, maps: dict[str, lf.Approximation]
) -> None:
    opened.page.locator(f"{SLOT} .lf-tile").nth(2).click()
    opened.page.locator(SLOT).get_by_label("left picture").select_option("cubic")
    settle(opened.page)
    assert state(opened.page, SLOT)["picture"] == 2
    assert pane_off_by(opened.page, SLOT, *sides(store, opened, maps["cubic"])) <= 1
    scores = lf.evaluate([maps["cubic"], maps["affine"]], store).query("reference == 'vae' and place == 'seen'")
    name = state(opened.page, SLOT)["picture_name"]
    row = scores.query("approximation == 'cubic'").set_index("image").loc[name]
    said = opened.page.locator(f"{SLOT} .lf-choice-left .lf-scores").inner_text()
    assert f"{row['psnr']:.1f} dB" in said
    assert f"{row['delta_e']:.1f}" in said


def test_fifty_quick_drags_end_on_the_last_value(
    opened: Watched, store: lf.PairStore, maps: dict[str, lf.Approximation]
) -> None:
    opened.page.locator(f"{SLOT} .lf-pane").scroll_into_view_if_needed()
    box = opened.page.locator(f"{SLOT} .lf-pane").bounding_box()
    y = box["y"] + 0.6 * box["height"]
    shares = np.random.default_rng(0).uniform(0.1, 0.9, 50)
    opened.page.mouse.move(box["x"] + 0.5 * box["width"], y)
    opened.page.mouse.down()
    for share in shares:
        opened.page.mouse.move(box["x"] + share * box["width"], y)
    opened.page.mouse.up()
    settle(opened.page)
    assert state(opened.page, SLOT)["position"] == pytest.approx(100 * shares[-1], abs=0.5)
    assert pane_off_by(opened.page, SLOT, *sides(store, opened, maps["affine"])) <= 1


def test_the_keyboard_moves_the_curtain_and_zooms(opened: Watched) -> None:
    page = opened.page
    page.locator(f"{SLOT} .lf-handle").focus()
    for keys, position in (("ArrowRight", 51), ("ArrowLeft", 50), ("Shift+ArrowRight", 60), ("Home", 0), ("End", 100)):
        page.keyboard.press(keys)
        assert state(page, SLOT)["position"] == pytest.approx(position), keys
    zoom = state(page, SLOT)["zoom"]
    page.keyboard.press("+")
    assert state(page, SLOT)["zoom"] > zoom
    page.keyboard.press("0")
    assert state(page, SLOT)["zoom"] == zoom
    handle = page.locator(f"{SLOT} .lf-handle")
    assert handle.get_attribute("aria-valuenow") == "100"
    assert handle.get_attribute("role") == "slider"


def test_the_reason_stands_where_the_picture_would_be(opened: Watched, shots: Path) -> None:
    name = f"{NASTY}, sdxl"
    opened.page.locator(SLOT).get_by_label("left picture").select_option(name)
    settle(opened.page)
    said = opened.page.locator(f"{SLOT} .lf-left .lf-reason")
    assert said.is_visible()
    assert "of space 'sdxl'" in said.inner_text()
    said.scroll_into_view_if_needed()
    opened.page.screenshot(path=shots / "report_reason.png")
    assert opened.errors == []


@pytest.mark.parametrize(
    ("button", "mode"),
    [("Lightness error", "lightness"), ("Colour error ΔE", "delta_e"), ("Difference ×4", "difference")],
)
def test_error_maps_are_the_figures(
    opened: Watched, store: lf.PairStore, maps: dict[str, lf.Approximation], button: str, mode: str, shots: Path
) -> None:
    import matplotlib as mpl

    opened.page.locator(SLOT).get_by_role("button", name=button, exact=True).click()
    assert state(opened.page, SLOT)["mode"] == mode
    settle(opened.page)
    left, right = (
        torch.from_numpy(levels(side)).permute(2, 0, 1) / 255 for side in sides(store, opened, maps["affine"])
    )

    def drawn(side: torch.Tensor) -> np.ndarray:
        if mode == "difference":
            return levels(errors.amplified(side, right))
        is_delta = mode == "delta_e"
        share = errors.delta_e(side, right) / errors.MOST_DELTA_E if is_delta else (
            0.5 + errors.lightness_error(side, right) / (2 * errors.MOST_LIGHTNESS))  # fmt: skip
        colours = mpl.colormaps["magma" if is_delta else "RdBu_r"](share.clamp(0, 1).numpy())[..., :3]
        return np.round(255 * colours).astype(np.uint8)

    def off() -> int:
        """Of all but one screen pixel in a hundred: our colour scales have fewer stops than Matplotlib's."""
        difference = pane_difference(opened.page, SLOT, drawn(left), drawn(right))
        return int(np.quantile(difference[difference >= 0], 0.99))

    assert eventually(off, 10) <= 10, button
    opened.page.screenshot(path=shots / f"report_{mode}.png")


def moved(opened: Watched, label: str, by_share: float) -> None:
    """Take a coefficient's slider by its handle and pull it along a share of its length."""
    box = opened.page.locator(EDITOR).get_by_label(label, exact=True).bounding_box()
    at = (
        opened.page.locator(EDITOR)
        .get_by_label(label, exact=True)
        .evaluate("(e) => (e.value - e.min) / (e.max - e.min)")
    )
    y, inner = box["y"] + box["height"] / 2, box["width"] - 14
    opened.page.mouse.move(box["x"] + 7 + at * inner, y)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 7 + (at + by_share) * inner, y, steps=6)
    opened.page.mouse.up()
    settle(opened.page)


def recomputed(opened: Watched, store: lf.PairStore, one: lf.Approximation) -> np.ndarray:
    """The editor's picture, from its coefficients, by the map's own code."""
    from latentfit.fit import PolynomialMap

    now = state(opened.page, EDITOR)
    module = PolynomialMap.from_config(one.module.config())
    module.set_coefficients(np.reshape(now["coefficients"], tuple(module.coefficients.shape)))
    name = opened.page.locator(f"{EDITOR} select").evaluate("(e) => e.selectedOptions[0].textContent")
    latents = store.sample(name).latents.half().float()
    return levels(lf.Approximation(module, "sd1")(latents)[0])


def on_canvas(opened: Watched) -> np.ndarray:
    got = opened.page.evaluate(
        "(selector) => { const { width, height, data } = document.querySelector(selector).latentfit.pixels();"
        " return [width, height, Array.from(data)]; }",
        EDITOR,
    )
    return np.reshape(np.array(got[2], np.uint8), (got[1], got[0], 4))[..., :3]


def test_a_moved_coefficient_paints_what_the_map_computes(
    opened: Watched, store: lf.PairStore, maps: dict[str, lf.Approximation], shots: Path
) -> None:
    opened.page.locator(EDITOR).scroll_into_view_if_needed()
    first = on_canvas(opened)
    assert np.abs(first.astype(int) - recomputed(opened, store, maps["affine"])).max() <= 1
    for label, by_share in (("x1, R", 0.25), ("x3, B", -0.2), ("1, G", 0.15)):
        before = on_canvas(opened)
        moved(opened, label, by_share)
        assert np.abs(on_canvas(opened).astype(int) - before).max() > 8, label
        assert np.abs(on_canvas(opened).astype(int) - recomputed(opened, store, maps["affine"])).max() <= 1, label
    opened.page.screenshot(path=shots / "report_editor.png")
    painted = torch.from_numpy(on_canvas(opened).copy()).permute(2, 0, 1) / 255
    name = opened.page.locator(f"{EDITOR} select").evaluate("(e) => e.selectedOptions[0].textContent")
    assert pane_off_by(opened.page, EDITOR, painted, store.sample(name).cells[0]) <= 1


def test_numbers_are_typed_nudged_reset_and_exported(
    opened: Watched, store: lf.PairStore, maps: dict[str, lf.Approximation], tmp_path: Path
) -> None:
    editor = opened.page.locator(EDITOR)
    fitted = maps["affine"].module.coefficients
    box = editor.get_by_label("x2, G, number", exact=True)
    box.fill("0.75")
    box.press("Tab")
    settle(opened.page)
    assert state(opened.page, EDITOR)["coefficients"][3 * 3 + 1] == 0.75
    assert np.abs(on_canvas(opened).astype(int) - recomputed(opened, store, maps["affine"])).max() <= 1
    with opened.page.expect_download() as download:
        editor.get_by_role("button", name="Export").click()
    download.value.save_as(tmp_path / "edited.json")
    edited = read(tmp_path / "edited.json", "json").module.coefficients
    expected = fitted.clone()
    expected[3, 1] = 0.75
    assert torch.allclose(edited, expected, atol=1e-6)
    editor.locator("button", has_text="All the way").click()
    settle(opened.page)
    oracle = lf.ChannelMap("affine").fit(store, samples=held_out(store, maps)).module_.coefficients
    assert np.allclose(np.reshape(state(opened.page, EDITOR)["coefficients"], (5, 3)), oracle, atol=1e-4)
    editor.get_by_role("button", name="Reset").click()
    assert np.allclose(np.reshape(state(opened.page, EDITOR)["coefficients"], (5, 3)), fitted, atol=1e-6)


def held_out(store: lf.PairStore, maps: dict[str, lf.Approximation]) -> list:
    fitted = set(maps["affine"].card["train_hashes"])
    return [sample for sample in store.samples if sample.sha256 not in fitted]


def test_a_folded_editor_is_drawn_when_it_is_opened(opened: Watched) -> None:
    fold = opened.page.locator("details", has=opened.page.locator('[data-widget="table_editor"]')).first
    assert opened.page.locator(".lf-editor").count() == 1
    fold.locator("summary").first.click()
    until(opened.page, "document.querySelectorAll('.lf-editor').length === 2")
    assert fold.locator("canvas").is_visible()
    assert opened.errors == []


def test_without_scripts_the_picture_the_scores_and_the_rest_still_stand(
    path: Path, open_file: Callable[..., Watched], shots: Path
) -> None:
    watched = open_file(path, java_script_enabled=False)
    page = watched.page
    assert page.get_by_text("This part needs JavaScript").first.is_visible()
    n_pictures, n_maps = page.locator("section.group").count(), 3
    assert n_pictures > 1
    assert page.locator("figure.tile").count() == n_pictures * (2 + n_maps)
    assert page.locator("figure.tile img:visible").count() == n_pictures * (1 + n_maps)  # one map is of another space
    assert page.locator("svg.chart.wide:visible").count() == 1
    assert page.locator("table").first.is_visible()
    page.screenshot(path=shots / "report_no_scripts.png", full_page=True)


def test_dark_and_on_a_display_of_two_pixels_a_point(
    path: Path, store: lf.PairStore, maps: dict[str, lf.Approximation], open_file: Callable[..., Watched], shots: Path
) -> None:
    watched = open_file(path, color_scheme="dark", device_scale_factor=2)
    ready(watched.page, SLOT)
    page = watched.page
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, dark[4:-1].split(","))) < 150
    text = page.locator(f"{SLOT} .lf-tilename").first.evaluate("(e) => getComputedStyle(e).color")
    assert sum(int(float(part)) for part in text[4:-1].split(",")[:3]) > 300
    page.locator(SLOT).get_by_label("left picture").select_option("affine")
    settle(page)
    pane = page.locator(f"{SLOT} .lf-pane")
    assert shot(pane, shots / "report_dark_2x.png").shape[1] == round(2 * pane.bounding_box()["width"])
    assert pane_off_by(watched.page, SLOT, *sides(store, watched, maps["affine"])) <= 1
    page.screenshot(path=shots / "report_dark.png", full_page=True)


def test_on_paper_it_is_dark_on_white_and_nothing_is_cut_off(
    path: Path, open_file: Callable[..., Watched], shots: Path
) -> None:
    watched = open_file(path, color_scheme="dark", viewport={"width": 700, "height": 1000})  # A4 within its margins
    page = watched.page
    ready(page, SLOT)
    page.emulate_media(media="print", color_scheme="dark")
    settle(page)
    ink = page.locator("body").evaluate("(e) => getComputedStyle(e).color")
    assert sum(map(int, ink[4:-1].split(",")[:3])) < 200
    assert page.locator(".widget:visible").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
    wide = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth + 1).length"
    )
    assert wide == 0
    assert page.evaluate("getComputedStyle(document.body).printColorAdjust") == "exact"
    page.screenshot(path=shots / "report_print.png", full_page=True)


def test_on_a_phone_no_row_of_a_table_is_mostly_empty(path: Path, open_file: Callable[..., Watched]) -> None:
    watched = open_file(path, viewport={"width": 390, "height": 844})
    ready(watched.page, SLOT)
    assert watched.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    rows = (
        watched.page.locator("table").last.locator("tbody tr").evaluate_all("(all) => all.map((e) => e.offsetHeight)")
    )
    assert max(rows) < 110, rows
