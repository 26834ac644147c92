"""Previews by a file of another project, whose space the pipeline's autoencoder states."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import latentfit as lf
from latentfit.errors import BadFileError
from latentfit.nets import TinyDecoder, TinyEncoder
from latentfit.previews import stated_by
from latentfit.vae import folder_weights
from tests.support import pipelines
from tests.support.paths import GOLDEN as GOLDEN_FOLDER
from tests.support.pipelines import run

FP8 = GOLDEN_FOLDER / "taesd_decoder_fp8.safetensors"


def hub_file(folder: Path) -> Path:
    """A TAESD as the hub ships it, small."""
    pair = TinyEncoder(4, 8, n_blocks=(1, 0, 0, 1)), TinyDecoder(4, 8, n_blocks=(1, 0, 0, 1))
    save_file(folder_weights(*pair), folder / "diffusion_pytorch_model.safetensors")
    return folder / "diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize("kind", ["hub", "fp8"])
def test_a_file_that_does_not_say_its_space_takes_the_pipelines(tmp_path: Path, kind: str) -> None:
    path = hub_file(tmp_path) if kind == "hub" else FP8
    pipe, call = pipelines.sd()
    with lf.preview(pipe, path, size=32, display="none") as live:
        run(pipe, call, n_steps=2)
    assert len(live.states) == 2
    assert all(step.picture is not None for step in live.states)
    assert stated_by(pipe.vae).space == lf.get_space("sd1")


def test_where_the_pipeline_states_none_it_must_be_named(tmp_path: Path) -> None:
    pipe, _ = pipelines.sd()
    pipe.vae.register_to_config(scaling_factor=0.777)
    assert stated_by(pipe.vae).space is None
    assert stated_by(None).space is None
    assert stated_by(torch.nn.Linear(1, 1)).space is None
    with pytest.raises(BadFileError, match="the file does not say which latent space"):
        lf.preview(pipe, hub_file(tmp_path), size=32, display="none")
    (tmp_path / "x.gguf").write_bytes(b"GGUF\3\0\0\0")
    with pytest.raises(BadFileError, match="a GGUF file"):
        lf.preview(pipe, tmp_path / "x.gguf", size=32, display="none")
