"""What a palettized decoder is trained for, and where its crops come from."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from latentfit.errors import TrainError
from latentfit.nets.patch_discriminator import PatchDiscriminator
from latentfit.palettes.palette import Palette
from latentfit.palettes.targets import PaletteTargets
from latentfit.train.crops import CropSource
from latentfit.train.objective import Batch


class ClassCrops:
    """Crops of latents and of the classes of their cells.

    Parameters
    ----------
    crops : CropSource
        Says where each crop lies.
    targets : PaletteTargets
    """

    def __init__(self, crops: CropSource, targets: PaletteTargets) -> None:
        self.crops, self.targets = crops, targets

    def batch(self, images: Sequence[int]) -> dict[str, Tensor]:
        """``input`` float32, ``target`` int64 ``(n, side, side)``, ``inside`` float32 ``(n, 1, side, side)``."""
        crops, side = self.crops, self.crops.crop_cells
        latents, classes, inside = [], [], []
        for sample, top, left in map(crops.place, images):
            latents.append(crops.latents(sample, top, left))
            classes.append(self.targets[sample][top : top + side, left : left + side].astype(np.int64))
            inside.append(crops.inside(sample, top, left))
        columns = (torch.from_numpy(np.stack(column)) for column in (latents, classes, inside))
        return dict(zip(("input", "target", "inside"), columns, strict=True))


class ClassObjective:
    """Class-balanced cross-entropy, and the OKLab distance that the softmax makes one expect.

    Where ``batch["inside"]`` is 0 nothing is counted.

    Parameters
    ----------
    palette : Palette
    counts : Tensor, (K,)
        How often each class is there in what is trained on.
    balance : float
        Balance of the classes, from 0, every cell counts alike, to 1, every class does: a cell counts
        ``1 / share ** balance``, 1 on average.
    oklab : float
        Weight of the expected distance, in units of OKLab's lightness; 0: cross-entropy alone.
    """

    adversary: PatchDiscriminator | None = None

    def __init__(self, palette: Palette, counts: Tensor, balance: float = 0.0, oklab: float = 0.0) -> None:
        if not 0 <= balance <= 1 or not 0 <= oklab < float("inf"):
            raise TrainError(
                "losses of classes",
                expected="balance of 0 to 1 and a weight of 0 or more for OKLab",
                got=f"{balance:g} and {oklab:g}",
            )
        self.balance, self.oklab = balance, oklab
        self.weights = class_weights(counts, balance)
        self.distances = torch.cdist(palette.oklab, palette.oklab, compute_mode="donot_use_mm_for_euclid_dist")

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The weighted sum "loss", its parts "cross_entropy", "oklab" where it counts, and the share of right cells."""
        target, inside = batch["target"], batch["inside"][:, 0]
        logits = model(batch["input"]).float()
        if logits.shape[1] != len(self.weights) or logits.shape[2:] != target.shape[1:]:
            raise TrainError(
                "the network's scores",
                expected=f"{len(self.weights)} classes of {tuple(target.shape)}",
                got=f"{tuple(logits.shape)}",
            )
        self.weights, self.distances = self.weights.to(logits.device), self.distances.to(logits.device)
        log_shares = logits.log_softmax(1)
        missed = -log_shares.gather(1, target[:, None])[:, 0]
        found = {"cross_entropy": (missed * self.weights[target] * inside).mean()}
        total = found["cross_entropy"]
        if self.oklab:
            far = self.distances[target].movedim(-1, 1)
            found["oklab"] = ((log_shares.exp() * far).sum(1) * inside).mean()
            total = total + self.oklab * found["oklab"]
        with torch.no_grad():
            right = ((logits.argmax(1) == target) * inside).sum() / inside.sum().clamp(min=1)
        return {"loss": total, **found, "accuracy": right}

    def adversary_loss(self, adversary: nn.Module, losses: Mapping[str, Tensor]) -> Tensor:
        """Raise: classes have no adversary."""
        raise TrainError("classes are learned without an adversary", remedy="leave it out")


def class_weights(counts: Tensor, balance: float) -> Tensor:
    """What a cell of each class counts, ``(K,)`` float32; 1 on average over the cells.

    Classes that are not there count as if one cell in a hundred thousand were theirs, so that no weight explodes.

    Examples
    --------
    >>> class_weights(torch.tensor([90, 10]), 0.0).tolist()
    [1.0, 1.0]
    >>> (class_weights(torch.tensor([90, 10]), 1.0) * torch.tensor([90, 10])).round().tolist()
    [50.0, 50.0]
    """
    shares = counts.double() / counts.sum().clamp(min=1)
    weights = shares.clamp(min=1e-5) ** -balance
    return (weights / (weights * shares).sum()).float()
