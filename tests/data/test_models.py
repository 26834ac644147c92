"""What ships: VAEs, decoders and maps between latents load, keep their size, and do what their cards say."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors import safe_open
from torch import nn

import latentfit as lf
from latentfit.images import crop_to_cells, pictures, rgb_tensor
from latentfit.maps import decode_in_tiles, resampling
from latentfit.runtime import data_path
from tests.support.unseen import (
    TEACHERS,
    decoded,
    decoded_middles,
    encoded,
    encoded_at_half,
    evaluated,
    middle,
    teacher,
    unseen,
)

DATA = data_path()
MINIS = ("mini-sd1", "mini-sdxl", "mini-flux1")
MODELS = sorted((DATA / "models").glob("*-cell*.safetensors"))
LIMITS = {"cell": 1_000_000, "cell-large": 4_000_000}


def photograph(name: str, size: int = 256) -> torch.Tensor:
    picture = next(one for one in pictures("photographs") if name in one.name)
    return rgb_tensor(crop_to_cells(picture.load()[0], size, 8)[0])


def error_of(
    one: Callable[[torch.Tensor], torch.Tensor], latents: list[torch.Tensor], space: str, assets: Path, scale: int = 1
) -> float:
    """Squared error of what is decoded from the middles that a map makes, summed over pictures."""
    vae, pairs = teacher(space, assets), zip(latents, decoded_middles(space, assets), strict=True)
    return sum(float((vae.decode(one(middle(here, scale))) - truth).square().mean()) for here, truth in pairs)


@cache
def error_of_bicubic(space: str, assets: Path) -> float:
    return error_of(resampling("bicubic", space, 2), encoded_at_half(space, assets), space, assets, 2)


def psnr(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(-10 * (first - second).square().mean().log10())


@pytest.mark.parametrize("name", MINIS)
def test_a_mini_vae_is_small_and_gives_photographs_back(name: str) -> None:
    folder = DATA / "vaes" / name
    assert (folder / "diffusion_pytorch_model.safetensors").stat().st_size <= 1_600_000
    vae = lf.Vae.load(name, device="cpu")
    assert vae.space.name == name.removeprefix("mini-")
    assert "distilled from" in vae.reference
    assert "standing in for" in vae.reference
    rgb = photograph("coffee")
    latents = vae.encode(rgb)
    assert 0.5 < float(latents.std()) < 2
    assert psnr(vae.decode(latents), rgb) > 20


@pytest.mark.parametrize("name", MINIS)
def test_diffusers_opens_a_mini_vae_and_agrees(name: str) -> None:
    theirs = AutoencoderTiny.from_pretrained(DATA / "vaes" / name).float().eval()
    ours, rgb = lf.Vae.load(name, device="cpu"), photograph("chelsea", 128)
    latents = ours.encode(rgb)
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode(rgb * 2 - 1).latents, latents, atol=1e-4, rtol=1e-4)
        decoded = (theirs.decode(latents).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(decoded, ours.decode(latents), atol=1e-4, rtol=1e-4)


def test_a_mini_vae_is_tiled_exactly() -> None:
    vae, latents = lf.Vae.load("mini-sd1", device="cpu"), torch.randn(1, 4, 80, 40)
    whole = vae.decode(latents)
    vae.tile_px = 512
    torch.testing.assert_close(vae.decode(latents), whole, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", MINIS)
def test_a_cards_numbers_are_those_that_were_measured(name: str) -> None:
    scores = json.loads((DATA / "vaes" / name / "scores.json").read_text("utf-8"))
    card = (DATA / "vaes" / name / "README.md").read_text("utf-8")
    for score in ("psnr mini", "psnr teacher"):
        assert f"{scores[score]:.2f}" in card
    assert f"{scores['r2']:.3f}" in card


def test_every_space_has_its_decoders() -> None:
    names = {path.stem for path in MODELS}
    assert {f"{space}-{kind}" for space in TEACHERS for kind in ("cell", "cell-large")} <= names


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_shipped_decoder_keeps_its_promises(path: Path) -> None:
    space, kind = path.stem.split("-", 1)
    assert path.stat().st_size <= LIMITS[kind]
    with safe_open(path, framework="pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16}  # noqa: SIM118
    decoder = lf.load(path)
    assert decoder.space.name == space
    assert decoder.card["scores"]
    assert "crops" in decoder.card["trained"]
    latents = torch.randn(2, decoder.space.channels, 70, 33)
    rgb = decoder(latents)
    assert rgb.shape == (2, 3, 560, 264)
    torch.testing.assert_close(decode_in_tiles(decoder, latents, 48), rgb, atol=2e-5, rtol=0)
    table = pd.read_csv(DATA / "models" / f"pareto_{space}.csv")
    row = table[(table["approximation"] == path.stem) & (table["place"] == "seen") & (table["reference"] == "vae")]
    assert f"{row['psnr'].item():.2f}" in (DATA / "models" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_shipped_decoder_scores_what_its_card_says(path: Path, assets: Path, tmp_path: Path) -> None:
    decoder = lf.load(path)
    hashes = evaluated(assets)
    assert not set(hashes.values()) & set(decoder.card["train_hashes"])
    assert set(decoder.card["pictures"]) == set(hashes)
    truths = decoded(decoder.space.name, assets)
    for name, latents, truth in zip(unseen(assets), encoded(decoder.space.name, assets), truths, strict=True):
        found = psnr(decoder(latents), truth)
        assert found == pytest.approx(decoder.card["pictures"][name], abs=0.05)


INTERPOSERS = sorted((DATA / "models").glob("*-to-*.safetensors"))


@pytest.mark.parametrize("path", INTERPOSERS, ids=lambda path: path.stem)
def test_a_shipped_interposer_leads_where_its_name_says(path: Path) -> None:
    source, target = path.stem.split("-to-")
    shipped = lf.load(path)
    assert isinstance(shipped, lf.LatentMap)
    assert (shipped.source.name, shipped.target.name, shipped.scale) == (source, target, 1)
    assert path.stat().st_size <= 3_000_000
    assert {"scores", "scored_on", "trained", "train_hashes", "config"} <= set(shipped.card)
    made = shipped(0.5 * torch.randn(1, shipped.source.channels, 7, 9, generator=torch.Generator().manual_seed(0)))
    assert made.shape == (1, shipped.target.channels, 7, 9)
    assert bool(made.isfinite().all())


@pytest.mark.parametrize("path", INTERPOSERS, ids=lambda path: path.stem)
def test_interposers_cards_say_what_was_measured(path: Path) -> None:
    table = pd.read_csv(DATA / "models" / "interposers.csv")
    row = table[(table["pair"] == path.stem.replace("-to-", " → ")) & (table["map"] == "interposer")]
    assert f"{row['psnr'].item():.2f}" in (DATA / "models" / "INTERPOSERS.md").read_text("utf-8")
    assert lf.load(path).card["scores"]["psnr"] == pytest.approx(row["psnr"].item(), abs=1e-3)
    forms = table[(table["pair"] == row["pair"].item()) & table["map"].str.startswith("closed form")]
    assert row["psnr"].item() > forms["psnr"].max() + 1, "a network must be worth its milliseconds"


@pytest.mark.parametrize("path", INTERPOSERS, ids=lambda path: path.stem)
def test_a_shipped_interposer_beats_its_closed_form_on_photographs_it_never_saw(path: Path, assets: Path) -> None:
    shipped = lf.load(path)
    assert isinstance(shipped, lf.LatentMap)
    assert not set(evaluated(assets).values()) & set(shipped.card["train_hashes"])
    here, target = encoded(shipped.source.name, assets), shipped.target.name
    skip: nn.Module = shipped.module.skip  # type: ignore[assignment]
    assert error_of(shipped, here, target, assets) < 0.75 * error_of(skip, here, target, assets)  # 1.25 dB


UPSCALERS = sorted((DATA / "models").glob("*-upscaler*.safetensors"))


def test_every_space_has_its_upscalers() -> None:
    assert {path.stem for path in UPSCALERS} == {
        f"{space}-upscaler{kind}" for space in TEACHERS for kind in ("", "-any")
    }


@pytest.mark.parametrize("path", UPSCALERS, ids=lambda path: path.stem)
def test_a_shipped_upscaler_keeps_its_promises(path: Path) -> None:
    space, _, kind = path.stem.partition("-upscaler")
    shipped = lf.load(path)
    assert isinstance(shipped, lf.LatentMap)
    assert (shipped.source.name, shipped.target.name, shipped.scale) == (space, space, 2)
    assert path.stat().st_size <= 3_000_000
    assert {"scores", "scored_on", "trained", "train_hashes", "config"} <= set(shipped.card)
    assert shipped.card["begun_from"]["trunk"]["name"] == f"{space}-cell-large"
    latents = 0.5 * torch.randn(1, shipped.source.channels, 7, 10, generator=torch.Generator().manual_seed(0))
    for factor, size in {2: (14, 20), **({1.5: (10, 15), 1: (7, 10), 1.37: (9, 13)} if kind else {})}.items():
        made = shipped.at_scale(factor)(latents)
        assert made.shape == (1, shipped.source.channels, *size)
        assert bool(made.isfinite().all())


@pytest.mark.parametrize("path", UPSCALERS, ids=lambda path: path.stem)
def test_upscalers_cards_say_what_was_measured(path: Path) -> None:
    space, _, kind = path.stem.partition("-upscaler")
    table = pd.read_csv(DATA / "models" / "upscalers.csv")
    card, written = lf.load(path).card, (DATA / "models" / "UPSCALERS.md").read_text("utf-8")
    rows = table[(table["space"] == space) & (table["map"] == ("upscaler of any factor" if kind else "upscaler"))]
    assert set(rows["factor"]) == ({"2×", "1.5×"} if kind else {"2×"})
    for score, row in zip(card["scores"], rows.itertuples(), strict=True):
        assert score["psnr"] == pytest.approx(row.psnr, abs=1e-3)
        assert f"{row.psnr:.2f}" in written
        others = table[(table["space"] == space) & (table["factor"] == row.factor)].set_index("map")["psnr"]
        assert row.psnr > others["bicubic"] + 1, "a network must be worth its milliseconds"
        assert row.psnr > others[others.index.str.startswith("closed form")].max() + 0.5


@pytest.mark.parametrize("path", UPSCALERS, ids=lambda path: path.stem)
def test_a_shipped_upscaler_beats_bicubic_on_photographs_it_never_saw(path: Path, assets: Path) -> None:
    shipped = lf.load(path)
    assert isinstance(shipped, lf.LatentMap)
    assert not set(evaluated(assets).values()) & set(shipped.card["train_hashes"])
    space = shipped.source.name
    ours = error_of(shipped.at_scale(2), encoded_at_half(space, assets), space, assets, 2)
    assert ours < 0.75 * error_of_bicubic(space, assets)
