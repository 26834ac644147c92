"""What previews show and write: screens, pictures, animations, and recorded estimates that maps are fitted on."""

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import latentfit as lf
from latentfit.errors import BadFileError, PreviewError
from latentfit.latents import read_latents
from latentfit.previews import (
    NotebookScreen,
    Row,
    TerminalScreen,
    captioned,
    half_blocks,
    jpeg_of,
    screen_of,
    tiled,
    vae_of,
    webp_of,
)
from tests.support import pipelines
from tests.support.fake_vae import FakeVae
from tests.support.paths import environment
from tests.support.pipelines import run


@pytest.fixture
def table() -> lf.Approximation:
    return lf.Approximation(nn.Conv2d(4, 3, 1), "sd1", name="table")


class Blurred(pipelines.Oracle):
    """What a denoiser gives: x0 averaged over as many cells as the noise hides."""

    def __call__(self, scaled: Tensor, timestep: Tensor | float) -> Tensor:
        side = 2 * min(int(self.sigma(timestep)), 3) + 1
        padded = torch.nn.functional.pad(self.x0, (side // 2,) * 4, mode="replicate")
        known = pipelines.Oracle(self.scheduler, torch.nn.functional.avg_pool2d(padded, side, 1), self.kind)
        return known(scaled, timestep)


def painting(n_pictures: int, seed: int = 0) -> SimpleNamespace:
    """A loop that paints pictures whose colours `FakeVae` knows."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n_pictures, 3, 4, 5, generator=generator)
    rgb = torch.nn.functional.interpolate(coarse, (64, 80), mode="bicubic").clamp(0, 1)
    scheduler = diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    return pipelines.loop(scheduler, Blurred(scheduler, FakeVae().encode(rgb), "epsilon"), n_steps=8)


# Recorded estimates.


def test_recorded_estimates_become_a_store_that_maps_are_fitted_to_and_scored_on(
    table: lf.Approximation, tmp_path: Path
) -> None:
    pipe = painting(12)
    with lf.preview(pipe, table, size=16, display="none", record=tmp_path, vae=FakeVae()) as live:
        pipe.call()
    assert live.error is None
    store = lf.PairStore(tmp_path)
    assert live.store is not None
    assert len(store) == len(live.store) == 12 * 8
    assert store.verify() >= 1
    assert (store.space.name, store.reference) == ("sd1", FakeVae().reference)
    by_step = {step.index: step for step in live.states}
    for sample in store.samples:
        assert sample.sigma == by_step[sample.step].sigma  # type: ignore[index]
        assert sample.kind == "latents"
    for batch in store.batches():
        for sample, latents, cells in zip(batch.samples, batch.latents, batch.cells, strict=True):
            kept = by_step[sample.step].latents  # type: ignore[index]
            assert (kept - latents).abs().amax((1, 2, 3)).min() < 2e-3
            decoded = FakeVae().decode(latents[None]).clamp(0, 1)
            torch.testing.assert_close(cells, torch.nn.functional.avg_pool2d(decoded, 8)[0], atol=1e-3, rtol=0)
    fitted = lf.ChannelMap("affine").fit(store).approximation()
    early = [sample for sample in store.split("test") if sample.sigma > 2]  # type: ignore[operator]
    late = [sample for sample in store.split("test") if sample.sigma < 0.5]  # type: ignore[operator]
    assert early
    assert late
    for samples in (early, late):
        scores = lf.evaluate([fitted], store, samples=samples, places=["cells"])
        pooled = scores[(scores["image"] == "all") & (scores["kind"] == "all")]
        assert float(pooled["psnr"].iloc[0]) > 35


def test_all_steps_of_a_picture_are_held_out_together(table: lf.Approximation, tmp_path: Path) -> None:
    pipe = painting(12)
    with lf.preview(pipe, table, size=16, display="none", record=tmp_path, vae=FakeVae()) as live:
        pipe.call()
    assert live.store is not None
    sides = {name: {sample.sha256 for sample in live.store.split(name)} for name in ("train", "test")}  # type: ignore[arg-type]
    assert not sides["train"] & sides["test"]
    assert len(sides["train"] | sides["test"]) == 12
    assert sides["test"]
    assert len({sample.key for sample in live.store.samples}) == 96


def test_more_runs_are_added_and_the_same_run_is_not(table: lf.Approximation, tmp_path: Path) -> None:
    def recorded(pipe: Any) -> int:
        with lf.preview(pipe, table, every=4, size=16, display="none", record=tmp_path, vae=FakeVae()) as live:
            pipe.call()
        assert live.store is not None
        return len(live.store)

    assert recorded(painting(2)) == 2 * 3
    assert recorded(painting(2)) == 2 * 3
    assert recorded(painting(2, seed=1)) == 4 * 3
    longer = painting(2)
    longer.call = pipelines.loop(longer.scheduler, Blurred(longer.scheduler, torch.ones(2, 4, 8, 10), "epsilon")).call
    assert recorded(longer) == 4 * 3 + 2 * 3


def test_what_a_broken_off_run_recorded_is_collected_by_the_command(table: lf.Approximation, tmp_path: Path) -> None:
    pipe = painting(2)

    def stop(step: Any) -> None:
        if step.index == 4:
            raise KeyboardInterrupt

    live = lf.preview(pipe, table, size=16, display=stop, record=tmp_path, vae=FakeVae())
    with pytest.raises(KeyboardInterrupt), live:
        pipe.call()
    assert len(list((tmp_path / "latents").rglob("*.latent"))) == 2 * 5
    store = lf.collect(FakeVae(), tmp_path / "latents", tmp_path, progress=False)
    assert sorted({sample.step for sample in store.samples}) == [0, 1, 2, 3, 4]  # type: ignore[type-var]
    assert len(store) == 10


def test_the_pipelines_own_autoencoder_decodes_and_stays_as_it_is(tmp_path: Path) -> None:
    pipe, call = pipelines.sd3()
    pipe.vae.to(torch.bfloat16)
    weights = {name: tensor.clone() for name, tensor in pipe.vae.state_dict().items()}
    approximation = lf.Approximation(nn.Conv2d(16, 3, 1), "sd3")
    with lf.preview(pipe, approximation, size=16, display="none", record=tmp_path) as live:
        run(pipe, call)
    assert live.error is None
    assert live.store is not None
    assert live.store.space.name == "sd3"
    assert [sample.step for sample in sorted(live.store.samples, key=lambda one: -one.sigma)] == [0, 1, 2, 3]  # type: ignore[operator]
    for name, tensor in pipe.vae.state_dict().items():
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(tensor, weights[name])


def test_a_copy_of_an_offloaded_autoencoder_takes_nothing_else_along() -> None:
    from accelerate import cpu_offload_with_hook

    pipe, _ = pipelines.sd()
    _, hook = cpu_offload_with_hook(pipe.unet, "cpu")
    cpu_offload_with_hook(pipe.vae, "cpu", hook)
    latents = torch.randn(1, 4, 4, 6)
    expected = (pipe.vae.decode(latents / 0.18215)[0] / 2 + 0.5).clamp(0, 1)
    pipe.unet.__deepcopy__ = lambda memo: pytest.fail("the denoiser was copied")
    vae = vae_of(pipe, lf.get_space("sd1"))
    torch.testing.assert_close(vae.decode(latents), expected, atol=1e-5, rtol=0)
    assert pipe.vae._hf_hook is not None


def test_pure_noise_has_an_infinite_sigma_also_in_the_store(table: lf.Approximation, tmp_path: Path) -> None:
    zero_snr = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "sample"}
    scheduler = diffusers.DDIMScheduler(clip_sample=False, **zero_snr)
    pipe = pipelines.loop(scheduler, pipelines.Oracle(scheduler, torch.randn(1, 4, 4, 4), "sample"))
    with lf.preview(pipe, table, size=16, display="none", record=tmp_path, vae=FakeVae()) as live:
        pipe.call()
    assert live.error is None
    assert live.states[0].sigma == live.states[0].noise == float("inf")
    sigmas = [sample.sigma for sample in sorted(lf.PairStore(tmp_path).samples, key=lambda one: one.step or 0)]
    assert sigmas == [step.sigma for step in live.states]


def test_recorded_files_are_comfyuis_and_say_what_they_are(table: lf.Approximation, tmp_path: Path) -> None:
    pipe = painting(1)
    with lf.preview(pipe, table, every=3, size=16, display="none", record=tmp_path, vae=FakeVae()) as live:
        pipe.call()
    paths = sorted(tmp_path.rglob("*.latent"))
    assert [path.name[-15:] for path in paths] == [f"step-{index:03d}.latent" for index in (0, 3, 6, 7)]
    for path, step in zip(paths, live.states, strict=True):
        read = read_latents(path, table.space)
        torch.testing.assert_close(read.latents, step.latents)
        assert read.estimate is not None
        assert (read.estimate.step, read.estimate.sigma, read.estimate.schedule) == (step.index, step.sigma, "ve")
        assert read.estimate.n_steps == 8
        with safe_open(path, framework="pt") as file:
            assert set(file.keys()) == {"latent_tensor", "latent_format_version_0"}
            torch.testing.assert_close(file.get_tensor("latent_tensor") * 0.18215, step.latents)


@pytest.mark.parametrize(
    "change",
    [
        {"picture": "../../etc"},
        {"schedule": "vp"},
        {"step": -1},
        {"sigma": "much"},
        {"run": None},
    ],
)
def test_an_edited_header_is_refused(change: dict[str, Any], tmp_path: Path, table: lf.Approximation) -> None:
    says = {"picture": "0" * 64, "run": 1, "step": 2, "n_steps": 8, "timestep": 3.0, "sigma": 0.5, "schedule": "ve"}
    tensors = {"latent_tensor": torch.zeros(1, 4, 4, 4), "latent_format_version_0": torch.zeros(0)}
    save_file(tensors, tmp_path / "x.latent", {"latentfit_estimate": json.dumps(says)})
    assert read_latents(tmp_path / "x.latent", table.space).estimate is not None
    save_file(tensors, tmp_path / "x.latent", {"latentfit_estimate": json.dumps(says | change)})
    with pytest.raises(BadFileError, match="its header was edited"):
        read_latents(tmp_path / "x.latent", table.space)


class Overflowing(pipelines.Oracle):
    """Its first answer is none, as of half precision gone wrong."""

    def __call__(self, scaled: Tensor, timestep: Tensor | float) -> Tensor:
        first = float(timestep) == float(self.scheduler.timesteps[0])
        return torch.full_like(self.x0, torch.inf) if first else self.x0


def test_an_estimate_that_is_not_finite_is_left_out(table: lf.Approximation, tmp_path: Path) -> None:
    scheduler = diffusers.DDIMScheduler(clip_sample=False, prediction_type="sample")
    pipe = pipelines.loop(scheduler, Overflowing(scheduler, torch.randn(1, 4, 4, 4), "sample"))
    live = lf.preview(pipe, table, size=16, display="none", record=tmp_path, vae=FakeVae())
    with pytest.warns(UserWarning, match="step 1/6 .*x0 is not finite in float16"), live:
        pipe.call()
    assert isinstance(live.error, PreviewError)
    assert len(live.states) == 6
    assert live.store is not None
    assert sorted(sample.step for sample in live.store.samples) == [1, 2, 3, 4, 5]  # type: ignore[type-var]


def test_a_store_of_another_vae_is_refused_before_the_run(table: lf.Approximation, tmp_path: Path) -> None:
    pipe = painting(1)
    with lf.preview(pipe, table, every=7, size=16, display="none", record=tmp_path, vae=FakeVae()):
        pipe.call()
    with pytest.raises(PreviewError, match=r"holds pairs of a fake VAE.*choose another folder"):
        lf.preview(pipe, table, record=tmp_path, vae=FakeVae(gain=2.0))
    other = SimpleNamespace(scheduler=pipe.scheduler, vae=nn.Identity())
    with pytest.raises(PreviewError, match="in space 'sdxl'"):
        lf.preview(other, lf.Approximation(nn.Conv2d(4, 3, 1), "sdxl"), record=tmp_path)


def test_a_store_of_other_weights_than_the_pipelines_own_is_refused_before_the_run(tmp_path: Path) -> None:
    table = lf.Approximation(nn.Conv2d(16, 3, 1), "sd3")
    pipe, call = pipelines.sd3()
    for _ in range(2):  # the same weights again are welcome
        with lf.preview(pipe, table, every=9, size=16, display="none", record=tmp_path) as live:
            run(pipe, call)
        assert live.store is not None
    pipe.vae.decoder.conv_out.bias.data += 0.1
    with pytest.raises(PreviewError, match=r"of .* with other weights in space 'sd3'; choose another folder"):
        lf.preview(pipe, table, record=tmp_path)
    pipe.vae.decoder.conv_out.to("meta")  # offloaded: nothing can be told yet
    lf.preview(pipe, table, record=tmp_path)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_what_cannot_be_decoded_is_told_of_and_stays(table: lf.Approximation, tmp_path: Path) -> None:
    class Broken(FakeVae):
        def decode(self, latents: Tensor) -> Tensor:
            raise RuntimeError("no memory left")

    def fail(step: Any) -> None:
        raise ValueError("first")

    pipe = painting(1)
    live = lf.preview(pipe, table, every=4, size=16, display=fail, record=tmp_path, vae=Broken())
    with pytest.warns(UserWarning, match="latentfit preview") as warned, live:
        pipe.call()
    said = [str(warning.message) for warning in warned if "latentfit preview" in str(warning.message)]
    assert [text.split(":")[1] for text in said] == [" ValueError", " PreviewError"]
    assert "could not be decoded (no memory left)" in said[1]
    assert live.store is None
    assert str(live.error) == "first"
    assert len(list(tmp_path.rglob("*.latent"))) == 3


# Saved pictures.


def test_every_preview_is_saved_and_the_last_x0_ends_the_animation(table: lf.Approximation, tmp_path: Path) -> None:
    pipe = painting(1)
    for _ in range(2):
        with lf.preview(pipe, table, size=64, display="none", save=tmp_path) as live:
            pipe.call()
    names = sorted(path.name for path in tmp_path.iterdir())
    steps = [f"run-{run:03d}-step-{index:03d}.png" for run in (1, 2) for index in range(8)]
    assert names == sorted([*steps, "run-001.webp", "run-002.webp"])
    assert live.error is None
    for step in live.states:
        assert (tmp_path / f"run-002-step-{step.index:03d}.png").read_bytes() == step._repr_png_()
    animation = Image.open(tmp_path / "run-002.webp")
    assert animation.n_frames == 8  # type: ignore[attr-defined]
    last = live.states[-1].picture
    assert last is not None
    assert animation.size == last.size
    for index in range(8):
        animation.seek(index)
        animation.load()
    shown = torch.tensor(list(animation.convert("RGB").tobytes())).float()
    assert (shown - torch.tensor(list(last.tobytes()))).abs().mean() < 8
    assert animation.info["duration"] == 2000
    assert live.costs.animations_ms > 0
    assert f"animations: {live.costs.animations_ms:.0f} ms" in repr(live)


KILLED = """
import os, sys
from pathlib import Path
import latentfit as lf
from tests.previews.test_recording import painting
from tests.support.fake_vae import FakeVae
from torch import nn

def kill(step):
    if step.index == 3:
        os._exit(9)

pipe, folder = painting(1), Path(sys.argv[1])
table = lf.Approximation(nn.Conv2d(4, 3, 1), "sd1")
with lf.preview(pipe, table, size=16, display=kill, save=folder / "pictures", record=folder / "store", vae=FakeVae()):
    pipe.call()
"""


def test_a_killed_run_keeps_whole_files_only(tmp_path: Path) -> None:
    given = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(given, env=environment(), capture_output=True, check=False)
    assert done.returncode == 9, done.stderr.decode()
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in pictures] == [f"run-001-step-{index:03d}.png" for index in range(4)]
    for path in pictures:
        Image.open(path).load()
    store = lf.collect(FakeVae(), tmp_path / "store" / "latents", tmp_path / "store", progress=False)
    assert len(store) == 4


def test_frames_of_different_captions_become_one_size() -> None:
    picture = Image.new("RGB", (60, 40), "red")
    frames = [captioned(picture, words) for words in ("many words in several lines of a caption", "a")]
    assert frames[0].height > frames[1].height
    assert Image.open(io.BytesIO(webp_of(frames))).size == frames[0].size


def test_tiles_of_several_maps_and_pictures_are_lines_of_one_map() -> None:
    rows = [
        Row("one", torch.zeros(3, 3, 8, 12), 1.0),
        Row("two", torch.ones(3, 3, 2, 3), 2.0),
        Row("a name that is far too long for its tile", None, 0.1, "ValueError: why it failed"),
    ]
    page = tiled(rows, (2, 3), 96)
    assert page.width == 3 * 96 + 2 * 6
    pitch = 64 + 18 + 6
    assert page.getpixel((150, 30)) == (0, 0, 0)
    assert page.getpixel((150, 30 + pitch)) == (255, 255, 255)
    assert page.getpixel((90, 60 + 2 * pitch)) == (0xDF, 0xE4, 0xEC)
    assert page.crop((102, 2 * pitch, 300, page.height)).getcolors() == [(198 * 82, (255, 255, 255))]
    single = tiled(rows[:2], (2, 3), 96)
    assert single.height == 2 * pitch - 6


# Screens.


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen_after(written: str) -> list[str]:
    """What a terminal shows: line feeds, carriage returns, cursor up, erase line and below; colours taken off."""
    import re

    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", written):
        if token == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif token == "\r":
            column = 0
        elif token.endswith("A") and token[0] == "\x1b":
            row = max(row - int(token[2:-1]), 0)
        elif token == "\x1b[K":
            lines[row] = lines[row][:column]
        elif token == "\x1b[J":
            lines = [*lines[:row], lines[row][:column]]
        elif token[0] != "\x1b":
            lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + len(token) :]
            column += len(token)
    return lines


def test_a_terminal_without_colours_gets_a_line_for_each_preview(
    table: lf.Approximation, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = painting(1)
    with lf.preview(pipe, table, every=3, size=16) as live:
        pipe.call()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("   ")[0] for line in lines[:-1]] == ["step 1/8", "step 4/8", "step 7/8", "step 8/8"]
    assert all(" σ " in line for line in lines[:-1])
    assert " ms each" in lines[2]
    assert " % of the time" in lines[3]
    assert lines[-1] == repr(live)


def test_a_colour_terminal_shows_the_picture_in_place_above_the_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    screen = TerminalScreen(stream, is_coloured=True)
    screen.begin()
    for index, colour in enumerate(("red", "blue")):
        stream.write(f"\r{index}/2 |bar|")
        screen.show(Image.new("RGB", (1, 1)), Image.new("RGB", (40, 20), colour), f"step {index + 1}")
    stream.write("\r2/2 |bar|")
    lines = screen_after(stream.getvalue())
    n_rows = len(lines) - 2
    assert lines[:n_rows] == ["▀" * len(lines[0])] * n_rows
    assert lines[n_rows:] == ["step 2", "2/2 |bar|"]
    screen.begin()
    screen.show(Image.new("RGB", (1, 1)), Image.new("RGB", (40, 20), "green"), "another run")
    lines = screen_after(stream.getvalue())
    assert lines[n_rows] == "step 2"
    assert lines[-2] == "another run"


def test_a_caption_wider_than_the_window_stays_in_place_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    screen = TerminalScreen(stream, is_coloured=True)
    screen.begin()
    for index in range(3):
        screen.show(
            Image.new("RGB", (1, 1)), Image.new("RGB", (40, 20)), f"step {index}   " + "previews: 4.1 ms each " * 3
        )
    lines = screen_after(stream.getvalue())
    assert max(map(len, lines)) <= 30
    assert [line for line in lines if line.startswith("step")] == ["step 2   previews: 4.1 ms each"]
    assert sum("previews" in line for line in lines) == 3


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_stream_without_sigma_gets_the_rest_of_the_words(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    screen = TerminalScreen(stream)
    screen.show(Image.new("RGB", (1, 1)), Image.new("RGB", (8, 8)), "step 1   σ 3.2")
    TerminalScreen(stream, is_coloured=True).show(Image.new("RGB", (1, 1)), Image.new("RGB", (8, 8)), "step 1")
    assert raw.getvalue().decode(encoding).startswith("step 1   ? 3.2")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_screen_that_fails_does_not_cost_the_picture(
    monkeypatch: pytest.MonkeyPatch, table: lf.Approximation
) -> None:
    def fail(*given: Any) -> None:
        raise BrokenPipeError("nobody reads")

    pipe = painting(1)
    live = lf.preview(pipe, table, size=16, display="terminal")
    monkeypatch.setattr(live._screen, "show", fail)
    with pytest.warns(UserWarning, match="BrokenPipeError: nobody reads"), live:
        pipe.call()
    assert len(live.states) == 8
    assert all(step.picture is not None and step.map_ms for step in live.states)


def test_colours_are_shown_where_the_terminal_says_that_it_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for says, is_coloured in (("truecolor", True), ("24bit", True), ("", False)):
        monkeypatch.setenv("COLORTERM", says)
        monkeypatch.setenv("TERM", "xterm")
        stream = Terminal()
        TerminalScreen(stream).show(Image.new("RGB", (1, 1)), Image.new("RGB", (8, 8)), "step 1")
        assert ("▀" in stream.getvalue()) == is_coloured
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "dumb")
    dumb = Terminal()
    TerminalScreen(dumb).show(Image.new("RGB", (1, 1)), Image.new("RGB", (8, 8)), "step 1")
    assert dumb.getvalue() == "step 1\n"
    monkeypatch.setenv("TERM", "xterm")
    piped = io.StringIO()
    TerminalScreen(piped).show(Image.new("RGB", (1, 1)), Image.new("RGB", (8, 8)), "step 1")
    assert piped.getvalue() == "step 1\n"


def test_half_blocks_are_the_pictures_pixels() -> None:
    pixels = torch.randint(0, 256, (6, 10, 3), dtype=torch.uint8)
    lines = half_blocks(Image.fromarray(pixels.numpy()), 10, 3)
    assert len(lines) == 3
    for row, line in enumerate(lines):
        cells = line.removesuffix("\x1b[0m").split("▀")[:-1]
        assert len(cells) == 10
        for column, cell in enumerate(cells):
            levels = [int(part) for part in cell.removeprefix("\x1b[").removesuffix("m").split(";")]
            assert levels[:2] == [38, 2]
            assert levels[2:5] == pixels[2 * row, column].tolist()
            assert levels[7:] == pixels[2 * row + 1, column].tolist()
    assert len(half_blocks(Image.new("RGB", (1000, 10)), 72, 24)[0].split("▀")) == 73
    assert len(half_blocks(Image.new("RGB", (10, 1000)), 72, 24)) == 24


def test_a_notebooks_output_is_updated_in_place(monkeypatch: pytest.MonkeyPatch, table: lf.Approximation) -> None:
    import IPython.display

    shown: list[tuple[str, bytes]] = []

    class Handle:
        def __init__(self, name: str) -> None:
            self.name = name

        def update(self, picture: Any) -> None:
            shown.append((self.name, picture.data))

    def display(picture: Any, display_id: bool) -> Handle:
        assert display_id
        handle = Handle(f"output {len({name for name, _ in shown}) + 1}")
        handle.update(picture)
        return handle

    monkeypatch.setattr(IPython.display, "display", display)
    pipe = painting(1)
    with lf.preview(pipe, table, every=4, size=16, display="notebook") as live:
        pipe.call()
        pipe.call()
    assert live.error is None
    assert [name for name, _ in shown] == ["output 1"] * 3 + ["output 2"] * 3
    pictures = [step.picture for states in live.runs for step in states]
    assert [jpeg for _, jpeg in shown] == [jpeg_of(picture) for picture in pictures if picture is not None]


def test_a_kernel_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython

    assert isinstance(screen_of("auto"), TerminalScreen)
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    assert isinstance(screen_of("auto"), NotebookScreen)
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace())  # IPython in a terminal
    assert isinstance(screen_of("auto"), TerminalScreen)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_screen_that_fails_stops_nothing(table: lf.Approximation, tmp_path: Path) -> None:
    pipe = painting(1)
    live = lf.preview(pipe, table, size=16, save=tmp_path)
    live._screen = TerminalScreen(io.StringIO(), is_coloured=False)
    live._screen._stream.close()
    with pytest.warns(UserWarning, match="I/O operation on closed file"), live:
        pipe.call()
    assert len(live.states) == 8
    assert len(list(tmp_path.glob("*.png"))) == 8
