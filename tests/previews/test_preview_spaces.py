"""Whose latents a pipeline makes, where its autoencoder does not tell: by its denoiser, else by what comes out."""

import warnings
from typing import Any

import diffusers
import pytest
import torch

import latentfit as lf
from latentfit.errors import SpaceMismatchError
from latentfit.fit import PolynomialMap
from latentfit.latents import LatentSpace, open_latents
from latentfit.previews import check_pipeline, stated_by
from tests.support import pipelines
from tests.support.paths import GOLDEN


def tells(pipe: Any, space: LatentSpace) -> bool:
    return check_pipeline(pipe, space, stated_by(pipe.vae))


def table_of(space: str) -> lf.Approximation:
    known = lf.get_space(space)
    module = PolynomialMap(known.channels, (1,))
    module.set_coefficients(0.1 * torch.randn(known.channels + 1, 3, generator=torch.Generator().manual_seed(0)))
    return lf.Approximation(module, known, name="table")


def with_tiny_vae(make: Any, channels: int) -> Any:
    pipe, _ = make()
    pipe.vae = diffusers.AutoencoderTiny(latent_channels=channels) if channels else None
    return pipe


OWN = {"sd": "sd1", "sdxl": "sdxl", "sd3": "sd3", "flux": "flux1", "flux2": "flux2"}
CASES = [
    (pipelines.sd3, 16, "flux1", "SD3Transformer2DModel makes latents of sd3"),
    (pipelines.sd3, 0, "wan21", "SD3Transformer2DModel makes latents of sd3"),
    (pipelines.flux, 16, "sd3", "FluxTransformer2DModel makes latents of flux1"),
    (pipelines.flux2, 32, "sana_dcae", "Flux2Transformer2DModel makes latents of flux2"),
    (pipelines.sd, 4, "sdxl", "UNet2DConditionModel makes latents of sd1"),
    (pipelines.sdxl, 4, "sd1", "UNet2DConditionModel makes latents of sdxl"),
]


@pytest.mark.parametrize(("make", "channels", "space", "reason"), CASES)
def test_a_tiny_autoencoder_hides_no_other_space(make: Any, channels: int, space: str, reason: str) -> None:
    pipe = with_tiny_vae(make, channels)
    with pytest.raises(SpaceMismatchError, match=f"approximation is of space '{space}', the pipeline's {reason}"):
        lf.preview(pipe, table_of(space), display="none")
    lf.preview(pipe, table_of(OWN[make.__name__]), display="none")


def test_a_vae_as_the_approximation_is_compared_too() -> None:
    pipe = with_tiny_vae(pipelines.sdxl, 4)
    with pytest.raises(SpaceMismatchError, match="makes latents of sdxl"):
        lf.preview(pipe, lf.Vae.load("mini-sd1", device="cpu"), display="none")


def test_what_tells_and_what_leaves_it_open() -> None:
    assert tells(with_tiny_vae(pipelines.sd3, 16), lf.get_space("sd3"))
    assert tells(pipelines.sdxl()[0], lf.get_space("sdxl"))  # its autoencoder states the numbers
    assert not tells(with_tiny_vae(pipelines.sdxl, 4), lf.get_space("playground25"))
    own = lf.LatentSpace("mine", 16, 8)
    assert not tells(with_tiny_vae(pipelines.sd3, 16), own)


def test_where_nothing_tells_the_last_estimate_is_looked_at() -> None:
    x0 = open_latents(GOLDEN / "sd3.latent", lf.get_space("sd3")).latents[..., :20, :20]
    for space, match in (("flux1", "read as FLUX.1 latents, but by their statistics likelier SD3"), ("sd3", None)):
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
        pipe = pipelines.loop(scheduler, pipelines.Oracle(scheduler, x0, "flow"), 3)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with lf.preview(pipe, table_of(space), display="none") as live:
                pipe.call()
        assert len(live.states) == 3
        assert [str(one.message) for one in said] == ([] if match is None else [str(said[0].message)])
        assert match is None or match in str(said[0].message)
