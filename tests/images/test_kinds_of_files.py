"""Every kind of picture in a folder is read, or named and counted; of an animation the first picture is taken."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import latentfit as lf
from latentfit.errors import ImageError
from latentfit.images import ADOBE_RGB, ENDINGS, UNREAD, folder, matrix_profile, open_picture
from tests.support.fake_vae import FakeVae


def picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return Image.fromarray(pixels).resize((64, 48), Image.Resampling.BICUBIC)


WRITERS = {
    ".png": "PNG", ".apng": "PNG", ".bmp": "BMP", ".dib": "DIB", ".tif": "TIFF", ".tiff": "TIFF", ".ppm": "PPM",
    ".pnm": "PPM", ".jp2": "JPEG2000", ".j2k": "JPEG2000", ".jpx": "JPEG2000", ".jpf": "JPEG2000", ".j2c": "JPEG2000",
    ".jpc": "JPEG2000", ".tga": "TGA", ".icb": "TGA", ".vda": "TGA", ".vst": "TGA", ".pcx": "PCX", ".sgi": "SGI",
    ".qoi": "QOI",
}  # fmt: skip
OTHERS = {".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".gif", ".pgm", ".pbm", ".pfm"}


def test_every_ending_is_tried() -> None:
    assert set(WRITERS) | OTHERS == ENDINGS
    assert not ENDINGS & set(UNREAD)


@pytest.mark.parametrize("ending", WRITERS)
def test_what_is_lossless_is_read_to_the_bit(tmp_path: Path, ending: str) -> None:
    picture(1).save(tmp_path / f"a{ending.upper()}", WRITERS[ending])
    (one,) = folder(tmp_path)
    np.testing.assert_array_equal(np.asarray(one.load()[0]), np.asarray(picture(1)))


@pytest.mark.parametrize("ending", [".pgm", ".pfm"])
def test_grey_formats_keep_their_depth(tmp_path: Path, ending: str) -> None:
    deep = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)  # dark: at most 3071 of 65535
    if ending == ".pgm":
        (tmp_path / "a.pgm").write_bytes(b"P5 64 48 65535\n" + deep.astype(">u2").tobytes())
    else:
        Image.fromarray((deep / 65535).astype(np.float32)).save(tmp_path / "a.pfm")
    (one,) = folder(tmp_path)
    expected = np.round(deep / 257)
    assert np.abs(np.asarray(one.load()[0])[..., 0] - expected).max() <= 1


def test_an_animation_gives_its_first_picture_and_says_so() -> None:
    for form in ("GIF", "WEBP", "PNG", "TIFF"):
        buffer, settings = io.BytesIO(), {"lossless": True} if form == "WEBP" else {}
        frames = [picture(seed).quantize(32).convert("RGB") for seed in (1, 2, 3)]
        frames[0].save(buffer, form, save_all=True, append_images=frames[1:], **settings)
        opened = open_picture(buffer.getvalue())
        np.testing.assert_array_equal(np.asarray(opened.image), np.asarray(frames[0]))
        assert "the first is taken" in opened.note or "its first picture is taken" in opened.note, form
        alone = io.BytesIO()
        frames[0].save(alone, form, **settings)
        assert open_picture(alone.getvalue()).note == ""


def test_profiles_of_gif_and_jp2_are_read() -> None:
    profile = matrix_profile(ADOBE_RGB, lambda x: x ** (563 / 256))
    few = picture(1).quantize(64).convert("RGB")
    buffer = io.BytesIO()
    few.save(buffer, "PNG", icc_profile=profile)
    right = np.asarray(open_picture(buffer.getvalue()).image)
    assert np.abs(right.astype(int) - np.asarray(few)).max() > 20
    gif, jp2 = io.BytesIO(), io.BytesIO()
    few.save(gif, "GIF")
    head, tail = gif.getvalue()[:-1], gif.getvalue()[-1:]
    parts = [profile[start : start + 255] for start in range(0, len(profile), 255)]
    block = b"\x21\xff\x0bICCRGBG1012" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
    few.save(jp2, "JPEG2000")
    raw = jp2.getvalue()
    place = raw.index(b"colr")
    length = int.from_bytes(raw[place - 4 : place], "big")
    box = (11 + len(profile)).to_bytes(4, "big") + b"colr\2\0\0" + profile
    header = raw.index(b"jp2h") - 4
    grown = (int.from_bytes(raw[header : header + 4], "big") + len(box) - length).to_bytes(4, "big")
    made = raw[:header] + grown + raw[header + 4 : place - 4] + box + raw[place - 4 + length :]
    for blob in (head + block + tail, made):
        opened = open_picture(blob)
        assert opened.is_converted
        np.testing.assert_array_equal(np.asarray(opened.image), right)


def test_all_others_are_named_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder_, out = tmp_path / "pictures", tmp_path / "store"
    folder_.mkdir()
    picture(0).save(folder_ / "good.gif")
    for ending in UNREAD:
        (folder_ / f"x{ending.upper()}").write_bytes(b"anything at all")
    (folder_ / "notes.txt").write_text("no picture")
    lf.collect(FakeVae(), folder_, out, size=32, progress=False)
    said = capsys.readouterr().out
    assert f"1 new, 0 already there, 0 duplicates, {len(UNREAD)} skipped" in said
    for ending, kind in UNREAD.items():
        assert f"skipped x{ending.upper()}: {kind}, which is not read" in said
    assert "notes.txt" not in said


def test_content_decides_where_it_can() -> None:
    buffer = io.BytesIO()
    picture(1).save(buffer, "PNG")
    assert open_picture(buffer.getvalue(), "x.psd").image.size == (64, 48)
    with pytest.raises(ImageError, match=r"x\.jpg: a Photoshop document, which is not read.*export it as PNG"):
        open_picture(b"8BPS" + bytes(100), "x.jpg")
    tga = io.BytesIO()
    picture(1).save(tga, "TGA")
    with pytest.raises(ImageError, match="not a picture"):
        open_picture(tga.getvalue(), "x.png")  # its content tells nothing: the ending must


def test_a_small_jp2_that_claims_many_pixels_is_refused() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG2000")
    raw = buffer.getvalue()
    side = (8000).to_bytes(4, "big")
    size = raw.index(b"\xff\x51")
    bomb = raw[: size + 6] + side * 2 + raw[size + 14 :]
    header = bomb.index(b"ihdr")
    bomb = bomb[: header + 4] + side * 2 + bomb[header + 12 :]
    with pytest.raises(ImageError, match="shrink it first"):
        open_picture(bomb, "x.jp2")
