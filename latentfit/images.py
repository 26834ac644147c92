"""Where pictures come from, and what becomes of them before a VAE sees them."""

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from latentfit.charts import chart_kind, chart_names, draw_chart
from latentfit.errors import ImageError, NoPicturesError
from latentfit.resources import write_atomic

Kind = Literal["photograph", "chart", "drawing", "greyscale", "latents"]
Box = tuple[int, int, int, int]
ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
GREY_CHROMA = 6  # 8-bit levels between the channels below which 99 % of a greyscale picture's pixels lie
TEST_SHARE = 5  # one picture in so many is held out


@dataclass(frozen=True)
class Picture:
    """One picture, not opened yet.

    Attributes
    ----------
    name : str
        Path below the source's folder, or the chart's name.
    kind : {"photograph", "chart", "drawing", "greyscale"} (or "latents", where there is no picture)
        As its source declares it; `kind_of` looks for greyscale when it is opened.
    read : callable
        Gives the file's bytes.
    """

    name: str
    kind: Kind
    read: Callable[[], bytes]

    def load(self) -> tuple[Image.Image, str]:
        """The opened picture, RGB 8 bit, and the SHA-256 of its file's bytes.

        Raises
        ------
        ImageError
            When it cannot be read; the message names it.
        """
        try:
            blob = self.read()
        except OSError as error:
            raise ImageError(f"{self.name}: cannot be read ({error})") from error
        return open_rgb(blob, self.name), hashlib.sha256(blob).hexdigest()


def folder(path: str | os.PathLike[str], kind: Kind = "photograph") -> list[Picture]:
    """All pictures below a folder, sorted by path: png, jpg, webp, bmp, tiff.

    Raises
    ------
    NoPicturesError
        When there is no such folder, or no picture in it.
    """
    root = Path(path)
    if not root.is_dir():
        raise NoPicturesError(f"{root}: no such folder; expected one with {', '.join(sorted(ENDINGS))} files")
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file() and p.name[0] != ".")
    if not paths:
        raise NoPicturesError(f"{root}: holds no picture; expected {', '.join(sorted(ENDINGS))} files in it or below")
    return [Picture(p.relative_to(root).as_posix(), kind, p.read_bytes) for p in paths]


def has_pictures(root: Path) -> bool:
    """Whether a folder holds a picture, at any depth."""
    return any(path.suffix.lower() in ENDINGS for path in root.rglob("*"))


def charts() -> list[Picture]:
    """The charts and drawings of `latentfit.charts`, as PPM bytes: uncompressed, so that their hash is stable."""
    return [Picture(f"chart/{name}", _declared(chart_kind(name)), _ChartBytes(name)) for name in chart_names()]


def photographs() -> list[Picture]:
    """The photographs that scikit-image's and scikit-learn's wheels carry; no download.

    Listed in ``data/images.json`` with what is known of their licences.
    """
    import json

    from latentfit.resources import data_path

    roots = {"skimage": _package_folder("skimage", "data"), "sklearn": _package_folder("sklearn", "datasets/images")}
    listed = json.loads(data_path("images.json").read_text("utf-8"))["images"]
    found = [(entry["name"], entry["kind"], roots[entry["package"]] / entry["file"]) for entry in listed]
    return [Picture(name, kind, path.read_bytes) for name, kind, path in found if path.is_file()]


def bundled() -> list[Picture]:
    """`photographs`, then `charts`: what every default uses."""
    return [*photographs(), *charts()]


def hf_dataset(identifier: str, split: str = "train", column: str = "image") -> list[Picture]:
    """Pictures of a Hugging Face dataset, read one by one.

    Raises
    ------
    NoPicturesError
        When the extra ``datasets`` is not installed, the hub cannot be reached, or the column is not there.
    """
    try:
        import datasets
    except ImportError as error:
        raise NoPicturesError("hf: needs the extra: pip install 'latentfit[datasets]'") from error
    try:
        table = datasets.load_dataset(identifier, split=split).cast_column(column, datasets.Image(decode=False))
    except (OSError, ValueError, KeyError, ConnectionError) as error:
        raise NoPicturesError(
            f"hf:{identifier}:{split}: cannot be loaded ({error}); name a folder of pictures instead"
        ) from error
    return [
        Picture(f"{identifier}/{split}/{row}", "photograph", _RowBytes(table, row, column)) for row in range(len(table))
    ]


