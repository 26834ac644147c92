"""The colours that fit pictures best: k-means in OKLab."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from latentfit.errors import PaletteError
from latentfit.images.colour import nearest_rows, oklab_to_rgb, rgb_to_oklab

MOST_SAMPLES = 1 << 16  # distinct colours that k-means sees


def distinct_colours(pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pictures -> their distinct 8-bit colours ``(n, 3)``, sorted, and how often each is there."""
    if not pictures:
        raise PaletteError("of_pictures", expected="at least one picture", got="none")
    packed, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for picture in pictures:
        if picture.ndim not in (3, 4) or picture.shape[-3] != 3 or not picture.is_floating_point():
            raise PaletteError(
                "of_pictures", expected="(3, H, W) or (N, 3, H, W) in [0, 1]", got=f"{tuple(picture.shape)}"
            )
        if not bool(picture.isfinite().all()):
            raise PaletteError("of_pictures", expected="finite pictures", got="NaN or Inf")
        levels = picture.detach().cpu().float().clamp(0, 1).mul(255).round().long().movedim(-3, -1).reshape(-1, 3)
        codes, new_counts = np.unique((levels @ torch.tensor([1 << 16, 1 << 8, 1])).numpy(), return_counts=True)
        packed, inverse = np.unique(np.concatenate([packed, codes]), return_inverse=True)
        counts = np.bincount(inverse, np.concatenate([counts, new_counts]), len(packed))
    channels = [packed >> 16, packed >> 8 & 255, packed & 255]
    return torch.from_numpy(np.stack(channels, 1).astype(np.uint8)), torch.from_numpy(counts).double()


def mean_colours(colours: Tensor, counts: Tensor, n_colours: int, seed: int) -> Tensor:
    """Distinct 8-bit colours and their weights -> `n_colours` distinct 8-bit colours."""
    from sklearn.cluster import KMeans

    if len(colours) > MOST_SAMPLES:
        chosen = np.random.default_rng(seed).choice(
            len(colours), MOST_SAMPLES, replace=False, p=(counts / counts.sum()).numpy()
        )
        colours, counts = colours[np.sort(chosen)], torch.ones(MOST_SAMPLES, dtype=torch.float64)
    oklab = _oklab(colours)
    means = KMeans(n_colours, n_init=2, random_state=seed).fit(oklab.numpy(), sample_weight=counts.numpy())
    centres = torch.from_numpy(means.cluster_centers_)
    levels = oklab_to_rgb(centres.T[None])[0].T.clamp(0, 1).mul(255).round().to(torch.uint8)
    kept: Tensor = torch.unique(levels, dim=0)
    while len(kept) < n_colours:  # two means rounded to one colour: the colour that is served worst takes its place
        offered = _oklab(kept)
        errors = (oklab - offered[nearest_rows(oklab, offered)]).square().sum(1)
        kept = torch.cat([kept, colours[(errors * counts).argmax()][None]])
    return kept


def _oklab(colours: Tensor) -> Tensor:
    """``(n, 3)`` uint8 -> ``(n, 3)`` float64."""
    return rgb_to_oklab(colours.double().div(255).T[None])[0].T
