"""The x0 that is read off a scheduler's step, against denoisers that know it; and how pipelines lay out latents."""

import importlib.util
import math
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor, nn

import latentfit as lf
from latentfit.errors import PreviewError, SpaceMismatchError
from latentfit.latents import get_space
from latentfit.previews import X0Reader, canonical, stated_by
from tests.support.pipelines import Oracle, flux2, loop, tiny_vae

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
EVERY_KIND = ("epsilon", "v_prediction", "sample")
DIFFUSION: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "DDIMScheduler": ({"clip_sample": False}, EVERY_KIND),
    "DDPMScheduler": ({"clip_sample": False}, EVERY_KIND),
    "DEISMultistepScheduler": ({}, EVERY_KIND),
    "DPMSolverMultistepScheduler": ({}, EVERY_KIND),
    "DPMSolverSinglestepScheduler": ({"lower_order_final": True}, EVERY_KIND),
    "EulerAncestralDiscreteScheduler": ({}, EVERY_KIND[:2]),
    "EulerDiscreteScheduler": ({}, EVERY_KIND),
    "HeunDiscreteScheduler": ({}, EVERY_KIND),
    "KDPM2AncestralDiscreteScheduler": ({}, EVERY_KIND[:2]),
    "KDPM2DiscreteScheduler": ({}, EVERY_KIND[:2]),
    "LCMScheduler": ({}, EVERY_KIND),
    "LMSDiscreteScheduler": ({}, EVERY_KIND),
    "PNDMScheduler": ({}, EVERY_KIND[:2]),
    "SASolverScheduler": ({}, EVERY_KIND),
    "TCDScheduler": ({}, EVERY_KIND),
    "UniPCMultistepScheduler": ({}, EVERY_KIND),
}
VARIANTS = [
    ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}),
    ("UniPCMultistepScheduler", {"predict_x0": False}),
    ("PNDMScheduler", {"skip_prk_steps": True}),
    ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
]
X0 = torch.randn(2, 4, 6, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def table() -> lf.Approximation:
    return lf.Approximation(nn.Conv2d(4, 3, 1), "sd1", name="table")


def cases() -> list[Any]:
    plain = [(name, config, kind) for name, (config, kinds) in DIFFUSION.items() for kind in kinds]
    varied = [(name, config, kind) for name, config in VARIANTS for kind in EVERY_KIND[:2]]
    return [
        pytest.param(name, config, kind, id=f"{name}-{kind}-{'-'.join(map(str, config))}")
        for name, config, kind in plain + varied
    ]


@pytest.mark.filterwarnings("ignore:__array_wrap__")  # KDPM2, in numpy's name
@pytest.mark.parametrize(("name", "config", "kind"), cases())
def test_every_preview_is_the_x0_that_the_denoiser_knows(
    name: str, config: dict[str, Any], kind: str, table: lf.Approximation
) -> None:
    scheduler = getattr(diffusers, name)(prediction_type=kind, **BETAS, **config)
    oracle = Oracle(scheduler, X0, kind)
    pipe = loop(scheduler, oracle)
    with lf.preview(pipe, table, size=32, display="none") as live:
        pipe.call()
    assert live.error is None
    assert len(live.states) == len(scheduler.timesteps) >= 6
    for step in live.states:
        torch.testing.assert_close(step.latents, X0, atol=5e-5, rtol=0)
        assert step.schedule == "ve"
        assert step.sigma == pytest.approx(oracle.sigma(step.timestep), rel=2e-5)
    assert live.states[0].sigma > 5 * live.states[-1].sigma


@pytest.mark.parametrize(
    "name", ["FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler"]
)
def test_flow_matching_too(name: str, table: lf.Approximation) -> None:
    scheduler = getattr(diffusers, name)(shift=3.0)
    oracle = Oracle(scheduler, X0, "flow")
    pipe = loop(scheduler, oracle)
    with lf.preview(pipe, table, size=32, display="none") as live:
        pipe.call()
    assert live.error is None
    assert len(live.states) == len(scheduler.timesteps) >= 6
    for step in live.states:
        torch.testing.assert_close(step.latents, X0, atol=5e-5, rtol=0)
        assert (step.schedule, step.sigma) == ("flow", pytest.approx(oracle.sigma(step.timestep), rel=1e-5))
        assert step.noise == (math.inf if step.sigma == 1 else pytest.approx(step.sigma / (1 - step.sigma)))


@pytest.mark.parametrize("name", ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler"])
def test_flow_prediction_by_solvers_of_diffusion(name: str) -> None:
    scheduler = getattr(diffusers, name)(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    scheduler.set_timesteps(5)
    reader = X0Reader(scheduler)
    noise = torch.randn_like(X0)
    for index, timestep in enumerate(scheduler.timesteps):
        share = float(scheduler.sigmas[index])
        given = {"model_output": noise - X0, "timestep": timestep, "sample": (1 - share) * X0 + share * noise}
        found = reader.read(given, scheduler.step(**given))
        torch.testing.assert_close(found.latents, X0, atol=1e-5, rtol=0)
        assert (found.sigma, found.schedule) == (pytest.approx(share), "flow")


def test_inverted_sigmas_are_the_share_of_x0() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True)  # as Mochi's
    scheduler.set_timesteps(5)
    reader, noise = X0Reader(scheduler), torch.randn_like(X0)
    for index, timestep in enumerate(scheduler.timesteps):
        kept = float(scheduler.sigmas[index])
        given = {"model_output": X0 - noise, "timestep": timestep, "sample": kept * X0 + (1 - kept) * noise}
        found = reader.read(given, scheduler.step(**given))
        torch.testing.assert_close(found.latents, X0, atol=1e-5, rtol=0)
        assert (found.sigma, found.schedule) == (pytest.approx(1 - kept), "flow")


def test_v_of_a_sine_schedule() -> None:
    scheduler = diffusers.IPNDMScheduler()
    scheduler.set_timesteps(6)
    reader, noise = X0Reader(scheduler), torch.randn_like(X0)
    for index, timestep in enumerate(scheduler.timesteps):
        alpha, beta = float(scheduler.alphas[index]), float(scheduler.betas[index])
        given = {"model_output": alpha * noise - beta * X0, "timestep": timestep, "sample": alpha * X0 + beta * noise}
        found = reader.read(given, scheduler.step(**given))
        torch.testing.assert_close(found.latents, X0, atol=1e-5, rtol=0)
        assert found.sigma == (pytest.approx(beta / alpha) if alpha else math.inf)


def test_consistency_models() -> None:
    """Song et al. 2023, appendix C: f(x) = c_skip x + c_out F, solved for the network's output F."""
    scheduler = diffusers.CMStochasticIterativeScheduler(clip_denoised=False)
    scheduler.set_timesteps(4)
    reader, config = X0Reader(scheduler), scheduler.config
    for index, timestep in enumerate(scheduler.timesteps):
        sigma = float(scheduler.sigmas[index])
        sample = X0 + sigma * torch.randn_like(X0)
        scheduler.scale_model_input(sample, timestep)
        past = sigma - config.sigma_min
        skip = config.sigma_data**2 / (past**2 + config.sigma_data**2)
        out = past * config.sigma_data / (sigma**2 + config.sigma_data**2) ** 0.5
        given = {"model_output": (X0 - skip * sample) / out, "timestep": timestep, "sample": sample}
        found = reader.read(given, scheduler.step(**given))
        torch.testing.assert_close(found.latents, X0, atol=1e-4, rtol=0)
        assert (found.sigma, found.schedule) == (pytest.approx(sigma), "ve")


@pytest.mark.parametrize("name", ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"])
def test_preconditioned_networks(name: str) -> None:
    scheduler = getattr(diffusers, name)()
    scheduler.set_timesteps(5)
    reader = X0Reader(scheduler)
    data = scheduler.config.sigma_data
    for index, timestep in enumerate(scheduler.timesteps):
        sigma = float(scheduler.sigmas[index])
        sample = X0 + sigma * torch.randn_like(X0)
        scheduler.scale_model_input(sample, timestep)
        # Karras et al. 2022, table 1: D(x) = c_skip x + c_out F, solved for the network's output F
        skip, out = data**2 / (sigma**2 + data**2), sigma * data / math.sqrt(sigma**2 + data**2)
        given = {"model_output": (X0 - skip * sample) / out, "timestep": timestep, "sample": sample}
        found = reader.read(given, scheduler.step(**given))
        torch.testing.assert_close(found.latents, X0, atol=1e-3, rtol=0)
        assert found.sigma == pytest.approx(sigma)


def test_trigonometric_flow() -> None:
    scheduler = diffusers.SCMScheduler()
    scheduler.set_timesteps(2, intermediate_timesteps=1.3, max_timesteps=1.57080)
    reader = X0Reader(scheduler)
    data = scheduler.config.sigma_data
    for timestep in scheduler.timesteps[:-1]:
        angle, noise = float(timestep), torch.randn_like(X0)
        sample = data * (math.cos(angle) * X0 + math.sin(angle) * noise)
        predicted = data * (math.cos(angle) * noise - math.sin(angle) * X0)
        given = {"model_output": predicted, "timestep": timestep, "sample": sample}
        found = reader.read(given, scheduler.step(**given))
        torch.testing.assert_close(found.latents, X0, atol=1e-5, rtol=0)
        assert found.sigma == pytest.approx(math.tan(angle), rel=1e-4)


@pytest.mark.skipif(importlib.util.find_spec("torchsde") is None, reason="the scheduler needs torchsde")
def test_stochastic_trial_points_have_their_own_sigma(table: lf.Approximation) -> None:
    scheduler = diffusers.DPMSolverSDEScheduler(**BETAS)
    oracle = Oracle(scheduler, X0, "epsilon")
    pipe = loop(scheduler, oracle)
    with lf.preview(pipe, table, size=32, display="none") as live:
        pipe.call()
    for step in live.states:
        assert step.sigma == pytest.approx(oracle.sigma(step.timestep), rel=1e-4)


def test_a_learned_variance_is_no_part_of_x0() -> None:
    scheduler = diffusers.DDPMScheduler(variance_type="learned_range", clip_sample=False)
    scheduler.set_timesteps(4)
    oracle = Oracle(scheduler, X0, "epsilon")
    reader = X0Reader(scheduler)
    timestep = scheduler.timesteps[1]
    sample = torch.randn_like(X0)
    both = torch.cat([oracle(sample, timestep), torch.rand_like(X0)], 1)
    given = {"model_output": both, "timestep": timestep, "sample": sample}
    for output in (scheduler.step(**given), None):
        if output is None:
            reader._names = ()  # as for a scheduler that does not return its x0
        torch.testing.assert_close(reader.read(given, output).latents, X0, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["DDIMScheduler", "LCMScheduler"])
def test_what_the_scheduler_clips_is_clipped(name: str) -> None:
    scheduler = getattr(diffusers, name)(clip_sample=True, clip_sample_range=0.7)
    scheduler.set_timesteps(4)
    timestep = scheduler.timesteps[2]
    sample = torch.randn_like(X0)
    given = {"model_output": Oracle(scheduler, X0, "epsilon")(sample, timestep), "timestep": timestep, "sample": sample}
    found = X0Reader(scheduler).read(given, scheduler.step(**given))
    torch.testing.assert_close(found.latents, X0.clamp(-0.7, 0.7), atol=1e-5, rtol=0)


def test_thresholding_is_the_schedulers_own() -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(thresholding=True, sample_max_value=1.5, prediction_type="sample")
    scheduler.set_timesteps(4)
    given = {"model_output": 4 * X0, "timestep": scheduler.timesteps[0], "sample": torch.randn_like(X0)}
    reader = X0Reader(scheduler)
    found = reader.read(given, scheduler.step(**given)).latents
    torch.testing.assert_close(found, scheduler.model_outputs[-1])
    assert found.abs().max() <= 1


def test_tokens_with_noise_levels_of_their_own() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(4)
    x0, noise = torch.randn(1, 5, 8), torch.randn(1, 5, 8)
    levels = torch.tensor([[0.0, 250.0, 500.0, 750.0, 1000.0]])
    shares = (levels / 1000)[..., None]
    given = {
        "model_output": noise - x0,
        "timestep": scheduler.timesteps[0],
        "sample": (1 - shares) * x0 + shares * noise,
    }
    given["per_token_timesteps"] = levels
    found = X0Reader(scheduler).read(given, scheduler.step(**given))
    torch.testing.assert_close(found.latents, x0, atol=1e-6, rtol=0)
    assert found.sigma == 1


@pytest.mark.parametrize("name", ["ScoreSdeVeScheduler"])
def test_a_scheduler_whose_x0_cannot_be_told_is_refused_before_the_run(name: str, table: lf.Approximation) -> None:
    pipe = SimpleNamespace(scheduler=getattr(diffusers, name)())
    pipe.scheduler.step = lambda *given: None
    with pytest.raises(PreviewError, match=f"got {name}"):
        lf.preview(pipe, table)


# How latents lie in the loop.


@pytest.mark.parametrize("size_px", [(64, 112), (72, 120)])
def test_flux_tokens_are_unpacked_as_the_pipeline_does(size_px: tuple[int, int]) -> None:
    latents = torch.randn(2, 16, *(2 * (side // 16) for side in size_px))
    tokens = diffusers.FluxPipeline._pack_latents(latents, *latents.shape)
    theirs = diffusers.FluxPipeline._unpack_latents(tokens, *size_px, 8)
    ours = canonical(tokens, get_space("flux1"), size_px)
    assert torch.equal(ours, theirs)
    assert torch.equal(ours, latents)


def test_flux2_tokens_are_unpacked_as_the_pipeline_does() -> None:
    pipe, _ = flux2()
    tokens, positions = pipe.prepare_latents(2, 32, 64, 112, torch.float32, "cpu", torch.Generator().manual_seed(0))
    theirs = pipe._unpatchify_latents(pipe._unpack_latents_with_ids(tokens, positions))
    assert torch.equal(canonical(tokens, get_space("flux2"), (64, 112)), theirs)
    assert theirs.shape == (2, 32, 8, 14)


def test_video_tokens_are_frames_of_rows() -> None:
    latents = torch.randn(2, 128, 3, 2, 5)
    tokens = diffusers.LTXPipeline._pack_latents(latents)
    assert torch.equal(canonical(tokens, get_space("ltxv"), (64, 160)), latents)


def test_qwen_tokens_are_those_of_flux() -> None:
    latents = torch.randn(1, 16, 1, 8, 14)
    tokens = diffusers.QwenImagePipeline._pack_latents(latents, 1, 16, 8, 14)
    assert torch.equal(canonical(tokens, get_space("wan21"), (64, 112)), latents[:, :, 0])


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (0, 2, 1, 3, 4), (0, 2, 3, 4, 1)])
def test_video_latents_have_their_channels_found(order: tuple[int, ...]) -> None:
    latents = torch.randn(1, 16, 3, 4, 5)
    assert torch.equal(canonical(latents.permute(order), get_space("wan21")), latents)


def test_packed_channels_of_flux2_are_unpacked() -> None:
    latents = torch.randn(1, 32, 4, 6)
    assert torch.equal(canonical(torch.nn.functional.pixel_unshuffle(latents, 2), get_space("flux2")), latents)


@pytest.mark.parametrize(
    ("shape", "size_px", "reason"),
    [
        ((1, 28, 64), None, "height and width cannot be told"),
        ((1, 27, 64), (64, 112), "expected 4x7 tokens a frame"),
        ((1, 28, 48), (64, 112), "expected tokens of 16"),
        ((1, 4, 8, 8), None, "expected .N, 16, h, w."),
        ((1, 16, 8), (64, 64), "expected tokens of 16"),
    ],
)
def test_other_layouts_are_refused(shape: tuple[int, ...], size_px: tuple[int, int] | None, reason: str) -> None:
    with pytest.raises(SpaceMismatchError, match=reason):
        canonical(torch.zeros(shape), get_space("flux1"), size_px)


# Whose latents they are.


@pytest.mark.parametrize(
    ("vae", "space", "reason"),
    [
        (lambda: tiny_vae(4), "flux1", "16 channels, the pipeline's AutoencoderKL has 4"),
        (lambda: tiny_vae(4), "sdxl", "another space of as many channels"),
        (lambda: tiny_vae(16, scaling_factor=0.3611, shift_factor=0.1159), "sd3", "another space of as many channels"),
        (lambda: tiny_vae(4, scaling_factor=0.13025), "sd1", "states 0 and 0.13025"),
    ],
)
def test_an_autoencoder_of_another_space_is_refused(vae: Any, space: str, reason: str) -> None:
    with pytest.raises(SpaceMismatchError, match=reason):
        stated_by(vae()).tells(get_space(space))


def test_an_autoencoder_that_says_nothing_passes() -> None:
    class Silent(nn.Module):
        def decode(self, latents: Tensor) -> Tensor:
            return latents

    for vae in (None, Silent(), tiny_vae(4), diffusers.AutoencoderTiny()):
        stated_by(vae).tells(get_space("sd1"))
    stated_by(diffusers.AutoencoderTiny()).tells(get_space("sdxl"))  # it speaks any model domain


def test_statistics_of_each_channel_are_compared() -> None:
    wan = diffusers.AutoencoderKLWan(base_dim=4, num_res_blocks=1)
    stated_by(wan).tells(get_space("wan21"))
    with pytest.raises(SpaceMismatchError, match=r"AutoencoderKLWan states -0\.7571"):
        stated_by(wan).tells(get_space("flux1"))
    stated_by(diffusers.AutoencoderKLFlux2(block_out_channels=(4,) * 4, norm_num_groups=1)).tells(get_space("flux2"))