def pictures(source: str | os.PathLike[str] | Sequence[Picture | str | os.PathLike[str]]) -> list[Picture]:
    """Pictures of a source, or of several in turn.

    Parameters
    ----------
    source : str, path, or sequence of them
        ``"bundled"``, ``"photographs"``, ``"charts"``, ``"hf:ID[:split[:column]]"``, a folder, or `Picture` objects.

    Examples
    --------
    >>> len(pictures("charts")) == len(pictures(["charts"]))
    True
    """
    if not isinstance(source, str | os.PathLike):
        return [found for part in source for found in ([part] if isinstance(part, Picture) else pictures(part))]
    named: dict[str, Callable[[], list[Picture]]] = {"bundled": bundled, "photographs": photographs, "charts": charts}
    if str(source) in named:
        return named[str(source)]()
    if str(source).startswith("hf:"):
        return hf_dataset(*str(source)[3:].split(":"))
    return folder(source)


def open_rgb(blob: bytes, name: str = "picture") -> Image.Image:
    """A file's bytes -> RGB, 8 bit, upright: EXIF orientation applied, alpha over white, 16 bit scaled to 8.

    Raises
    ------
    ImageError
        When the bytes are no picture, cut short, or so large that they may be a decompression bomb.
    """
    if not blob:
        raise ImageError(f"{name}: an empty file; expected a picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning)
            image = Image.open(io.BytesIO(blob))
            image.load()
            return _as_rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(f"{name}: {error}; shrink it first if you trust it") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, TypeError, EOFError, MemoryError) as error:
        raise ImageError(f"{name}: not a whole picture ({type(error).__name__}: {error}); export it again") from error
    except (IndexError, KeyError, OverflowError, ZeroDivisionError, AttributeError, AssertionError) as error:
        # PIL's decoders let these out on edited files
        raise ImageError(f"{name}: a damaged picture ({type(error).__name__}: {error}); export it again") from error
    except Exception as error:  # struct.error, zlib.error and friends share no base class
        raise ImageError(f"{name}: a damaged picture ({type(error).__name__}: {error}); export it again") from error


def kind_of(image: Image.Image, declared: Kind) -> Kind:
    """`declared`, unless the pixels of a photograph or drawing are grey."""
    if declared == "chart":
        return declared
    small = np.asarray(image.resize((64, 64), Image.Resampling.BOX), dtype=np.int16)
    spread = small.max(-1) - small.min(-1)
    return "greyscale" if np.quantile(spread, 0.99) < GREY_CHROMA else declared


def is_test(sha256: str) -> bool:
    """Whether a picture is held out; decided by its hash alone, so it is the same in every store."""
    return int(sha256[:8], 16) % TEST_SHARE == 0


def fold_of(sha256: str, n_folds: int) -> int:
    """The cross-validation fold of a picture, by its hash; independent of `is_test`."""
    return int(sha256[8:16], 16) % n_folds


def crop_to_cells(
    image: Image.Image, size: int, multiple_px: int, square: bool = False
) -> tuple[NDArray[np.uint8], Box]:
    """Shrink the short side to `size` with Lanczos, never enlarge, and centre-crop to whole cells.

    Parameters
    ----------
    image : Image
        RGB.
    size : int
        Pixels of the short side.
    multiple_px : int
        Both sides become multiples of it.
    square : bool
        Crop the long side to the short one too.

    Returns
    -------
    rgb : ndarray of uint8, (H, W, 3)
    box : tuple of int
        Left, top, right, bottom of the crop in the original's pixels.

    Raises
    ------
    ImageError
        When the picture is smaller than one cell.
    """
    width, height = image.size
    ratio = min(1.0, size / min(width, height))
    wide, tall = round(width * ratio), round(height * ratio)
    columns, rows = wide // multiple_px * multiple_px, tall // multiple_px * multiple_px
    if square:
        columns = rows = min(columns, rows)
    if not columns or not rows:
        raise ImageError(f"a picture of {width}x{height} px: expected at least {multiple_px}x{multiple_px} px")
    left, top = (wide - columns) // 2, (tall - rows) // 2
    box = (left / ratio, top / ratio, (left + columns) / ratio, (top + rows) / ratio)
    clipped = (max(0.0, box[0]), max(0.0, box[1]), min(float(width), box[2]), min(float(height), box[3]))
    shrunk = image if ratio == 1 else image.resize((columns, rows), Image.Resampling.LANCZOS, box=clipped)
    if ratio == 1:
        shrunk = image.crop((left, top, left + columns, top + rows))
    return np.array(shrunk, dtype=np.uint8), _rounded(clipped)


