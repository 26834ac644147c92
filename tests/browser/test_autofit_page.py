"""Autofit's page and the report's grids: copied from, enlarged, printed, on a phone, by keyboard, and by axe-core."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import latentfit as lf
from latentfit.autofit import AutofitConfig, AutofitResult, autofit
from tests.support.axe import violations
from tests.support.browser import Watched

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "device_scale_factor": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> AutofitResult:
    """Of the bundled miniature of SD1, whose space has published tables; one crop each of a few pictures."""
    out = tmp_path_factory.mktemp("autofit") / "out"
    return autofit(AutofitConfig(vae="mini-sd1", out=out, size=96, crops=1, device="cpu", minutes=5.0))


@pytest.fixture(scope="module")
def report(made: AutofitResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "report.html"
    return lf.report(made.store, [made.maps["affine"], made.maps["3"]], out, n_pictures=2)


@pytest.fixture
def opened(made: AutofitResult, open_file: Callable[..., Watched]) -> Watched:
    return open_file(made.page)


def sideways(watched: Watched) -> list[str]:
    """Elements that stick out of the window and are not within something that scrolls by itself."""
    found: list[str] = watched.page.evaluate(
        "[...document.querySelectorAll('main *, footer *')]"
        ".filter((e) => e.getBoundingClientRect().right > innerWidth + 1)"
        ".filter((e) => !e.closest('.scroll, pre, .unseen, .lf'))"
        ".map((e) => e.outerHTML.slice(0, 120))"
    )
    return found


def test_the_page_opens_with_a_card_for_each_program_that_can_show_the_space(
    made: AutofitResult, opened: Watched, shots: Path
) -> None:
    page = opened.page
    assert opened.errors == []
    assert opened.from_elsewhere == []
    page.screenshot(path=shots / "autofit.png", full_page=True)
    heads = page.locator(".card h3").all_inner_texts()
    assert len(heads) == len(made.verdicts) + 1  # and Python
    first = made.verdicts[0]
    assert "For ComfyUI take this:" in heads[0]
    assert first.gain is not None
    card = page.locator(".card").first
    assert f"{first.gain.mean:+.1f} dB over what it ships today (SD15:" in card.inner_text()
    assert f"over {first.gain.n} held-out pictures" in card.inner_text()
    top = page.locator(".cards").bounding_box()["y"]
    assert top < page.locator(".grid").first.bounding_box()["y"]
    assert top < page.viewport_size["height"] / 2


def test_copy_takes_the_text_of_the_file(made: AutofitResult, new_page: Callable[..., Watched], tmp_path: Path) -> None:
    watched = new_page(permissions=["clipboard-read", "clipboard-write"])
    page = watched.page
    page.goto(made.page.as_uri())
    button = page.locator(".card").first.get_by_role("button")
    assert button.inner_text().split() == [
        "Copy",
        "the",
        "text",
        "for",
        "ComfyUI",
    ]  # what follows is for those who hear it
    button.click()
    page.get_by_role("button", name="Copied").first.wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == made.verdicts[0].path.read_text("utf-8")
    assert "Copied" in page.get_by_role("status").inner_text()
    page.locator(".card").first.get_by_role("button", name="Copy").wait_for()  # after a while as before
    assert watched.errors == []


def test_copy_without_a_clipboard_selects_the_text(made: AutofitResult, opened: Watched) -> None:
    page = opened.page
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.evaluate("document.execCommand = () => false")
    page.locator(".card").first.get_by_role("button").click()
    page.get_by_role("button", name="Press Ctrl+C").first.wait_for()
    assert page.evaluate("getSelection().toString()").strip() == made.verdicts[0].path.read_text("utf-8").strip()


def test_a_link_shows_the_lines_that_are_folded(made: AutofitResult, opened: Watched) -> None:
    page = opened.page
    lines = page.locator(f"#text-{made.verdicts[0].program}")
    assert not lines.is_visible()
    page.locator(".card").first.get_by_role("link", name="lines").click()
    lines.wait_for()
    assert lines.inner_text().strip() == made.verdicts[0].path.read_text("utf-8").strip()


def test_every_link_leads_to_a_file(made: AutofitResult, opened: Watched) -> None:
    there = opened.page.locator("main a:not([href^='#'])").evaluate_all("(all) => all.map((e) => e.href)")
    assert len(there) > 20
    for address in there:
        path = Path(address.removeprefix("file://"))
        assert path.is_relative_to(made.page.parent)
        assert path.exists()


def test_enlarging_keeps_the_place_and_flips_through_the_row(opened: Watched, shots: Path) -> None:
    page = opened.page
    second = page.locator(".grid").nth(1).get_by_role("button")
    second.nth(1).scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    assert before > 0
    second.nth(1).focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible()
    assert dialog.get_attribute("aria-labelledby")
    assert dialog.get_by_role("heading").inner_text() == "the VAE's decode"
    place = dialog.locator("img").bounding_box()
    assert place["width"] > 1.5 * second.nth(1).bounding_box()["width"]
    assert place["y"] + place["height"] <= page.viewport_size["height"]
    page.screenshot(path=shots / "autofit_enlarged.png")
    shown = []
    for _ in range(second.count()):
        page.keyboard.press("ArrowRight")
        shown.append(dialog.locator("img").get_attribute("alt"))
        assert dialog.locator("img").bounding_box() == pytest.approx(place, abs=1)  # so that pictures flip in place
    rest = second.locator("img").evaluate_all("(all) => all.map((e) => e.alt)")[2:]
    assert shown == [*rest, rest[-1], rest[-1]]
    assert dialog.get_by_role("button", name="Next").is_disabled()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("scrollY") == before
    assert page.evaluate("document.activeElement.querySelector('img').alt").endswith("the VAE's decode")


def test_the_truth_is_kept_without_loss(made: AutofitResult, opened: Watched) -> None:
    picture = opened.page.locator(".grid").first.locator("img").nth(1)
    encoded = base64.b64decode(str(picture.get_attribute("src")).partition(",")[2])
    shown = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    name = opened.page.locator(".group h3").first.inner_text().split()[0]
    sample = next(one for one in made.store.split("test") if one.name.rsplit("/")[-1] == name)
    rgb = made.store.sample(sample.name).rgb[0]
    assert np.array_equal(shown, (255 * rgb).round().byte().permute(1, 2, 0).numpy())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [{}, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("which", ["autofit", "report"])
def test_axe_finds_nothing(
    which: str, device: dict[str, object], scheme: str, made: AutofitResult, report: Path,
    open_file: Callable[..., Watched],
) -> None:  # fmt: skip
    watched = open_file(made.page if which == "autofit" else report, color_scheme=scheme, **device)
    for fold in watched.page.locator("main details").all():
        fold.evaluate("(e) => { e.open = true; }")
    assert violations(watched.page, without=".lf") == []  # the widgets are looked at by tests of their own
    if which == "autofit":
        watched.page.locator("button.enlarge").first.click()
        assert violations(watched.page, within="dialog") == []


@pytest.mark.parametrize("width", [390, 900, 1440])
@pytest.mark.parametrize("which", ["autofit", "report"])
def test_nothing_sticks_out_sideways(
    which: str, width: int, made: AutofitResult, report: Path, open_file: Callable[..., Watched], shots: Path
) -> None:
    watched = open_file(made.page if which == "autofit" else report, viewport={"width": width, "height": 844})
    assert watched.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert sideways(watched) == []
    sizes = watched.page.locator("svg.chart:visible text").evaluate_all(
        "(all) => all.map((e) => e.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 11  # letters of charts are drawn anew, not shrunk
    watched.page.screenshot(path=shots / f"{which}_{width}.png", full_page=True)


@pytest.mark.parametrize("which", ["autofit", "report"])
def test_on_paper_there_are_no_controls_and_nothing_is_cut(
    which: str, made: AutofitResult, report: Path, open_file: Callable[..., Watched]
) -> None:
    watched = open_file(made.page if which == "autofit" else report, viewport={"width": 690, "height": 1000})
    page = watched.page
    page.emulate_media(media="print")
    assert (
        page.locator("button.copy:visible, dialog:visible, .widget:visible, input:visible, select:visible").count() == 0
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
    cut = page.evaluate(
        "[...document.querySelectorAll('main .scroll, main pre, main table')].filter((e) => e.offsetParent"
        " && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1))"
        ".map((e) => e.outerHTML.slice(0, 80))"
    )
    assert cut == []
    for lines in page.locator("main details:not(.screen) pre, main details:not(.screen) table").all():
        assert lines.is_visible()
    tiles = page.locator("main .tile img")
    assert tiles.count() == page.locator("main .tile img:visible").count() > 4


def test_a_small_output_is_printed_smooth(report: Path, open_file: Callable[..., Watched]) -> None:
    watched = open_file(report)
    page = watched.page
    small = page.locator("img.enlargeable").evaluate_all(
        "(all) => all.filter((e) => e.naturalWidth < Number(e.getAttribute('width'))).length"
    )
    assert small > 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("canvas.printed").count() == small
    page.emulate_media(media="print")
    assert page.locator("canvas.printed:visible").count() == small
    distinct = page.locator("canvas.printed").first.evaluate(
        "(e) => new Set(new Uint32Array(e.getContext('2d').getImageData(0, 0, e.width, 1).data.buffer)).size"
    )
    assert distinct > 20  # one row of twelve cells, with what lies between them
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("canvas.printed").count() == 0
    assert page.locator("details[open] .widget").count() == 0


def test_everything_is_reached_by_keyboard_and_shows_where_one_is(opened: Watched) -> None:
    page = opened.page
    wanted = page.evaluate(
        "[...document.querySelectorAll('main a, main button, main summary')].filter((e) => e.checkVisibility()).length"
    )
    seen: set[str] = set()
    for _ in range(wanted + 20):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "(() => { const e = document.activeElement; if (!e.closest('main')) return null;"
            " e.dataset.reached = '1'; const s = getComputedStyle(e);"
            " return [e.tagName, s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
        )
        if told is None:
            continue
        seen.add(told[0])
        assert told[1] != "none", told
        assert told[2] >= 2, told
    reached = page.evaluate("document.querySelectorAll('main :is(a, button, summary)[data-reached]').length")
    assert reached == wanted
    assert {"A", "BUTTON", "SUMMARY"} <= seen


def test_forced_colours_keep_every_line_and_edge(opened: Watched, open_file: Callable[..., Watched]) -> None:
    watched = open_file(Path(opened.page.url.removeprefix("file://")), forced_colors="active")
    paper, stroke, edge = watched.page.evaluate(
        "[getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('svg.chart polyline')).stroke,"
        " getComputedStyle(document.querySelector('.card')).borderTopColor]"
    )
    assert stroke != paper
    assert edge != paper


def test_without_scripts_nothing_that_needs_them_is_there(
    made: AutofitResult, open_file: Callable[..., Watched]
) -> None:
    page = open_file(made.page, java_script_enabled=False).page
    assert page.locator("button:visible").count() == 0
    assert page.locator("main img:visible").count() > 4
    page.locator("summary").first.click()
    assert page.locator("details[open]").count() == 1
