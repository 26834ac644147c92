"""lf.preview(pipe, "auto"): it learns from the pipeline's own decodes, keeps what it learned, and changes nothing."""

import time
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

import latentfit as lf
from latentfit.calibration import cached, found_calibration
from latentfit.errors import CalibrationError, PreviewError
from latentfit.runtime import cache_folder, sketch_of
from tests.support import pipelines

KINDS = ["sd", "sdxl", "sd3", "flux"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTFIT_CACHE", str(tmp_path / "cache"))
    return


def painted(pipe: Any, call: dict[str, Any], seed: int = 3, output_type: str = "pt", **more: Any) -> Tensor:
    output = pipe(
        num_inference_steps=2, output_type=output_type, generator=torch.Generator().manual_seed(seed), **call, **more
    )
    return output.images if hasattr(output, "images") else output.frames


def auto(pipe: Any, **options: Any) -> Any:
    return lf.preview(pipe, "auto", size=32, display="none", **options)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_the_pair_that_was_decoded_and_the_result_is_equal_to_the_bit(kind: str) -> None:
    pipe, call = getattr(pipelines, kind)()
    vae_class = type(pipe.vae)
    before, latents = painted(pipe, call), painted(pipe, call, output_type="latent")
    with auto(pipe) as live:
        after = painted(pipe, call)
    assert live.error is None
    assert torch.equal(before, after)
    assert type(pipe.vae) is vae_class
    assert live.calibration.n_pictures == 1
    if latents.ndim == 3:
        return
    space = live.calibration.space
    alone = lf.Calibration(space)
    alone.observe(latents, before)
    ours, theirs = (one._file.sums() for one in (live.calibration, alone))
    assert torch.allclose(torch.from_numpy(ours), torch.from_numpy(theirs), rtol=1e-3, atol=1e-2)


def test_nothing_is_learned_of_latents_that_are_not_decoded() -> None:
    pipe, call = pipelines.sd()
    with auto(pipe) as live:
        painted(pipe, call, output_type="latent")
    assert live.calibration.n_pictures == 0
    assert len(live.states) == 2


@pytest.mark.parametrize("way", ["enable_tiling", "enable_slicing"])
def test_a_picture_decoded_in_parts_is_one_pair(way: str) -> None:
    pipe, call = pipelines.sd()
    call = {**call, "height": 128, "width": 128}
    getattr(pipe.vae, way)()
    pipe.vae.tile_latent_min_size, pipe.vae.tile_sample_min_size = 8, 64
    before = painted(pipe, call)
    with auto(pipe) as live:
        assert torch.equal(painted(pipe, call), before)
    assert [row[2] for row in live.calibration._file.pictures()] == [16 * 16]


def test_what_was_learned_is_shown_by_the_next_run_and_found_by_the_next_block() -> None:
    pipe, call = pipelines.sd()
    shown = []
    with auto(pipe) as live:
        for seed in range(3):
            painted(pipe, call, seed)
            shown.append(next(iter(live._painter.approximations)))
    assert shown == [
        "5×5 linear + 1×1 quadratic",
        "5×5 linear + 1×1 quadratic",
        "5×5 linear + 1×1 quadratic, learned from 2 pictures",
    ]
    assert "learned from 3 pictures, 3 of them in this block" in repr(live)
    with auto(pipe) as live:
        painted(pipe, call, 2)
        assert next(iter(live._painter.approximations)).endswith("learned from 3 pictures")
    assert live.calibration.n_pictures == 3  # the same picture counts once
    assert live.calibration.refused == {"seen before": 1}
    assert [path.parent for path in cached()] == [cache_folder() / "calibrations"]


def test_auto_stands_beside_others_under_its_own_name() -> None:
    pipe, call = pipelines.sd()
    table = lf.Calibration("sd1").approximation()
    with lf.preview(pipe, {"ours": "auto", "table": table}, size=32, display="none") as live:
        painted(pipe, call)
        painted(pipe, call, 5)
        assert list(live._painter.approximations) == ["ours", "table"]
        assert live._painter.approximations["ours"].card["n_images"] == 1


def test_each_vae_has_a_file_of_its_own() -> None:
    pipe, call = pipelines.sd()
    with auto(pipe):
        painted(pipe, call)
    pipe.vae.decoder.conv_in.weight.data.mul_(1.5)
    with auto(pipe) as live:
        painted(pipe, call)
    assert live.calibration.n_pictures == 1
    assert len(cached()) == 2
    with pytest.raises(CalibrationError, match="several"):
        found_calibration("sd1")
    assert found_calibration(cached()[1].stem) == cached()[1]


def test_a_space_that_nobody_registered_is_learned_from_nothing() -> None:
    pipe, call = pipelines.sd()
    pipe.vae.register_to_config(scaling_factor=0.7)
    with auto(pipe) as live:
        painted(pipe, call)
        assert next(iter(live._painter.approximations)) == "first three channels, nothing learned yet"
        painted(pipe, call, 5)
        assert next(iter(live._painter.approximations)) == "3×3 affine, learned from 1 picture"
    assert live.error is None
    assert (live.calibration.space.name, live.calibration.space.scale) == (f"own-{sketch_of(pipe.vae)[:8]}", (0.7,))


def test_tiny_autoencoders_speak_the_model_domain_of_the_denoisers_space() -> None:
    pipe, _ = pipelines.sd3()
    torch.manual_seed(1)
    pipe.vae = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1,) * 4, num_decoder_blocks=(1,) * 4, latent_channels=16,
    ).eval()  # fmt: skip
    latents = torch.randn(1, 16, 8, 8)
    with pytest.warns(UserWarning, match="no step was seen"), auto(pipe) as live:
        decoded = pipe.vae.decode(latents).sample
    alone = lf.Calibration("sd3")
    alone.observe(latents, (decoded / 2 + 0.5).clamp(0, 1))
    assert live.calibration.space == alone.space
    ours, theirs = (torch.from_numpy(one._file.sums()) for one in (live.calibration, alone))
    assert torch.allclose(ours, theirs, rtol=1e-4)


