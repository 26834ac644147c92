"""Widgets without a browser: what they send, drop, say of bad input, and show where there are no widgets."""

import base64
import hashlib
import io
import json
import math
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab
from torch import Tensor, nn

import latentfit as lf
from latentfit.compare.figures import Figure
from latentfit.compare.widgets import (
    CompareSlider,
    Decoders,
    LatestRequest,
    StepScrubber,
    TableEditor,
    View,
    Widget,
    Workbench,
    as_picture,
    living,
)
from latentfit.compare.widgets import source_code as expressions
from latentfit.errors import ImageError, WidgetError
from latentfit.fit import Basis
from latentfit.formats.programs import PROGRAMS
from latentfit.images import Picture
from latentfit.runtime import data_path
from latentfit.scores import ColourSums

GENERATOR = torch.Generator().manual_seed(3)
PATIENCE_S = 120.0  # a busy machine is slow; only a test that fails waits so long
RED, BLUE = torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0])


def flat(colour: Tensor, high: int, wide: int) -> Tensor:
    return colour[:, None, None].expand(3, high, wide)


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def pixels(blob: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(blob)).convert("RGB"))


class Table(nn.Module):
    """Slow on request, or waits until it may go on."""

    def __init__(self, gain: float = 0.2, seconds: float = 0.0, gate: threading.Event | None = None) -> None:
        super().__init__()
        self.gain, self.seconds, self.gate = gain, seconds, gate

    def forward(self, latents: Tensor) -> Tensor:
        time.sleep(self.seconds)
        assert self.gate is None or self.gate.wait(PATIENCE_S)
        return self.gain * latents[:, :3] + 0.5


class Broken(nn.Module):
    def forward(self, latents: Tensor) -> Tensor:
        raise RuntimeError("no memory left")


class NotFinite(nn.Module):
    def forward(self, latents: Tensor) -> Tensor:
        return latents[:, :3] * math.nan


def table(
    name: str = "table", gain: float = 0.2, space: str = "sd1", gate: threading.Event | None = None
) -> lf.Approximation:
    return lf.Approximation(Table(gain, gate=gate), space, name=name)


