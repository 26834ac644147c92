"""What a run leaves behind while it goes: metrics as CSV and for TensorBoard, and sample sheets."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from latentfit.images.pixels import save_png
from latentfit.runtime.storage import write_atomic

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class MetricsCsv:
    """Writes all rows so far, whole: what a killed run wrote past its checkpoint is replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, model: nn.Module, rows: list[dict[str, float]], seen_images: int) -> None:
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
        write_atomic(self._path, buffer.getvalue())


class TensorBoard:
    """Event files for TensorBoard, where it is installed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def __call__(self, model: nn.Module, rows: list[dict[str, float]], seen_images: int) -> None:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._folder), purge_step=seen_images)
        for name, value in rows[-1].items():
            if name != "seen_images":
                self._writer.add_scalar(name, value, seen_images)
        self._writer.flush()


class SampleSheet:
    """A PNG of what the averaged model makes of some inputs, over what it should make, every so many images.

    Parameters
    ----------
    folder : Path
    inputs, targets : Tensor
        A few, of equal size.
    every_images : int
    as_picture : callable, optional
        What the model makes -> pictures of the targets' size; None: it makes such.
    """

    def __init__(
        self,
        folder: Path,
        inputs: Tensor,
        targets: Tensor,
        every_images: int,
        as_picture: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._folder, self._inputs, self._targets, self._every = folder, inputs, targets, every_images
        self._as_picture = as_picture or (lambda made: made)
        self._last = 0

    def __call__(self, model: nn.Module, rows: list[dict[str, float]], seen_images: int) -> None:
        if seen_images // self._every == self._last // self._every:
            return
        self._last = seen_images
        with torch.no_grad():
            device = next(model.parameters()).device
            made = model.eval()(self._inputs.to(device)).float().cpu()
        save_png(sheet([self._as_picture(made), self._targets]), self._folder / f"{seen_images:09d}.png")


def sheet(rows: Sequence[Tensor]) -> Tensor:
    """Rows of pictures ``(n, 3, H, W)`` -> one picture ``(3, rows * H, n * W)`` in [0, 1]."""
    return torch.cat([torch.cat(list(row.clamp(0, 1)), dim=-1) for row in rows], dim=-2)