def test_without_a_vae_there_is_nothing_to_learn_from() -> None:
    pipe, _ = pipelines.sd()
    pipe.vae = None
    with pytest.raises(PreviewError, match="no vae to learn from"):
        auto(pipe)


def test_an_error_of_learning_is_kept_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, call = pipelines.sd()
    before = painted(pipe, call)
    live = auto(pipe)
    monkeypatch.setattr(live.calibration, "observe", lambda *_: 1 / 0)
    with pytest.warns(UserWarning, match="ZeroDivisionError"), live:
        after = painted(pipe, call)
    assert torch.equal(before, after)
    assert isinstance(live.error, ZeroDivisionError)
    assert len(live.states) == 2


def test_a_vae_that_cannot_be_watched_is_previewed_all_the_same() -> None:
    pipe, call = pipelines.sd()
    own = pipe.vae.decode
    pipe.vae.decode = lambda *given, **named: own(*given, **named)
    with pytest.warns(UserWarning, match="was replaced"), auto(pipe) as live:
        painted(pipe, call)
    assert len(live.states) == 2
    assert live.calibration.n_pictures == 0


def test_a_damaged_file_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    pipe, call = pipelines.sd()
    with auto(pipe):
        painted(pipe, call)
    (path,) = cached()
    path.write_text("no calibration")
    with pytest.warns(UserWarning, match="what is learned now is not kept"):
        live = auto(pipe)
    with live:
        painted(pipe, call)
    assert live.calibration.path is None
    assert live.calibration.n_pictures == 1
    assert path.read_text() == "no calibration"


def test_weights_that_accelerate_took_away_are_known_by_what_it_keeps() -> None:
    accelerate = pytest.importorskip("accelerate")
    pipe, call = pipelines.sd()
    whole, before = sketch_of(pipe.vae), painted(pipe, call)
    accelerate.cpu_offload(pipe.vae, "cpu", offload_buffers=True)
    assert any(one.device.type == "meta" for one in pipe.vae.parameters())
    assert sketch_of(pipe.vae) == whole
    with auto(pipe) as live:
        assert torch.equal(painted(pipe, call), before)
    assert live.error is None
    assert live.calibration.n_pictures == 1


def test_a_sketch_knows_a_changed_weight_and_costs_little() -> None:
    vae = pipelines.tiny_vae(4)
    first = sketch_of(vae)
    assert first == sketch_of(pipelines.tiny_vae(4))
    vae.decoder.conv_out.bias.data[1] += 1e-3
    assert sketch_of(vae) != first
    big = torch.nn.Linear(8192, 2048)
    began = time.process_time()
    sketch_of(big)
    assert time.process_time() - began < 0.25


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/latentfit"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "{home}/.cache/latentfit"),
        ("linux", {}, "{home}/.cache/latentfit"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, "{home}/Library/Caches/latentfit"),
        ("linux", {"LATENTFIT_CACHE": "/own"}, "/own"),
    ],
)
def test_the_cache_lies_where_the_platform_keeps_caches(
    platform: str, variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    for variable in ("LATENTFIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert cache_folder() == Path(expected.format(home=Path.home()))
