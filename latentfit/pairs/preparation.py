"""From files to what a VAE takes: pictures opened and cropped, latent files read, ahead of it, in equal sizes."""

import hashlib
import math
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from latentfit.errors import BadFileError, ImageError, Remedy, SpaceMismatchError, StoreError
from latentfit.images.perceptual_hash import look_of
from latentfit.images.pixels import Box, Kind, crop_to_cells, kind_of, rgb_tensor, square_crops
from latentfit.images.sources import Picture, picture_paths, pictures
from latentfit.latents.files import LatentFile, latent_folder, open_latents
from latentfit.latents.spaces import LatentSpace
from latentfit.pairs.config import CollectConfig, CollectReport
from latentfit.pairs.shards import Sample, sample_key

BATCH_PIXELS = 1 << 20
BATCH_SECONDS = 10.0

T = TypeVar("T")


@dataclass(frozen=True)
class SavedLatents:
    """A file of latents, not opened yet; its name is its path below the source's folder."""

    name: str
    path: Path


def found(
    images: str | os.PathLike[str] | Sequence[Picture | SavedLatents | str | os.PathLike[str]], config: CollectConfig
) -> list[Picture | SavedLatents]:
    """Latent files, then pictures, of each source in turn.

    Raises
    ------
    NoPicturesError
        When a source holds neither.
    StoreError
        When photographs are to be kept and there are latents, which have none; when a domain is said and there are no
        latents, or crops are asked for and there is nothing else.
    """
    every: list[Picture | SavedLatents] = []
    for source in [images] if isinstance(images, str | os.PathLike) else images:
        if isinstance(source, SavedLatents):
            every.append(source)
            continue
        latents = [] if isinstance(source, Picture) else latent_folder(source)
        every += [SavedLatents(path.relative_to(str(source)).as_posix(), path) for path in latents]
        if not latents or picture_paths(Path(str(source))):
            every += pictures([source])
    saved = [item for item in every if isinstance(item, SavedLatents)]
    if saved and config.keep == "photo":
        raise StoreError(
            f"collect: {len(saved)} latent files have no photograph beside them ({saved[0].path})",
            expected="keep 'cells' or 'rgb'",
            got="'photo'",
        )
    if saved and (config.scale != 1 or len(config.scales) > 1):
        raise StoreError(
            f"collect: {len(saved)} latent files have one size ({saved[0].path})",
            expected="pictures, which each scale is resampled from",
        )
    if config.domain is not None and not saved:
        raise StoreError(
            "collect: there is no latent file whose numbers could be of a domain",
            remedy=Remedy("leave {} out", domain=...),
        )
    if saved and len(saved) == len(every) and (config.crops > 1 or config.square):
        raise StoreError(
            "collect: latent files are taken whole, and there is no picture",
            remedy=Remedy("leave {} out", crops=...) if config.crops > 1 else Remedy("leave {} out", square=...),
        )
    return every[: config.limit]


@dataclass(frozen=True)
class Prepared:
    """One sample on its way to the VAE.

    Attributes
    ----------
    sample : Sample
    rgb : Tensor or None, (1, 3, H, W) in [0, 1]
        Picture to encode; None for latents that were read.
    latents : Tensor or None, (1, C, h, w)
        Model domain, to be decoded only.
    """

    sample: Sample
    rgb: Tensor | None = None
    latents: Tensor | None = None

    @property
    def bucket(self) -> tuple[bool, int, int]:
        """Samples of one bucket go through the VAE together."""
        return (self.rgb is None, *self.sample.size_cells)


