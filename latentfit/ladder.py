"""The whole road in one command: collect, fit every form, score, export, and one page that shows it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from latentfit.approx import Approximation
from latentfit.errors import FitError, StoreError
from latentfit.escaping import csv_cell
from latentfit.ladder_config import LadderConfig
from latentfit.ladder_plan import Plan, collected
from latentfit.ladder_steps import Exports, export_all, fit_every_form, learning_curve, learning_in_words
from latentfit.pairs import PairStore
from latentfit.resources import write_atomic
from latentfit.vae import Vae

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ladder", "LadderConfig", "ladder"]

SHARE_FOR_FITTING, SHARE_FOR_LEARNING = 0.5, 0.4  # of the time that is left then


@dataclass
class Ladder:
    """What `ladder` made.

    Attributes
    ----------
    store : PairStore
    plan : Plan
        What was collected, and how fast the VAE is.
    maps : dict of str to Approximation
        By form: "affine", "3", "decoder 3", ...
    scores : DataFrame
        Tidy, as `evaluate` gives it.
    learning : DataFrame
        Columns n_pictures, form, psnr: would more pictures help?
    exports : Exports
        Files by program, and what each program cannot run.
    left_out : dict of str to str
        Forms that were not fitted, with the reason.
    seconds : dict of str to float
        Time of each step.
    page : Path
        index.html
    """

    store: PairStore
    plan: Plan
    maps: dict[str, Approximation]
    scores: "pd.DataFrame"
    learning: "pd.DataFrame"
    exports: Exports
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    page: Path = Path()


def ladder(config: LadderConfig) -> Ladder:
    """Collect, fit every form, score on held-out pictures, export, and write a page.

    Returns
    -------
    Ladder
        Everything that was made; the files lie in `config.out`.

    Raises
    ------
    NoPicturesError, StoreError, VaeError
        As `collect` and `Vae.load` raise them.
    FitError
        When not even the smallest form can be fitted.
    """
    from latentfit.ladder_page import write_page
    from latentfit.scores import evaluate

    _check(config)
    clock = _Clock()
    vae = Vae.load(config.vae, space=config.space, device=config.device, dtype=config.dtype)
    clock.lap("load")
    store, plan = collected(vae, config)
    clock.lap("collect")
    with _one_thread():
        maps, left_out = fit_every_form(store, seconds=SHARE_FOR_FITTING * clock.left(60 * config.minutes))
        if not maps:
            raise FitError(f"{store.path}: no form could be fitted: {'; '.join(left_out.values())}")
        clock.lap("fit")
        scores = evaluate(maps, store, split="test", progress=True)
        learning = learning_curve(store, seconds=SHARE_FOR_LEARNING * clock.left(60 * config.minutes))
        clock.lap("score")
    exports = export_all(maps, scores, config.out)
    write_atomic(config.out / "scores.csv", scores.map(csv_cell).to_csv(index=False, float_format="%.6g"))
    write_atomic(config.out / "learning.csv", learning.map(csv_cell).to_csv(index=False, float_format="%.6g"))
    result = Ladder(store, plan, maps, scores, learning, exports, left_out, clock.seconds)
    result.page = write_page(result, config.out / "index.html")
    clock.lap("write")
    print(report(result))
    return result


def report(result: Ladder) -> str:
    """What was made, for a terminal: ranking, learning curve, what was left out, times and where to look."""
    from latentfit.scores import summary

    scores = result.scores
    shown = scores[scores["reference"] == "vae"].drop(columns=["gmsd", "flip"], errors="ignore")
    shown.attrs = scores.attrs
    lines = ["", summary(shown), ""]
    for form, rows in result.learning.groupby("form", sort=False):
        points = (f"{n} → {psnr:.2f}" for n, psnr in zip(rows["n_pictures"], rows["psnr"], strict=True))
        lines.append(f"learning curve, {form}, pictures → dB: {', '.join(points)}")
    lines += [learning_in_words(result.learning), ""]
    lines += [f"not fitted: {form}: {reason}" for form, reason in result.left_out.items()]
    lines += [f"tables for {name}: {'; '.join(files)}" for name, files in result.exports.files.items()]
    lines.append(", ".join(f"{step} {seconds:.0f} s" for step, seconds in result.seconds.items()))
    return "\n".join([*lines, f"open {result.page}"])


def _check(config: LadderConfig) -> None:
    if config.minutes <= 0 or (config.crops is not None and config.crops < 1) or config.size < 1:
        raise StoreError(
            f"ladder: expected minutes > 0, crops >= 1 and size >= 1, got {config.minutes:g}, {config.crops} and "
            f"{config.size}"
        )
    if config.out.is_file():
        raise StoreError(f"--out {config.out}: expected a folder to write, got a file")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Crops are small: threads wait for each other more than they work, thirty times over on a busy machine."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(n_threads)


class _Clock:
    """Seconds of each step, in order."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = self._started = time.perf_counter()

    def left(self, seconds: float) -> float:
        """What is left of so many seconds since the start."""
        return max(0.0, seconds - (time.perf_counter() - self._started))

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = now - self._last
        self._last = now
