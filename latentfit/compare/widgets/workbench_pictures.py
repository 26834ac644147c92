"""What a workbench shows: pictures to encode, or latents, from stores, files, tensors and drops."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentfit.compare.widgets.page_data import PictureLike, as_picture, crop_size
from latentfit.errors import ImageError, WidgetError
from latentfit.images.pixels import crop_to_cells, rgb_tensor, to_pil
from latentfit.images.sources import Picture, pictures
from latentfit.latents.spaces import LatentSpace
from latentfit.pairs.store import PairStore, Sample
from latentfit.vae.vae import Vae

MOST_SUBJECTS, MOST_CELLS = 48, 128
PHOTO = "the picture itself"
_ORDER = ("photograph", "greyscale", "drawing", "chart")
Images = PairStore | str | os.PathLike[str] | PictureLike | Sequence[PictureLike | Picture] | Mapping[str, PictureLike]


@dataclass(frozen=True, eq=False)
class Subject:
    """One picture of a workbench; its latents are made when they are first asked for.

    Attributes
    ----------
    name, note : str
        `note` says what of the original is shown.
    key : str
        Hexadecimal, of what it is made from: decides its noise.
    make : callable
        Gives latents (1, C, h, w), model domain.
    fixed : dict of str to Tensor, (3, H, W) uint8
        Pictures that are no decode: the photograph, or a store's own decode.
    sample : Sample or None
        In a store.
    kind : str
        Kind of the picture, as `latentfit.images.Picture` has it: photographs come first, then drawings, then charts.
    sha256 : str
        SHA-256 of the picture's file; "": there is none, as of a tensor.
    """

    name: str
    key: str
    make: Callable[[], Tensor]
    note: str = ""
    fixed: Mapping[str, Tensor] = field(default_factory=dict)
    sample: Sample | None = None
    kind: str = "photograph"
    sha256: str = ""

    @cached_property
    def latents(self) -> Tensor:
        """``(1, C, h, w)`` float32, model domain."""
        return self.make()


def subjects_of_images(images: Images, vae: Vae | None, size_px: int) -> list[Subject]:
    """Pictures of any source, to be encoded by the VAE.

    Raises
    ------
    WidgetError
        When there is no VAE to encode them, or no picture.
    ImageError
        When one cannot be read.
    """
    if vae is None:
        raise WidgetError(
            "images", expected="a Vae that encodes them (vae=)", got="none", remedy="give one, or latents="
        )
    found = [_of_image(name, image, vae, size_px) for name, image in _named_images(images)]
    if not found:
        raise WidgetError("images", expected="at least one picture", got="none")
    return sorted(found, key=lambda subject: place_of_kind(subject.kind))


def place_of_kind(kind: str) -> int:
    """Photographs first, then drawings, then charts, then what is no picture."""
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def subject_of_bytes(name: str, blob: bytes, vae: Vae, size_px: int) -> Subject:
    """A picture file that was dropped in.

    Raises
    ------
    ImageError
        When it is no picture, a damaged one, or smaller than a cell.
    """
    return _of_image(name, Picture(name, "photograph", lambda: blob), vae, size_px)


def subjects_of_latents(latents: Tensor | Mapping[str, Tensor], space: LatentSpace) -> list[Subject]:
    """Latents as they are, ``(N, C, h, w)`` or video ``(N, C, T, h, w)``, or ``(C, h, w)`` each by a name."""
    named = latents if isinstance(latents, Mapping) else {"latents": latents}
    found = []
    for name, tensor in named.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or tensor.ndim not in (3, 4, 5):
            got = f"{tuple(tensor.shape)} {tensor.dtype}" if isinstance(tensor, Tensor) else type(tensor).__name__
            raise WidgetError(
                f"latents {name!r}", expected=f"a floating tensor (N, {space.channels}, h, w)", got=f"{got}"
            )
        batch = tensor[None] if tensor.ndim == 3 else tensor
        space.check(batch)
        if not bool(batch.isfinite().all()):
            raise WidgetError(f"latents {name!r}", expected="finite numbers", got="NaN or Inf")
        flat = batch.movedim(2, 1).flatten(0, 1) if batch.ndim == 5 else batch
        for index, one in enumerate(flat.detach().float().cpu()):
            found.append(_of_latents(f"{name}[{index}]" if len(flat) > 1 else name, one))
    return found


def subjects_of_store(store: PairStore, stored: str) -> list[Subject]:
    """A store's pictures by kind, of each those held out first; `stored` names the VAE's decode that it keeps."""
    ordered = sorted(store.samples, key=lambda sample: (place_of_kind(sample.kind), not sample.is_test))[:MOST_SUBJECTS]
    columns = [column for column in ("rgb", "photo") if column in store.columns]
    found = []
    for sample in ordered:
        batch = next(store.batches([sample], columns, n_cells=1))
        rows, cells = crop_size(sample.size_cells, MOST_CELLS)
        latents, px = batch.latents[:, :, rows, cells], store.space.cell_px
        fixed = {}
        for name, picture in ((stored, batch.rgb), (PHOTO, batch.photo)):
            if picture is not None and name:
                cut_px = picture[0, :, rows.start * px : rows.stop * px, cells.start * px : cells.stop * px]
                fixed[name] = cut_px.mul(255).round().byte()
        note = "" if sample.is_test else "in the store's training split"
        cut = _cut_note(sample.size_cells, (latents.shape[-2], latents.shape[-1]))
        found.append(Subject(
            sample.name, sample.key, _Given(latents), "; ".join(filter(None, (note, cut))), fixed, sample,
            sample.kind, sample.sha256,
        ))  # fmt: skip
    return found


def _named_images(images: Images) -> Iterator[tuple[str, Any]]:
    if isinstance(images, Mapping):
        yield from images.items()
    elif isinstance(images, Tensor | np.ndarray) and images.ndim == 4:
        yield from ((f"picture {index}", image) for index, image in enumerate(images))
    elif isinstance(images, Tensor | np.ndarray | Image.Image):
        yield "picture", images
    elif isinstance(images, str | os.PathLike):
        if os.path.isfile(images):
            yield os.path.basename(os.fspath(images)), images
        else:
            yield from ((found.name, found) for found in pictures(images)[:MOST_SUBJECTS])
    elif isinstance(images, Sequence):
        for index, image in enumerate(images):
            for name, found in _named_images(image) if isinstance(image, str | os.PathLike) else [("", image)]:
                yield name or (found.name if isinstance(found, Picture) else f"picture {index}"), found
    else:
        raise WidgetError(
            "images",
            expected="pictures (tensors, arrays, PIL images, paths), a folder or a PairStore",
            got=f"{type(images).__name__}",
        )


def _of_image(name: str, image: Any, vae: Vae, size_px: int) -> Subject:
    """Shrunk to `size_px` on its short side and cut to whole cells, at most twice as long."""
    if isinstance(image, Picture):
        (opened, sha256), kind = image.load(), image.kind
    else:
        opened, sha256, kind = to_pil(as_picture(image, name)), _sha256_of_file(image), "photograph"
    whole = opened.size
    try:
        pixels, _ = crop_to_cells(opened, size_px, vae.cell_px)
    except ImageError as error:
        raise error.at(name) from error
    rows, columns = crop_size((pixels.shape[0], pixels.shape[1]), 2 * size_px // vae.cell_px * vae.cell_px)
    pixels = np.ascontiguousarray(pixels[rows, columns])
    high, wide = pixels.shape[:2]
    note = "" if whole == (wide, high) else f"{wide} × {high} px, of {whole[0]} × {whole[1]}"
    key = hashlib.sha256(pixels.tobytes()).hexdigest()
    photo = torch.from_numpy(pixels).permute(2, 0, 1)
    return Subject(name, key, lambda: vae.encode(rgb_tensor(pixels)), note, {PHOTO: photo}, kind=kind, sha256=sha256)


def _sha256_of_file(image: Any) -> str:
    return hashlib.sha256(Path(image).read_bytes()).hexdigest() if isinstance(image, str | os.PathLike) else ""


def _of_latents(name: str, latents: Tensor) -> Subject:
    size = (latents.shape[-2], latents.shape[-1])
    rows, columns = crop_size(size, MOST_CELLS)
    cut = latents[None, :, rows, columns].contiguous()
    key = hashlib.sha256(cut.numpy().tobytes()).hexdigest()
    return Subject(name, key, _Given(cut), _cut_note(size, (cut.shape[-2], cut.shape[-1])))


def _cut_note(whole: tuple[int, int], cut: tuple[int, int]) -> str:
    return "" if whole == cut else f"the middle {cut[1]} × {cut[0]} of {whole[1]} × {whole[0]} cells"


@dataclass(frozen=True, eq=False)
class _Given:
    latents: Tensor

    def __call__(self) -> Tensor:
        return self.latents


def grey(latents: Tensor) -> Tensor:
    """The first channel of ``(1, C, h, w)`` from -3 to 3 in grey, ``(3, h, w)``: a thumbnail where nothing decodes."""
    return (latents[0, :1] / 6 + 0.5).clamp(0, 1).expand(3, -1, -1)


def torch_noise(key: str, shape: Sequence[int], seed: int = 0) -> Tensor:
    """White noise that a picture's key decides: the same at every sigma."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + int(key[:12], 16))
    return torch.randn(tuple(shape), generator=generator)
