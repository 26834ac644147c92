"""The whole pipeline, or part of it: picture set → stores → every network → filters → scores → cards → docs.

    python -m recipes.all --hours 6
    python -m recipes.all --steps stores networks --only sd3:cell flux2:cell --hours 2
    python -m recipes.all --plan

Whatever ends it, the same command goes on: what is collected is not collected again, and networks go on from their
checkpoints. It takes one thread and yields to everything else that runs. Networks are trained in slices of some
minutes; the next slice goes to the one whose held-out curve still rises the most (recipes/scheduling.py), and after
each slice the table of all of them is written to runs/train/progress.md: a line a model with its curve, and what an
hour more would give. Hours are those of the CPU, so that a busy machine spends none. Reads LATENTFIT_ASSETS.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from latentfit.runtime import write_atomic
from recipes import models, stores
from recipes.idle import yield_to_others
from recipes.jobs import RUNS, SPACES, jobs
from recipes.picture_sets import development, training
from recipes.scheduling import Job, next_job, table_of
from recipes.scored_sets import assets_folder

STEPS = ("pictures", "stores", "networks", "filters", "scores", "cards", "docs")
PROGRESS = RUNS / "progress.md"
AFTER = {
    "scores": ("recipes.score_sets",),
    "cards": ("recipes.cards.models", "recipes.cards.palettes"),
    "docs": ("recipes.cards.results", "recipes.cards.readme"),
}
"""Steps that other recipes do: their modules, in turn."""


def main() -> None:
    """Every step that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=6.0, help="of the CPU, for the networks")
    parser.add_argument("--slice", type=float, default=15.0, help="minutes of the CPU between two scores of a network")
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--only", nargs="+", metavar="JOB", help="networks; left out: all")
    parser.add_argument("--plan", action="store_true", help="train nothing: print the table, and whose turn it is")
    options = parser.parse_args()
    assets = assets_folder()
    chosen = chosen_of(jobs(assets), options.only)
    if options.plan:
        print(table_of(chosen))
        turn = next_job(chosen)
        print(f"next: {'nothing, all are at their end' if turn is None else turn.name}")
        return
    yield_to_others()
    for step in options.steps:
        if step == "pictures":
            pictures(assets)
        elif step == "stores":
            collect(chosen, assets)
        elif step == "filters":
            filters(assets)
        elif step == "networks":
            networks(chosen, options.hours, 60 * options.slice)
        else:
            run(AFTER[step])


def chosen_of(every: Sequence[Job], names: Sequence[str] | None) -> list[Job]:
    """Those of these names; an exit that lists all where one is not known."""
    known = {job.name: job for job in every}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        sys.exit(f"no network is called {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else list(every)


def pictures(assets: Path) -> None:
    """Say what is trained on, and that nothing of it is held out."""
    for name, found in (("training", training(assets)), ("development", development(assets))):
        print(f"{name}: " + ", ".join(f"{len(members)} {kind}" for kind, members in found.items()), flush=True)


def collect(chosen: Sequence[Job], assets: Path) -> None:
    """The stores of every space that a network of those reads."""
    for space in SPACES:
        if any(space in job.name.replace("-to-", ":").split(":") for job in chosen):
            print(f"{time.strftime('%H:%M')} {space}: {len(stores.training_store(space, assets))} squares", flush=True)
            stores.development_store(space, assets)


def networks(chosen: Sequence[Job], hours: float, slice_seconds: float) -> None:
    """Slices until the hours are over, or every run is at its end."""
    until = time.process_time() + 3600 * hours
    while (left := until - time.process_time()) > 0:
        job = next_job(chosen)
        if job is None:
            print("every run is at its end")
            return
        job.slice(min(slice_seconds, left))
        row = job.curve.rows()[-1]
        print(f"{time.strftime('%H:%M')} {job.name}: " + ", ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)
        write_atomic(PROGRESS, table_of(chosen))


def filters(assets: Path) -> None:
    """The sharpening filter of every large cell decoder that was trained since it had one."""
    for space in SPACES:
        if models.path_of(space, models.LARGE).is_file():
            models.sharpened(space, stores.training_store(space, assets))


def run(modules: Sequence[str]) -> None:
    """Other recipes, each in a process of its own; the first that fails ends the run."""
    for module in modules:
        print(f"{time.strftime('%H:%M')} {module}", flush=True)
        subprocess.run([sys.executable, "-m", module], check=True)


if __name__ == "__main__":
    main()
