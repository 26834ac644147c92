"""From estimates to a picture: the approximations of a preview, each on its own."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from latentfit.errors import PreviewError, SpaceMismatchError
from latentfit.formats.opening import load_any
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.previews.frames import GAP, Row, captioned, few, tiled
from latentfit.runtime.devices import device_of
from latentfit.vae.vae import Vae

Source = Approximation | Vae | str | os.PathLike[str]


@dataclass(frozen=True)
class Painted:
    """The picture of one step.

    Attributes
    ----------
    tiles : Image
        Without caption.
    picture : Image
        With it.
    map_ms : dict of str to float
        Milliseconds of each approximation.
    errors : list of Exception
        Errors of approximations that failed; the reason stands where their picture would be.
    """

    tiles: Image.Image
    picture: Image.Image
    map_ms: dict[str, float]
    errors: list[Exception]


class Painter:
    """Runs approximations of one space over estimates, and lays out what they give.

    Parameters
    ----------
    approximations : Approximation, Vae or path, or a sequence or mapping of them
    long_side : int
        Pixels of a picture's long side.
    space : LatentSpace or None
        Space of other projects' files, which do not say it.

    Raises
    ------
    PreviewError
        When there is none.
    SpaceMismatchError
        When two are of different spaces.
    """

    def __init__(
        self,
        approximations: Source | Sequence[Source] | Mapping[str, Source],
        long_side: int,
        space: LatentSpace | None = None,
    ) -> None:
        self.approximations = _named(approximations, space)
        self.space = next(iter(self.approximations.values())).space
        self._long_side = long_side
        for name, one in self.approximations.items():
            if one.space != self.space:
                raise SpaceMismatchError(
                    f"preview: {name!r} is of space {one.space.name!r}, the one before of {self.space.name!r}",
                    expected="approximations of one space, the pipeline's own",
                )

    def paint(self, latents: Tensor, caption: str) -> Painted:
        """The picture of estimates ``(N, C, h, w)`` or ``(N, C, T, h, w)``, float32, on the CPU: at most eight."""
        shown, errors = few(latents), []
        rows = []
        for name, approximation in self.approximations.items():
            began = time.perf_counter()
            rgb, reason = None, ""
            try:
                rgb = approximation(shown.to(device_of(approximation), copy=True)).float().cpu()
            except Exception as error:  # noqa: BLE001 - the others are still shown, and the reason in its place
                errors.append(error)
                reason = f"{type(error).__name__}: {error}"
            rows.append(Row(name, rgb, 1e3 * (time.perf_counter() - began), reason))
        tiles = tiled(rows, (latents.shape[-2], latents.shape[-1]), self._long_side)
        n_all = latents.shape[0] * (latents.shape[2] if latents.ndim == 5 else 1)
        of_all = f"{GAP}{len(shown)} of {n_all} pictures" if n_all > len(shown) else ""
        return Painted(tiles, captioned(tiles, caption + of_all), {row.name: row.ms for row in rows}, errors)

    def replace(self, old: Approximation, new: Approximation) -> None:
        """Show another approximation in the place of one; a name that the user gave stays."""
        named = self.approximations.items()
        self.approximations = {
            new.name if one is old and name == old.name else name: new if one is old else one for name, one in named
        }

    @contextmanager
    def random_state_kept(self, *others: Tensor) -> Iterator[None]:
        """Random numbers that an approximation draws (dropout left on, say) are not taken from the pipeline's."""
        devices = {device_of(one) for one in self.approximations.values()} | {tensor.device for tensor in others}
        kinds = {device.type for device in devices if device.type in ("cuda", "xpu")}
        kind = next(iter(kinds), "cuda")
        indices = [device.index or 0 for device in devices if device.type == kind]
        with torch.random.fork_rng(devices=indices, device_type=kind):
            yield


def _named(
    approximations: Source | Sequence[Source] | Mapping[str, Source], space: LatentSpace | None
) -> dict[str, Approximation]:
    """Name -> approximation, each name once."""
    if isinstance(approximations, Mapping):
        named = {str(name): _opened(one, space) for name, one in approximations.items()}
    else:
        named = {}
        several = approximations
        if isinstance(several, str) or not isinstance(several, Sequence):
            several = [several]
        for one in several:
            opened = _opened(one, space)
            name, count = opened.name, 2
            while name in named:
                name, count = f"{opened.name} #{count}", count + 1
            named[name] = opened
    if not named:
        raise PreviewError("preview", expected="at least one approximation", got="none")
    return named


def _opened(source: object, space: LatentSpace | None) -> Approximation:
    if isinstance(source, Approximation):
        return source
    if isinstance(source, Vae):
        return source.approximation()
    if isinstance(source, str | os.PathLike):
        return load_any(Path(source), space)
    raise PreviewError(
        "preview",
        expected="an Approximation, a Vae or the path of a map",
        got=f"{type(source).__name__}",
        remedy="a fitted ChannelMap gives one with .approximation()",
    )
