"""Previews in a stand-in of ComfyUI: the fitted map's picture while it works, ComfyUI's own when it does not."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import latentfit as lf
from latentfit.comfyui import nodes, preview_hook, spaces
from latentfit.comfyui.preview_node import LatentFitPreview
from latentfit.errors import LatentfitError
from latentfit.fit import PolynomialMap
from latentfit.palettes import Palette, nearest_of
from latentfit.runtime import data_path
from tests.support.fake_comfyui import SD15, SDXL, ComfyUi, Model, Mystery, ProgressBar

TABLE, CELL = "bundled/tables/sd1/3.safetensors", "bundled/models/sd1-cell.safetensors"
GREY = 9  # what the stand-in's own previewer shows


@pytest.fixture
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComfyUi:
    monkeypatch.setattr(preview_hook, "_installed", False)
    monkeypatch.delenv(preview_hook.VARIABLE, raising=False)
    made = ComfyUi(tmp_path / "ComfyUI", monkeypatch)
    nodes.begin()
    return made


def chosen(model: Model, map_name: str = TABLE, every: int = 1, space: str = spaces.AUTO) -> Model:
    return LatentFitPreview().choose(model, map_name, every, space)[0]  # type: ignore[no-any-return]


def sampled(comfyui: ComfyUi, model: Any, estimates: list[Tensor]) -> list[Any]:
    """Run the callback as a sampler does; the pictures that went out, None for steps without one."""
    x0_output: dict[str, Any] = {}
    callback = comfyui.latent_preview.prepare_callback(model, len(estimates), x0_output)
    ProgressBar.updates.clear()
    for step, x0 in enumerate(estimates):
        before = x0.clone()
        callback(step, x0, x0, len(estimates))
        assert torch.equal(
            x0,
            before,
        ) or bool(x0.isnan().any()), "the sampler's own tensor"
        assert x0_output["x0"] is x0
    assert [value for value, _ in ProgressBar.updates] == list(range(1, len(estimates) + 1))
    return [None if preview is None else preview[1] for _, preview in ProgressBar.updates]


def estimates(n_steps: int = 3, shape: tuple[int, ...] = (2, 4, 6, 8)) -> list[Tensor]:
    return [torch.randn(shape, generator=torch.Generator().manual_seed(step)) for step in range(n_steps)]


def levels(picture: Any) -> Tensor:
    return torch.from_numpy(np.asarray(picture).copy()).movedim(-1, 0)


def loaded(label: str) -> lf.Approximation:
    return lf.load(data_path(label.removeprefix("bundled/")))  # type: ignore[return-value]


def is_own(picture: Any) -> bool:
    """ComfyUI's own picture."""
    return bool((levels(picture) == GREY).all())


@pytest.mark.parametrize("label", [TABLE, CELL, "bundled/tables/sd1/cubic.safetensors"])
def test_the_preview_is_the_fitted_maps_picture(comfyui: ComfyUi, label: str) -> None:
    model = chosen(Model(SD15()), label)
    pictures = sampled(comfyui, model, estimates())
    for picture, x0 in zip(pictures, estimates(), strict=True):
        assert torch.equal(levels(picture), loaded(label)(x0[:1])[0].mul(255).round().to(torch.uint8))


def test_other_models_and_the_module_stay_as_they_were(comfyui: ComfyUi) -> None:
    untouched = comfyui.latent_preview.prepare_callback
    assert all(is_own(picture) for picture in sampled(comfyui, Model(SD15()), estimates()))
    plain = Model(SD15())
    model = chosen(plain)
    theirs = comfyui.latent_preview.get_previewer
    assert comfyui.latent_preview.prepare_callback is not untouched
    sampled(comfyui, model, estimates())
    assert comfyui.latent_preview.get_previewer is theirs, "ours stands in for one call only"
    assert all(is_own(picture) for picture in sampled(comfyui, plain, estimates()))
    assert not is_own(sampled(comfyui, model.clone(), estimates())[0]), "clones, as other nodes make them, carry it"


def test_a_second_node_takes_the_place_of_the_first(comfyui: ComfyUi) -> None:
    model = chosen(chosen(Model(SD15()), CELL), TABLE)
    (picture,) = sampled(comfyui, model, estimates(1))
    assert picture.size == (8, 6)


def test_each_nth_step_is_shown(comfyui: ComfyUi) -> None:
    pictures = sampled(comfyui, chosen(Model(SD15()), every=3), estimates(5))
    assert [picture is not None for picture in pictures] == [True, False, False, True, False]


def test_a_failing_map_is_said_once_and_comfyuis_own_goes_on(
    comfyui: ComfyUi, caplog: pytest.LogCaptureFixture
) -> None:
    series = estimates(5)
    series[2] = series[2] * float("nan")
    with caplog.at_level(logging.WARNING):
        pictures = sampled(comfyui, chosen(Model(SD15())), series)
    assert [is_own(picture) for picture in pictures] == [False, False, True, True, True]
    assert [record.getMessage() for record in caplog.records] == [
        "LatentFit Preview: 3×3 affine failed, ComfyUI shows its own from here on: the picture holds NaN, as the "
        "estimate does"
    ]


def test_estimates_of_another_shape_fall_back_too(comfyui: ComfyUi, caplog: pytest.LogCaptureFixture) -> None:
    pictures = sampled(comfyui, chosen(Model(SD15())), estimates(2, (1, 16, 6, 8)))
    assert all(is_own(picture) for picture in pictures)
    assert "expected (N, 4, h, w)" in caplog.text


