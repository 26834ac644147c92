"""What every preset keeps; the rows come from the registry, so that none escapes."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import TrainError
from latentfit.pairs import JoinedStores, Origin, PairStore, Sample, columns_of, sample_key, write_shard
from latentfit.palettes import Palette, Palettizing
from latentfit.train import (
    PRESETS,
    PresetKind,
    load_state,
    preset_named,
    preset_names,
    train_decoder,
    train_encoder,
    train_latent_map,
    train_palette,
)

SD1, PICO, CELLS = lf.get_space("sd1"), Palette.load("pico-8"), 24
CHEAP = (
    "upscaler",
    "cell-small",
    "mini-encoder",
    "pixel-mlp",
    "approx-cnn",
    "cell-palette",
    "pixelvae",
    "interposer-v1",
)


def network_of(name: str) -> Any:
    """The preset's network, drawn from one seed."""
    torch.manual_seed(5)
    preset = PRESETS[name]
    if preset.kind in ("decoder", "encoder"):
        return preset.make(SD1)
    if preset.kind == "palette":
        return preset.make(SD1, PICO)
    if preset.kind == "vae":
        return preset.make()
    return preset.make(SD1, SD1, Fraction(2 if preset.kind == "upscaler" else 1))


def config_of(network: Any) -> Any:
    """Ours is a method, that of diffusers' classes a mapping."""
    return network.config() if callable(network.config) else dict(network.config)


def write_store(folder: Path, cells: int = CELLS, seed: int = 3, vae: str = "f") -> PairStore:
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(5, 4, cells, cells, generator=generator)
    rgb = torch.rand(5, 3, 8 * cells, 8 * cells, generator=generator)
    samples = []
    for index in range(5):
        sha256, box = f"{index * 7919 + 13:08x}" * 8, (0, 0, 192, 192)
        samples.append(Sample(sample_key(sha256, box), f"{index}.png", sha256, "photograph", box, (cells, cells)))
    origin = Origin("fake", "a fake VAE", vae * 64, SD1, 8 * cells)
    columns = columns_of(latents, rgb)
    write_shard(folder, origin, samples, {**columns, "photo": columns["rgb"].clone()})
    return PairStore(folder)


@pytest.mark.parametrize("name", PRESETS)
def test_it_builds_its_network_and_says_what_it_is(name: str) -> None:
    preset = PRESETS[name]
    assert preset.title
    assert preset.kind in get_args(PresetKind)
    assert preset_named(name, preset.kind) is preset
    assert preset.config.n_images > 0
    network, again = network_of(name), network_of(name)
    inner = getattr(network, "network", network)
    losses = getattr(preset, "losses", {})
    losses = dict(losses(SD1, SD1)) if callable(losses) else dict(losses)
    drawn = dict(preset.shares if preset.kind == "vae" else preset.draw)
    identity = [type(inner).__name__, config_of(inner), losses, drawn, preset.config.deciding()]
    said = json.dumps(identity)
    inner_again = getattr(again, "network", again)
    assert json.loads(said) == json.loads(
        json.dumps([type(inner_again).__name__, config_of(inner_again), *identity[2:]])
    )
    there = again.state_dict()
    assert all(torch.equal(there[key], tensor) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize("name", CHEAP)
def test_a_step_of_training_runs(name: str, tmp_path: Path) -> None:
    preset, store = PRESETS[name], write_store(tmp_path / "a")
    small = {"n_images": 2, "batch_images": 1, "precision": "no", "log_images": 2, "warmup_images": 0}
    preset = replace(preset, crop_cells=min(preset.crop_cells, CELLS), config=replace(preset.config, **small))
    out, told = tmp_path / "out", {"split": "all", "device": "cpu", "progress": False}
    if preset.kind == "decoder":
        made = train_decoder(store, preset, out, **told)
    elif preset.kind == "encoder":
        made = train_encoder(store, preset, out, **told)
    elif preset.kind == "palette":
        made = train_palette(store, Palettizing(PICO), preset, out, **told)
    else:
        scale = 2 if preset.kind == "upscaler" else 1
        joined = JoinedStores(store, write_store(tmp_path / "b", CELLS * scale, 4, "e" if scale == 1 else "f"))
        made = train_latent_map(joined, replace(preset, losses={"mse": 1.0}, decoded_cells=None), out, **told)
    assert out.with_suffix(".safetensors").is_file()
    module = getattr(made, "module", made)
    assert all(tensor.isfinite().all() for tensor in module.state_dict().values())


def test_a_wrong_name_is_offered_the_nearest_and_a_wrong_kind_its_own() -> None:
    with pytest.raises(TrainError, match="did you mean 'interposer-fine'"):
        preset_named("interposer-fin", "interposer")
    with pytest.raises(TrainError, match=r"expected one of a palette, got one of an upscaler; .* take pixelvae"):
        preset_named("craft", "palette")
    with pytest.raises(TrainError) as refused:
        preset_named("nothing")
    assert all(name in str(refused.value) for name in PRESETS)


@pytest.mark.parametrize("kind", get_args(PresetKind))
def test_the_commands_help_lists_them(kind: PresetKind, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", kind, "--help"])
    said = "".join(capsys.readouterr().out.split())
    assert f"{','.join(preset_names(kind))}." in said


RELEASED: dict[str, Any] = {
    "n_images": 8,
    "batch_images": 8,
    "accumulate": 1,
    "optimizer": "muon",
    "lr": 0.01,
    "adversary_lr": 0.0005,
    "weight_decay": 0.0,
    "betas": [0.9, 0.99],
    "schedule": "cosine",
    "warmup_images": 500,
    "clip": 1.0,
    "ema_images": 1000.0,
    "precision": "no",
    "seed": 0,
    "preset": "cell-small",
    "split": "all",
    "n_samples": 5,
    "samples": "2c28fa642ed3d664f72889d95bc9db08eca90fd5480c188354e4cd2987a5ae72",
    "vae": "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "space": "sd1",
    "losses": {"mse": 10.0},
    "network": [
        "CellDecoder",
        {"n_channels": 4, "width": 48, "n_blocks": 3, "cell_px": 8, "fine_width": 32, "n_fine": 1, "sharp_side": 0},
    ],
    "crop": [24, 2, "rgb", 8],
    "draw": {"chart": 0.25, "drawing": 0.25},
    "closed_form": True,
    "processes": 1,
}


def test_a_run_begun_before_goes_on(tmp_path: Path) -> None:
    """The identity of a run of today is that of releases so far, by the letter: else an old checkpoint is refused."""
    config = replace(PRESETS["cell-small"].config, n_images=8, batch_images=8)
    store, out = write_store(tmp_path / "a"), tmp_path / "out"
    train_decoder(store, "cell-small", out, config=config, split="all", progress=False)
    checkpoint = tmp_path / "out.run" / "checkpoint.pt"
    assert json.loads(torch.load(checkpoint, weights_only=True)["header"])["identity"] == RELEASED
    assert load_state(checkpoint, RELEASED) is not None
    renamed = {**RELEASED, "network": ["Renamed", *RELEASED["network"][1:]]}
    with pytest.raises(TrainError, match="belongs to a run with other settings: network"):
        load_state(checkpoint, renamed)
