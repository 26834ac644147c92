"""How many training squares of each kind a decoder should see, chosen on development pictures of each kind.

    python -m recipes.mixing --space sd1 --preset cell --minutes 20

Each of `MIXES` is trained alike for so many minutes of the CPU, resumably, in runs/train/mixing, and scored on the
development pictures kind by kind. The mix that is best on the mean over kinds is chosen, of those that lose at most
`MOST_LOST` dB on any kind against photographs alone being half; the table goes to data/mixes.csv, and `mix_of` gives
what was chosen to recipes/jobs.py.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd

from latentfit.pairs import Sample
from latentfit.runtime import write_atomic
from latentfit.train import preset_named, train_decoder
from recipes import stores
from recipes.idle import yield_to_others
from recipes.scored_sets import ROOT, assets_folder

TABLE = ROOT / "data" / "mixes.csv"
MIXES: dict[str, Mapping[str, float]] = {
    "photographs mostly": {"photograph": 0.7, "painting": 0.15, "drawing": 0.1, "pixel art": 0.05},
    "half photographs": {"photograph": 0.5, "painting": 0.15, "drawing": 0.2, "pixel art": 0.15},
    "all alike": {"photograph": 0.25, "painting": 0.25, "drawing": 0.25, "pixel art": 0.25},
    "drawn mostly": {"photograph": 0.3, "painting": 0.1, "drawing": 0.3, "pixel art": 0.3},
}
"""Shares of the squares that are drawn."""
FIRST = "half photographs"
MOST_LOST = 0.15


def main() -> None:
    """Train every mix, score, choose, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="sd1")
    parser.add_argument("--preset", default="cell")
    parser.add_argument("--minutes", type=float, default=20.0, help="of the CPU, for each mix")
    options = parser.parse_args()
    yield_to_others()
    scores = {
        name: scored(name, options.space, options.preset, options.minutes, assets_folder()) for name in MIXES
    }  # fmt: skip
    chosen = choice(scores)
    told = {"space": options.space, "preset": options.preset}
    frame = pd.DataFrame([{**told, "mix": name, "chosen": name == chosen, **row} for name, row in scores.items()])
    before = pd.read_csv(TABLE) if TABLE.is_file() else frame.iloc[:0]
    others = before[(before["space"] != options.space) | (before["preset"] != options.preset)]
    write_atomic(TABLE, pd.concat([others, frame]).to_csv(index=False, float_format="%.5g"))
    print(frame.to_string(index=False))


def scored(name: str, space: str, preset: str, minutes: float, assets: Path) -> dict[str, float]:
    """One mix, trained for so long, and its scores by kind."""
    from recipes.jobs import decoded

    store = stores.training_store(space, assets)
    out = stores.RUNS / "mixing" / f"{space}-{preset}-{name.replace(' ', '-')}.safetensors"
    config = replace(preset_named(preset, "decoder").config, precision="bf16", cpu_seconds=60 * minutes)
    draw = draw_of(store.samples, MIXES[name])
    train_decoder(store, preset, out, config=config, split="all", draw=draw, progress=False)
    return decoded(out, space, assets)


def draw_of(samples: Sequence[Sample], shares: Mapping[str, float]) -> dict[str, float]:
    """What a sample of each kind counts, so that the kinds have these shares; kinds without a share count nothing.

    Grey photographs and drawings, which stores call "greyscale", count as many photographs do.
    """
    counts: dict[str, int] = {}
    for sample in samples:
        counts[sample.kind] = counts.get(sample.kind, 0) + 1
    weights = {kind: shares.get(kind, 0.0) / n for kind, n in counts.items()}
    if "greyscale" in weights:
        weights["greyscale"] = weights.get("photograph", 0.0)
    largest = max(weights.values(), default=0.0)
    return {kind: round(weight / largest, 6) if largest else 0.0 for kind, weight in sorted(weights.items())}


def choice(scores: Mapping[str, Mapping[str, float]]) -> str:
    """The best mean over kinds, of the mixes that lose at most `MOST_LOST` on any kind against `FIRST`.

    Examples
    --------
    >>> choice({"half photographs": {"a": 20.0, "b": 20.0}, "all alike": {"a": 19.9, "b": 22.0},
    ...         "drawn mostly": {"a": 19.0, "b": 25.0}})
    'all alike'
    """
    first = scores[FIRST]
    fair = [name for name, row in scores.items() if all(row[kind] >= first[kind] - MOST_LOST for kind in first)]
    return max(fair, key=lambda name: sum(scores[name].values()))


@cache
def mix_of(space: str, preset: str) -> Mapping[str, float]:
    """The shares that were chosen for a decoder, those of its preset in any space, or `FIRST` where none were."""
    if TABLE.is_file():
        frame = pd.read_csv(TABLE)
        frame = frame[frame["chosen"] & (frame["preset"] == preset)]
        for rows in (frame[frame["space"] == space], frame):
            if len(rows):
                return MIXES[str(rows["mix"].iloc[0])]
    return MIXES[FIRST]


if __name__ == "__main__":
    main()
