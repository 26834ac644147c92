"""`latentfit train …`: networks, where the closed form stops."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from latentfit.cli_support import Device, MaybeFile, check_out

Kind = Annotated[Literal["decoder", "encoder"], tyro.conf.Positional, tyro.conf.arg(metavar="decoder|encoder")]


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
    split: Literal["train", "all"] = "train",
    begin: MaybeFile = None,
    device: Device = "auto",
) -> None:
    """Train a network on a store's training pictures; the same command goes on where a killed run stopped.

    Parameters
    ----------
    kind : str
        What to train: a decoder, or an encoder to go with one.
    store : Path
        A pair store with rgb, or with photo where the preset learns from photographs.
    preset : str
        Decoders: cell-small, cell, cell-large, tiny, mini-decoder, pixel-mlp, approx-cnn. Encoders:
        tiny-encoder, mini-encoder.
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
    precision : str
        Mixed precision; no: float32. bf16 takes half the time on CPUs with AVX512-BF16.
    split : str
        "train": four pictures in five, by their hash, so that the others can be scored; "all": every picture.
    begin : Path or None
        A trained network of the same make, to begin from.
    device : str
        Where to train.
    """
    from latentfit import parallel
    from latentfit.named_maps import load_any
    from latentfit.nets.tiny import load_tiny_encoder
    from latentfit.pairs import PairStore
    from latentfit.train import preset_named, train_decoder, train_encoder
    from latentfit.vae_weights import WeightsFile

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
    path = out.with_suffix(".safetensors")
    if kind == "encoder":
        encoder = load_tiny_encoder(WeightsFile(begin).read()) if begin else None
        train_encoder(PairStore(store), preset, out, config=config, split=split, begin=encoder, device=device)
        said = [f"{path}: {preset}; its curve: {path.with_suffix('.run')}"]
    else:
        opened = PairStore(store)
        first = load_any(begin, opened.space) if begin else None
        made = train_decoder(opened, preset, out, config=config, split=split, begin=first, device=device)
        said = [f"{path}: {made.name}, {made.n_parameters} numbers, {made.card['seen_images']} crops seen"]
        said += [f"its curve and samples: {path.with_suffix('.run')}"]
        said += [f"score it: latentfit evaluate {path} --store {store}"]
    if parallel.rank() == 0:
        print("\n".join(said))
