"""Record figures/10_workbench.webp: the workbench in use, for the README and docs/workbench.md.

A page without a kernel, made of `Workbench.data`, is used by Playwright with a mouse that can be seen; each step is a
screenshot. Needs the extra "browser" and a Chromium, as `make test-browser` brings them. The maps are fitted anew
without the photographs that are shown; shipped networks, which end in †, were trained on them.
"""

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

import latentfit as lf
from latentfit.compare.reports import Page
from latentfit.images import photographs
from latentfit.runtime import torch_threads, write_atomic
from latentfit.scores import table
from latentfit.tutorial import decoders_at_hand, open_pairs, open_vae

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "browser"))
from tests.support import chromium  # noqa: E402

WIDTH, HEIGHT, MOST_BYTES = 960, 700, 3_000_000
FRAME_MS = 90
SIGMAS = (0.25, 0.5, 1.0, 2.0)
PICTURES = ("skimage/coffee", "skimage/astronaut", "skimage/chelsea", "sklearn/flower")
FORMS = {"affine": "affine", "cubic": "cubic", "3×3": "3"}
BENCH = "[data-widget=workbench]"
CURSOR = """
const arrow = document.createElement("div");
arrow.innerHTML = '<svg width="22" height="26"><path d="M3 2 L3 20 L8 16 L11.5 24 L15 22.4 L11.5 14.8 L18 14.4 Z" '
  + 'fill="white" stroke="black" stroke-width="1.4"/></svg>';
arrow.style.cssText = "position:fixed; z-index:9; pointer-events:none; left:0; top:0";
document.body.append(arrow);
const follow = ({ clientX: x, clientY: y }) => (arrow.style.transform = `translate(${x}px, ${y}px)`);
addEventListener("mousemove", follow, true);
document.querySelector("h1").remove();
document.querySelector("footer").remove();
document.querySelector("main").style.padding = "0";
document.body.style.padding = "10px 18px";
"""


@torch_threads(1)
def main() -> None:
    """Fit, decode, record, and write the animation."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_atomic(Path(folder) / "workbench.html", page())
        with opened(path) as shown:
            film = Film(shown)
            script(film)
    print(film.write(ROOT / "figures" / "10_workbench.webp"))


def page() -> str:
    """A page with the workbench over photographs, and maps that were fitted on the others."""
    store, vae = open_pairs(None, "sd1", "bundled", ROOT), open_vae(None, "sd1")
    others = [sample for sample in store.samples if sample.name not in PICTURES]
    px = store.space.cell_px
    compared = {"ComfyUI's table": table("comfyui/SD15").approximation()}
    compared |= {name: lf.ChannelMap(form).fit(store, samples=others).approximation() for name, form in FORMS.items()}
    compared[f"3×3 → {px}×{px}"] = lf.ChannelMap("3", scale=px).fit(store, samples=others).approximation()
    compared |= {name: one for name, (_, one) in decoders_at_hand(store.space, vae).items() if name != vae.name}
    shown = {picture.name: picture.load()[0] for picture in photographs() if picture.name in PICTURES}
    bench = lf.Workbench(shown, compared, vae, size_px=512, height=512)
    bench.show(0, left="affine")
    made = Page("workbench")
    made.widget("workbench", bench.data(SIGMAS))
    return made.html()


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The page, open in Chromium."""
    from playwright.sync_api import sync_playwright

    program = chromium.find() or sys.exit(f"no Chromium found; {chromium.WAYS}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program)
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, offline=True)
        shown.goto(path.as_uri())
        shown.locator(f"{BENCH} .lf-pane").wait_for()
        shown.evaluate(f"document.querySelector('{BENCH}').latentfit.ready.then(() => true)")
        shown.evaluate(CURSOR)
        shown.wait_for_timeout(500)
        yield shown
        browser.close()


