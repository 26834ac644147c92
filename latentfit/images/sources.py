"""Where pictures come from: folders, the bundled set, Hugging Face datasets; and which of them are held out."""

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from latentfit.errors import ImageError, NoPicturesError
from latentfit.images.charts import chart_kind, chart_names, draw_chart
from latentfit.images.kinds_of_files import ENDINGS, is_named_as_picture
from latentfit.images.pixels import Kind, Opened, open_picture

if TYPE_CHECKING:
    from datasets import Dataset

TEST_SHARE = 5  # one picture in so many is held out


@dataclass(frozen=True)
class Picture:
    """One picture, not opened yet.

    Attributes
    ----------
    name : str
        Path below the source's folder, or the chart's name.
    kind : {"photograph", "painting", "drawing", "pixel art", "chart", "greyscale"} (or "latents": there is no picture)
        The kind that its source declares; `kind_of` looks for greyscale when it is opened.
    read : callable
        Gives the file's bytes.
    """

    name: str
    kind: Kind
    read: Callable[[], bytes]

    def load(self) -> tuple[Image.Image, str]:
        """The opened picture, RGB 8 bit sRGB, and the SHA-256 of its file's bytes.

        Raises
        ------
        ImageError
            When it cannot be read; the message names it.
        """
        opened, sha256 = self.opened()
        return opened.image, sha256

    def opened(self) -> tuple[Opened, str]:
        """Load it as `load` does, and return also what was done to its colours."""
        try:
            blob = self.read()
        except (OSError, MemoryError) as error:
            raise ImageError(
                f"cannot be read ({error})", place=self.name, remedy="check the file and its permissions"
            ) from error
        return open_picture(blob, self.name), hashlib.sha256(blob).hexdigest()


def folder(path: str | os.PathLike[str], kind: Kind = "photograph") -> list[Picture]:
    """All pictures below a folder, sorted by path; also those of formats that are not read, to be named and refused.

    Raises
    ------
    NoPicturesError
        When there is no such folder, or no picture in it.
    """
    if not os.fspath(path):
        raise NoPicturesError(
            "pictures", expected="a folder's name", got="an empty one", remedy="name it, or '.' for this folder"
        )
    root = Path(path)
    if root.is_file():
        raise NoPicturesError(
            place=root, expected="a folder of pictures", got="a file", remedy="name the folder it lies in"
        )
    if not root.is_dir():
        raise NoPicturesError("no such folder", place=root, expected=f"one with {', '.join(sorted(ENDINGS))} files")
    paths = picture_paths(root)
    if not paths:
        raise NoPicturesError(
            "holds no picture", place=root, expected=f"{', '.join(sorted(ENDINGS))} files in it or below"
        )
    return [Picture(path.relative_to(root).as_posix(), kind, path.read_bytes) for path in paths]


def picture_paths(root: Path) -> list[Path]:
    """The files below a folder that are named as pictures, sorted; hidden ones (macOS leaves such) are none."""
    named = (path for path in root.rglob("*") if is_named_as_picture(path.name))
    return sorted(path for path in named if path.is_file() or _is_dangling(path))


def _is_dangling(path: Path) -> bool:
    """A link to a picture that is gone: opened like any other, so that it is counted among the skipped."""
    return path.is_symlink() and not path.exists()


def chart_pictures() -> list[Picture]:
    """The charts and drawings of `latentfit.images.charts`, as PPM bytes: uncompressed, so their hash is stable."""
    return [Picture(f"chart/{name}", _declared(chart_kind(name)), _ChartBytes(name)) for name in chart_names()]


def photographs() -> list[Picture]:
    """The photographs that scikit-image's and scikit-learn's wheels carry; no download.

    Listed in ``data/images.json`` with what is known of their licences.
    """
    roots = {"skimage": _package_folder("skimage", "data"), "sklearn": _package_folder("sklearn", "datasets/images")}
    found = [(entry["name"], entry["kind"], roots[entry["package"]] / entry["file"]) for entry in _listed()]
    return [Picture(name, kind, path.read_bytes) for name, kind, path in found if path.is_file()]


def bundled() -> list[Picture]:
    """`photographs`, then `charts`: what every default uses."""
    return [*photographs(), *chart_pictures()]


