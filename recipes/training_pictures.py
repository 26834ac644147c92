"""Make the training pictures again, from clones of the repositories and the unpacked packages that hold them.

    git clone https://github.com/elementary/wallpapers
    dpkg-deb --extract openclipart-png_0.18+dfsg-19_all.deb openclipart
    python -m recipes.training_pictures wallpapers openclipart … [--out runs/pictures]

What is made: the 34 photographs of data/training_pictures.json, at most 1600 px long, and what
data/training_sources.json lists, as images/free, images/drawings and images/sprites have it: upright, sRGB, alpha over
white, shrunk with Lanczos to the size that is stated. Each original is checked by its SHA-256. What no clone has is
named with where it is to be had, and the rest is made.
"""

import argparse
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from latentfit.images import open_rgb
from latentfit.runtime import write_atomic

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "runs" / "pictures"
LIST, SOURCES = ROOT / "data" / "training_pictures.json", ROOT / "data" / "training_sources.json"
LONG_SIDE = 1600
FORMATS: dict[str, dict[str, Any]] = {
    ".jpg": {"format": "JPEG", "quality": 92, "subsampling": 0, "optimize": True},
    ".png": {"format": "PNG", "optimize": True},
}


@dataclass(frozen=True)
class Source:
    """One picture, and where it comes from.

    Attributes
    ----------
    file : str
        Below the output folder.
    repository : str
        ``github.com/owner/name``, or a Debian package and its version.
    commit, path : str
        Of a package: the .deb's name, and the path in it.
    sha256 : str
        Of the original.
    size : tuple of int or None
        What it is shrunk to; None: it is kept as it is.
    """

    file: str
    repository: str
    commit: str
    path: str
    sha256: str
    size: tuple[int, int] | None


def main() -> None:
    """Make what is not there, and say what could not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", nargs="+", type=Path, help="clones, bare ones too, and folders of unpacked packages")
    parser.add_argument("--out", type=Path, default=PICTURES)
    options = parser.parse_args()
    made, missing = 0, dict[str, list[Source]]()
    for source in (*photographs(), *sources()):
        if (options.out / source.file).is_file():
            made += 1
        elif (raw := original(source, options.clones)) is None:
            missing.setdefault(source.repository, []).append(source)
        else:
            write_atomic(options.out / source.file, as_trained_on(raw, source))
            made += 1
    print(f"{made} pictures in {options.out}")
    for repository, lacking in missing.items():
        print(f"{len(lacking)} are to be had from {repository} ({lacking[0].commit[:12]}: {lacking[0].path} …)")
    if missing:
        sys.exit(f"{sum(map(len, missing.values()))} pictures are missing: clone or unpack what holds them, run again")


def photographs() -> Iterator[Source]:
    """The photographs of data/training_pictures.json, which lie in the output folder itself."""
    for entry in listed():
        repository = f"github.com/{entry['repository']}"
        yield Source(entry["name"], repository, entry["commit"], entry["path"], entry["sha256"], (LONG_SIDE, LONG_SIDE))


@cache
def listed() -> list[dict[str, str]]:
    """The first list, an entry a photograph."""
    found: list[dict[str, str]] = json.loads(LIST.read_text(encoding="utf-8"))["pictures"]
    return found


def sources() -> Iterator[Source]:
    """What data/training_sources.json lists: photographs, paintings and drawings, then sprites as they are."""
    read = json.loads(SOURCES.read_text(encoding="utf-8"))
    for one in read["pictures"]:
        size = (int(one["size"][0]), int(one["size"][1]))
        yield Source(one["file"], one["source_repository"], one["commit"], one["path"], one["original_sha256"], size)
    for pack in read["packs"].values():
        for path, sha256 in pack["sprites"].items():
            yield Source(f"sprites/{sha256[:12]}.png", pack["source_repository"], pack["commit"], path, sha256, None)


def gathered() -> Path:
    """The folder with the photographs of the first list; exits with what to do when one is missing."""
    missing = [entry["name"] for entry in listed() if not (PICTURES / entry["name"]).is_file()]
    if missing:
        sys.exit(
            f"{len(missing)} of {len(listed())} training photographs are not in {PICTURES.relative_to(ROOT)} "
            f"({missing[0]} …): clone what data/training_pictures.json names and run recipes/training_pictures.py"
        )
    return PICTURES


def original(source: Source, clones: Sequence[Path]) -> bytes | None:
    """A picture's original, from the first clone or unpacked package that has it to the byte; None where none has."""
    for clone in clones:
        unpacked = clone / source.path.lstrip("/")
        if unpacked.is_file():
            blob = unpacked.read_bytes()
        else:
            command = ["git", "-C", str(clone), "show", f"{source.commit}:{source.path}"]
            blob = subprocess.run(command, capture_output=True, check=False).stdout
        if hashlib.sha256(blob).hexdigest() == source.sha256:
            return blob
    return None


def as_trained_on(raw: bytes, source: Source) -> bytes:
    """A file of the form that is trained on."""
    if source.size is None:
        return raw
    image = open_rgb(raw, source.file)
    if source.size == (LONG_SIDE, LONG_SIDE):  # of the first list: the long side is told, and the quality is another
        ratio = LONG_SIDE / max(image.size)
        shrunk = image.resize(
            (round(image.width * ratio), round(image.height * ratio)), Image.Resampling.LANCZOS
        )  # fmt: skip
        how: dict[str, Any] = {"format": "JPEG", "quality": 95, "subsampling": 0}
    else:
        shrunk = image if image.size == source.size else image.resize(source.size, Image.Resampling.LANCZOS)
        how = FORMATS[Path(source.file).suffix]
    buffer = io.BytesIO()
    shrunk.save(buffer, **how)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
