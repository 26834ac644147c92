"""The workbench in use, as one animated picture for the README: figures/10_workbench.webp.

Needs the extra "browser" and a Chromium (`make test-browser` brings both). A workbench over bundled photographs and the
shipped decoders is laid into a page without kernel; the curtain is dragged, errors are looked at, a decoder is changed.
"""

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

import latentfit as lf
from latentfit.page_widgets import data_block, slot, widget_script, widget_style
from latentfit.resources import write_atomic

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))
import chromium  # noqa: E402

PICTURES = ("astronaut", "chelsea", "coffee")
VIEWPORT = {"width": 900, "height": 680}
LARGEST = 3_000_000


def main() -> None:
    """Film it."""
    page = workbench_page()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "workbench.html"
        path.write_text(page, encoding="utf-8")
        frames = list(film(path))
    blob = io.BytesIO()
    pictures = [Image.open(io.BytesIO(png)).convert("RGB") for png, _ in frames]
    times = [milliseconds for _, milliseconds in frames]
    pictures[0].save(
        blob, "WEBP", save_all=True, append_images=pictures[1:], duration=times, loop=0, quality=72, method=4
    )
    if blob.tell() > LARGEST:
        sys.exit(f"{blob.tell() / 1e6:.1f} MB: expected at most {LARGEST / 1e6:.0f}; film fewer frames")
    write_atomic(ROOT / "figures" / "10_workbench.webp", blob.getvalue())
    print(f"{len(frames)} frames, {blob.tell() / 1e6:.2f} MB")


def workbench_page() -> str:
    """A page with one workbench."""
    from latentfit.images import pictures

    chosen = {p.name.split("/")[-1]: p.load()[0] for p in pictures("photographs") if p.name.endswith(PICTURES)}
    vae = lf.Vae.load("mini-sd1", device="cpu")
    tables, models = ROOT / "data" / "tables" / "sd1", ROOT / "data" / "models"
    decoders = {
        "3×3 table": lf.load(tables / "3.safetensors"),
        "3×3 → 8×8 patch": lf.load(tables / "3_decoder.safetensors"),
        "sd1-cell": lf.load(models / "sd1-cell.safetensors"),
    }
    bench = lf.Workbench(chosen, decoders, vae, size_px=512, height=512)
    bench.show(0, left="3×3 table", right="sd1-cell")
    style = f"<style>body{{margin:14px;font:14px system-ui;background:#fff}}{widget_style()}</style>"
    parts = (slot("workbench", "w", {}), data_block("w", bench.data()), widget_script())
    return f'<!doctype html><meta charset="utf-8">{style}{"".join(parts)}'


def film(path: Path) -> Iterator[tuple[bytes, int]]:
    """(PNG, milliseconds) of each frame."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium.find())
        page: Any = browser.new_page(viewport=VIEWPORT)
        page.goto(path.as_uri())
        curtain = page.get_by_role("slider").first
        curtain.wait_for()
        page.wait_for_timeout(800)
        yield page.screenshot(), 900
        box = page.locator(".lf-pane").first.bounding_box()
        middle, high = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(middle, high)
        page.mouse.down()
        for share in (0.06, 0.14, 0.22, 0.3, 0.22, 0.1, 0.0, -0.12, -0.24, -0.32, -0.2, -0.08, 0.0):
            page.mouse.move(middle + share * box["width"], high)
            page.wait_for_timeout(60)
            yield page.screenshot(), 90
        page.mouse.up()
        for name in ("ΔE", "Picture"):
            page.locator(".lf-segments button").get_by_text(name, exact=True).click()
            page.wait_for_timeout(500)
            yield page.screenshot(), 1100
        page.get_by_label("left picture").select_option("3×3 → 8×8 patch")
        page.wait_for_timeout(500)
        yield page.screenshot(), 1100
        for _ in range(4):
            page.mouse.move(middle - 90, high - 40)
            page.mouse.wheel(0, -240)
            page.wait_for_timeout(250)
            yield page.screenshot(), 260
        yield page.screenshot(), 1500
        browser.close()


if __name__ == "__main__":
    main()
