"""Train mini-kl, a true AutoencoderKL, from pictures alone: `python -m recipes.mini_kl --hours 2`.

In slices of some minutes of the CPU, each of which ends at a checkpoint and is scored on the development pictures
(runs/train/mini-kl.development.csv); the same command goes on. `--fine` goes on from what is there with a falling rate
and a small adversary, to its end, into runs/train/mini-kl-fine.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from latentfit.train import preset_named, train_autoencoder
from recipes.development import Curve, round_trip, squares
from recipes.idle import yield_to_others
from recipes.picture_sets import training
from recipes.scored_sets import ROOT, assets_folder

RUNS, CACHE = ROOT / "runs" / "train", ROOT / "runs" / "decoded"
SLICE_SECONDS = 420.0


def main() -> None:
    """Slices until the hours are over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0, help="of the CPU")
    parser.add_argument("--fine", action="store_true")
    parser.add_argument("--images", type=int, help="crops to see in all, instead of the preset's number")
    options = parser.parse_args()
    name = "mini-kl-fine" if options.fine else "mini-kl"
    yield_to_others()
    until = time.process_time() + 3600 * options.hours
    assets = assets_folder()
    pictures = squares(assets)
    while (left := until - time.process_time()) > 0:
        if trained(name, assets, pictures, min(left, SLICE_SECONDS), options.images):
            break


def trained(name: str, assets: Path, pictures: dict, seconds: float, images: int | None = None) -> bool:
    """One slice; whether the run is at its end."""
    out, curve = RUNS / name, Curve(RUNS / f"{name}.development.csv")
    preset = preset_named(name, "vae")
    config = replace(preset.config, cpu_seconds=seconds, n_images=images or preset.config.n_images)
    begin = RUNS / "mini-kl" if preset.goes_on else None
    began = time.process_time()
    vae = train_autoencoder(
        training(assets), name, out, config=config, split="all", begin=begin, cache=CACHE, progress=False
    )
    seen, hours = seen_images(out), curve.hours + (time.process_time() - began) / 3600
    row = {"hours": hours, "seen_images": seen, **round_trip(vae, pictures)}
    curve.add(row)
    print(
        f"{time.strftime('%H:%M')} {name}: " + ", ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True
    )
    return seen >= config.n_images


def seen_images(out: Path) -> int:
    """What the card of a trained autoencoder says."""
    from latentfit.train import card_of

    card = card_of(out)
    assert card is not None
    return int(card["seen_images"])


if __name__ == "__main__":
    main()
