"""What ships of an AutoencoderKL: a folder in half precision with its provenance, and a card that says its numbers."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

import latentfit as lf
from latentfit.train import card_of, kl_autoencoder
from latentfit.vae import BUNDLED, save_autoencoder_folder
from recipes.cards import mini_kl
from recipes.development import psnr_of


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    module = kl_autoencoder((4, 4, 4, 4), n_groups=2)()
    module.register_to_config(scaling_factor=2.5)
    about = {"n_images": 7, "shares": {"photographs": 0.75, "drawings": 0.25}, "train_hashes": ["a" * 64]}
    return save_autoencoder_folder(module, tmp_path / "trained", about=about)


def test_what_ships_is_the_trained_one_in_half_precision(trained: Path, tmp_path: Path) -> None:
    mini_kl.ship(trained, tmp_path / "own-kl")
    theirs, ours = AutoencoderKL.from_pretrained(trained), AutoencoderKL.from_pretrained(tmp_path / "own-kl")
    assert {one.dtype for one in ours.state_dict().values()} <= {torch.float16, torch.float32}
    for (name, a), b in zip(theirs.state_dict().items(), ours.state_dict().values(), strict=True):
        assert torch.equal(a.half(), b.half()), name
    assert card_of(tmp_path / "own-kl") == card_of(trained)
    vae = lf.Vae.load(tmp_path / "own-kl", device="cpu")
    assert (vae.space.name, vae.space.scale, vae.decodes) == ("own-kl", (2.5,), True)


def test_its_card_says_what_was_measured(trained: Path) -> None:
    pictures = {"photographs": [torch.rand(1, 3, 192, 192)], "drawings": [torch.rand(1, 3, 192, 200)]}
    vae = lf.Vae.load(trained, device="cpu")
    scores = mini_kl.scores_of(vae, pictures)
    made = vae.decode(vae.encode(pictures["drawings"][0]))
    assert scores["drawings"]["psnr"] == pytest.approx(psnr_of([made], pictures["drawings"]))
    assert psnr_of([torch.zeros(1, 3, 8, 8)], [torch.full((1, 3, 8, 8), 0.1)]) == pytest.approx(20)
    text = mini_kl.card_text(trained, {"mini-kl": scores, "TAESD": scores}, "800 crops")
    row = scores["drawings"]
    assert f"| drawings (1) | {row['psnr']:.2f} | {row['ms_ssim']:.3f} | {row['psnr']:.2f} |" in text
    assert "scaling factor 2.50000" in text
    assert "7 of them, all CC0 or in the public domain (photographs 75%, drawings 25%)" in text


def test_bundled_folders_are_known_by_name() -> None:
    """Those that a space names are of it, and any other folder of data/vaes has a space of its own."""
    assert BUNDLED["mini-sd1"][1] == "sd1"
    folders = {path.parent.name for path in (lf_data() / "vaes").glob("*/config.json")}
    assert set(BUNDLED) == folders
    for name in (name for name, (_, space) in BUNDLED.items() if space is None):
        assert json.loads((lf_data() / "vaes" / name / "config.json").read_text())["_class_name"] == "AutoencoderKL"


def lf_data() -> Path:
    from latentfit.runtime import data_path

    return data_path()
