"""Palettes as other programs write them: Aseprite, JASC, Adobe, RIFF, Latin-1; and what is told for what it is."""

import os
import struct
import time
import zlib
from pathlib import Path

import pytest

from latentfit.errors import PaletteError
from latentfit.palettes import Palette
from tests.support.paths import GOLDEN

COLOURS = ["#ff8000", "#102030", "#fefefe"]
LEVELS = [tuple(bytes.fromhex(colour[1:])) for colour in COLOURS]


def loaded(path: Path, blob: bytes | str) -> list[str]:
    path.write_bytes(blob.encode() if isinstance(blob, str) else blob)
    return Palette.load(path).hex


def test_aseprites_gpl_has_a_fourth_level_of_alpha(tmp_path: Path) -> None:
    assert Palette.load(GOLDEN / "ase_rgba.gpl").hex == ["#000000", "#fe5b59", "#f7a547", "#f3ce52"]
    head = "GIMP Palette\nChannels: RGBA\n#\n"
    assert loaded(tmp_path / "a.gpl", head + "1 2 3 255 255 names\n4 5 6 255\n") == ["#010203", "#040506"]
    with pytest.raises(PaletteError, match=r"line 5: alpha 0, and palettes here are opaque"):
        loaded(tmp_path / "a.gpl", head + "1 2 3 255\n4 5 6 0 Mask\n")
    with pytest.raises(PaletteError, match="line 4: expected four levels"):
        loaded(tmp_path / "a.gpl", head + "1 2 3 Red\n")


def test_names_of_colours_may_be_in_latin_1(tmp_path: Path) -> None:
    text = "GIMP Palette\nName: Früh\n255 128 0 Gelb-Grün\n16 32 48 Übergang\n254 254 254\n"
    assert loaded(tmp_path / "l.gpl", text.encode("latin-1")) == COLOURS
    assert loaded(tmp_path / "u.gpl", text) == COLOURS
    assert loaded(tmp_path / "l.hex", "; name: für alle\nff8000\n102030\nfefefe".encode("latin-1")) == COLOURS


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_jascs(tmp_path: Path, line_end: str) -> None:
    rows = [" ".join(map(str, levels)) for levels in LEVELS]
    assert loaded(tmp_path / "p.pal", line_end.join(["JASC-PAL", "0100", "3", *rows, ""])) == COLOURS
    opaque = [f"{row} 255" for row in rows]
    assert loaded(tmp_path / "p.pal", line_end.join(["JASC-PAL", "0100", "3", *opaque])) == COLOURS
    with pytest.raises(PaletteError, match="says that it lists 16 colours, got 3"):
        loaded(tmp_path / "p.pal", line_end.join(["JASC-PAL", "0100", "16", *rows]))
    with pytest.raises(PaletteError, match="line 4: expected three levels of 0 to 255, got '256 0 0'"):
        loaded(tmp_path / "p.pal", line_end.join(["JASC-PAL", "0100", "2", "256 0 0", "1 1 1"]))


def test_microsofts_riff(tmp_path: Path) -> None:
    body = b"data" + struct.pack("<IHH", 4 + 12, 0x300, 3) + b"".join(bytes((*levels, 0)) for levels in LEVELS)
    whole = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"PAL " + body
    assert loaded(tmp_path / "r.pal", whole) == COLOURS
    with pytest.raises(PaletteError, match="expected a RIFF palette of 1 to 256 colours"):
        loaded(tmp_path / "r.pal", whole[:-2])
    with pytest.raises(PaletteError, match="expected JASC's palette"):
        loaded(tmp_path / "r.pal", "something else\n1\n2\n3\n")


def test_adobes_colour_table_with_and_without_its_count(tmp_path: Path) -> None:
    table = b"".join(map(bytes, LEVELS)).ljust(768, b"\0")
    assert loaded(tmp_path / "a.act", table) == COLOURS
    assert loaded(tmp_path / "a.act", table + struct.pack(">HH", 3, 0xFFFF)) == COLOURS
    assert loaded(tmp_path / "a.act", table + struct.pack(">HH", 4, 0xFFFF)) == [*COLOURS, "#000000"]
    full = bytes(level for index in range(255) for level in (index, 9, 9)) + b"\0\0\0"
    assert len(loaded(tmp_path / "a.act", full)) == 256
    with pytest.raises(PaletteError, match="expected 768 or 772 bytes of a colour table, got 767"):
        loaded(tmp_path / "a.act", table[1:])


@pytest.mark.parametrize(
    ("name", "what"),
    [("a.ase", "Aseprite's sprite"), ("a.aseprite", "Aseprite's sprite"), ("a.aco", "swatches"), ("a.kpl", "Krita")],
)
def test_other_programs_palettes_are_told_for_what_they_are(tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(PaletteError, match=rf"{name}: .*{what}.*, which is not read; export the palette as \.gpl"):
        loaded(tmp_path / name, b"ASEF\0\1\0\0")


@pytest.mark.parametrize("name", ["zeros.hex", "zeros.gpl", "zeros.pal", "zeros.act", "zeros.png"])
def test_a_large_file_is_refused_by_its_size_before_it_is_read(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        os.truncate(file.fileno(), 700_000_000)
    started = time.perf_counter()
    with pytest.raises(PaletteError, match="at most 256 colours, got 700000000 bytes"):
        Palette.load(tmp_path / name)
    assert time.perf_counter() - started < 1


def test_a_png_of_many_pixels_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(PaletteError, match="9000x9000 px; a palette is a strip of at most 256 swatches"):
        loaded(tmp_path / "bomb.png", content)
