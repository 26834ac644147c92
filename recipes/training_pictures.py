"""Take the photographs of data/training_pictures.json out of clones of the repositories that hold them.

    git clone https://github.com/elementary/wallpapers
    git clone https://github.com/BuddiesOfBudgie/budgie-backgrounds
    python recipes/training_pictures.py wallpapers budgie-backgrounds

Each is checked by its SHA-256, made at most 1600 px long as the pictures of images/cc0 are, and written into
runs/pictures, where `make_models.py` and `make_interposers.py` look for them.
"""

import argparse
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "runs" / "pictures"
LIST = ROOT / "data" / "training_pictures.json"
LONG_SIDE = 1600


def main() -> None:
    """Gather what is not there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", nargs="+", type=Path, help="clones, bare ones too")
    clones = parser.parse_args().clones
    PICTURES.mkdir(parents=True, exist_ok=True)
    for entry in listed():
        target = PICTURES / entry["name"]
        if not target.is_file():
            part = target.with_suffix(".part")
            small(found(entry, clones)).save(part, format="JPEG", quality=95, subsampling=0)
            part.rename(target)
    print(f"{len(listed())} photographs in {PICTURES.relative_to(ROOT)}")


def listed() -> list[dict[str, str]]:
    """The list, an entry a photograph."""
    return json.loads(LIST.read_text(encoding="utf-8"))["pictures"]


def gathered() -> Path:
    """The folder with all of them; exits with what to do when one is missing."""
    missing = [entry["name"] for entry in listed() if not (PICTURES / entry["name"]).is_file()]
    if missing:
        sys.exit(
            f"{len(missing)} of {len(listed())} training photographs are not in {PICTURES.relative_to(ROOT)} "
            f"({missing[0]} …): clone what data/training_pictures.json names and run recipes/training_pictures.py"
        )
    return PICTURES


def found(entry: dict[str, str], clones: list[Path]) -> bytes:
    """A photograph's file, from the first clone that has its commit."""
    for clone in clones:
        command = ["git", "-C", str(clone), "show", f"{entry['commit']}:{entry['path']}"]
        shown = subprocess.run(command, capture_output=True, check=False).stdout
        if hashlib.sha256(shown).hexdigest() == entry["sha256"]:
            return shown
    where = f"https://github.com/{entry['repository']}"
    sys.exit(
        f"{entry['name']}: expected in a clone of {where} at {entry['commit'][:8]}, with all its history; not found"
    )


def small(raw: bytes) -> Image.Image:
    """The picture, at most `LONG_SIDE` px long."""
    with Image.open(io.BytesIO(raw)) as picture:
        ratio = LONG_SIDE / max(picture.size)
        size = (round(picture.width * ratio), round(picture.height * ratio))
        return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
