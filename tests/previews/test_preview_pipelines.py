"""Live previews of many pipelines: runs and steps are counted as people count them, axes are those of the class."""

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor, nn

import latentfit as lf
from latentfit.errors import PreviewError, SpaceMismatchError
from latentfit.previews import axes_of, canonical
from tests.support import pipelines
from tests.support.pipelines import run, run_modular


def table_of(space: str) -> lf.Approximation:
    torch.manual_seed(2)
    return lf.Approximation(nn.Conv2d(lf.get_space(space).channels, 3, 1), space, name="table")


def previewed(pipe: Any, space: str, **options: Any) -> Any:
    return lf.preview(pipe, table_of(space), size=32, display="none", **options)


# Several calls of a timestep.

PANORAMAS: dict[str, tuple[Any, dict[str, Any]]] = {
    "ddim": (None, {}),
    "batched": (None, {"view_batch_size": 4}),
    "circular": (None, {"circular_padding": True, "height": 64}),
    "two pictures": (None, {"num_images_per_prompt": 2, "view_batch_size": 2}),
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "wide": (None, {"height": 64}),
}


@pytest.mark.parametrize("kind", PANORAMAS)
def test_a_panorama_is_one_run_of_whole_pictures(kind: str) -> None:
    make, options = PANORAMAS[kind]
    pipe, call = pipelines.panorama(None if make is None else make())
    call = call | options
    before = run(pipe, call, n_steps=5)
    with previewed(pipe, "sd1", every=4) as live:
        during = run(pipe, call, n_steps=5)
    assert torch.equal(before, during)
    assert live.error is None
    assert len(live.runs) == 1
    assert live.n_seen == 5
    assert [(step.index, step.n_steps) for step in live.states] == [(0, 5), (4, 5)]
    assert {step.latents.shape for step in live.states} == {before.shape}
    torch.testing.assert_close(live.states[-1].latents, before, atol=1e-4, rtol=1e-4)


