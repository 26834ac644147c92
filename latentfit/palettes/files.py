"""Palettes as files: hex lists, GIMP's .gpl, .pal of JASC and of RIFF, Adobe's .act, and strips of pixels in a PNG."""

import codecs
import io
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from latentfit.errors import PaletteError, reason_of
from latentfit.images.profiles import declared, in_srgb
from latentfit.runtime.escaping import one_line

ENDINGS = (".hex", ".txt", ".gpl", ".pal", ".act", ".png")
MOST_COLOURS = 256
MOST_BYTES = 1 << 20  # of a list; 256 colours with long names take a tenth

_MOST_PNG_BYTES = 64 << 20
_MOST_PIXELS = 1 << 22  # of a strip of swatches
# What other programs keep palettes in, by ending: told, not read.
_OTHERS = {
    ".ase": "Adobe's swatches or Aseprite's sprite, which both end in .ase",
    ".aseprite": "Aseprite's sprite",
    ".aco": "Photoshop's swatches",
    ".kpl": "Krita's palette",
    ".soc": "LibreOffice's colours",
    ".col": "Animator's palette",
    ".gif": "a GIF picture",
}

_PAINT_NET = re.compile(r";\s*paint\.net palette file", re.IGNORECASE)  # its first line, in Lospec's exports too

Colours = NDArray[np.uint8]


@dataclass(frozen=True)
class Listed:
    """The colours that a file lists.

    Attributes
    ----------
    colours : ndarray of uint8, (K, 3)
        In the file's order.
    name, source : str
        Name and source that the file states, or "".
    """

    colours: Colours
    name: str = ""
    source: str = ""


def read_listed(path: str | os.PathLike[str]) -> Listed:
    """Read a palette's file by its ending, .hex, .txt, .gpl, .pal, .act or .png; text by its first line, if that tells.

    Raises
    ------
    PaletteError
        When there is no such file, it is of another kind, or cannot be read as what its name says.
    """
    file = Path(path)
    ending = file.suffix.lower()
    if ending in _OTHERS:
        raise PaletteError(
            f"{_OTHERS[ending]}, which is not read",
            place=file.name,
            remedy="export the palette as .gpl or .hex, or as an indexed .png",
        )
    if ending not in ENDINGS:
        raise PaletteError(
            place=file.name, expected=f"a palette in {', '.join(ENDINGS)}", got=f"{ending or 'no ending'}"
        )
    most = _MOST_PNG_BYTES if ending == ".png" else MOST_BYTES
    try:
        n_bytes = file.stat().st_size
        if n_bytes > most:  # before anything is read
            raise PaletteError(
                "not a list of colours",
                place=file.name,
                expected=f"at most {MOST_COLOURS} colours",
                got=f"{n_bytes} bytes",
            )
        blob = file.read_bytes()
    except OSError as error:
        raise PaletteError(
            f"cannot be read ({error.strerror or error})", place=file, remedy="check the path and its permissions"
        ) from error
    if ending == ".png":
        return Listed(_of_png(blob, file.name))
    if ending == ".act":
        return Listed(_of_act(blob, file.name))
    if blob.removeprefix(codecs.BOM_UTF8).startswith(b"GIMP Palette"):
        return _of_gpl(_text_of(blob, file.name), file.name)
    if ending == ".pal" or blob.startswith(b"JASC-PAL"):
        return _of_pal(blob, file.name)
    readers: dict[str, Callable[[str, str], Listed]] = {".hex": _of_hex, ".txt": _of_hex, ".gpl": _of_gpl}
    return readers[ending](_text_of(blob, file.name), file.name)


def _text_of(blob: bytes, name: str) -> str:
    """UTF-8, or Latin-1, in which older programs wrote names of colours."""
    if b"\0" in blob:
        raise PaletteError(
            place=name, expected="text, in UTF-8 or Latin-1", got="zero bytes", remedy="export the palette again"
        )
    try:
        return blob.decode("utf-8-sig")
    except UnicodeDecodeError:
        return blob.decode("latin-1")