class Film:
    """Screenshots of a page, and a mouse that is seen on them."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.durations: list[int] = []
        self.at = (0.62 * WIDTH, 0.86 * HEIGHT)
        page.mouse.move(*self.at)

    def shoot(self, frame_ms: int = FRAME_MS) -> None:
        """One frame; an unchanged one lengthens the last."""
        image = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        if self.frames and image.tobytes() == self.frames[-1].tobytes():
            self.durations[-1] += frame_ms
            return
        self.frames.append(image)
        self.durations.append(frame_ms)

    def glide(self, x: float, y: float, n_frames: int = 7) -> None:
        """Move the mouse, slow at both ends."""
        first = self.at
        for index in range(1, n_frames + 1):
            share = index / n_frames
            eased = share * share * (3 - 2 * share)
            self.at = (first[0] + eased * (x - first[0]), first[1] + eased * (y - first[1]))
            self.page.mouse.move(*self.at)
            self.shoot()

    def to(self, selector: str, across: float = 0.5, down: float = 0.5, n_frames: int = 7) -> None:
        """Move onto an element."""
        box = self.page.locator(f"{BENCH} {selector}").first.bounding_box()
        self.glide(box["x"] + across * box["width"], box["y"] + down * box["height"], n_frames)

    def drag(self, selector: str, *shares: float, down: float = 0.5, n_frames: int = 9) -> None:
        """Hold the mouse and move along an element's width."""
        self.page.mouse.down()
        for share in shares:
            self.to(selector, share, down, n_frames)
        self.page.mouse.up()

    def click(self, selector: str) -> None:
        """Move there and click."""
        self.to(selector)
        self.page.mouse.click(*self.at)
        self.rest(400)

    def choose(self, side: str, name: str) -> None:
        """Choose from a list."""
        self.to(f'select[aria-label="{side} picture"]')
        self.page.locator(f'{BENCH} select[aria-label="{side} picture"]').select_option(name)
        self.rest(700)

    def rest(self, ms: int) -> None:
        """Let what was asked for appear, and be seen."""
        self.page.wait_for_timeout(250)
        self.shoot(ms)

    def write(self, path: Path) -> str:
        """The animation, in the best quality whose file is small enough."""
        first, *others = self.frames
        for quality in (80, 65, 50, 35, 20):
            buffer = io.BytesIO()
            options = {"save_all": True, "append_images": others, "duration": self.durations, "loop": 0}
            first.save(buffer, "WEBP", quality=quality, method=4, **options)
            if buffer.tell() < MOST_BYTES:
                write_atomic(path, buffer.getvalue())
                seconds = sum(self.durations) / 1000
                return f"{path}: {len(self.frames)} frames, {seconds:.0f} s, {buffer.tell() / 1e6:.2f} MB"
        return sys.exit(f"{path}: more than {MOST_BYTES / 1e6:.0f} MB at the lowest quality; record fewer frames")


def script(film: Film) -> None:
    """What the film shows: the split view, other decoders, the error, the noise, another picture."""
    film.rest(900)
    film.to(".lf-handle", down=0.6)
    film.drag(".lf-pane", 0.15, 0.85, 0.5, down=0.6)
    film.choose("left", "3×3")
    film.to(".lf-handle", down=0.6)
    film.drag(".lf-pane", 0.8, 0.5, down=0.6)
    film.choose("left", "sd1-cell-large †")
    film.to(".lf-handle", down=0.6)
    film.drag(".lf-pane", 0.85, 0.2, 0.5, down=0.6)
    film.click('[data-mode="delta_e"]')
    film.rest(900)
    film.choose("left", "affine")
    film.rest(600)
    film.click('[data-mode="picture"]')
    film.to('input[aria-label^="noise"]', 0.03)
    film.drag('input[aria-label^="noise"]', 0.97, 0.03, n_frames=14)
    film.click(".lf-tile:nth-child(3)")
    film.to(".lf-handle", down=0.6)
    film.drag(".lf-pane", 0.25, 0.75, 0.5, down=0.6)
    film.rest(900)


if __name__ == "__main__":
    main()
