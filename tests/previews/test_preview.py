"""Live previews of real pipeline classes: what they show, keep and cost, and that they change nothing."""

import copy
import io
import json
import random
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import latentfit as lf
from latentfit.errors import BadFileError, PreviewError, SpaceMismatchError
from latentfit.previews import Step
from tests.support import pipelines
from tests.support.pipelines import run

SPACES = {"sd": "sd1", "sdxl": "sdxl", "sd3": "sd3", "flux": "flux1", "flux2": "flux2"}
KINDS = sorted(SPACES)


def table_of(space: str, name: str = "table") -> lf.Approximation:
    torch.manual_seed(2)
    return lf.Approximation(nn.Conv2d(lf.get_space(space).channels, 3, 1), space, name=name)


def picture_of(step: Step) -> Image.Image:
    assert step.picture is not None
    return step.picture


class Shuffling(nn.Module):
    """Draws random numbers of every kind, and writes over what it is given."""

    def forward(self, latents: Tensor) -> Tensor:
        noise = torch.randn(latents.shape[0], 3, *latents.shape[-2:])
        latents.fill_(torch.rand(()))
        return torch.nn.functional.dropout(noise)


class Failing(nn.Module):
    def forward(self, latents: Tensor) -> Tensor:
        raise RuntimeError("out of memory, says the device")


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_is_equal_to_the_bit_and_previews_appeared(kind: str, tmp_path: Path) -> None:
    pipe, call = getattr(pipelines, kind)()
    space = lf.get_space(SPACES[kind])
    maps = [table_of(space.name), lf.Approximation(Shuffling(), space, name="shuffling")]
    scheduler, its_class = pipe.scheduler, type(pipe.scheduler)
    torch.manual_seed(4)
    before = run(pipe, call, generator=None)
    state = torch.get_rng_state()
    torch.manual_seed(4)
    seen: list[Step] = []
    options = {"display": seen.append, "save": tmp_path / "pictures", "record": tmp_path / "store", "size": 48}
    with lf.preview(pipe, maps, **options) as live:
        during = run(pipe, call, generator=None)
    assert torch.equal(before, during)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    assert torch.equal(before, run(pipe, call, generator=None))
    assert live.error is None
    assert live.store is not None
    assert live.store.space == space
    assert [step.index for step in live.states] == [0, 1, 2, 3] == [step.index for step in seen]
    assert (pipe.scheduler, type(pipe.scheduler)) == (scheduler, its_class)
    assert "step" not in vars(scheduler)
    assert "prepare_latents" not in vars(pipe)
    shape = (1, space.channels, call["height"] // 8, call["width"] // 8)
    for step in live.states:
        assert step.latents.shape == shape
        assert step.latents.dtype == torch.float32
        assert picture_of(step).size[0] == 2 * 48 + 6 or call["height"] > call["width"]
        assert set(step.map_ms) == {"table", "shuffling"}
        assert step.n_steps == 4
    sigmas = [step.sigma for step in live.states]
    assert sigmas == sorted(sigmas, reverse=True)
    assert not torch.equal(live.states[0].latents, live.states[-1].latents)


@pytest.mark.parametrize("kind", ["sdxl", "sd3", "flux", "flux2"])
def test_the_last_x0_is_what_the_pipeline_ends_with(kind: str) -> None:
    pipe, call = getattr(pipelines, kind)()
    with lf.preview(pipe, table_of(SPACES[kind]), size=32, display="none") as live:
        result = run(pipe, call)
    if kind == "flux":
        result = pipe._unpack_latents(result, call["height"], call["width"], pipe.vae_scale_factor)
    if kind == "flux2":
        result = torch.nn.functional.pixel_shuffle(result.reshape(1, 4, 7, 128).permute(0, 3, 1, 2), 2)
    torch.testing.assert_close(live.states[-1].latents, result, atol=1e-4, rtol=1e-4)


def test_x0_is_shown_and_not_the_noisy_latents() -> None:
    pipe, call = pipelines.sdxl()
    noisy: list[Tensor] = []

    def keep(pipe: Any, index: int, timestep: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
        noisy.append(given["latents"])
        return {}

    with lf.preview(pipe, table_of("sdxl"), size=32, display="none") as live:
        run(pipe, call, callback_on_step_end=keep)
    assert noisy[0].std() > 5 * live.states[0].latents.std() / max(1.0, float(live.states[0].sigma) / 10)
    assert not torch.allclose(noisy[0], live.states[0].latents, atol=1)


def test_half_precision_pipelines_are_previewed_in_float32() -> None:
    pipe, call = pipelines.flux()
    pipe.to(torch.bfloat16)
    call = {name: value.bfloat16() if isinstance(value, Tensor) else value for name, value in call.items()}
    before = run(pipe, call)
    with lf.preview(pipe, table_of("flux1"), size=32, display="none") as live:
        assert torch.equal(run(pipe, call), before)
    assert live.error is None
    assert {step.latents.dtype for step in live.states} == {torch.float32}


def test_arguments_that_pipelines_find_by_the_signature_still_arrive() -> None:
    pipe, call = pipelines.sd()
    plain, random_steps = run(pipe, call), run(pipe, call, eta=0.8)
    assert not torch.equal(plain, random_steps)
    with lf.preview(pipe, table_of("sd1"), size=32, display="none") as live:
        assert torch.equal(run(pipe, call, eta=0.8), random_steps)
    assert len(live.states) == 4


def test_image_to_image_begins_among_the_timesteps() -> None:
    source, call = pipelines.sd(diffusers.EulerDiscreteScheduler())
    parts = {name: part for name, part in source.components.items() if name not in ("image_encoder",)}
    pipe = diffusers.StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    call = {name: value for name, value in call.items() if name not in ("height", "width")}
    call |= {"image": torch.rand(1, 3, 64, 96), "strength": 0.5}
    before = run(pipe, call, n_steps=10)
    with lf.preview(pipe, table_of("sd1"), every=2, size=32, display="none") as live:
        assert torch.equal(run(pipe, call, n_steps=10), before)
    assert [(step.index, step.n_steps) for step in live.states] == [(0, 5), (2, 5), (4, 5)]
    torch.testing.assert_close(live.states[-1].latents, before, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("every", "expected"), [(1, [0, 1, 2, 3, 4]), (2, [0, 2, 4]), (3, [0, 3, 4]), (9, [0, 4])])
def test_every_nth_step_and_the_last(every: int, expected: list[int]) -> None:
    pipe, call = pipelines.sd()
    with lf.preview(pipe, table_of("sd1"), every=every, size=32, display="none") as live:
        run(pipe, call, n_steps=5)
    assert [step.index for step in live.states] == expected
    assert live.n_seen == 5


def test_each_run_in_the_block_has_its_own_states() -> None:
    pipe, call = pipelines.sd()
    with lf.preview(pipe, table_of("sd1"), size=32, display="none") as live:
        run(pipe, call, n_steps=3)
        run(pipe, call, n_steps=3)
        run(pipe, call, n_steps=2)
    assert [len(states) for states in live.runs] == [3, 3, 2]
    assert live.states is live.runs[-1]
    for first, second in zip(*live.runs[:2], strict=True):
        assert torch.equal(first.latents, second.latents)


def test_pictures_of_a_batch_stand_side_by_side() -> None:
    pipe, call = pipelines.sd()
    approximation = table_of("sd1")
    with lf.preview(pipe, approximation, size=96, display="none") as live:
        run(pipe, call, num_images_per_prompt=3)
    step = live.states[1]
    assert step.latents.shape == (3, 4, 8, 12)
    shown = picture_of(step)
    assert shown.width == 3 * 96 + 2 * 6
    for index, rgb in enumerate(approximation(step.latents)):
        pixels = rgb.mul(255).round().byte().permute(1, 2, 0).numpy()
        tile = Image.fromarray(pixels).resize((96, 64), Image.Resampling.BILINEAR)
        left = index * 102
        assert shown.crop((left, 0, left + 96, 64)).tobytes() == tile.tobytes()


def test_frames_of_a_video_are_folded() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    x0 = torch.randn(1, 16, 20, 4, 6)
    pipe = pipelines.loop(scheduler, pipelines.Oracle(scheduler, x0, "flow"))
    with lf.preview(pipe, table_of("wan21"), size=32, display="none") as live:
        pipe.call()
    assert live.error is None
    assert live.states[0].latents.shape == x0.shape
    assert picture_of(live.states[0]).width == 4 * 32 + 3 * 6  # eight frames in lines of four
    torch.testing.assert_close(live.states[2].latents, x0, atol=1e-5, rtol=0)


# What must not stop a run.


def test_an_approximation_that_raises_is_told_of_and_the_others_are_shown() -> None:
    pipe, call = pipelines.sd()
    before = run(pipe, call)
    failing = lf.Approximation(Failing(), "sd1", name="failing")
    with (
        pytest.warns(UserWarning, match="RuntimeError: out of memory, says the device; the run goes on") as warned,
        lf.preview(pipe, [failing, table_of("sd1")], size=64, display="none") as live,
    ):
        assert torch.equal(run(pipe, call), before)
    assert len(warned) == 1
    assert len(live.states) == 4
    assert isinstance(live.error, RuntimeError)
    assert "4 errors, the first: out of memory" in repr(live)
    shown = picture_of(live.states[-1])
    left, right = (shown.crop((at, 0, at + 64, 40)).getcolors(10_000) for at in (0, 70))
    assert len(left or ()) < 200 < len(right or ())  # words on paper, and a picture


def test_where_warnings_are_errors_the_run_goes_on_too() -> None:
    pipe, call = pipelines.sd()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with lf.preview(pipe, lf.Approximation(Failing(), "sd1"), size=32, display="none") as live:
            run(pipe, call)
    assert isinstance(live.error, RuntimeError)


@pytest.mark.parametrize("part", ["watcher", "scheduler", "reader"])
def test_errors_elsewhere_in_a_preview_are_kept(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, call = pipelines.flux()
    before = run(pipe, call)

    def fail(*given: Any) -> None:
        raise ValueError("no")

    live = lf.preview(pipe, table_of("flux1"), size=32, display=fail if part == "watcher" else "none")
    if part == "reader":
        monkeypatch.setattr(live._reader, "read", fail)
    if part == "scheduler":
        monkeypatch.setattr(live._reader, "level_before", fail)
    with pytest.warns(UserWarning, match="ValueError: no"), live:
        assert torch.equal(run(pipe, call), before)
    assert isinstance(live.error, ValueError)
    assert len(live.states) == (0 if part == "reader" else 4)


def test_an_error_of_the_run_itself_arrives_and_the_scheduler_is_restored(tmp_path: Path) -> None:
    pipe, call = pipelines.sd()
    its_class = type(pipe.scheduler)

    def stop(pipe: Any, index: int, timestep: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
        if index == 2:
            raise KeyboardInterrupt
        return {}

    live = lf.preview(pipe, table_of("sd1"), size=32, display="none", save=tmp_path / "p", record=tmp_path / "s")
    with pytest.raises(KeyboardInterrupt), live:
        run(pipe, call, callback_on_step_end=stop)
    assert type(pipe.scheduler) is its_class
    assert len(live.states) == 3
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == [
        "run-001-step-000.png",
        "run-001-step-001.png",
        "run-001-step-002.png",
        "run-001.webp",
    ]
    assert len(list((tmp_path / "s").rglob("*.latent"))) == 3
    assert live.store is None


def test_states_are_the_previews_own_to_write_over() -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(prediction_type="sample")
    oracle = pipelines.Oracle(scheduler, torch.randn(1, 4, 4, 4), "sample")
    pipe = pipelines.loop(scheduler, oracle)
    before = pipe.call()
    with lf.preview(pipe, table_of("sd1"), size=16, display=lambda step: step.latents.fill_(7)) as live:
        assert torch.equal(pipe.call(), before)
    assert all(bool((step.latents == 7).all()) for step in live.states)


def test_random_numbers_of_other_kinds_are_left_alone() -> None:
    pipe, call = pipelines.sd()
    random.seed(1)
    state = random.getstate()
    with lf.preview(pipe, table_of("sd1"), size=32, display="none"):
        run(pipe, call)
    assert random.getstate() == state


def test_a_copy_of_the_scheduler_is_not_watched_and_keeps_its_own_state() -> None:
    pipe, call = pipelines.sdxl()
    with lf.preview(pipe, table_of("sdxl"), size=32, display="none") as live:
        run(pipe, call, n_steps=3)
        twin = copy.deepcopy(pipe.scheduler)
        twin.set_timesteps(2)
        for timestep in twin.timesteps:
            twin.step(torch.zeros(1, 4, 2, 2), timestep, torch.zeros(1, 4, 2, 2))
        made = type(pipe.scheduler).from_config(pipe.scheduler.config)
        assert type(pipe.scheduler).__name__ == "EulerDiscreteScheduler"
        assert json.loads(pipe.scheduler.to_json_string())["_class_name"] == "EulerDiscreteScheduler"
    assert twin.step_index == 2
    assert pipe.scheduler.step_index == 3
    assert live.n_seen == 3
    with lf.preview(SimpleNamespace(scheduler=made), table_of("sdxl"), size=32, display="none") as second:
        made.set_timesteps(1)
        made.scale_model_input(torch.zeros(1, 4, 2, 2), made.timesteps[0])
        made.step(torch.zeros(1, 4, 2, 2), made.timesteps[0], torch.zeros(1, 4, 2, 2))
    assert second.n_seen == 1


def test_nested_previews_are_refused_and_one_after_another_are_not() -> None:
    pipe, call = pipelines.sd()
    first, second = (lf.preview(pipe, table_of("sd1"), size=32, display="none") for _ in range(2))
    with first:
        with pytest.raises(PreviewError, match="is previewed already"), second:
            pass
        with pytest.raises(PreviewError, match="open already"):
            first.__enter__()
        run(pipe, call)
    with second:
        run(pipe, call)
    assert [len(first.states), len(second.states)] == [4, 4]


def test_a_step_that_another_program_replaced_is_refused() -> None:
    pipe, _ = pipelines.sd()
    pipe.scheduler.step = pipe.scheduler.step
    with pytest.raises(PreviewError, match="replaced on this object"):
        lf.preview(pipe, table_of("sd1"), display="none").__enter__()
    assert type(pipe).__name__ == "StableDiffusionPipeline"
    assert type(pipe) is diffusers.StableDiffusionPipeline


def test_a_block_in_which_nothing_runs_says_so() -> None:
    pipe, call = pipelines.sd()
    live = lf.preview(pipe, table_of("sd1"), display="none")
    with pytest.warns(UserWarning, match="no step was seen"), live:
        run_with_another_scheduler(pipe, call)


def run_with_another_scheduler(pipe: Any, call: dict[str, Any]) -> None:
    pipe.scheduler = diffusers.DDIMScheduler(clip_sample=False)
    run(pipe, call)


# What is asked for.


def test_what_does_not_fit_is_refused_before_the_run(tmp_path: Path) -> None:
    pipe, _ = pipelines.sd()
    table = table_of("sd1")
    for given, error, reason in [
        ({"every": 0}, PreviewError, "every >= 1"),
        ({"size": 4}, PreviewError, "size >= 16"),
        ({"display": "gradio"}, PreviewError, "'notebook'|notebook, terminal, or a function"),
        ({"vae": lf.Vae.load("mini-sdxl")}, SpaceMismatchError, "expected one of the approximation's space 'sd1'"),
    ]:
        with pytest.raises(error, match=reason):
            lf.preview(pipe, table, **given)
    for approximation, error, reason in [
        ([], PreviewError, "at least one"),
        ([table, table_of("sdxl")], SpaceMismatchError, "expected approximations of one space"),
        (table_of("sdxl"), SpaceMismatchError, "another space of as many channels"),
        (table_of("flux1"), SpaceMismatchError, "has 4"),
        (nn.Conv2d(4, 3, 1), PreviewError, "got Conv2d"),
        ([3], PreviewError, "got int"),
        (tmp_path / "none.safetensors", BadFileError, "no such file"),
    ]:
        with pytest.raises(error, match=reason):
            lf.preview(pipe, approximation)
    with pytest.raises(PreviewError, match="expected a diffusers pipeline with a scheduler, got Linear"):
        lf.preview(nn.Linear(1, 1), table)
    bare = SimpleNamespace(scheduler=diffusers.DDIMScheduler())
    with pytest.raises(PreviewError, match="no vae to decode what is recorded"):
        lf.preview(bare, table, record=tmp_path)
    (tmp_path / "file").touch()
    for option in ("save", "record"):
        with pytest.raises(PreviewError, match=f"{option}: .* cannot be made"):
            lf.preview(pipe, table, **{option: tmp_path / "file"})


def test_approximations_come_by_path_and_by_name(tmp_path: Path) -> None:
    pipe, call = pipelines.sd()
    fitted = lf.ChannelMap("affine").fit_arrays(torch.randn(4, 4, 8, 8), torch.rand(4, 3, 8, 8), space="sd1")
    path = lf.save(fitted.approximation(), tmp_path / "map")
    lf.export(fitted.approximation(), "json", tmp_path / "map.json")
    for approximations, names in [
        (path, ["affine"]),
        (str(tmp_path / "map.json"), ["affine"]),
        ([path, fitted.approximation()], ["affine", "affine #2"]),
        ({"mine": path, "other": fitted.approximation()}, ["mine", "other"]),
        (lf.Vae.load("mini-sd1"), ["mini-sd1 (distilled from TAESD)"]),
    ]:
        with lf.preview(pipe, approximations, size=32, display="none") as live:
            run(pipe, call, n_steps=2)
        assert list(live.states[0].map_ms) == names


def test_the_cost_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    class Lasting(nn.Module):
        def forward(self, latents: Tensor) -> Tensor:
            now[0] += 1 / 32
            return latents[:, :3]

    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    oracle = pipelines.Oracle(scheduler, torch.randn(1, 4, 4, 4), "epsilon")

    pipe = pipelines.loop(scheduler, Lingering(oracle, now))
    with lf.preview(pipe, lf.Approximation(Lasting(), "sd1", name="slow"), every=2, size=16, display="none") as live:
        pipe.call()
    assert [step.index for step in live.states] == [0, 2, 4, 5]
    for step in live.states:
        assert step.ms == step.map_ms["slow"] == 1000 / 32
        if step.index:
            assert step.step_ms == 1000 / 16
            assert step.share == pytest.approx(step.ms / (step.ms + step.step_ms))
    assert live.states[0].share != live.states[0].share  # NaN: its beginning was not seen
    later = live.states[1:]
    together = sum(step.ms for step in later) + sum(step.step_ms * n for step, n in zip(later, (2, 2, 1), strict=True))
    assert live.costs.share == pytest.approx(sum(step.ms for step in later) / together)
    assert live.costs.share == pytest.approx(3 / 13)
    assert "of the time" in repr(live)


class Lingering(pipelines.Oracle):
    """Takes a sixteenth of a second, by the clock that it is given."""

    def __init__(self, oracle: pipelines.Oracle, now: list[float]) -> None:
        super().__init__(oracle.scheduler, oracle.x0, oracle.kind)
        self.now = now

    def __call__(self, scaled: Tensor, timestep: Tensor | float) -> Tensor:
        self.now[0] += 1 / 16
        return super().__call__(scaled, timestep)


def test_the_states_are_what_the_step_scrubber_takes() -> None:
    pipe, call = pipelines.sd()
    with lf.preview(pipe, table_of("sd1"), every=2, size=32, display="none") as live:
        run(pipe, call)
    steps = lf.StepScrubber(live.states, [table_of("sd1")]).data()["steps"]
    assert [(step["index"], step["sigma"], step["ms"]) for step in steps] == [
        (step.index, step.sigma, step.ms) for step in live.states
    ]


def test_a_preview_shows_itself_as_a_still_picture() -> None:
    pipe, call = pipelines.sd()
    live = lf.preview(pipe, table_of("sd1"), size=32, display="none")
    assert live._repr_png_() is None
    with live:
        run(pipe, call)
    still = live._repr_png_()
    assert still == live.states[-1]._repr_png_()
    assert Image.open(io.BytesIO(still or b"")).tobytes() == picture_of(live.states[-1]).tobytes()
    assert repr(live.states[0]).startswith("Step(step 1/4   t 751   σ ")