def hex_text(listed: Listed) -> str:
    """A hex list: name and source as comments, then one RRGGBB a line."""
    head = [f"; {key}: {one_line(value)}" for key, value in _facts(listed) if value]
    return "\n".join([*head, *hex_colours(listed.colours)]) + "\n"


def gpl_text(listed: Listed) -> str:
    """Return a palette in GIMP's format."""
    head = ["GIMP Palette", f"Name: {one_line(listed.name) or 'palette'}", "Columns: 16"]
    if listed.source:
        head.append(f"# source: {one_line(listed.source)}")
    rows = (f"{r:3d} {g:3d} {b:3d}\t#{r:02x}{g:02x}{b:02x}" for r, g, b in listed.colours.tolist())
    return "\n".join([*head, "#", *rows]) + "\n"


def indexed_png(indices: NDArray[np.uint8], colours: Colours, enlarge: int = 1) -> bytes:
    """Indices ``(h, w)`` -> PNG of mode P whose palette chunk holds just `colours`."""
    large = indices.repeat(enlarge, 0).repeat(enlarge, 1)
    image = Image.frombytes("P", (large.shape[1], large.shape[0]), np.ascontiguousarray(large).tobytes())
    image.putpalette(colours.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def hex_colours(colours: Colours) -> list[str]:
    """``(K, 3)`` -> ``["1d2b53", ...]``."""
    return [row.tobytes().hex() for row in np.ascontiguousarray(colours)]


def colour_of_hex(text: str) -> tuple[int, int, int] | None:
    """``"1d2b53"`` or ``"#1D2B53"`` -> red, green, blue; None when it is neither."""
    found = re.fullmatch(r"#?([0-9a-fA-F]{6})", text)
    return None if found is None else (int(found[1][:2], 16), int(found[1][2:4], 16), int(found[1][4:], 16))


def _of_hex(text: str, name: str) -> Listed:
    """One RRGGBB a line; what follows a ``;`` is a comment. Paint.NET's, which say so, have opaque AARRGGBB instead."""
    colours: list[tuple[int, ...]] = []
    facts: dict[str, str] = {}
    is_paint_net = _PAINT_NET.match(text) is not None
    for number, line in enumerate(text.splitlines(), 1):
        word, _, comment = (part.strip() for part in line.partition(";"))
        if not word:
            key, _, value = comment.partition(":")
            facts.setdefault(key.strip().lower(), value.strip())
            continue
        is_opaque = is_paint_net and len(word) == 8 and word[:2].lower() == "ff"
        colour = colour_of_hex(word[2:] if is_opaque else word)
        if colour is None:
            raise _no_hex(word, f"{name}, line {number}")
        colours.append(colour)
    if not colours:
        raise PaletteError("lists no colour", place=name, expected="one RRGGBB a line")
    return Listed(np.array(colours, np.uint8), facts.get("name", ""), facts.get("source", ""))


def _no_hex(word: str, where: str) -> PaletteError:
    shown = repr(word[:40])
    if re.fullmatch(r"#?[0-9a-fA-F]{8}", word):
        got = f"{shown}: eight digits carry alpha, and palettes are opaque"
        return PaletteError(place=where, expected="RRGGBB", got=got, remedy="take two out")
    return PaletteError(place=where, expected="RRGGBB", got=shown)


def _of_gpl(text: str, name: str) -> Listed:
    """GIMP's: a first line ``GIMP Palette``, ``Name:`` and ``Columns:``, then ``R G B name`` a line.

    Aseprite's says ``Channels: RGBA``, and a fourth level is alpha.
    """
    lines = text.splitlines()
    if not lines or lines[0].strip() != "GIMP Palette":
        got = repr(lines[0].strip()[:40]) if lines else "an empty file"
        raise PaletteError(
            place=name, expected="a first line 'GIMP Palette'", got=f"{got}", remedy="export the palette again as .gpl"
        )
    colours: list[tuple[int, ...]] = []
    facts: dict[str, str] = {}
    for number, line in enumerate(lines[1:], 2):
        words = line.strip()
        if fact := re.match(r"#?\s*(name|columns|source|channels)\s*:(.*)", words, re.IGNORECASE):
            facts.setdefault(fact[1].lower(), fact[2].strip())
        elif words and not words.startswith("#"):
            has_alpha = facts.get("channels", "").upper() == "RGBA"
            colours.append(_levels(words, 4 if has_alpha else 3, f"{name}, line {number}"))
    if not colours:
        raise PaletteError("lists no colour", place=name, expected="lines of three levels such as '29 43 83'")
    return Listed(np.array(colours, np.uint8), facts.get("name", ""), facts.get("source", ""))


def _levels(words: str, n_levels: int, where: str) -> tuple[int, ...]:
    """The red, green and blue at a line's beginning, and alpha, which must be opaque."""
    found = re.match(r"(\d{1,3})" + r"\s+(\d{1,3})" * (n_levels - 1) + r"(?:\s|$)", words, re.ASCII)
    levels = tuple(int(level) for level in found.groups()) if found else ()
    if len(levels) != n_levels or max(levels) > 255:
        number = "three" if n_levels == 3 else "four"
        raise PaletteError(place=where, expected=f"{number} levels of 0 to 255", got=f"{words[:40]!r}")
    if levels[3:] not in ((), (255,)):
        raise PaletteError(
            f"alpha {levels[3]}, and palettes here are opaque", place=where, remedy="take the colour out"
        )
    return levels[:3]


def _of_pal(blob: bytes, name: str) -> Listed:
    """JASC's text, of Paint Shop Pro and many editors of sprites; or Microsoft's RIFF."""
    if blob.startswith(b"RIFF"):
        return Listed(_of_riff(blob, name))
    lines = [line.strip() for line in _text_of(blob, name).splitlines()]
    if lines[:1] == ["JASC-PAL"] and not re.fullmatch(r"\d{1,4}", "".join(lines[2:3]), re.ASCII):
        raise PaletteError(
            f"{name}: JASC's palette, but its third line is not the number of colours", remedy="export it again"
        )
    if lines[:1] != ["JASC-PAL"]:
        got = repr(lines[0][:40]) if lines else "an empty file"
        raise PaletteError(
            place=name,
            expected="JASC's palette, whose first line is 'JASC-PAL', or Microsoft's RIFF",
            got=f"{got}",
            remedy="export it again as .gpl",
        )
    n_colours, rows = int(lines[2]), [line for line in lines[3:] if line]
    if n_colours != len(rows) or not n_colours:
        raise PaletteError(
            f"says that it lists {n_colours} colours, got {len(rows)}", place=name, remedy="export it again"
        )
    if n_colours > MOST_COLOURS:
        raise PaletteError(f"lists {n_colours} colours", place=name, expected=f"at most {MOST_COLOURS}")
    has_alpha = all(len(row.split()) == 4 for row in rows)
    levels = [_levels(row, 4 if has_alpha else 3, f"{name}, line {n}") for n, row in enumerate(rows, 4)]
    return Listed(_without_filling(np.array(levels, np.uint8)))


def _of_riff(blob: bytes, name: str) -> Colours:
    """Microsoft's: a chunk ``data`` of a version, a count, and red, green, blue and flags of each."""
    start = blob.find(b"data", 12)
    n_colours = int.from_bytes(blob[start + 10 : start + 12], "little") if start >= 12 else 0
    levels = blob[start + 12 : start + 12 + 4 * n_colours]
    if blob[8:12] != b"PAL " or not 1 <= n_colours <= MOST_COLOURS or len(levels) != 4 * n_colours:
        raise PaletteError(
            place=name, expected=f"a RIFF palette of 1 to {MOST_COLOURS} colours", remedy="export it again as .gpl"
        )
    colours: Colours = np.frombuffer(levels, np.uint8).reshape(-1, 4)[:, :3].copy()
    return _without_filling(colours)


def _of_act(blob: bytes, name: str) -> Colours:
    """Adobe's colour table: 256 colours; at most their count, and the transparent one's place, which is passed over.

    Without a count, black at the end that fills the table up is no colour of the palette.
    """
    if len(blob) not in (768, 772):
        raise PaletteError(
            place=name, expected="768 or 772 bytes of a colour table", got=f"{len(blob)}", remedy="export it again"
        )
    colours: Colours = np.frombuffer(blob[:768], np.uint8).reshape(-1, 3).copy()
    n_colours = int.from_bytes(blob[768:770], "big")
    if 0 < n_colours <= MOST_COLOURS:
        return colours[:n_colours]
    return _without_filling(colours)


def _without_filling(colours: Colours) -> Colours:
    """Without the black at the end, twice or oftener, by which programs fill a table up."""
    used = np.flatnonzero(colours.any(1))
    n_used = int(used[-1]) + 1 if len(used) else 0
    return colours[:n_used] if len(colours) - n_used > 1 else colours


def _of_png(blob: bytes, name: str) -> Colours:
    """The colours in the order in which a reader of the pixels meets them, row by row."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(blob), formats=["PNG"])
            if image.width * image.height > _MOST_PIXELS:  # before anything is unpacked
                raise PaletteError(
                    f"{image.width}x{image.height} px",
                    place=name,
                    remedy=f"a palette is a strip of at most {MOST_COLOURS} swatches",
                )
            image.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise PaletteError(
            reason_of(error), place=name, expected=f"a strip of at most {MOST_COLOURS} swatches"
        ) from error
    except PaletteError:
        raise
    except UnidentifiedImageError as error:
        raise PaletteError("its content is no PNG", place=name, remedy="export the palette again") from error
    except (OSError, SyntaxError, ValueError, EOFError, LookupError) as error:
        raise PaletteError(
            f"a damaged PNG ({type(error).__name__}: {error})", place=name, remedy="export it again"
        ) from error
    if image.mode not in ("P", "RGB", "RGBA", "L", "LA", "1"):
        raise PaletteError(
            place=name, expected="8 bits a channel", got=f"Pillow's mode {image.mode}", remedy="save it as indexed PNG"
        )
    rgba = np.array(image.convert("RGBA"))
    if (rgba[..., 3] < 255).any():
        raise PaletteError(
            "has transparent pixels, and palettes here are opaque", place=name, remedy="save it without alpha"
        )
    if (colours := declared(image, blob)).icc is not None:
        grey = image.mode in ("1", "L", "LA")
        rgba[..., :3] = in_srgb(image.convert("L" if grey else "RGB"), colours.icc)[0].convert("RGB")
    return _first_seen_entries(image, rgba) if image.mode == "P" else _swatches(rgba, name)


def _first_seen_entries(image: Image.Image, rgba: NDArray[np.uint8]) -> Colours:
    """Of an indexed picture: its entries by first use; two of one colour stay two, entries without a pixel drop out."""
    _, first = np.unique(np.asarray(image).ravel(), return_index=True)
    colours: Colours = rgba.reshape(-1, 4)[np.sort(first), :3]
    return colours


def _swatches(rgba: NDArray[np.uint8], name: str) -> Colours:
    """Of a true-colour picture: the colours by first use, each one filled rectangle, or it is a photograph."""
    packed = rgba[..., :3].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    values, first, inverse, counts = np.unique(packed, return_index=True, return_inverse=True, return_counts=True)
    remedy = "expected an indexed PNG or a strip of swatches; take a picture's colours with Palette.of_pictures"
    if len(values) > MOST_COLOURS:
        raise PaletteError(
            f"a true-colour picture of {len(values)} colours, not a palette", place=name, remedy=f"{remedy}"
        )
    rows, columns = np.indices(packed.shape)
    area = np.ones(len(values), np.int64)
    for places in (rows.ravel(), columns.ravel()):
        low, high = np.full(len(values), packed.size), np.zeros(len(values), np.int64)
        np.minimum.at(low, inverse.ravel(), places)
        np.maximum.at(high, inverse.ravel(), places)
        area *= high - low + 1
    if (area != counts).any():
        returning = int(values[np.argmax(area != counts)])
        raise PaletteError(
            f"a true-colour picture in which #{returning:06x} is no single swatch", place=name, remedy=f"{remedy}"
        )
    order = np.sort(first)
    colours: Colours = rgba.reshape(-1, 4)[order, :3]
    return colours


def _facts(listed: Listed) -> tuple[tuple[str, str], ...]:
    return ("name", listed.name), ("source", listed.source)
