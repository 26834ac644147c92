"""Autoencoders whose decoder cannot be had: stores of latents and photographs, and maps fitted to the photographs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import FitError, StoreError, VaeError
from latentfit.nets import TinyDecoder, TinyEncoder
from latentfit.scores import audit
from latentfit.vae import TinyNetwork


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder's file, its pair beside it in another folder, and pictures."""
    root = tmp_path_factory.mktemp("alone")
    torch.manual_seed(2)
    encoder, decoder = TinyEncoder(4, 8, n_blocks=(0, 1, 0, 1)), TinyDecoder(4, 8, n_blocks=(1, 0, 0, 0))
    (root / "pair").mkdir()
    save_file(encoder.state_dict(), root / "own_encoder.safetensors")
    save_file(encoder.state_dict(), root / "pair" / "own_encoder.safetensors")
    save_file(decoder.state_dict(), root / "pair" / "own_decoder.safetensors")
    draw = np.random.default_rng(5)
    for index in range(14):
        soft = Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        (root / "pictures").mkdir(exist_ok=True)
        soft.resize((128, 96), Image.Resampling.BICUBIC).save(root / "pictures" / f"{index:02d}.png")
    return root


@pytest.fixture(scope="module")
def alone(folder: Path) -> lf.Vae:
    return lf.Vae.load(folder / "own_encoder.safetensors", space="sd1", device="cpu")


@pytest.fixture(scope="module")
def store(folder: Path, alone: lf.Vae) -> lf.PairStore:
    return lf.collect(alone, str(folder / "pictures"), folder / "store", size=96, keep="photo", progress=False)


def test_half_of_a_pair_opens_and_says_which(folder: Path, alone: lf.Vae) -> None:
    pair = lf.Vae.load(folder / "pair" / "own", space="sd1", device="cpu")
    rgb = torch.rand(1, 3, 32, 40)
    assert (pair.decodes, alone.decodes) == (True, False)
    torch.testing.assert_close(alone.encode(rgb), pair.encode(rgb))
    assert (alone.space.name, alone.cell_px) == ("sd1", 8)
    with pytest.raises(VaeError, match="loaded from its encoder alone, so it only encodes"):
        alone.decode(torch.zeros(1, 4, 2, 2))
    with pytest.raises(VaeError, match=r"got no decoder.*or name own_encoder.safetensors itself, which only encodes"):
        lf.Vae.load(folder / "own", space="sd1")
    with pytest.raises(VaeError, match="got neither"):
        TinyNetwork(None, None)


def test_its_store_holds_latents_and_photographs_and_says_so(
    folder: Path, alone: lf.Vae, store: lf.PairStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (store.columns, store.has_decodes, len(store)) == (("latents", "photo"), False, 14)
    batch = next(store.batches(columns=["photo"], n_cells=1))
    torch.testing.assert_close(batch.latents, alone.encode(batch.photo).half().float())
    with pytest.raises(StoreError, match=r"collected from an encoder alone.*photographs instead"):
        _ = batch.cells
    with pytest.raises(StoreError, match="collected from an encoder alone"):
        next(store.batches(columns=["rgb"]))
    with pytest.raises(StoreError, match="an encoder and no decoder"):
        lf.collect(alone, str(folder / "pictures"), folder / "other", size=96, keep="rgb", progress=False)
    pair = lf.Vae.load(folder / "pair" / "own", space="sd1", device="cpu")
    with pytest.raises(StoreError, match="differ in"):
        lf.collect(pair, str(folder / "pictures"), store.path, size=96, keep="photo", progress=False)
    assert main(["info", str(store.path)]) == 0
    assert "an encoder alone: it holds no decodes" in " ".join(capsys.readouterr().out.split())


def test_maps_are_fitted_to_photographs(folder: Path, store: lf.PairStore) -> None:
    """The same as arrays of latents and the photographs' area means give."""
    with pytest.raises(StoreError, match="collected from an encoder alone"):
        lf.ChannelMap("affine").fit(store)
    with pytest.raises(FitError, match="'vae' or 'photo'"):
        lf.ChannelMap("affine", target="rgb").fit(store)  # type: ignore[arg-type]
    fitted = lf.ChannelMap("affine", target="photo", ridge=0.0).fit(store, split="all")
    whole = [next(store.batches([one], ["photo"])) for one in store.samples]
    latents = torch.cat([one.latents for one in whole])
    cells = torch.nn.functional.avg_pool2d(torch.cat([one.photo for one in whole]), 8)
    wanted = lf.ChannelMap("affine", ridge=0.0).fit_arrays(latents, cells, space="sd1")
    np.testing.assert_allclose(fitted.solution_.coefficients, wanted.solution_.coefficients, atol=2e-4)
    assert fitted.approximation().card["learned_from"] == "photo"
    full = lf.ChannelMap("1", scale=8, target="photo").fit(store, split="all").approximation()
    scores = lf.evaluate([full], store, samples=store.samples)
    assert set(scores["reference"]) == {"photo"}
    assert set(scores["place"]) == {"cells", "seen"}
    with pytest.raises(StoreError, match="no decodes to compare with"):
        lf.evaluate([full], store, samples=store.samples, references=["vae"])


def test_tables_are_ranked_on_photographs_alone(store: lf.PairStore) -> None:
    fitted = lf.ChannelMap("affine", target="photo").fit(store).approximation()
    frame = audit(store, [fitted])
    assert set(frame["reference"]) == {"photo"}
    rows = frame[frame["place"] == "cells"].set_index("approximation")["psnr"]
    assert rows["oracle: affine"].max() >= rows["ours: affine"].max()
    assert rows["oracle: affine"].max() >= rows["comfyui/SD15"].max()
    assert set(frame["verdict"]) == {""}


def test_where_there_are_decodes_the_target_is_a_choice(folder: Path) -> None:
    pair = lf.Vae.load(folder / "pair" / "own", space="sd1", device="cpu")
    both = lf.collect(pair, str(folder / "pictures"), folder / "both", size=96, keep="photo", progress=False)
    to_vae, to_photo = (
        lf.ChannelMap("affine", target=target).fit(both, split="all").approximation() for target in ("vae", "photo")
    )
    frame = lf.evaluate({"vae": to_vae, "photo": to_photo}, both, samples=both.samples, places=["cells"])
    pooled = frame[(frame["image"] == "all") & (frame["kind"] == "all")].set_index(["approximation", "reference"])[
        "psnr"
    ]
    assert pooled["vae", "vae"] > pooled["photo", "vae"] + 3
    assert pooled["photo", "photo"] > pooled["vae", "photo"] + 3


def test_the_command_collects_fits_and_scores(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures, out = str(folder / "pictures"), str(folder / "by-command")
    collect = ["collect", "--vae", str(folder / "own_encoder.safetensors"), "--space", "sd1", "--images", pictures]
    assert main([*collect, "--out", out, "--size", "96", "--device", "cpu"]) == 2
    assert "--keep photo" in capsys.readouterr().err
    assert main([*collect, "--out", out, "--size", "96", "--keep", "photo", "--device", "cpu"]) == 0
    fit = ["fit", out, "--kernels", "affine", "--out", str(folder / "map.safetensors")]
    capsys.readouterr()
    assert main(fit) == 2
    assert "--target photo" in capsys.readouterr().err
    assert main([*fit, "--target", "photo"]) == 0
    assert lf.load(folder / "map.safetensors").card["learned_from"] == "photo"
    assert main(["evaluate", str(folder / "map.safetensors"), "--store", out]) == 0
    assert "against the photograph" in capsys.readouterr().out
