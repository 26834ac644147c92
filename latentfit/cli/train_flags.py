"""TrainFlags: what every `latentfit train` is told, whatever it trains."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from latentfit.cli.arguments import Device, MaybeFile, check_out

if TYPE_CHECKING:
    from latentfit.train import TrainConfig

MaybeInt = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
MaybeFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")]


@dataclass(frozen=True)
class TrainFlags:
    """How to train.

    Attributes
    ----------
    preset : str
        What network, losses and course; a wrong name lists them.
    out : Path
        The network, .safetensors. Beside it NAME.run/ holds the checkpoint, metrics and samples.
    images : int or None
        Crops to see in all; left out: the preset's number.
    batch : int or None
        Crops a step on each process; left out: the preset's.
    lr : float or None
        Rate at the schedule's top; left out: the preset's.
    seed : int
        All randomness derives from it.
    samples : int
        A sample sheet every so many crops; 0: none.
    precision : str or None
        Mixed precision; no: float32. bf16 takes half the time on CPUs with AVX512-BF16. Left out: the preset's.
    split : str
        "train": four pictures in five, by their hash, so that the others can be scored; "all": every picture.
    begin : Path or None
        A trained network of the same make, to begin from.
    device : str
        Where to train.
    """

    preset: Annotated[str, tyro.conf.arg(metavar="NAME")]
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    images: MaybeInt = None
    batch: MaybeInt = None
    lr: MaybeFloat = None
    seed: int = 0
    samples: int = 0
    precision: Annotated[Literal["no", "bf16", "fp16"] | None, tyro.conf.arg(help_behavior_hint="")] = None
    split: Literal["train", "all"] = "train"
    begin: MaybeFile = None
    device: Device = "auto"

    @property
    def path(self) -> Path:
        """The file that will be written."""
        return self.out.with_suffix(".safetensors")

    def config(self, preset: "TrainConfig") -> "TrainConfig":
        """The preset's, with what is told instead; an output that cannot be written is refused here."""
        check_out(self.out, ".safetensors", or_none=True)
        return replace(
            preset,
            n_images=preset.n_images if self.images is None else self.images,
            batch_images=preset.batch_images if self.batch is None else self.batch,
            lr=preset.lr if self.lr is None else self.lr,
            seed=self.seed,
            sample_images=self.samples,
            precision=self.precision or preset.precision,
        )


Flags = Annotated[TrainFlags, tyro.conf.arg(name="")]
