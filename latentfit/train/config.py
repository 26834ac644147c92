"""TrainConfig: all that decides how a network is trained, and how often a run is saved and shown."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from latentfit.errors import TrainError

OptimizerName = Literal["adamw", "muon", "prodigy", "lamb"]
ScheduleName = Literal["constant", "cosine", "one_cycle"]
Precision = Literal["no", "bf16", "fp16"]
NOT_IN_RESULT = frozenset(
    {"checkpoint_seconds", "wall_seconds", "cpu_seconds", "sample_images", "log_images"}
)  # a run may go on with others


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run.

    Attributes
    ----------
    n_images : int
        Crops to see in all.
    batch_images : int
        Crops a step, on each process.
    accumulate : int
        Batches a step, one after another: as many images as fit in memory each, gradients averaged.
    optimizer : {"adamw", "muon", "prodigy", "lamb"}
    lr : float
        At the schedule's top; 1 for Prodigy, which finds its own; about 0.01 for Muon.
    adversary_lr : float
        Rate of the adversary, where the losses bring one in; it learns by AdamW.
    weight_decay : float
    betas : tuple of float
        Betas of AdamW (Muon's too) and LAMB.
    schedule : {"constant", "cosine", "one_cycle"}
        Course of the rate over the images seen; one_cycle rises for 30 % of them from a 25th.
    warmup_images : int
        Images over which the rate rises from zero, before the schedule's own course.
    clip : float
        Largest norm of the gradient; 0: none.
    ema_images : float
        Half-life, in images, of the averaged weights, which are the result; 0: the last weights are.
    precision : {"no", "bf16", "fp16"}
    seed : int
        All randomness derives from it and the number of images seen.
    checkpoint_seconds : float
        At most so much work is lost by a kill.
    wall_seconds : float
        Stop after so long by the clock, at a checkpoint that the next call goes on from, up to `n_images`; a step is
        made in any case. 0: no limit.
    cpu_seconds : float
        Likewise, but by the time that the process has had on the CPU since the call began: on a machine that others
        use, a slice of so much work whatever the clock says. 0: no limit.
    sample_images : int
        A sample sheet every so many images; 0: none.
    log_images : int
        A line of metrics every so many images.
    """

    n_images: int = 20_000
    batch_images: int = 16
    accumulate: int = 1
    optimizer: OptimizerName = "adamw"
    lr: float = 2e-3
    adversary_lr: float = 5e-4
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    schedule: ScheduleName = "cosine"
    warmup_images: int = 500
    clip: float = 1.0
    ema_images: float = 1000.0
    precision: Precision = "no"
    seed: int = 0
    checkpoint_seconds: float = 60.0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    sample_images: int = 0
    log_images: int = 500

    def __post_init__(self) -> None:
        at_least = {"n_images": 1, "batch_images": 1, "accumulate": 1, "log_images": 1}
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise TrainError(f"{name}", expected=f"{least} or more", got=f"{getattr(self, name)}")
        for name, known in (("optimizer", OptimizerName), ("schedule", ScheduleName), ("precision", Precision)):
            if getattr(self, name) not in get_args(known):
                raise TrainError(
                    f"{name}", expected=f"one of {', '.join(get_args(known))}", got=f"{getattr(self, name)!r}"
                )
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise TrainError("betas", expected="two numbers of at least 0 and less than 1", got=f"{self.betas}")
        for name in (
            "lr",
            "adversary_lr",
            "checkpoint_seconds",
            "wall_seconds",
            "cpu_seconds",
            "weight_decay",
            "warmup_images",
            "clip",
            "ema_images",
            "sample_images",
        ):
            if not 0 <= getattr(self, name) < float("inf"):
                raise TrainError(f"{name}", expected="a finite number of 0 or more", got=f"{getattr(self, name)}")

    def deciding(self) -> dict[str, Any]:
        """What the result depends on, JSON-able: a run goes on only with the same."""
        return {name: value for name, value in _jsonable(asdict(self)).items() if name not in NOT_IN_RESULT}

    def to_dict(self) -> dict[str, Any]:
        """Return all settings, JSON-able."""
        return _jsonable(asdict(self))


def _jsonable(values: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
