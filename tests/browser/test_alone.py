"""The widgets' module by itself, in a page with a kernel of our own making."""

import json
from collections.abc import Callable
from pathlib import Path

from conftest import Watched
from seen import settle

from latentfit.page_widgets import widget_script, widget_style

MOUNT = """
const sides = ["a", "b"], thumb = { pixels: "AAAA", width: 1, height: 1 };
window.asked = [];
const live = { newest: (type, payload) => asked.push([type, payload]), file() {} };
const data = { pictures: [{ name: "p", thumb }], sides, reference: "b", live };
window.handle = mount(document.querySelector("main"), "workbench", data);
"""
PIXEL = {"pixels": "AAAA", "width": 1, "height": 1, "scores": {"psnr": 20.0, "delta_e": 1.0, "ms": 1.0}}


def test_what_the_page_let_go_is_asked_for_again(tmp_path: Path, open_file: Callable[..., Watched]) -> None:
    script = widget_script().removesuffix("</script>") + MOUNT + "</script>"
    path = tmp_path / "alone.html"
    path.write_text(f"<!doctype html><style>{widget_style()}</style><main></main>{script}", encoding="utf-8")
    watched = open_file(path)
    page = watched.page
    views = "asked.filter(([type]) => type === 'view').map(([, payload]) => payload)"
    (first,) = page.evaluate(views)
    assert first["have"] == []
    page.evaluate("(part) => handle.update(part)", {"key": first["key"], "sides": {
        "a": {"key": "a 1", "kept": True, **PIXEL}, "b": {"key": "b 1", "kept": False, **PIXEL}}})  # fmt: skip
    _, second = page.evaluate(views)
    assert (second["key"], second["have"]) == (first["key"], [])
    page.evaluate("(part) => handle.update(part)", {"key": second["key"], "sides": {
        "a": {"key": "a 1", "kept": False, **PIXEL}, "b": {"key": "b 1", "kept": False, **PIXEL}}})  # fmt: skip
    settle(page)
    assert json.loads(page.evaluate("JSON.stringify(handle.state())"))["waiting"] is False
    assert "20.0 dB" in page.locator(".lf-choice-left .lf-scores").inner_text()
    assert watched.errors == []
