"""`latentfit train …`: networks, where the closed form stops."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from latentfit.cli_support import check_out

Kind = Annotated[Literal["decoder"], tyro.conf.Positional, tyro.conf.arg(metavar="decoder")]


def train(
    kind: Kind,
    store: Annotated[Path, tyro.conf.arg(metavar="STORE")],
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")],
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")],
    images: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None,
    batch: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None,
    lr: Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")] = None,
    seed: int = 0,
    samples: int = 0,
    precision: Literal["no", "bf16", "fp16"] = "no",
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
) -> None:
    """Train a network on a store's training pictures; the same command goes on where a killed run stopped.

    Parameters
    ----------
    kind : str
        What to train: decoder.
    store : Path
        A pair store with rgb, or with photo where the preset learns from photographs.
    preset : str
        cell-small, cell, cell-large, tiny, pixel-mlp or approx-cnn.
    out : Path
        The decoder, .safetensors. Beside it NAME.run/ holds the checkpoint, metrics and samples.
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
    precision : str
        Mixed precision; no: float32.
    device : str
        Where to train.
    """
    from latentfit import parallel
    from latentfit.pairs import PairStore
    from latentfit.train import preset_named, train_decoder

    check_out(out, ".safetensors", or_none=True)
    config = preset_named(preset).config
    config = replace(
        config,
        n_images=config.n_images if images is None else images,
        batch_images=config.batch_images if batch is None else batch,
        lr=config.lr if lr is None else lr,
        seed=seed,
        sample_images=samples,
        precision=precision,
    )
    made = train_decoder(PairStore(store), preset, out, config=config, device=device)
    if parallel.rank() == 0:
        path = out.with_suffix(".safetensors")
        print(f"{path}: {made.name}, {made.n_parameters} numbers, {made.card['seen_images']} crops seen")
        print(f"its curve and samples: {path.with_suffix('.run')}; score it: latentfit evaluate {path} --store {store}")
