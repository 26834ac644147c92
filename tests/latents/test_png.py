"""TAESD's 8-bit latent PNGs: what is written comes back to half a level; ordinary pictures are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import latentfit as lf
from latentfit.errors import BadFileError, SpaceMismatchError
from latentfit.latents import read_latent_png, read_latents, write_latent_png


def test_a_round_trip_is_good_to_half_a_level(tmp_path: Path) -> None:
    latents = torch.randn(1, 4, 9, 13).clamp(-3, 3)
    path = write_latent_png(tmp_path / "a.encoded.png", latents)
    torch.testing.assert_close(read_latent_png(path), latents, atol=3 / 255 + 1e-6, rtol=0)
    assert torch.equal(read_latents(path, lf.get_space("sd1")).latents, read_latent_png(path))
    assert torch.equal(read_latent_png(write_latent_png(path, read_latent_png(path))), read_latent_png(path))
    far = read_latent_png(write_latent_png(path, torch.full((4, 2, 2), 9.0)))
    torch.testing.assert_close(far, torch.full((1, 4, 2, 2), 3.0))


def test_levels_are_the_published_ones(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(8, 8, 4)
    Image.fromarray(levels, "RGBA").save(tmp_path / "a.png")
    expected = (torch.arange(256.0).reshape(8, 8, 4) / 255 - 0.5) * 6
    torch.testing.assert_close(read_latent_png(tmp_path / "a.png"), expected.movedim(-1, 0)[None])


def test_what_is_no_latent_png_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    with pytest.raises(BadFileError, match=r"this is of RGB: an ordinary picture\?"):
        read_latent_png(tmp_path / "photo.png")
    path = write_latent_png(tmp_path / "cut.png", torch.randn(4, 40, 40))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(BadFileError, match="not a whole PNG"):
        read_latent_png(path)
    with pytest.raises(SpaceMismatchError, match="one latent of 4 channels"):
        write_latent_png(tmp_path / "a.png", torch.zeros(1, 16, 4, 4))
    write_latent_png(tmp_path / "a.png", torch.zeros(4, 4, 4))
    with pytest.raises(SpaceMismatchError, match="expected"):
        read_latents(tmp_path / "a.png", lf.get_space("flux1"))