def test_the_stitched_picture_is_the_mean_of_its_views() -> None:
    pipe, call = pipelines.panorama()
    seen: list[tuple[Tensor, Tensor]] = []
    step = type(pipe.scheduler).step

    def kept(scheduler: Any, model_output: Tensor, timestep: Any, sample: Tensor, **given: Any) -> Any:
        output = step(scheduler, model_output, timestep, sample, **given)
        seen.append((sample.clone(), output.pred_original_sample.clone()))
        return output

    pipe.scheduler.__class__ = type("Keeping", (type(pipe.scheduler),), {"step": kept})
    with previewed(pipe, "sd1") as live:
        run(pipe, call, n_steps=2)
    total, counts = torch.zeros(1, 4, 16, 16), torch.zeros(16, 16)
    assert len(seen) == 2 * 9
    for index, (_, x0) in enumerate(seen[:9]):
        top, left = 4 * (index // 3), 4 * (index % 3)
        total[..., top : top + 8, left : left + 8] += x0
        counts[top : top + 8, left : left + 8] += 1
    torch.testing.assert_close(live.states[0].latents, total / counts)


def test_panoramas_one_after_another_are_runs_of_their_own(tmp_path: Path) -> None:
    pipe, call = pipelines.panorama()
    with previewed(pipe, "sd1", save=tmp_path) as live:
        for n_steps in (2, 2, 1):
            run(pipe, {**call, "height": 64}, n_steps=n_steps)
    assert [[step.index for step in states] for states in live.runs] == [[0, 1], [0, 1], [0]]
    assert sorted(path.name for path in tmp_path.glob("*.webp")) == [f"run-00{n}.webp" for n in (1, 2, 3)]


def test_a_panorama_that_breaks_off_keeps_what_was_whole() -> None:
    pipe, call = pipelines.panorama()
    n_calls = 0

    class Stopping(type(pipe.unet)):  # type: ignore[misc]
        def forward(self, *given: Any, **named: Any) -> Any:
            nonlocal n_calls
            n_calls += 1
            if n_calls == 2 * 9 + 4:
                raise KeyboardInterrupt
            return super().forward(*given, **named)

    pipe.unet.__class__ = Stopping
    live = previewed(pipe, "sd1")
    with pytest.raises(KeyboardInterrupt), live:
        run(pipe, call)
    assert live.error is None
    assert [step.index for step in live.states] == [0, 1]
    assert live.n_seen == 3


class Halves:
    """A pipeline of somebody's own: two overlapping slices of its latents are stepped at each timestep."""

    def __init__(self, scheduler: Any, oracle: pipelines.Oracle) -> None:
        self.scheduler, self.oracle = scheduler, oracle

    def __call__(self, n_steps: int = 4) -> Tensor:
        self.scheduler.set_timesteps(n_steps)
        with torch.no_grad():
            latents = torch.randn(self.oracle.x0.shape, generator=torch.Generator().manual_seed(0))
            for timestep in self.scheduler.timesteps:
                predicted, new = self.oracle(latents, timestep), torch.zeros_like(latents)
                for part in (slice(0, 6), slice(4, 10)):
                    stepped = self.scheduler.step(predicted[..., part], timestep, latents[..., part])
                    new[..., part] = stepped.prev_sample
                latents = new
        return latents


def test_slices_of_the_latents_are_stitched_too() -> None:
    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    oracle = pipelines.Oracle(scheduler, torch.randn(1, 4, 6, 10), "epsilon")
    pipe = Halves(scheduler, oracle)
    with previewed(pipe, "sd1") as live:
        pipe()
    assert live.error is None
    assert [[step.index for step in states] for states in live.runs] == [[0, 1, 2, 3]]
    for step in live.states[1:]:
        torch.testing.assert_close(step.latents, oracle.x0, atol=1e-3, rtol=1e-3)


def test_other_pictures_of_the_same_timestep_are_runs_of_their_own() -> None:
    class Ensemble(Halves):
        """As Marigold does: one step for each batch of pictures, the last one smaller."""

        def __call__(self, n_steps: int = 1) -> Tensor:
            for n_pictures in (2, 2, 1):
                self.scheduler.set_timesteps(1)
                latents = torch.randn(n_pictures, 4, 6, 10)
                self.scheduler.step(latents * 0.1, self.scheduler.timesteps[0], latents)
            return latents

    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    with previewed(Ensemble(scheduler, None), "sd1") as live:  # type: ignore[arg-type]
        live._pipe()
    assert [[len(step.latents) for step in states] for states in live.runs] == [[2], [2], [1]]


def test_pipelines_in_inference_mode() -> None:
    for make, space in ((pipelines.panorama, "sd1"), (pipelines.flux, "flux1"), (pipelines.skyreels, "wan21")):
        pipe, call = make()
        with torch.inference_mode(), previewed(pipe, space) as live:
            run(pipe, call, n_steps=2)
        assert (live.error, [step.index for step in live.states]) == (None, [0, 1])


@pytest.mark.parametrize("guidance", [7.0, 1.0])
def test_a_scheduler_that_is_asked_twice_makes_one_step(guidance: float) -> None:
    pipe, call = pipelines.cosmos()
    with previewed(pipe, "cosmos1") as live:
        run(pipe, {**call, "guidance_scale": guidance})
    assert live.error is None
    assert [[step.index for step in states] for states in live.runs] == [[0, 1, 2, 3]]
    assert {step.latents.shape for step in live.states} == {(1, 16, 2, 8, 12)}
    sigmas = [step.sigma for step in live.states]
    assert sigmas == sorted(set(sigmas), reverse=True)


@pytest.mark.parametrize("ar_step", [0, 1])
def test_frames_with_schedulers_of_their_own_are_one_video(ar_step: int) -> None:
    pipe, call = pipelines.skyreels()
    call = call | {"ar_step": ar_step, "causal_block_size": 1} if ar_step else call
    before = run(pipe, call)
    with previewed(pipe, "wan21") as live:
        during = run(pipe, call)
    assert torch.equal(before, during)
    assert live.error is None
    assert len(live.runs) == 1
    assert [step.index for step in live.states] == list(range(4 + 2 * ar_step))
    assert {step.latents.shape for step in live.states} == {(1, 16, 3, 8, 12)}
    last = live.states[-1].latents
    assert (last - before).abs().mean() < 0.3 * (live.states[0].latents - before).abs().mean()


@pytest.mark.parametrize("name", ["HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "PNDMScheduler"])
@pytest.mark.filterwarnings("ignore:__array_wrap__")
def test_second_order_calls_are_steps_of_one_run(name: str) -> None:
    pipe, call = pipelines.sd(getattr(diffusers, name)())
    with previewed(pipe, "sd1") as live:
        run(pipe, call)
    assert live.error is None
    assert len(live.runs) == 1
    assert [step.index for step in live.states] == list(range(len(pipe.scheduler.timesteps)))


# Which axis is which.

VIDEOS = {"svd": ("sd1", 4), "cogvideox": ("cogvideox", 16), "kandinsky5": ("hunyuan_video", 16), "wan": ("wan21", 16)}
ORDERS = {"svd": (0, 2, 1, 3, 4), "cogvideox": (0, 2, 1, 3, 4), "kandinsky5": (0, 4, 1, 2, 3)}


@pytest.mark.parametrize("kind", VIDEOS)
def test_as_many_frames_as_channels_are_told_apart_by_the_class(kind: str) -> None:
    pipe, call = getattr(pipelines, kind)()
    space, n_frames = VIDEOS[kind]
    ends: list[Tensor] = []
    step = type(pipe.scheduler).step

    @functools.wraps(step)
    def kept(scheduler: Any, *given: Any, **named: Any) -> Any:
        output = step(scheduler, *given, **named)
        ends.append(output[0] if isinstance(output, tuple) else output.prev_sample)
        return output

    pipe.scheduler.__class__ = type("Keeping", (type(pipe.scheduler),), {"step": kept})
    with previewed(pipe, space) as live:
        run(pipe, call, n_steps=2)
    assert live.error is None
    assert [step.index for step in live.states] == [0, 1]
    shown = live.states[-1].latents
    assert shown.shape == (1, n_frames, n_frames, 8, 12)
    if kind != "wan":  # whose UniPC corrects what it made of the last x0
        torch.testing.assert_close(shown, ends[-1].permute(ORDERS[kind]).float(), atol=1e-2, rtol=1e-2)
    else:
        assert (shown - ends[-1]).abs().mean() < 0.5 * shown.std()


def test_the_denoiser_says_the_axes_of_a_pipeline_of_ones_own() -> None:
    for kind, axes in (("svd", "frames first"), ("cogvideox", "frames first"), ("kandinsky5", "channels last")):
        pipe, _ = getattr(pipelines, kind)()
        assert axes_of(pipe) == axes
        part = "unet" if kind == "svd" else "transformer"
        assert axes_of(SimpleNamespace(**{part: getattr(pipe, part)})) == axes
    assert axes_of(pipelines.wan()[0]) == "channels first"
    assert axes_of(SimpleNamespace()) is None
    latents = torch.randn(1, 3, 16, 5, 16)
    with pytest.raises(SpaceMismatchError, match="neither the pipeline's class nor its denoiser's"):
        canonical(latents, lf.get_space("wan21"))
    with pytest.raises(SpaceMismatchError, match=r"expected \(N, 16, h, w\) or"):
        canonical(latents, lf.get_space("wan21"), axes="channels first")
    with pytest.raises(SpaceMismatchError, match="an embedding, as priors make"):
        canonical(torch.zeros(2, 1280), lf.get_space("sd1"))


def test_frames_of_animatediff_and_tokens_of_qwen() -> None:
    pipe, call = pipelines.animatediff()
    with previewed(pipe, "sd1") as live:
        result = run(pipe, call, n_steps=2)
    assert (live.error, len(live.states)) == (None, 2)
    torch.testing.assert_close(live.states[-1].latents, result, atol=1e-4, rtol=1e-4)
    pipe, call = pipelines.qwen()
    with previewed(pipe, "wan21") as live:
        result = run(pipe, call, n_steps=2)
    assert (live.error, len(live.states)) == (None, 2)
    unpacked = pipe._unpack_latents(result, 64, 112, 8)[:, :, 0]
    torch.testing.assert_close(live.states[-1].latents, unpacked, atol=1e-4, rtol=1e-4)


# Modular pipelines, and sizes that nobody says.


@pytest.mark.parametrize("kind", pipelines.MODULAR)
def test_modular_pipelines(kind: str) -> None:
    pipe, call = pipelines.modular(kind)
    space = lf.get_space(pipelines.MODULAR[kind][1])
    before = run_modular(pipe, call)
    its_classes = type(pipe), type(pipe._blocks)
    with previewed(pipe, space.name, every=3) as live:
        during = run_modular(pipe, call)
    assert torch.equal(before, during)
    assert (type(pipe), type(pipe._blocks)) == its_classes
    assert live.error is None
    assert [[step.index for step in states] for states in live.runs] == [[0, 3]]
    shown = live.states[-1].latents
    n_frames = [(call["num_frames"] + 3) // 4] if kind == "wan" else []
    assert shown.shape == (1, space.channels, *n_frames, call["height"] // 8, call["width"] // 8)
    ended = torch.nn.functional.pixel_shuffle(before, 2) if kind == "flux2" else before.reshape(shown.shape)
    torch.testing.assert_close(shown, ended.float(), atol=1e-3, rtol=1e-3)


def test_a_modular_pipelines_own_size_is_read_from_its_state() -> None:
    pipe, call = pipelines.modular("flux")
    sides = [call.pop("height"), call.pop("width")]
    pipe.__class__ = type("Small", (type(pipe),), {"default_height": sides[0], "default_width": sides[1]})
    with previewed(pipe, "flux1") as live:
        run_modular(pipe, call, n_steps=2)
    assert live.error is None
    assert [step.latents.shape for step in live.states] == [(1, 16, 8, 14)] * 2


class Tokens:
    """A pipeline of somebody's own, whose packed latents say nothing of their size."""

    def __init__(self) -> None:
        self.scheduler = diffusers.FlowMatchEulerDiscreteScheduler()

    def __call__(self) -> Tensor:
        self.scheduler.set_timesteps(2)
        latents = torch.randn(1, 28, 64, generator=torch.Generator().manual_seed(0))
        for timestep in self.scheduler.timesteps:
            latents = self.scheduler.step(latents * 0.1, timestep, latents).prev_sample
        return latents


def test_a_size_that_nobody_says_can_be_given() -> None:
    pipe = Tokens()
    with (
        pytest.warns(UserWarning, match=r"preview\(\.\.\., picture_size=\(height, width\)\)"),
        previewed(pipe, "flux1"),
    ):
        pipe()
    with previewed(pipe, "flux1", picture_size=(64, 112)) as live:
        result = pipe()
    assert live.error is None
    expected = diffusers.FluxPipeline._unpack_latents(result, 64, 112, 8)
    torch.testing.assert_close(live.states[-1].latents, expected, atol=1e-5, rtol=1e-5)
    for wrong in (64, (64,), (64, 0), (64.0, 112), "ab"):
        with pytest.raises(PreviewError, match=r"picture_size: expected \(height, width\)"):
            previewed(pipe, "flux1", picture_size=wrong)