def hf_dataset(identifier: str, split: str = "train", column: str = "image") -> list[Picture]:
    """Pictures of a Hugging Face dataset, read one by one.

    Raises
    ------
    NoPicturesError
        When the extra ``datasets`` is not installed, the hub cannot be reached, or the column is not there or
        holds no pictures.
    """
    if not identifier:
        raise NoPicturesError("hf: names no dataset", expected="hf:ID[:split[:column]]")
    try:
        import datasets
    except ImportError as error:
        raise NoPicturesError("hf: needs the extra", remedy="pip install 'latentfit[datasets]'") from error
    try:
        table = datasets.load_dataset(identifier, split=split)
    except (OSError, ValueError, KeyError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise NoPicturesError(
            f"hf:{identifier}:{split}: cannot be loaded ({error})", remedy="name a folder of pictures instead"
        ) from error
    if column not in table.column_names:
        raise NoPicturesError(
            f"hf:{identifier}:{split}",
            expected=f"a column {column!r}",
            got=f"{', '.join(table.column_names)}",
            remedy=f"name it: hf:{identifier}:{split}:COLUMN",
        )
    try:
        encoded = table.cast_column(column, datasets.Image(decode=False))
    except (TypeError, ValueError, RuntimeError) as error:  # Arrow's derive from these
        raise NoPicturesError(
            f"hf:{identifier}:{split}:{column}",
            expected="pictures in this column",
            got=f"{table.features[column]} ({error})",
            remedy=f"name another: {', '.join(table.column_names)}",
        ) from error
    return [
        Picture(f"{identifier}/{split}/{row}", "photograph", _RowBytes(encoded, row, column))
        for row in range(len(encoded))
    ]


def pictures(source: str | os.PathLike[str] | Sequence[Picture | str | os.PathLike[str]]) -> list[Picture]:
    """Pictures of a source, or of several in turn.

    Parameters
    ----------
    source : str, path, or sequence of them
        ``"bundled"``, ``"photographs"``, ``"charts"``, ``"held-out"`` (`held_out_photographs`),
        ``"hf:ID[:split[:column]]"``, a folder, or `Picture` objects.

    Examples
    --------
    >>> len(pictures("charts")) == len(pictures(["charts"]))
    True
    """
    if not isinstance(source, str | os.PathLike):
        return [found for part in source for found in ([part] if isinstance(part, Picture) else pictures(part))]
    named: dict[str, Callable[[], list[Picture]]] = {
        "bundled": bundled,
        "photographs": photographs,
        "charts": chart_pictures,
        "held-out": held_out_photographs,
    }
    if str(source) in named:
        return named[str(source)]()
    if str(source).startswith("hf:"):
        return hf_dataset(*str(source)[3:].split(":", 2))
    return folder(source)


def is_test(sha256: str) -> bool:
    """Whether a picture is held out; decided by its hash alone, so it is the same in every store.

    One picture in `TEST_SHARE` is, and each of `always_held_out`.
    """
    return int(sha256[:8], 16) % TEST_SHARE == 0 or sha256 in always_held_out()


@cache
def always_held_out() -> frozenset[str]:
    """SHA-256 of the bundled photographs that are held out whatever their hash says: those that the notebooks show."""
    return frozenset(entry["held_out"] for entry in _listed() if "held_out" in entry)


def held_out_photographs() -> list[Picture]:
    """The bundled photographs of `always_held_out`: a face, an animal's fur, and saturated colours; up to 512 px."""
    names = {entry["name"] for entry in _listed() if "held_out" in entry}
    return [picture for picture in photographs() if picture.name in names]


def fold_of(sha256: str, n_folds: int) -> int:
    """The cross-validation fold of a picture, by its hash; independent of `is_test`."""
    return int(sha256[8:16], 16) % n_folds


@dataclass(frozen=True)
class _ChartBytes:
    name: str

    def __call__(self) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(draw_chart(self.name)).save(buffer, "PPM")
        return buffer.getvalue()


@dataclass(frozen=True)
class _RowBytes:
    table: "Dataset"
    row: int
    column: str

    def __call__(self) -> bytes:
        cell = self.table[self.row][self.column] or {}
        if cell.get("bytes"):
            return bytes(cell["bytes"])
        if cell.get("path"):
            return Path(cell["path"]).read_bytes()
        raise ImageError(f"row {self.row}: its column {self.column!r} is empty", expected="a picture")


def _listed() -> list[dict[str, Any]]:
    """The entries of ``data/images.json``."""
    import json

    from latentfit.runtime.storage import data_path

    entries: list[dict[str, Any]] = json.loads(data_path("images.json").read_text("utf-8"))["images"]
    return entries


def _declared(kind: str) -> Kind:
    return "drawing" if kind == "drawing" else "chart"


def _package_folder(package: str, below: str) -> Path:
    from importlib.util import find_spec

    spec = find_spec(package)
    return Path(spec.origin).parent / below if spec and spec.origin else Path()
