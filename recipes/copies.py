"""How many copies of pictures are known again, and how many different pictures are taken for copies.

Reads LATENTFIT_ASSETS (images/free, images/drawings, images/sprites). Fifty pictures of each kind, chosen by their
hashes, are trimmed, made smaller and saved as JPEG; all pictures of a kind are grouped. Limits of the rule were set
while looking at pictures of these very folders, so the figures flatter it.

    python -m recipes.copies
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from latentfit.images import ENDINGS, are_near, groups, look_of, open_rgb
from recipes.scored_sets import assets_folder

N_TRIED, MOST_PX = 50, 512
FOLDERS = {"photographs and paintings": "free", "drawings": "drawings", "sprites": "sprites"}


def main() -> None:
    """Print a line a kind."""
    for kind, folder in FOLDERS.items():
        found = sorted(
            (path for path in (assets_folder() / "images" / folder).rglob("*") if path.suffix.lower() in ENDINGS),
            key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        pictures = [image for image in map(opened, found) if look_of(image)]
        tried = pictures[:N_TRIED]
        known = [look_of(image) for image in tried]
        hits = {
            name: sum(
                bool(are_near([look_of(copied(image))], [look])[0]) for image, look in zip(tried, known, strict=True)
            )
            for name, copied in COPIES.items()
        }
        n_groups = len(set(groups([look_of(image) for image in pictures])))
        told = ", ".join(f"{name} {count}" for name, count in hits.items())
        print(f"{kind}: of {len(tried)} found: {told}; {len(pictures)} pictures are {n_groups} groups", flush=True)


def opened(path: Path) -> Image.Image:
    """A picture of at most `MOST_PX` a side."""
    image = open_rgb(path.read_bytes(), path.name)
    image.thumbnail((MOST_PX, MOST_PX))
    return image


def trimmed(image: Image.Image, share: float) -> Image.Image:
    """The same without a share of every side."""
    wide, high = image.size
    left, top = round(share * wide), round(share * high)
    return image.crop((left, top, wide - left, high - top))


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """The same, saved and opened again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def halved(image: Image.Image) -> Image.Image:
    """The same at half its sides."""
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "2 % off every side": lambda image: trimmed(image, 0.02),
    "5 % off every side": lambda image: trimmed(image, 0.05),
    "JPEG of quality 50": lambda image: as_jpeg(image, 50),
    "half the size and JPEG": lambda image: as_jpeg(halved(image), 70),
    "all three": lambda image: as_jpeg(halved(trimmed(image, 0.05)), 70),
}


if __name__ == "__main__":
    main()