@dataclass
class Spoken:
    """What widgets said to their pages."""

    said: list[tuple[Widget, dict[str, Any], list[bytes]]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [content for _, content, _ in self.said if content["type"] == kind]

    def parts(self, key: str) -> list[dict[str, Any]]:
        """Updates with that key, their bytes put back."""
        return [
            _with_bytes(content["part"], buffers)
            for _, content, buffers in self.said
            if content["type"] == "update" and key in content["part"]
        ]


def _with_bytes(value: Any, buffers: list[bytes]) -> Any:
    if isinstance(value, dict):
        return {key: _with_bytes(each, buffers) for key, each in value.items()}
    if isinstance(value, list) and len(value) == 2 and value[0] == "$":
        return buffers[value[1]]
    return [_with_bytes(each, buffers) for each in value] if isinstance(value, list) else value


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> Spoken:
    heard = Spoken([])
    monkeypatch.setattr(
        Widget, "send", lambda self, content, buffers=None: heard.said.append((self, content, buffers or []))
    )
    return heard


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The variables of a session, as a notebook has them."""
    variables: dict[str, Any] = {}
    monkeypatch.setattr(expressions, "_session", lambda: variables)
    return variables


@pytest.fixture(scope="module")
def vae() -> lf.Vae:
    return lf.Vae.load("mini-sd1")


@pytest.fixture(scope="module")
def store(vae: lf.Vae, tmp_path_factory: pytest.TempPathFactory) -> lf.PairStore:
    return lf.collect(vae, "photographs", tmp_path_factory.mktemp("pairs"), size=48, limit=4, progress=False)


def ask(widget: Widget, kind: str, buffers: list[bytes] = [], **content: Any) -> None:  # noqa: B006 - never changed
    widget._on_message(widget, {"type": kind, "seq": 1, **content}, buffers)


def run_again(code: str, session: dict[str, Any]) -> Figure:
    """Run printed code in its session; the value of its last line."""
    lines = code.rstrip().splitlines()
    names = dict(session)
    exec("\n".join(lines[:-1]), names)
    figure = eval(lines[-1], names)
    assert isinstance(figure, Figure)
    return figure


# ---- pictures


def test_every_form_of_a_picture_is_the_same_picture(tmp_path: Path) -> None:
    levels = torch.randint(0, 256, (5, 7, 3), generator=GENERATOR, dtype=torch.uint8)
    image = Image.fromarray(levels.numpy())
    image.save(tmp_path / "picture.png")
    rgb = levels.permute(2, 0, 1).float() / 255
    forms: list[Any] = [rgb, rgb[None], rgb.double(), levels.permute(2, 0, 1), levels.numpy(), image]
    forms += [rgb.numpy(), rgb.permute(1, 2, 0).numpy(), tmp_path / "picture.png", str(tmp_path / "picture.png")]
    for form in forms:
        assert torch.equal((255 * as_picture(form)).round().byte(), levels.permute(2, 0, 1))


def test_transparent_and_grey_pictures_become_rgb() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert as_picture(clear).min() == 1  # over white
    assert as_picture(Image.new("L", (4, 4), 51)).unique().tolist() == pytest.approx([0.2])


def test_grey_arrays_are_pictures(vae: lf.Vae) -> None:
    levels = torch.randint(0, 256, (16, 24), generator=GENERATOR, dtype=torch.uint8)
    for form in (levels.numpy(), levels, levels.numpy() / 255, levels.float() / 255):
        shown = as_picture(form)
        assert torch.equal((255 * shown).round().byte(), levels.expand(3, 16, 24))
        slider = CompareSlider(form, levels.numpy())
        assert pixels(slider.page["left"]["bytes"]).shape == (16, 24, 3)
    for images in (levels.numpy(), [levels.numpy(), levels], {"grey": levels.numpy()}):
        (first, *_) = Workbench(images, [table()], vae).bench.subjects
        assert torch.equal(first.fixed["the picture itself"], levels.expand(3, 16, 24))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "RGBX"])
def test_modes_that_no_png_keeps_are_pictures(mode: str) -> None:
    picture = as_picture(Image.new("RGB", (4, 4), (200, 100, 50)).convert(mode))
    assert (255 * picture[:, 0, 0]).tolist() == pytest.approx([200, 100, 50], abs=2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.rand(4, 8, 8), "expected one picture (3, H, W)"),
        (torch.rand(2, 3, 8, 8), "got (2, 3, 8, 8)"),
        (torch.rand(3, 0, 8), "got (3, 0, 8)"),
        (torch.full((3, 8, 8), 200.0), "divide bytes by 255"),
        (torch.full((3, 8, 8), math.nan), "expected values in [0, 1]"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "uint8"),
        ("nowhere.png", "no such file"),
        (17, "got int"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(given: Any, words: str) -> None:
    with pytest.raises(WidgetError, match="left: ") as caught:
        CompareSlider(given, torch.rand(3, 8, 8))
    assert words in str(caught.value)


def test_damaged_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(png(Image.new("RGB", (64, 64)))[:60])
    with pytest.raises(ImageError, match=r"cut\.png"):
        CompareSlider(tmp_path / "cut.png", torch.rand(3, 8, 8))


# ---- CompareSlider


def test_slider_gives_the_page_both_pictures_to_the_pixel() -> None:
    left, right = torch.rand(3, 8, 8, generator=GENERATOR), torch.rand(3, 33, 47, generator=GENERATOR)
    slider = CompareSlider(left, right, labels=("a", "b"), position=30)
    for side, picture in (("left", left), ("right", right)):
        expected = (255 * picture).round().byte().permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(pixels(slider.page[side]["bytes"]), expected)
        blob = base64.b64decode(slider.data()[side]["src"].removeprefix("data:image/png;base64,"))
        np.testing.assert_array_equal(pixels(blob), expected)
    assert json.loads(json.dumps(slider.data()))["position"] == 30
    assert slider.page["left"]["label"] == "a"


def test_slider_moves_both_ways(spoken: Spoken) -> None:
    slider = CompareSlider(flat(RED, 8, 8), flat(BLUE, 8, 8))
    slider.position = 25
    assert spoken.parts("position") == [{"position": 25}]
    ask(slider, "look", position=75.0, smooth=False)
    assert (slider.position, slider.smooth) == (75, False)
    assert spoken.of("heard") == [{"type": "heard", "seq": 1}]
    with pytest.raises(WidgetError, match=r"\[0, 100\], got 101"):
        slider.position = 101


def test_slider_takes_other_pictures(spoken: Spoken) -> None:
    slider = CompareSlider(flat(RED, 8, 8), flat(BLUE, 8, 8))
    slider.show(right=flat(RED, 4, 4))
    (part,) = spoken.parts("right")
    assert pixels(part["right"]["bytes"]).tolist() == [[[255, 0, 0]] * 4] * 4


def test_widget_is_shown_as_a_still_where_there_are_no_widgets() -> None:
    slider = CompareSlider(flat(RED, 16, 16), flat(BLUE, 16, 16), position=50)
    bundle, _ = slider._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "CompareSlider(left 16 × 16, right 16 × 16 px)"
    still = pixels(base64.b64decode(bundle["image/png"]))
    middle = still[still.shape[0] // 2]
    assert middle[still.shape[1] // 4].tolist() == [255, 0, 0]
    assert middle[3 * still.shape[1] // 4].tolist() == [0, 0, 255]


WITHOUT_ANYWIDGET = """
import sys
sys.modules |= {"anywidget": None, "traitlets": None, "ipywidgets": None}
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "anywidget" else found(name, *more)
import torch
import latentfit as lf
from latentfit.previews import Step

one = lf.Approximation(torch.nn.Conv2d(4, 3, 1), "sd1", name="one")
latents = torch.randn(2, 4, 8, 8)
fitted = lf.ChannelMap("affine").fit_arrays(latents, torch.rand(2, 3, 8, 8), space="sd1")
slider = lf.CompareSlider(torch.rand(3, 8, 8), torch.rand(3, 8, 8))
slider.position = 20
bench = lf.Workbench(latents=latents, approximations=[one], space="sd1")
bench.show(1)
editor, scrubber = lf.TableEditor(fitted, latents=latents), lf.StepScrubber([Step(0, 1.0, 1.0, latents)], [one])
for widget in (slider, bench, editor, scrubber):
    bundle, _ = widget._repr_mimebundle_()
    print(sorted(bundle), widget.code().splitlines()[-1][:40], len(widget.data()) > 3)
"""


def test_without_anywidget_a_widget_is_a_still() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_ANYWIDGET], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("pip install anywidget") == 1
    said = done.stdout.splitlines()
    assert len(said) == 4
    assert said[0] == "['image/png', 'text/plain'] slider.still(position=20) True"
    assert said[1].startswith("['image/png', 'text/plain'] bench.view('latents[1]', left='one'")
    assert all(line.startswith("['image/png', 'text/plain']") and line.endswith("True") for line in said)


# ---- the code that makes a view again


def test_code_names_the_variables_of_the_session(session: dict[str, Any]) -> None:
    session["pictures"] = {"red": flat(RED, 8, 8), "blue": flat(BLUE, 8, 8)}
    slider = CompareSlider(session["pictures"]["red"], session["pictures"]["blue"], position=20)
    assert slider.code() == (
        "import latentfit as lf\n\nlf.CompareSlider(pictures['red'], pictures['blue']).still(position=20)"
    )
    session["slider"] = slider
    assert slider.code() == "slider.still(position=20)"
    assert run_again(slider.code(), session)._repr_png_() == slider.still()._repr_png_()


def test_code_of_a_widget_without_a_name_finds_it_by_number(session: dict[str, Any]) -> None:
    slider = CompareSlider(flat(RED, 8, 8), flat(BLUE, 8, 8))
    assert run_again(slider.code(), session)._repr_png_() == slider.still()._repr_png_()
    with pytest.raises(WidgetError, match="no widget 'gone'"):
        living("gone")


def test_code_says_every_argument_that_is_seen(vae: lf.Vae, session: dict[str, Any]) -> None:
    session |= {"red": flat(RED, 8, 8), "blue": flat(BLUE, 8, 8), "one": table("one"), "vae": vae, "run": states(3)}
    pictures, tables = [session["red"], session["blue"]], [session["one"]]
    made: list[Widget] = [
        CompareSlider(*pictures, labels=("before", "after")),
        Workbench(pictures, tables, vae, size_px=64),
        StepScrubber(session["run"], tables, number=1),
    ]
    for widget, words in zip(
        made, ("labels=('before', 'after')", "[one], vae=vae, size_px=64)", "number=1"), strict=True
    ):
        assert words in widget.code()
        assert run_again(widget.code(), session)._repr_png_() == widget.still()._repr_png_()


def test_code_says_that_pixels_are_shown(vae: lf.Vae, session: dict[str, Any], spoken: Spoken) -> None:
    session |= {"small": torch.rand(3, 4, 4), "large": torch.rand(3, 32, 32), "one": table("one"), "vae": vae}
    session["run"] = states(2)
    slider = CompareSlider(session["small"], session["large"])
    ask(slider, "look", position=50.0, smooth=False)
    bench = Workbench([session["large"]], [session["one"]], vae)
    ask(bench, "look", at=0, left="one", right=vae.name, smooth=False)
    scrubber = StepScrubber(session["run"], [session["one"]], vae)
    ask(scrubber, "step", position=1, smooth=False)
    for widget, smooth in ((slider, slider.still(smooth=True)), (bench, bench.view(smooth=True)),
                           (scrubber, scrubber.still(smooth=True))):  # fmt: skip
        assert widget.code().endswith(", smooth=False)")
        assert widget.now["smooth"] is widget.data()["smooth"] is False
        assert run_again(widget.code(), session)._repr_png_() == widget.still()._repr_png_() != smooth._repr_png_()
    bench.show(0, smooth=True)
    assert spoken.parts("view")[-1]["view"]["smooth"] is True


def test_page_can_ask_for_the_code(spoken: Spoken, session: dict[str, Any]) -> None:
    session["slider"] = slider = CompareSlider(flat(RED, 8, 8), flat(BLUE, 8, 8))
    ask(slider, "code")
    assert spoken.of("answer") == [{"type": "answer", "to": 1, "text": "slider.still(position=50)"}]


def test_what_is_set_before_it_is_shown_is_what_a_page_begins_with(vae: lf.Vae) -> None:
    slider = CompareSlider(flat(RED, 8, 8), flat(BLUE, 8, 8))
    slider.position = 20
    assert slider.now == {"position": 20}
    scrubber = StepScrubber(states(3), [table()])
    scrubber.position = 1
    assert scrubber.now == {"position": 1}
    bench = Workbench([flat(RED, 16, 16), flat(BLUE, 16, 16)], [table()], vae)
    bench.show(1, sigma=0.5)
    assert (bench.now["picture"], bench.now["sigma"], bench.data()["picture"]) == (1, 0.5, 1)
    channel_map, latents, _ = fitted("affine")
    editor = TableEditor(channel_map, latents=latents)
    editor.coefficients = values = 2 * editor.coefficients
    np.testing.assert_array_equal(editor.now["edited"], values)
    ask(editor, "coefficients", [memoryview((3 * values).tobytes())], picture=0)
    np.testing.assert_array_equal(editor.now["edited"], 3 * values)


# ---- only the newest is done


def test_fifty_quick_requests_end_on_the_last_and_few_are_done() -> None:
    done: list[int] = []
    gate = threading.Event()
    newest: LatestRequest[int] = LatestRequest(
        lambda number: (gate.wait(PATIENCE_S), done.append(number))[1], pytest.fail
    )
    for number in range(50):
        newest.ask(number)
    assert not newest.wait(0)
    gate.set()
    assert newest.wait(PATIENCE_S)
    assert done[-1] == 49
    assert len(done) <= 2  # what was begun when the others came, and the last
    assert newest.n_done + newest.n_dropped == 50


def test_each_kind_of_request_keeps_its_newest() -> None:
    done: list[str] = []
    newest: LatestRequest[str] = LatestRequest(lambda word: (time.sleep(0.01), done.append(word))[0], pytest.fail)
    newest.ask("first", "view")
    for word in ("file a", "view b", "file c"):
        newest.ask(word, word)
    assert newest.wait(PATIENCE_S)
    assert done == ["first", "file a", "view b", "file c"]


def test_a_request_that_fails_ends_nothing() -> None:
    done: list[float] = []
    failed: list[Exception] = []
    newest: LatestRequest[float] = LatestRequest(lambda number: done.append(1 / number), failed.append)
    for number in (0.0, 2.0):
        newest.ask(number)
        assert newest.wait(PATIENCE_S)
    assert done == [0.5]
    assert isinstance(failed[0], ZeroDivisionError)


# ---- Workbench


@pytest.fixture
def bench(vae: lf.Vae) -> Workbench:
    pictures = {"wide": torch.rand(3, 40, 64, generator=GENERATOR), "tiny": flat(RED, 8, 8)}
    named = {"one": table("one"), "two": table("two", 0.1), "other": table("other", space="sdxl")}
    named |= {"broken": lf.Approximation(Broken(), "sd1"), "nan": lf.Approximation(NotFinite(), "sd1")}
    return Workbench(pictures, named, vae)


def view(bench: Workbench, **asked: Any) -> None:
    first = {"key": "k", "picture": 0, "names": ["one", "two"], "sigma": 0.0, "gain": 1.0, "have": []}
    ask(bench, "view", **{**first, **asked})


def test_bench_answers_with_both_sides_and_the_reference(bench: Workbench, vae: lf.Vae, spoken: Spoken) -> None:
    view(bench)
    assert bench.wait(PATIENCE_S)
    (part,) = spoken.parts("sides")
    latents = bench.bench.subjects[0].latents
    truth, shown = vae.decode(latents), table("one")(latents)
    assert set(part["sides"]) == {"one", "two", vae.name}
    side = part["sides"]["one"]
    levels = np.frombuffer(side["pixels"], np.uint8).reshape(side["height"], side["width"], 3)
    np.testing.assert_array_equal(levels, (255 * shown[0]).round().byte().permute(1, 2, 0).numpy())
    enlarged = torch.nn.functional.interpolate(shown, truth.shape[-2:], mode="bilinear")
    expected = ColourSums().add(enlarged, truth).scores()
    assert side["scores"]["psnr"] == pytest.approx(expected["psnr"])
    assert side["scores"]["delta_e"] == pytest.approx(expected["delta_e"])
    assert side["scores"]["ms"] > 0
    assert part["key"] == "k"


def test_bench_does_not_send_again_what_the_page_has(bench: Workbench, spoken: Spoken) -> None:
    view(bench)
    assert bench.wait(PATIENCE_S)
    kept = [side["key"] for side in spoken.parts("sides")[0]["sides"].values()]
    view(bench, names=["two"], have=kept)
    assert bench.wait(PATIENCE_S)
    again = spoken.parts("sides")[1]["sides"]
    assert all(side["kept"] and "pixels" not in side for side in again.values())


def test_fifty_quick_drags_decode_few_and_end_on_the_last(vae: lf.Vae, spoken: Spoken) -> None:
    gate = threading.Event()
    bench = Workbench(latents=torch.randn(1, 4, 6, 6), approximations=[table("slow", gate=gate)], space="sd1")
    before = bench.bench.decoders.n_decoded
    for number in range(50):
        view(bench, key=str(number), names=["slow"], sigma=0.05 * number)
    gate.set()
    assert bench.wait(PATIENCE_S)
    assert spoken.parts("sides")[-1]["key"] == "49"
    assert "σ 2.45" in spoken.parts("sides")[-1]["estimate"]
    assert bench.bench.decoders.n_decoded - before <= 2
    assert len(spoken.of("heard")) == 50


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("other", "other is of space 'sdxl', these latents are of 'sd1'"),
        ("broken", "broken raised RuntimeError: no memory left"),
        ("nan", "nan gave NaN or Inf"),
    ],
)
def test_the_reason_stands_where_the_picture_would_be(bench: Workbench, spoken: Spoken, name: str, words: str) -> None:
    view(bench, names=[name, "two"])
    assert bench.wait(PATIENCE_S)
    side = spoken.parts("sides")[0]["sides"][name]
    assert words in side["reason"]
    assert "pixels" not in side
    assert isinstance(bench.view(left=name), Figure)
    view(bench)  # and it lives on
    assert bench.wait(PATIENCE_S)
    assert "pixels" in spoken.parts("sides")[1]["sides"]["one"]


class Repairable(Table):
    """Fails until it is mended."""

    n_calls = 0

    def forward(self, latents: Tensor) -> Tensor:
        self.n_calls += 1
        if self.gain == 0:
            time.sleep(self.seconds)
            raise RuntimeError("no memory left")
        return super().forward(latents)


def test_a_decoder_that_is_mended_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "latentfit.compare.widgets.decoders.time.monotonic", lambda: 0.0
    )  # it failed in no time: asked again
    module = Repairable(gain=0)
    reference = lf.Approximation(module, "sd1", name="mended")
    bench = Workbench(approximations=[table("one")], vae=reference, latents=torch.randn(1, 4, 4, 4)).bench
    assert "no memory left" in bench.sides(0, ["mended"])["mended"].reason
    assert not bench.sides(0, ["one"])["one"].scores
    module.gain = 0.2
    assert bench.sides(0, ["mended"])["mended"].rgb is not None
    assert bench.sides(0, ["one"])["one"].scores["psnr"] >= 100


def test_a_decoder_that_fails_slowly_is_not_asked_at_each_stop_of_a_drag(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("latentfit.compare.widgets.decoders.time.monotonic", lambda: now[0])
    module = Repairable(gain=0)
    monkeypatch.setattr("time.sleep", lambda _: now.__setitem__(0, now[0] + 1.0))
    decoders = Decoders({"a": lf.Approximation(module, "sd1")}, lf.get_space("sd1"))
    latents = torch.randn(1, 4, 4, 4)
    for stop in range(50):
        assert "no memory left" in decoders.decode("a", latents + stop, str(stop)).reason
    assert module.n_calls == 1
    assert decoders.decode("a", latents[..., :2], "another size").rgb is None
    assert module.n_calls == 2
    now[0] += 20
    module.gain = 0.2
    assert decoders.decode("a", latents, "0").rgb is not None


def test_a_dropped_picture_is_encoded_and_shown(bench: Workbench, spoken: Spoken) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    blob = png(Image.fromarray(noise))
    bench.size_px = 48
    half = len(blob) // 2
    ask(bench, "file", [memoryview(blob[:half])], name="mine.png", id="1", part=0, n_parts=2)
    ask(bench, "file", [memoryview(blob[half:])], name="mine.png", id="1", part=1, n_parts=2)
    assert bench.wait(PATIENCE_S)
    assert bench.bench.subjects[-1].name == "mine.png"
    assert bench.bench.subjects[-1].latents.shape == (1, 4, 6, 8)
    assert bench.bench.subjects[-1].note == "64 × 48 px, of 120 × 90"
    (part,) = spoken.parts("pictures")
    assert [picture["name"] for picture in part["pictures"]] == ["wide", "tiny", "mine.png"]
    assert bench.shown.picture == 2


def test_a_dropped_picture_changes_no_estimate_and_its_code_finds_it(
    vae: lf.Vae, session: dict[str, Any], spoken: Spoken
) -> None:
    session |= {"red": torch.rand(3, 32, 32, generator=GENERATOR), "tables": [table()], "vae": vae}
    bench = Workbench([session["red"]], session["tables"], vae)
    dropped = Image.fromarray(np.full((32, 32, 3), 90, np.uint8))
    ask(bench, "file", [png(dropped)], name="mine.png", id="1", part=0, n_parts=1)
    assert bench.wait(PATIENCE_S)
    assert bench.shown.picture == 1
    assert run_again(bench.code(), session)._repr_png_() == bench.still()._repr_png_()
    bench.show(0, sigma=1.0)
    assert "the spectrum of these 1" in bench.bench.label(1.0, 1.0)
    assert run_again(bench.code(), session)._repr_png_() == bench.still()._repr_png_()


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b"no picture at all", "hurt.png: not a picture"),
        (png(Image.new("RGB", (64, 64)))[:70], "hurt.png: a damaged picture"),
        (b"", "hurt.png: an empty file"),
        (png(Image.new("RGB", (3, 3))), "hurt.png: a picture of 3x3 px"),
    ],
)
def test_a_corrupt_drop_says_why_and_changes_nothing(bench: Workbench, spoken: Spoken, blob: bytes, words: str) -> None:
    ask(bench, "file", [blob], name="hurt.png", id="1", part=0, n_parts=1)
    assert bench.wait(PATIENCE_S)
    (part,) = spoken.parts("note")
    assert part["failed"]
    assert words in part["note"]
    assert len(bench.bench.subjects) == 2


def test_bench_reports_what_the_page_shows(bench: Workbench, session: dict[str, Any], vae: lf.Vae) -> None:
    session["bench"] = bench
    look = {"at": 1, "left": "two", "right": vae.name, "mode": "delta_e", "sigma": 0.5, "gain": 1.2}
    ask(bench, "look", picture="tiny", exposure=0.5, position=30, smooth=True, **look)
    assert bench.shown == View(1, "two", vae.name, "delta_e", 0.5, 1.2, 0.5, 30)
    assert bench.code() == (
        f"bench.view('tiny', left='two', right={vae.name!r}, mode='delta_e', sigma=0.5, gain=1.2, exposure=0.5, "
        "position=30)"
    )
    assert run_again(bench.code(), session)._repr_png_() == bench.still()._repr_png_()


def test_bench_code_makes_an_unnamed_bench_again(
    store: lf.PairStore, vae: lf.Vae, session: dict[str, Any], spoken: Spoken
) -> None:
    session |= {"tables": {"a": table("a"), "b": table("b", 0.1)}, "vae": vae}
    bench = Workbench(store, session["tables"], vae)
    bench.show(1, left="b", sigma=0.4, position=10)
    assert spoken.parts("view")[-1]["view"]["left"] == "b"
    assert f"lf.Workbench(images=lf.PairStore({str(store.path)!r}), approximations=tables, vae=vae)" in bench.code()
    assert run_again(bench.code(), session)._repr_png_() == bench.still()._repr_png_()


def test_store_estimates_are_those_of_simulate_x0(store: lf.PairStore, vae: lf.Vae) -> None:
    bench = Workbench(store, [table()], vae).bench
    subject = bench.subjects[0]
    assert subject.sample is not None
    estimates = lf.simulate_x0(store, 0.7, gain=1.3, samples=[subject.sample])
    (expected,) = [latents for _, latents in estimates]
    assert torch.equal(bench.estimate(subject, 0.7, 1.3), expected)


def test_store_decode_is_the_reference_where_no_vae_is_given(vae: lf.Vae, tmp_path: Path) -> None:
    kept = lf.collect(vae, "photographs", tmp_path, size=48, limit=2, keep="photo", progress=False)
    bench = Workbench(kept, [table()]).bench
    assert bench.names == ["table", "the VAE's decode", "the picture itself"]
    assert bench.sides(0, ["table"])["table"].scores["psnr"] > 0
    noised = bench.sides(0, bench.names, sigma=1.0)
    assert "no decode of noised latents" in noised["the VAE's decode"].reason
    assert not noised["table"].scores


def test_estimates_of_latents_come_from_their_own_spectrum() -> None:
    bench = Workbench(latents=torch.randn(3, 4, 8, 8, generator=GENERATOR), approximations=[table()], space="sd1").bench
    subject = bench.subjects[0]
    clean, noised = subject.latents, bench.estimate(subject, 1.0, 1.0)
    assert torch.equal(bench.estimate(subject, 0.0, 2.0), 2 * clean)
    assert (noised - clean).square().mean() < 1.0  # better than the noise itself
    assert torch.equal(noised, bench.estimate(subject, 1.0, 1.0))


def test_large_and_small_pictures(vae: lf.Vae) -> None:
    shown = Workbench([torch.rand(3, 16, 1000), flat(RED, 8, 8), torch.rand(3, 300, 200)], [table()], vae, size_px=64)
    notes = [subject.note for subject in shown.bench.subjects]
    assert notes == ["128 × 16 px, of 1000 × 16", "", "64 × 96 px, of 200 × 300"]
    assert shown.bench.subjects[1].latents.shape == (1, 4, 1, 1)
    large = Workbench(latents=torch.randn(1, 4, 200, 20), approximations=[table()], space="sd1")
    assert large.bench.subjects[0].note == "the middle 20 × 128 of 20 × 200 cells"


def test_bench_needs_something_to_show(vae: lf.Vae) -> None:
    for arguments, words in (
        ({}, "got neither"),
        ({"images": [flat(RED, 8, 8)], "latents": torch.randn(1, 4, 8, 8)}, "got both"),
        ({"images": [flat(RED, 8, 8)], "approximations": [table()]}, "expected a Vae that encodes them"),
        ({"latents": torch.randn(1, 4, 8, 8), "approximations": [table()]}, "to be told their space"),
        ({"latents": torch.randn(1, 4, 8, 8), "space": "sd1"}, "at least one approximation or a vae"),
        ({"latents": torch.full((1, 4, 8, 8), math.nan), "vae": vae}, "got NaN or Inf"),
        ({"images": [], "vae": vae}, "at least one picture"),
        ({"images": [flat(RED, 8, 8)], "approximations": [Table()], "vae": vae}, "got Table"),
    ):
        with pytest.raises(WidgetError) as caught:
            Workbench(**arguments)  # type: ignore[arg-type]
        assert words in str(caught.value)
    with pytest.raises(ImageError, match="picture 0: a picture of 4x4 px"):
        Workbench([flat(RED, 4, 4)], [table()], vae)


def test_bench_refuses_a_view_that_is_none(bench: Workbench) -> None:
    for changes, words in (
        ({"left": "third"}, "got 'third'"),
        ({"mode": "xray"}, "got 'xray'"),
        ({"sigma": -1.0}, "sigma of 0 or more"),
        ({"position": 200.0}, "position in"),
        ({"colour": 3}, "got colour"),
        ({"picture": "no such"}, "got 'no such'"),
    ):
        with pytest.raises(WidgetError) as caught:
            bench.view(**changes)  # type: ignore[arg-type]
        assert words in str(caught.value)


@pytest.mark.parametrize("layout", ["split", "grid", "blink"])
@pytest.mark.parametrize("mode", ["picture", "lightness", "delta_e", "difference"])
def test_every_view_is_a_figure(bench: Workbench, mode: str, layout: str) -> None:
    figure = bench.view(mode=mode, layout=layout, scale="auto", sigma=0.3, exposure=1.0)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_code_of_former_days_shows_the_lightness() -> None:
    assert View(mode="brightness").mode == "lightness"  # type: ignore[arg-type]


def test_a_grid_shows_the_names_that_were_chosen(bench: Workbench, vae: lf.Vae, session: dict[str, Any]) -> None:
    session["bench"] = bench
    assert bench.bench.grid_names(View()) == [vae.name, "one", "two", "other", "broken", "nan"]
    bench.show(layout="grid", grid=["two", "one"], scale="auto", mode="delta_e")
    assert bench.code().endswith("mode='delta_e', scale='auto')")
    assert "layout='grid', grid=('two', 'one')" in bench.code()
    said = [text.get_text() for text in bench.still().findobj(Text)]
    assert [word for word in said if word in bench.bench.names] == ["two", "one"]
    with pytest.raises(WidgetError, match="at most 6 names"):
        View(grid=tuple("abcdefg"))
    with pytest.raises(WidgetError, match="got 'none'"):
        bench.show(grid=["none"])


def test_auto_ends_the_colours_at_a_round_number_beyond_nearly_all_errors(bench: Workbench, vae: lf.Vae) -> None:
    sides = bench.bench.sides(0, ["one", vae.name])
    shown, truth = (sides[name].rgb for name in ("one", vae.name))
    enlarged = torch.nn.functional.interpolate(shown[None], truth.shape[-2:], mode="bilinear")
    lab = [rgb2lab(picture.clamp(0, 1).movedim(0, -1).numpy()) for picture in (enlarged[0], truth)]
    high = np.quantile(deltaE_ciede2000(*lab), 0.995)
    limit = next(each for each in (1, 2, 3, 5, 10, 15, 20, 30, 50, 100) if each >= high)
    words = bench.view(mode="delta_e", scale="auto", left="one").get_supxlabel()
    assert f"ΔE, 0 black to {limit} white" in words
    assert "ΔE, 0 black to 30 white" in bench.view(mode="delta_e", left="one").get_supxlabel()


def test_what_a_decoder_was_fitted_on_is_marked(store: lf.PairStore, vae: lf.Vae) -> None:
    fitted_map = lf.ChannelMap("affine").fit(store, "train").approximation()
    bench = Workbench(store, {"fitted": fitted_map, "published": table("published")}, vae)
    samples = [subject.sample for subject in bench.bench.subjects]
    for sample, tile in zip(samples, bench.page["pictures"], strict=True):
        expected = "held_out" if sample.is_test else "fitted_on"
        assert tile["standing"] == expected
        assert tile["standings"]["fitted"] == expected
        assert tile["standings"]["published"] is None
    assert samples[bench.shown.picture].is_test == any(sample.is_test for sample in samples)
    marked = next(at for at, sample in enumerate(samples) if not sample.is_test)
    assert "fitted on this" in " ".join(text.get_text() for text in bench.view(marked).findobj(Text))


def test_a_dropped_picture_that_a_decoder_learned_from_is_marked(vae: lf.Vae, tmp_path: Path) -> None:
    blob = png(Image.fromarray(np.full((16, 16, 3), 90, np.uint8)))
    known = table("known")
    known.card["train_hashes"] = [hashlib.sha256(blob).hexdigest()]
    (tmp_path / "a.png").write_bytes(blob)
    (tmp_path / "b.png").write_bytes(png(Image.fromarray(np.full((16, 16, 3), 91, np.uint8))))
    bench = Workbench([tmp_path / "a.png", tmp_path / "b.png"], [known], vae)
    assert [tile["standings"]["known"] for tile in bench.page["pictures"]] == ["fitted_on", "held_out"]
    assert bench.shown.picture == 1  # it opens on what is held out


def test_photographs_come_first_then_drawings_then_charts(vae: lf.Vae) -> None:
    blob = png(Image.fromarray(np.full((16, 16, 3), 90, np.uint8)))
    kinds = ["chart", "photograph", "drawing", "photograph"]
    given = [Picture(f"{at} {kind}", kind, lambda: blob) for at, kind in enumerate(kinds)]
    bench = Workbench(given, [table()], vae)
    assert [subject.name[0] for subject in bench.bench.subjects] == ["1", "3", "2", "0"]


def test_bench_for_a_page_without_kernel_holds_every_picture(bench: Workbench) -> None:
    shown = json.loads(json.dumps(bench.data(sigmas=(0.5,)), allow_nan=False))
    assert [view["sigma"] for view in shown["pictures"][0]["views"]] == [0, 0.5]
    sides = shown["pictures"][0]["views"][0]["sides"]
    assert set(sides) == set(shown["sides"])
    assert sides["one"]["src"].startswith("data:image/png;base64,")
    assert "space 'sdxl'" in sides["other"]["reason"]


# ---- TableEditor


def fitted(form: str, n_channels: int = 4, space: str = "sd1") -> tuple[lf.ChannelMap, Tensor, Tensor]:
    latents = torch.randn(3, n_channels, 12, 10, generator=GENERATOR)
    cells = (0.5 + 0.15 * latents[:, :3] + 0.05 * latents[:, 1:4] ** 2).clamp(0, 1)
    return lf.ChannelMap(form, ridge=0.0).fit_arrays(latents, cells, space=space), latents, cells


def predicted(editor: TableEditor, kernels: tuple[int, ...], latents: Tensor) -> Tensor:
    """The map from its exponents, in float64."""
    basis = Basis(latents.shape[1], kernels)
    variables = basis.neighbourhoods(latents).double().numpy()
    rows = np.ones((1 + basis.n_terms, variables.shape[1]))
    for row, powers in enumerate(basis.exponents, start=1):
        rows[row] = np.prod(variables ** powers[:, None], axis=0)
    signed = torch.from_numpy(editor.coefficients.T @ rows).reshape(3, *latents.shape[-2:])
    return ((signed + 1) / 2).clamp(0, 1)


@pytest.mark.parametrize(("space", "named"), [("sd1", "skimage/astronaut, mini-sd1"), ("flux2", "drawn noise")])
def test_a_map_alone_is_shown_over_what_is_bundled(space: str, named: str, session: dict[str, Any]) -> None:
    channel_map, *_ = fitted("affine", lf.get_space(space).channels, space)
    session["editor"] = editor = TableEditor(channel_map)
    assert editor.page["pictures"][0]["name"].startswith(named)
    assert (editor.residual() == {}) == (space == "flux2")
    del session["editor"]
    session["fitted"] = channel_map
    assert editor.code() == "import latentfit as lf\n\nlf.TableEditor(fitted).still()"
    assert run_again(editor.code(), session)._repr_png_() == editor.still()._repr_png_()


def test_code_of_an_editor_shows_the_picture_that_was_chosen(session: dict[str, Any], spoken: Spoken) -> None:
    session["fitted"], session["latents"], _ = fitted("affine")
    editor = TableEditor(session["fitted"], latents=session["latents"])
    ask(editor, "picture", picture=2)
    assert editor.code().endswith("lf.TableEditor(fitted, latents=latents).still(picture=2)")
    assert run_again(editor.code(), session)._repr_png_() == editor.still()._repr_png_()
    ask(editor, "coefficients", [memoryview((1.5 * editor.coefficients).tobytes())], picture=1)
    assert run_again(editor.code(), session)._repr_png_() == editor.still()._repr_png_()
    with pytest.raises(WidgetError, match="expected 0 to 2, got 3"):
        editor.still(3)


@pytest.mark.parametrize(("form", "kernels"), [("affine", (1,)), ("cubic", (1, 1, 1)), ("3", (3,)), ("3,1", (3, 1))])
def test_edited_map_equals_its_terms_recomputed(form: str, kernels: tuple[int, ...], spoken: Spoken) -> None:
    channel_map, latents, cells = fitted(form)
    editor = TableEditor(channel_map, latents=latents, cells=cells)
    values = editor.coefficients
    values[1:] *= 1.5
    values[2, 1] -= 0.25
    ask(editor, "coefficients", [memoryview(values.tobytes())], picture=1)
    np.testing.assert_array_equal(editor.coefficients, values)
    for changed in (editor.approximation(), editor.channel_map.approximation()):
        shown = changed(latents[1:2])[0]
        torch.testing.assert_close(shown.double(), predicted(editor, kernels, latents[1:2]), atol=2e-6, rtol=0)
    assert channel_map.approximation()(latents).sub(fitted_again(channel_map, latents)).abs().max() == 0


def fitted_again(channel_map: lf.ChannelMap, latents: Tensor) -> Tensor:
    """What the map gave before anything was edited: its solution's own."""
    module = channel_map.module_.from_config(channel_map.module_.config())
    return lf.Approximation(module.set_coefficients(channel_map.solution_.coefficients), "sd1")(latents)


def test_edited_card_claims_no_fit() -> None:
    channel_map, latents, cells = fitted("affine")
    editor = TableEditor(channel_map, latents=latents, cells=cells)
    assert not editor.is_edited
    assert editor.approximation().name == "affine"
    values = editor.coefficients
    values[1, 0] += 0.1
    editor.coefficients = values
    changed = editor.approximation()
    assert changed.name == "affine, edited"
    assert changed.card["edited_from"] == "affine"
    assert not {"r2", "residual", "rank", "condition"} & set(changed.card)
    assert {"r2", "residual"} <= set(channel_map.approximation().card)


def test_editor_tells_the_page_everything_it_evaluates() -> None:
    channel_map, latents, cells = fitted("3,1")
    page = TableEditor(channel_map, latents=latents, cells=cells).page
    module = channel_map.module_
    assert page["terms"] == module.terms
    assert page["factors"] == module.basis.factors.tolist()
    np.testing.assert_array_equal(
        np.frombuffer(page["coefficients"]["data"], "<f4").reshape(page["coefficients"]["shape"]), module.coefficients
    )
    first = page["pictures"][0]
    np.testing.assert_array_equal(np.frombuffer(first["latents"]["data"], "<f4").reshape(4, 12, 10), latents[0])
    assert page["pictures"][1:] == [{"name": "latents 1"}, {"name": "latents 2"}]
    assert page["document"] == json.loads(PROGRAMS["json"].write(channel_map.approximation(), None))


def test_editor_sends_a_picture_when_it_is_chosen(spoken: Spoken) -> None:
    channel_map, latents, cells = fitted("affine")
    editor = TableEditor(channel_map, latents=latents, cells=cells)
    ask(editor, "picture", picture=2)
    (part,) = spoken.parts("opened")
    assert part["opened"]["at"] == 2
    sent = np.frombuffer(part["opened"]["picture"]["cells"]["data"], "<f4").reshape(3, 12, 10)
    np.testing.assert_array_equal(sent, cells[2])
    error = 255 * (channel_map.approximation()(latents[2:])[0] - cells[2])
    assert list(editor.residual().values()) == pytest.approx(error.square().mean((1, 2)).sqrt().tolist())


def test_editor_smooths_as_its_map_does() -> None:
    kernel = ((0.1, 0.1, 0.1), (0.1, 0.2, 0.1), (0.1, 0.1, 0.1))
    latents, cells = torch.randn(2, 4, 9, 9, generator=GENERATOR), torch.rand(2, 3, 9, 9, generator=GENERATOR)
    channel_map = lf.ChannelMap("linear", smoothing=kernel).fit_arrays(latents, cells, space="sd1")
    editor = TableEditor(channel_map, latents=latents, cells=cells)
    sent = np.frombuffer(editor.page["pictures"][0]["latents"]["data"], "<f4").reshape(1, 4, 9, 9)
    signed = np.einsum("tc,nthw->nchw", editor.coefficients[1:], sent)
    shown = channel_map.approximation().unclamped(latents[:1])
    np.testing.assert_allclose((signed + 1) / 2, shown, atol=1e-5)


def test_least_squares_is_over_what_is_shown(store: lf.PairStore, vae: lf.Vae) -> None:
    channel_map, latents, cells = fitted("affine")
    shown = TableEditor(channel_map.approximation(), latents=latents, cells=cells)
    assert shown.solved is not None
    assert shown.solved.label == "least squares over these 3 pictures"
    anew = lf.ChannelMap("affine").fit_arrays(latents, cells, space="sd1")
    np.testing.assert_allclose(shown.solved.coefficients, anew.solution_.coefficients)
    over_store = TableEditor(channel_map, store)
    assert over_store.solved is not None
    assert over_store.solved.label == f"least squares over 4 samples of {store.path.name}"
    expected = lf.ChannelMap("affine").fit(store, "all").solution_.coefficients
    np.testing.assert_allclose(over_store.solved.coefficients, expected)
    assert TableEditor(channel_map.approximation(), latents=latents).solved is None


def test_still_of_an_editor_shows_the_edit(session: dict[str, Any]) -> None:
    channel_map, latents, cells = fitted("affine")
    session |= {"channel_map": channel_map, "latents": latents, "cells": cells}
    editor = TableEditor(channel_map, latents=latents, cells=cells)
    before = editor.still()._repr_png_()
    editor.coefficients = np.round(0.5 * editor.coefficients, 3)
    assert editor.still()._repr_png_() != before
    assert run_again(editor.code(), session)._repr_png_() == editor.still()._repr_png_()


def test_code_of_an_edited_table_prints_the_edit(session: dict[str, Any]) -> None:
    channel_map, latents, cells = fitted("affine")
    editor = session["editor"] = TableEditor(channel_map, latents=latents, cells=cells)
    assert editor.code() == "editor.still()"
    values = editor.coefficients
    values[2, 1] = 0.25
    values[0, 2] = -0.125
    editor.coefficients = values
    assert editor.code() == (
        "coefficients = editor.coefficients\n"
        "coefficients[0, 2] = -0.125  # 1, B\n"
        "coefficients[2, 1] = 0.25  # x1, G\n"
        "editor.coefficients = coefficients\n"
        "editor.still()"
    )
    shown = editor.still()._repr_png_()
    again = dict(session, editor=TableEditor(channel_map, latents=latents, cells=cells))
    assert run_again(editor.code(), again)._repr_png_() == shown


def test_comfyui_lines_have_places_for_the_numbers() -> None:
    for form in ("affine", "linear", "3"):
        channel_map, latents, _ = fitted(form)
        editor = TableEditor(channel_map, latents=latents)
        places = editor.page["comfyui"]
        rows = [f"    [{', '.join(f'{value: .7f}' for value in row)}]," for row in editor.coefficients[1:].tolist()]
        bias = ", ".join(f"{value: .7f}" for value in editor.coefficients[0].tolist())
        filled = places["template"].replace("{rows}", "\n".join(rows)).replace("{bias}", bias)
        assert filled == PROGRAMS["comfyui"].write(channel_map.approximation(), None)
        assert "r2" not in places["edited"]
        assert "affine, edited" in places["edited"] or form != "affine"
    cubic, latents, _ = fitted("cubic")
    assert "ComfyUI cannot run" in TableEditor(cubic, latents=latents).page["comfyui"]["reason"]


def test_editor_for_a_page_without_kernel_holds_all_pictures_and_the_edit() -> None:
    channel_map, latents, cells = fitted("affine")
    editor = TableEditor(channel_map, latents=latents, cells=cells)
    editor.coefficients = 2 * editor.coefficients
    shown = json.loads(json.dumps(editor.data(), allow_nan=False))
    assert len(shown["pictures"]) == 3
    assert shown["edited"] == editor.coefficients.tolist()
    first = np.frombuffer(base64.b64decode(shown["pictures"][2]["latents"]["data"]), "<f4")
    np.testing.assert_array_equal(first.reshape(4, 12, 10), latents[2])


def test_editor_takes_thirty_two_channels() -> None:
    latents, cells = torch.randn(6, 32, 12, 12, generator=GENERATOR), torch.rand(6, 3, 12, 12, generator=GENERATOR)
    channel_map = lf.ChannelMap("quadratic").fit_arrays(latents, cells, space="flux2")
    editor = TableEditor(channel_map, latents=latents, cells=cells)
    assert len(editor.page["terms"]) == 561
    assert repr(editor) == "TableEditor('quadratic', 561 × 3 coefficients of flux2, 6 pictures)"


def test_editor_refuses_what_it_cannot_edit(store: lf.PairStore) -> None:
    channel_map, latents, _ = fitted("affine")
    other = lf.load(data_path("tables/sdxl/affine.safetensors"))
    decoder = lf.load(data_path("tables/sd1/3_decoder.safetensors"))
    for arguments, words in (
        ((table(), store), "got Table"),
        ((decoder, store), "at 8 pixels a cell"),
        ((other, store), "is of space 'sdxl', the store of 'sd1'"),
        ((channel_map, store, latents), "got both"),
        ((17, store), "got int"),
    ):
        with pytest.raises(WidgetError) as caught:
            TableEditor(*arguments[:2], latents=arguments[2] if len(arguments) > 2 else None)  # type: ignore[arg-type]
        assert words in str(caught.value)
    with pytest.raises(WidgetError, match=re.escape("expected (3, 3, 12, 10), got (3, 3, 5, 5)")):
        TableEditor(channel_map, latents=latents, cells=torch.rand(3, 3, 5, 5))
    editor = TableEditor(channel_map, latents=latents)
    with pytest.raises(WidgetError, match="NaN"):
        editor.coefficients = np.full((5, 3), np.nan)
    with pytest.raises(WidgetError, match="use approximation"):
        _ = TableEditor(channel_map.approximation(), latents=latents).channel_map


# ---- StepScrubber


@dataclass
class State:
    index: int
    timestep: float
    sigma: float
    latents: Tensor
    ms: float = 2.0


def states(n: int = 12, shape: tuple[int, ...] = (2, 4, 6, 8)) -> list[State]:
    return [State(i, 900.0 - i, 5.0 - 0.1 * i, torch.randn(shape, generator=GENERATOR)) for i in range(n)]


def test_scrubber_decodes_the_step_that_is_asked(spoken: Spoken) -> None:
    run = states()
    scrubber = StepScrubber(run, [table("one"), table("far", space="sdxl")], number=1)
    ask(scrubber, "step", position=3)
    assert scrubber.wait(PATIENCE_S)
    (part,) = spoken.parts("pictures")
    assert part["at"] == 3 == scrubber.position
    side = part["pictures"]["one"]
    levels = np.frombuffer(side["pixels"], np.uint8).reshape(6, 8, 3)
    expected = table("one")(run[3].latents[1:])[0]
    np.testing.assert_array_equal(levels, (255 * expected).round().byte().permute(1, 2, 0).numpy())
    assert "space 'sdxl'" in part["pictures"]["far"]["reason"]


def test_scrubber_knows_a_step_that_the_page_has(spoken: Spoken) -> None:
    scrubber = StepScrubber(states(), [table()])
    ask(scrubber, "step", position=2, known=True)
    assert scrubber.wait(PATIENCE_S)
    assert scrubber.position == 2
    assert spoken.parts("pictures") == []


def test_fifty_quick_steps_end_on_the_last(spoken: Spoken) -> None:
    gate = threading.Event()
    scrubber = StepScrubber(states(50), [table("slow", gate=gate)])
    for position in range(50):
        ask(scrubber, "step", position=position)
    gate.set()
    assert scrubber.wait(PATIENCE_S)
    assert spoken.parts("pictures")[-1]["at"] == 49
    assert scrubber.decoders.n_decoded <= 2


def test_scrubber_scores_against_the_vae(vae: lf.Vae) -> None:
    scrubber = StepScrubber(states(2), [table()], vae)
    sides = scrubber._sides(1)
    assert list(sides) == ["table", vae.name]
    assert sides["table"].scores["psnr"] > 0
    assert not sides[vae.name].scores


def test_scrubber_takes_video_and_unknown_numbers() -> None:
    run = states(3, (1, 4, 2, 6, 8))
    run[0].sigma = math.nan
    scrubber = StepScrubber(run, table())
    assert scrubber.page["steps"][0]["sigma"] is None
    shown = json.loads(json.dumps(scrubber.data(), allow_nan=False))
    assert [step["pictures"]["table"]["src"][:22] for step in shown["steps"]] == ["data:image/png;base64,"] * 3


def test_scrubber_code_and_still(session: dict[str, Any]) -> None:
    session |= {"run": states(3), "tables": [table("one"), table("two", 0.1)]}
    scrubber = StepScrubber(session["run"], session["tables"])
    scrubber.position = 1
    assert scrubber.code() == "import latentfit as lf\n\nlf.StepScrubber(run, tables).still(position=1)"
    assert run_again(scrubber.code(), session)._repr_png_() == scrubber.still()._repr_png_()


def test_scrubber_refuses_what_it_cannot_show(vae: lf.Vae) -> None:
    for arguments, words in (
        (([], [table()]), "expected at least one state"),
        ((states(2), []), "at least one approximation"),
        ((states(2, (1, 16, 4, 4)), [table()]), "the latents have 16 channels"),
        ((states(2, (4, 6, 8)), [table()]), "expected latents (N, C, h, w)"),
    ):
        with pytest.raises(WidgetError) as caught:
            StepScrubber(*arguments)  # type: ignore[arg-type]
        assert words in str(caught.value)
    with pytest.raises(WidgetError, match="expected 0 to 1, got 2"):
        StepScrubber(states(2), [table()]).position = 2


# ---- the module itself


def test_module_needs_no_network_and_can_stand_inside_a_page() -> None:
    folder = Path(lf.__path__[0]) / "compare" / "widgets"
    script, style = ((folder / name).read_text("utf-8") for name in ("widgets.js", "widgets.css"))
    for text in (script, style):
        assert not re.search(r"</(script|style)|https?://(?!www\.w3\.org/2000/svg)|@import|^\s*import\s", text, re.M)
    (exported,) = re.findall(r"^export \{([^}]*)\};", script, re.M)
    names = {name.strip() for name in exported.split(",")}
    assert names >= {"curtain", "tableEditor", "stepScrubber", "workbench", "mount", "deltaE2000", "enlarge"}
    assert "index_default as default" in names
    assert str(CompareSlider(flat(RED, 2, 2), flat(BLUE, 2, 2))._esm) == script


def test_module_is_made_of_its_sources() -> None:
    folder = Path(lf.__path__[0]) / "compare" / "widgets"
    digest = hashlib.sha256()
    for path in sorted((folder / "js").rglob("*.js"), key=lambda path: path.relative_to(folder / "js").as_posix()):
        digest.update(path.read_bytes())
    head = (folder / "widgets.js").read_text("utf-8")[:600]
    assert f"sha256 {digest.hexdigest()}" in head, "widgets.js is older than its modules: run `make js`"


def test_colour_differences_that_the_page_is_held_to_are_scikit_images() -> None:
    pairs = json.loads((Path(__file__).parent / "js" / "delta_e.json").read_text("utf-8"))
    lab = [rgb2lab(np.array([pair[side] for pair in pairs])[None] / 255) for side in ("first", "second")]
    np.testing.assert_allclose([pair["delta_e"] for pair in pairs], deltaE_ciede2000(*lab)[0], atol=1e-4)