def square_crops(
    image: Image.Image, size: int, multiple_px: int, n_crops: int, sha256: str
) -> list[tuple[NDArray[np.uint8], Box]]:
    """`n_crops` square crops of `size` px, at places and zooms that the hash decides, the first the whole centre.

    A crop covers from the whole short side down to `size` px of it; crops of one picture may overlap.
    """
    crops = [crop_to_cells(image, size, multiple_px, square=True)]
    width, height = image.size
    rng = np.random.default_rng(int(sha256[:16], 16))
    for _ in range(n_crops - 1):
        side = round(min(width, height) * max(min(1.0, size / min(width, height)), rng.uniform(0.35, 1.0)))
        left, top = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
        rgb, inner = crop_to_cells(image.crop((left, top, left + side, top + side)), size, multiple_px, square=True)
        crops.append((rgb, (left + inner[0], top + inner[1], left + inner[2], top + inner[3])))
    return crops


def rgb_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """``(H, W, 3)`` or ``(N, H, W, 3)`` uint8 -> ``(N, 3, H, W)`` float32 in [0, 1]."""
    batch = torch.from_numpy(np.ascontiguousarray(pixels if pixels.ndim == 4 else pixels[None]))
    return batch.permute(0, 3, 1, 2).float().div_(255)


def to_pil(rgb: Tensor) -> Image.Image:
    """``(3, H, W)`` float in [0, 1] -> PIL image, rounded to 8 bit."""
    pixels = rgb.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0)
    return Image.fromarray(pixels.cpu().numpy(), "RGB")


def save_png(rgb: Tensor, path: str | os.PathLike[str], enlarge: int = 1) -> Path:
    """Write ``(3, H, W)`` in [0, 1] as PNG, whole or not at all, enlarged bilinearly."""
    image = to_pil(rgb)
    if enlarge != 1:
        image = image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return write_atomic(path, buffer.getvalue())


def iterate(source: Sequence[Picture]) -> Iterator[tuple[Picture, Image.Image, str] | tuple[Picture, ImageError]]:
    """Open pictures one after another; what cannot be read comes as its error."""
    for picture in source:
        try:
            yield (picture, *picture.load())
        except ImageError as error:
            yield picture, error


@dataclass(frozen=True)
class _ChartBytes:
    name: str

    def __call__(self) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(draw_chart(self.name)).save(buffer, "PPM")
        return buffer.getvalue()


@dataclass(frozen=True)
class _RowBytes:
    table: "Sequence[dict[str, dict[str, bytes]]]"
    row: int
    column: str

    def __call__(self) -> bytes:
        return self.table[self.row][self.column]["bytes"]


def _as_rgb(image: Image.Image) -> Image.Image:
    """Any PIL mode -> RGB."""
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        levels = np.asarray(image).astype(np.float64)
        top = 65535.0 if image.mode.startswith("I") and levels.max(initial=0) > 255 else 255.0
        if image.mode == "F" and levels.max(initial=0) <= 1:
            top = 1.0
        image = Image.fromarray(np.round(np.clip(levels / top, 0, 1) * 255).astype(np.uint8), "L")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, with_alpha).convert("RGB")
    return image.convert("RGB")


def _rounded(box: tuple[float, float, float, float]) -> Box:
    left, top, right, bottom = (round(edge) for edge in box)
    return left, top, right, bottom


def _declared(kind: str) -> Kind:
    return "drawing" if kind == "drawing" else "chart"


def _package_folder(package: str, below: str) -> Path:
    from importlib.util import find_spec

    spec = find_spec(package)
    return Path(spec.origin).parent / below if spec and spec.origin else Path()
