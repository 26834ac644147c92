"""Which space latents look to be of, told by their statistics in both directions."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

import latentfit as lf
from latentfit.cli import main
from latentfit.images import crop_to_cells, pictures, rgb_tensor
from latentfit.latents import doubt_of, moments_of, open_latents, write_latents


def latents_of(vae: str, images: str, n: int, size: int = 256) -> list[Tensor]:
    encoder = lf.Vae.load(vae, device="cpu", space="sdxl" if "sdxl" in vae else "sd1")
    crops = [crop_to_cells(picture.load()[0], size, 8)[0] for picture in pictures(images)[:n]]
    return [encoder.encode(rgb_tensor(crop)) for crop in crops]


def likelier_space(latents: Tensor, declared: lf.LatentSpace) -> lf.LatentSpace | None:
    found = doubt_of(latents, declared)
    return found.spaces[0] if found is not None and found.kind == "space" else None


def read_as(latents: Tensor, true: str, declared: str) -> Tensor:
    """What a file of `true` gives when it is read as `declared`."""
    return lf.get_space(declared).to_model(lf.get_space(true).to_raw(latents))


@pytest.mark.parametrize(("true", "other"), [("sd1", "sdxl"), ("sdxl", "sd1")])
def test_photographs_are_told_apart_both_ways(true: str, other: str) -> None:
    everything = latents_of(f"mini-{true}", "photographs", 6)
    assert not [one for one in everything if likelier_space(one, lf.get_space(true))]
    found = [likelier_space(read_as(one, true, other), lf.get_space(other)) for one in everything]
    assert [one.name for one in found if one is not None] in ([true] * 6, [true] * 5)


@pytest.mark.parametrize(("true", "other"), [("sd1", "sdxl"), ("sdxl", "sd1")])
def test_taesds_latents_too(true: str, other: str, assets: Path) -> None:
    name = {"sd1": "taesd", "sdxl": "taesdxl"}[true]
    all_latents = latents_of(str(assets / "weights" / "taesd" / name), str(assets / "images" / "eval"), 16, 192)
    assert not [one for one in all_latents if likelier_space(one, lf.get_space(true))]
    noticed = [likelier_space(read_as(one, true, other), lf.get_space(other)) for one in all_latents]
    assert sum(one is not None for one in noticed) >= 0.75 * len(all_latents)


@pytest.mark.parametrize("n_wrong", [1, 2])
def test_a_batch_of_both_domains_is_noticed(n_wrong: int) -> None:
    sd1 = lf.get_space("sd1")
    every = [one[..., :32, :32] for one in latents_of("mini-sd1", "photographs", 6)]
    assert doubt_of(torch.cat(every), sd1) is None
    mixed = torch.cat([sd1.to_model(one) if index < n_wrong else one for index, one in enumerate(every)])
    doubt = doubt_of(mixed, sd1)  # the first were stored as a denoiser sees them
    assert doubt is not None
    assert (doubt.kind, doubt.domain) == ("domain", "model")
    assert doubt.share == (n_wrong, 6)
    assert str(doubt).startswith(f"a mixed batch: {n_wrong} of 6 are read as raw latents of SD1")


def test_what_nothing_is_known_of_is_not_judged() -> None:
    generator = torch.Generator().manual_seed(0)
    for space, shape in (("flux1", (1, 16, 32, 32)), ("sd1", (1, 4, 8, 8)), ("sd1", (1, 4, 1, 400))):
        assert likelier_space(torch.randn(shape, generator=generator), lf.get_space(space)) is None
    for space in ("sd1", "sdxl"):
        noise = 3 * torch.randn(1, 4, 32, 32, generator=generator)
        assert likelier_space(noise, lf.get_space(space)) is None


def test_moments_are_those_of_the_blocks() -> None:
    latents = torch.randn(2, 3, 2, 5, 4, dtype=torch.float64)
    found = moments_of(latents)
    assert found is not None
    rows = []
    for one in latents.movedim(2, 1).flatten(0, 1):
        rows += [one[:, y : y + 2, x : x + 2].permute(1, 2, 0).flatten() for y in range(4) for x in range(3)]
    stacked = torch.stack(rows)
    assert found[2] == len(rows) == 48
    torch.testing.assert_close(found[0], stacked.mean(0))
    torch.testing.assert_close(found[1], stacked.T @ stacked / 48)


@pytest.mark.filterwarnings("default")
def test_convert_and_decode_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    latents = latents_of("mini-sdxl", "photographs", 1)[0]
    path = write_latents(tmp_path / "x.latent", latents, lf.get_space("sdxl"))
    torch.testing.assert_close(open_latents(path, lf.get_space("sd1")).latents, read_as(latents, "sdxl", "sd1"))
    for source, target in (("sd1", "sdxl"), ("sdxl", "sd1")):
        fitted = lf.ChannelMap("affine").fit_arrays(latents, latents, space=source, target_space=target)
        lf.save(fitted.latent_map(), tmp_path / f"{source}.safetensors")
    command = ["convert", str(path), "--out", str(tmp_path / "y.latent"), "--map"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main([*command, str(tmp_path / "sd1.safetensors")]) == 0
        said = capsys.readouterr().err
        assert "latentfit: note: " in said
        assert "read as SD1 latents, but by their statistics likelier SDXL latents; if so, take a map of sdxl" in said
        assert main([*command, str(tmp_path / "sdxl.safetensors")]) == 0
        assert capsys.readouterr().err == ""
        table = lf.save(
            lf.ChannelMap("affine")
            .fit_arrays(latents, torch.rand(1, 3, *latents.shape[-2:]), space="sd1")
            .approximation(),
            tmp_path / "table.safetensors",
        )
        assert main(["decode", str(table), "--latents", str(path), "--out", str(tmp_path / "y.png")]) == 0
        assert "likelier SDXL latents" in capsys.readouterr().err
