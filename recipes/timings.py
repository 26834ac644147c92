"""Time every approximation of data/models/pareto_SPACE.csv again, all of a space in turns, and put milliseconds back.

Each runs in the memory layout that suits it (`latentfit.scores.running_costs`), on one thread, on latents of 40×60
cells. Scores stay as `make cards` wrote them.
"""

import argparse
import sys
from typing import Any

import pandas as pd
import torch

import latentfit as lf
from latentfit.runtime import write_atomic
from latentfit.scores import costs
from recipes.cards.results_tables import ROOT
from recipes.cards.wording import rows_in_words
from recipes.score_sets import MAPPED, VAES, decoders_of, vae_of
from recipes.scored_sets import assets_folder

CELLS = (40, 60)


def main() -> None:
    """Every space."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spaces", nargs="+", default=list(MAPPED), choices=list(MAPPED))
    for space in parser.parse_args().spaces:
        path = ROOT / "data" / "models" / f"pareto_{space}.csv"
        frame = rows_in_words(path, "approximation")
        spent = costs(approximations_of(space, frame), torch.randn(1, lf.get_space(space).channels, *CELLS))
        for name, values in spent.items():
            frame.loc[frame["approximation"] == name, "ms"] = values["ms"]
        print(write_atomic(path, frame.to_csv(index=False, float_format="%.5g")), flush=True)


def approximations_of(space: str, frame: pd.DataFrame) -> dict[str, Any]:
    """Name -> approximation of every row."""
    assets = assets_folder()
    known = {name: one for name, (_, one) in decoders_of(space, assets).items()}
    for form in ("cubic", "5", "1_decoder", "3_decoder", "5_3"):
        if (path := ROOT / "data" / "tables" / space / f"{form}.safetensors").is_file():
            known[lf.load(path).name] = lf.load(path)
    teacher = assets / "weights" / "taesd" / f"{VAES[space]}_decoder.safetensors"
    name = "TAESD" if space == "sd1" else vae_of(space, assets).name
    known[name] = lf.load(teacher, space=space)
    missing = sorted(set(frame["approximation"]) - set(known))
    if missing:
        sys.exit(f"make_timings: {space}: cannot time {', '.join(missing)}; run `make cards`, which makes them")
    return {one: known[one] for one in dict.fromkeys(frame["approximation"])}


if __name__ == "__main__":
    main()