class Preparer:
    """Opens pictures and latent files, leaving out what the store has and what this run has met."""

    def __init__(
        self,
        config: CollectConfig,
        space: LatentSpace,
        known: Mapping[str, set[str]],
        report: CollectReport,
        outdated: Collection[str] = (),
    ) -> None:
        self._config, self._space, self._known, self._report = config, space, known, report
        self._seen: set[str] = set()
        self._outdated = set(outdated)  # collected before declared colours were read

    def prepare(self, items: Sequence[Picture | SavedLatents]) -> Iterator[list[Prepared]]:
        """The new samples of each picture or latent file in turn; none when it is known, met before, or unreadable."""
        for item in items:
            try:
                new = self._of_picture(item) if isinstance(item, Picture) else self._of_latents(item)
            except (ImageError, BadFileError, SpaceMismatchError) as error:
                self._report.skipped.append((item.name, error.reason()))
                new = []
            yield new

    def _of_picture(self, picture: Picture) -> list[Prepared]:
        config, largest = self._config, self._config.largest
        size, multiple = int(config.size * largest), int(self._space.cell_px * config.multiple_cells * largest)
        share = config.scale / largest
        opened, sha256 = picture.opened()
        if self._is_met(sha256, config.crops):
            if opened.is_converted and sha256 in self._outdated:
                self._outdated.remove(sha256)
                self._report.outdated.append(picture.name)
            return []
        image = opened.image
        self._report.n_converted += opened.is_converted
        if opened.note:
            self._report.noted.append((picture.name, opened.note))
        if config.crops > 1:
            crops = square_crops(image, size, multiple, config.crops, sha256, share)
        else:
            crops = [crop_to_cells(image, size, multiple, config.square, share)]
        kind, look = kind_of(image, picture.kind), look_of(image)
        new = self._new(sha256, {box: pixels for pixels, box in crops}).items()
        samples = [self._sample(picture.name, sha256, kind, box, pixels.shape[:2]) for box, pixels in new]
        return [
            Prepared(replace(sample, look=look), rgb=rgb_tensor(pixels))
            for sample, (_, pixels) in zip(samples, new, strict=True)
        ]

    def _of_latents(self, file: SavedLatents) -> list[Prepared]:
        """Each latent of a file, each frame of a video; its box is its place in a stack of the file's decodes."""
        try:
            sha256 = hashlib.sha256(file.path.read_bytes()).hexdigest()
        except OSError as error:
            raise BadFileError(
                f"cannot be read ({error.strerror})", place=file.path, remedy="check the file and its permissions"
            ) from error
        if sha256 in self._seen:
            self._report.n_duplicates += 1
            return []
        self._seen.add(sha256)
        read = self._opened(file)
        frames = read.latents.movedim(2, 1).flatten(0, 1) if read.latents.ndim == 5 else read.latents
        high, wide = (side * self._space.cell_px for side in frames.shape[-2:])
        left, top, sigma, step = 0, 0, None, None
        if (estimate := read.estimate) is not None:  # on a sheet: a column a run of the picture, a line a step
            sha256, sigma, step = estimate.picture, estimate.sigma, estimate.step
            left, top = estimate.run * wide, estimate.step * len(frames) * high
        boxes = [(left, top + index * high, left + wide, top + (index + 1) * high) for index in range(len(frames))]
        new = self._new(sha256, {box: frame[None] for box, frame in zip(boxes, frames, strict=True)})
        samples = [self._sample(file.name, sha256, "latents", box, (high, wide)) for box in new]
        return [
            Prepared(replace(sample, sigma=sigma, step=step), latents=frame)
            for sample, frame in zip(samples, new.values(), strict=True)
        ]

    def _opened(self, file: SavedLatents) -> LatentFile:
        """A file whose numbers speak against the space or the domain poisons a store: noted where that was said.

        Raises
        ------
        BadFileError
            Where its domain was not said.
        """
        read = open_latents(file.path, self._space, self._config.domain)
        if read.doubt is not None and self._config.domain is None:
            apart = "" if read.doubt.kind == "domain" else "collect it with a VAE of its own space, or "
            raise BadFileError(
                f"{read.doubt}",
                place=file.path,
                remedy=Remedy(
                    f"{apart}say with {{}} which these files are of, to collect them as that all the same", domain=...
                ),
            )
        if read.doubt is not None:
            self._report.noted.append((file.name, str(read.doubt)))
        return read

    def _is_met(self, sha256: str, n_wanted: int) -> bool:
        """Count it as a duplicate, or as known when the store has all that is wanted of it."""
        if sha256 in self._seen:
            self._report.n_duplicates += 1
            return True
        self._seen.add(sha256)
        n_known = len(self._known.get(sha256, ()))
        if n_known >= n_wanted:
            self._report.n_known += n_known
        return n_known >= n_wanted

    def _new(self, sha256: str, by_box: Mapping[Box, T]) -> dict[Box, T]:
        """Those whose key the store lacks; the others are counted."""
        known = self._known.get(sha256, set())
        new = {box: value for box, value in by_box.items() if sample_key(sha256, box) not in known}
        self._report.n_known += len(by_box) - len(new)
        return new

    def _sample(self, name: str, sha256: str, kind: Kind, box: Box, size_px: Sequence[int]) -> Sample:
        cells = (size_px[0] // self._space.cell_px, size_px[1] // self._space.cell_px)
        return Sample(sample_key(sha256, box), name, sha256, kind, box, cells)


def prefetched(items: Iterator[list[Prepared]], ahead: int = 8) -> Iterator[list[Prepared]]:
    """The same items, read by a thread while the VAE works; its errors are raised here."""
    ready: queue.Queue[list[Prepared] | BaseException | None] = queue.Queue(maxsize=ahead)
    stop = threading.Event()

    def offer(item: list[Prepared] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return ready.put(item, timeout=0.2)
            except queue.Full:
                continue

    def read() -> None:
        try:
            for item in items:
                offer(item)
                if stop.is_set():
                    return
            offer(None)
        except BaseException as error:  # noqa: BLE001 - whatever stopped the reader is raised to the caller
            offer(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


class Bar(Protocol):
    """A progress bar, as far as it is used here."""

    def update(self, n: int = 1) -> object: ...


def batched(prepared: Iterator[list[Prepared]], cell_px: int, bar: Bar) -> Iterator[list[Prepared]]:
    """Samples of one bucket together; the bar counts pictures that are done.

    A batch begins as one sample and grows to `BATCH_PIXELS`, as long as it takes no more than `BATCH_SECONDS`: on a
    slow VAE the bar moves, and a kill loses little.
    """
    waiting: dict[tuple[bool, int, int], list[Prepared]] = {}
    left: Counter[tuple[str, str]] = Counter()
    most_px = 1

    def counted(batch: list[Prepared]) -> int:
        left.subtract(map(_file_of, batch))
        return sum(left[file] == 0 for file in set(map(_file_of, batch)))

    for samples in prepared:
        left.update(map(_file_of, samples))
        if not samples:
            bar.update(1)
        for one in samples:
            n_px = math.prod(one.sample.size_cells) * cell_px**2
            bucket = waiting.setdefault(one.bucket, [])
            bucket.append(one)
            if (len(bucket) + 1) * n_px > most_px:
                started = time.monotonic()
                yield (batch := waiting.pop(one.bucket))
                seconds = max(time.monotonic() - started, 1e-6)
                most_px = min(BATCH_PIXELS, 4 * len(batch) * n_px, int(BATCH_SECONDS / seconds * len(batch) * n_px))
                bar.update(counted(batch))
    for batch in waiting.values():
        yield batch
        bar.update(counted(batch))


def _file_of(one: Prepared) -> tuple[str, str]:
    """Steps of one picture are files of one hash."""
    return one.sample.sha256, one.sample.name


def joined(tensors: Sequence[Tensor | None]) -> Tensor | None:
    """One batch, or None when these samples have none."""
    there = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(there) if there else None
