"""Pictures of less usual endings are read; HEIC and JPEG XL are found, counted and told."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

import latentfit as lf
from latentfit.errors import ImageError, NoPicturesError
from latentfit.images import folder, open_rgb
from latentfit.nets import TinyDecoder, TinyEncoder
from latentfit.vae import TinyNetwork, Vae

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
JXL = b"\xff\x0a" + bytes(200)


def picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), np.uint8)
    return Image.fromarray(pixels).resize((48, 32), Image.Resampling.BICUBIC)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    picture(0).save(made / "a.jfif", "JPEG", quality=95)
    picture(1).save(made / "b.jpe", "JPEG", quality=95)
    if features.check("avif"):
        picture(2).save(made / "c.avif", "AVIF", quality=95)
    (made / "d.heic").write_bytes(HEIC)
    (made / "e.jxl").write_bytes(JXL)
    (made / "f.HEIF").write_bytes(HEIC)
    return made


def test_jfif_and_avif_are_read_as_what_was_saved(pictures: Path) -> None:
    found = {one.name: one for one in folder(pictures)}
    assert {"a.jfif", "b.jpe", "d.heic", "e.jxl", "f.HEIF"} <= set(found)
    for name, seed in (("a.jfif", 0), ("b.jpe", 1), ("c.avif", 2)):
        if name in found:
            opened = np.asarray(found[name].load()[0], np.float64)
            assert np.abs(opened - np.asarray(picture(seed), np.float64)).mean() < 5


@pytest.mark.parametrize(
    ("blob", "what"),
    [
        (HEIC, "a HEIC picture, which is not read"),
        (JXL, "a JPEG XL picture, which is not read"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "a JPEG XL picture, which is not read"),
        (b"<svg/>", "not a picture"),
    ],
)
def test_what_is_not_read_is_named(blob: bytes, what: str) -> None:
    with pytest.raises(ImageError, match=f"x: {what}: expected the content of one of PNG, JPEG"):
        open_rgb(blob, "x")


def test_collect_counts_them_as_skipped_with_the_reason(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = TinyNetwork(TinyEncoder(4, 8), TinyDecoder(4, 8))
    vae = Vae.from_module(network, name="untrained", space="sd1", device="cpu")
    store = lf.collect(vae, pictures, tmp_path / "store", size=32, progress=False)
    n_read = 2 + features.check("avif")
    said = "".join(capsys.readouterr())
    assert len(store) == n_read
    assert f"{n_read} new, 0 already there, 0 duplicates, 3 skipped" in said
    assert "d.heic: a HEIC picture, which is not read" in said
    for path in pictures.iterdir():
        if path.suffix.lower() not in (".heic", ".heif", ".jxl"):
            path.unlink()
    with pytest.raises(NoPicturesError, match=r"JPEG XL|HEIC"):
        lf.collect(vae, pictures, tmp_path / "other", size=32, progress=False)
