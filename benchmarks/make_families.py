"""`data/spaces/families.json`: statistics that tell latent spaces of equal channels apart.

    python -m benchmarks.make_families STORE STORE ...

Each store is of one space; its training pictures make the statistics, its held-out ones test them, which is printed:
how many are taken for another space's, and how many of another space's, given as this one's, are noticed.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from latentfit import families
from latentfit.pairs import PairStore
from latentfit.resources import write_atomic

OUT = Path(__file__).parents[1] / "data" / "spaces" / "families.json"
MOST = 400
HOW = (
    "mean and covariance of blocks of 2x2 cells (place, channel), model domain, averaged over pictures; least: what "
    "99 % of the pictures reach in log-density a value. Made by benchmarks/make_families.py."
)


def main(arguments: Sequence[str]) -> None:
    """Measure the stores, write the file, and say how well it tells them apart."""
    stores = [PairStore(path) for path in arguments]
    entries = {store.space.name: _measured(store) for store in stores}
    write_atomic(OUT, json.dumps({"how": HOW, "families": entries}, indent=None, separators=(",", ":")) + "\n")
    families._families.cache_clear()
    for declared in stores:
        for true in stores:
            if true.space.channels != declared.space.channels:
                continue
            taken = n = 0
            for batch in true.batches(true.split("test"), n_cells=1):
                latents = declared.space.to_model(true.space.to_raw(batch.latents))
                taken += families.likelier_space(latents, declared.space) is not None
                n += 1
            print(f"{true.space.name} read as {declared.space.name}: {taken} of {n} taken for another")


def _measured(store: PairStore) -> dict[str, object]:
    samples = store.split("train")
    found = []
    for batch in store.batches(samples[:: max(1, len(samples) // MOST)], n_cells=1):
        moments = families.moments_of(batch.latents)
        assert moments is not None
        found.append(moments[:2])
    mean = torch.stack([one for one, _ in found]).mean(0)
    covariance = torch.stack([square for _, square in found]).mean(0) - torch.outer(mean, mean)
    family = families.Family(mean, covariance, 0.0)
    least = float(np.quantile([family.log_density(*one) for one in found], 0.01))
    rounded = [[round(value, 5) for value in row] for row in covariance.tolist()]
    return {
        "reference": store.reference, "n_samples": len(found), "least": round(least, 4),
        "mean": [round(value, 5) for value in mean.tolist()], "covariance": rounded,
    }  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