def test_a_file_that_is_gone_does_not_stop_the_sampling(comfyui: ComfyUi, caplog: pytest.LogCaptureFixture) -> None:
    path = comfyui.root / "models" / "latentfit" / "mine.safetensors"
    lf.save(loaded(TABLE), path)
    model = chosen(Model(SD15()), "mine.safetensors")
    path.unlink()
    assert all(is_own(picture) for picture in sampled(comfyui, model, estimates()))
    assert "ComfyUI shows its own instead: 'mine.safetensors': no such file any more" in caplog.text


def test_packs_that_know_only_comfyuis_previewers_never_meet_ours(comfyui: ComfyUi) -> None:
    module = comfyui.latent_preview
    stock = module.get_previewer

    def picky(device: Any, latent_format: Any) -> Any:
        previewer = stock(device, latent_format)
        if type(previewer) is not module.LatentPreviewer:
            raise TypeError("unsupported preview type")
        return previewer

    model = chosen(Model(SD15()))
    module.get_previewer = picky
    assert not is_own(sampled(comfyui, model, estimates())[0])


def test_without_comfyuis_own_previewer_ours_still_shows(comfyui: ComfyUi) -> None:
    comfyui.latent_preview.get_previewer = lambda device, latent_format: None
    series = estimates(3)
    series[1] = series[1] * float("nan")
    pictures = sampled(comfyui, chosen(Model(SD15())), series)
    assert [picture is not None for picture in pictures] == [True, False, False]


def test_video_shows_its_first_frame_and_flux2_is_unpacked(comfyui: ComfyUi) -> None:
    x0 = torch.randn(1, 4, 3, 6, 8)
    (picture,) = sampled(comfyui, chosen(Model(SD15())), [x0])
    assert torch.equal(levels(picture), loaded(TABLE)(x0[:, :, 0])[0].mul(255).round().to(torch.uint8))

    class Flux2(type(SD15()).__mro__[1]): ...  # type: ignore[misc]

    label = "bundled/tables/flux2/3.safetensors"
    (picture,) = sampled(comfyui, chosen(Model(Flux2()), label), [torch.randn(1, 128, 3, 4)])
    assert picture.size == (8, 6)


def test_a_palettes_pixels_stay_sharp(comfyui: ComfyUi) -> None:
    few = nearest_of(loaded(TABLE), Palette.load("pico-8"))
    lf.save(few, comfyui.root / "models" / "latentfit" / "few.safetensors")
    x0 = estimates(1)[0]
    (picture,) = sampled(comfyui, chosen(Model(SD15()), "few.safetensors"), [x0])
    assert picture.size == (512, 384)
    small = levels(picture)[:, ::64, ::64]
    assert torch.equal(small, few(x0[:1])[0].mul(255).round().to(torch.uint8))


def test_half_precision_estimates_are_shown(comfyui: ComfyUi) -> None:
    x0 = estimates(1)[0]
    (picture,) = sampled(comfyui, chosen(Model(SD15())), [x0.half()])
    expected = loaded(TABLE)(x0[:1].half().float())[0].mul(255).round().to(torch.uint8)
    assert torch.equal(levels(picture), expected)


@pytest.mark.parametrize(
    ("model", "map_name", "space", "said"),
    [
        (Model(SDXL()), TABLE, spaces.AUTO, "takes latents of 'sd1'.*these are 'sdxl'"),
        (Model(SDXL()), TABLE, "sd1", "the model that it is given makes 'sdxl'"),
        (Model(Mystery()), "bundled/tables/sdxl/3.safetensors", "sd1", "format Mystery"),
    ],
)
def test_a_wrong_space_is_said_before_the_sampling(
    comfyui: ComfyUi, model: Model, map_name: str, space: str, said: str
) -> None:
    with pytest.raises(LatentfitError, match=said):
        chosen(model, map_name, space=space)
    assert preview_hook.KEY not in model.model_options


def test_a_model_of_an_unknown_format_takes_the_files_word(comfyui: ComfyUi) -> None:
    assert not is_own(sampled(comfyui, chosen(Model(Mystery())), estimates(1))[0])


def test_maps_between_latents_are_no_preview(comfyui: ComfyUi) -> None:
    module = PolynomialMap(4, (1,), 1, True, "latents", 4)
    module.set_coefficients(torch.zeros(module.coefficients.shape))
    path = comfyui.root / "models" / "latentfit" / "across.safetensors"
    lf.save(lf.LatentMap(module, "sd1", "sdxl"), path)
    with pytest.raises(LatentfitError, match="use LatentFit Interpose"):
        chosen(Model(SD15()), "across.safetensors")


def test_a_variable_chooses_for_every_model_of_the_space(
    comfyui: ComfyUi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(preview_hook.VARIABLE, f"bundled/tables/sdxl/3.safetensors, {TABLE}")
    nodes.begin()
    x0 = estimates(1)
    (picture,) = sampled(comfyui, Model(SD15()), x0)
    assert torch.equal(levels(picture), loaded(TABLE)(x0[0][:1])[0].mul(255).round().to(torch.uint8))
    assert not is_own(sampled(comfyui, Model(SDXL()), x0)[0])
    assert is_own(sampled(comfyui, Model(Mystery()), x0)[0]), "of an unknown format: ComfyUI's own"
    (picture,) = sampled(comfyui, chosen(Model(SD15()), CELL), x0)
    assert picture.size == (64, 48), "a node's word counts more"
    monkeypatch.setenv(preview_hook.VARIABLE, "gone.safetensors")
    assert is_own(sampled(comfyui, Model(SD15()), x0)[0])
    assert "no such file any more" in caplog.text
