"""`latentfit train …`: networks, where the closed form stops."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from latentfit.cli_support import Device, MaybeFile, Name, check_out
from latentfit.errors import TrainError

if TYPE_CHECKING:
    from latentfit.palette_targets import Palettizing
    from latentfit.pixelvae_folder import PixelvaeFolder
    from latentfit.train import TrainConfig

Kind = Annotated[
    Literal["decoder", "encoder", "palette"], tyro.conf.Positional, tyro.conf.arg(metavar="decoder|encoder|palette")
]
MaybeNumber = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")]


def train(
    kind: Kind,
    preset: Annotated[str, tyro.conf.arg(metavar="NAME")],
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")],
    store: Annotated[Path | None, tyro.conf.arg(metavar="STORE", help_behavior_hint="")] = None,
    palette: Name = None,
    method: Literal["k-centroid", "vote", "nearest"] = "k-centroid",
    dither: Literal["none", "bayer-2", "bayer-4", "bayer-8"] = "none",
    balance: MaybeNumber = None,
    oklab: MaybeNumber = None,
    folder: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None,
    vae: Annotated[str | None, tyro.conf.arg(metavar="REF", help_behavior_hint="")] = None,
    space: Name = None,
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
        What to train: a decoder, an encoder to go with one, or a palettized decoder.
    preset : str
        Decoders: cell-small, cell, cell-large, tiny, mini-decoder, pixel-mlp, approx-cnn. Encoders:
        tiny-encoder, mini-encoder. Palettized: cell-palette, pixelvae.
    out : Path
        The network, .safetensors. Beside it NAME.run/ holds the checkpoint, metrics and samples.
    store : Path or None
        A pair store with rgb, or with photo where the preset learns from photographs. With --folder: where its latents'
        decodes are kept; left out: NAME.pairs/ beside the network.
    palette : str or None
        Of a palettized decoder: a bundled name such as pico-8, or a file: .hex, .txt, .gpl, .png.
    method : str
        Palettized: how a cell's pixels become one class.
    dither : str
        Palettized: ordered dithering of the targets, and then of what the decoder gives.
    balance : float or None
        Palettized: 0, every cell counts alike, to 1, every class does; left out: the preset's.
    oklab : float or None
        Palettized: weight of the expected OKLab distance beside the cross-entropy; left out: the preset's.
    folder : Path or None
        Palettized: learn from .latent files laid out as pixelvae's, set1_train/0001.latent; those with "test" in their
        path are held out.
    vae : str or None
        With --folder: what decodes them; preset, hub id, diffusers folder, or single file.
    space : str or None
        With --folder: the latent space of the VAE, where its file does not say.
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
    from latentfit.train import palette_preset_named, preset_named

    check_out(out, ".safetensors", or_none=True)
    _check_kind(kind, store, palette, folder, vae)
    config = (palette_preset_named(preset) if kind == "palette" else preset_named(preset)).config
    config = replace(
        config,
        n_images=config.n_images if images is None else images,
        batch_images=config.batch_images if batch is None else batch,
        lr=config.lr if lr is None else lr,
        seed=seed,
        sample_images=samples,
        precision=precision,
    )
    how = _How(preset, out, config, split, begin, device)
    if kind == "palette":
        from latentfit.palette import Palette
        from latentfit.palette_targets import Palettizing

        assert palette is not None
        pairs = _pixelvae_pairs(folder, str(vae), space, device, store or out.with_suffix(".pairs")) if folder else None
        said = _palette(how, Palettizing(Palette.load(palette), method, dither), pairs or store, balance, oklab)
    else:
        assert store is not None
        said = _encoder(how, store) if kind == "encoder" else _decoder(how, store)
    if parallel.rank() == 0:
        print("\n".join(said))


@dataclass(frozen=True)
class _How:
    """What training of all kinds is told."""

    preset: str
    out: Path
    config: "TrainConfig"
    split: Literal["train", "all"]
    begin: Path | None
    device: str

    @property
    def path(self) -> Path:
        return self.out.with_suffix(".safetensors")


def _check_kind(kind: str, store: Path | None, palette: str | None, folder: Path | None, vae: str | None) -> None:
    """What goes together, before anything is loaded."""
    if kind != "palette" and (palette or folder or vae):
        raise TrainError(f"train {kind}: --palette, --folder and --vae are of `latentfit train palette`")
    if kind == "palette" and palette is None:
        from latentfit.palette import bundled_palettes

        raise TrainError(f"train palette: name one with --palette: {', '.join(bundled_palettes())}, or a file")
    if folder is not None and vae is None:
        raise TrainError(
            "train palette: --folder holds latents alone: name what decodes them with --vae, such as taesd"
        )
    if folder is None and store is None:
        raise TrainError(f"train {kind}: name a pair store with --store" + (" or --folder" * (kind == "palette")))


def _decoder(how: _How, store: Path) -> list[str]:
    from latentfit.named_maps import load_any
    from latentfit.pairs import PairStore
    from latentfit.train import train_decoder

    opened = PairStore(store)
    first = load_any(how.begin, opened.space) if how.begin else None
    made = train_decoder(
        opened, how.preset, how.out, config=how.config, split=how.split, begin=first, device=how.device
    )
    said = [f"{how.path}: {made.name}, {made.n_parameters} numbers, {made.card['seen_images']} crops seen"]
    said += [f"its curve and samples: {how.path.with_suffix('.run')}"]
    return [*said, f"score it: latentfit evaluate {how.path} --store {store}"]


def _encoder(how: _How, store: Path) -> list[str]:
    from latentfit.nets.tiny import load_tiny_encoder
    from latentfit.pairs import PairStore
    from latentfit.train import train_encoder
    from latentfit.vae_weights import WeightsFile

    encoder = load_tiny_encoder(WeightsFile(how.begin).read()) if how.begin else None
    train_encoder(
        PairStore(store), how.preset, how.out, config=how.config, split=how.split, begin=encoder, device=how.device
    )
    return [f"{how.path}: {how.preset}; its curve: {how.path.with_suffix('.run')}"]


def _pixelvae_pairs(folder: Path, vae: str, space: str | None, device: str, store: Path) -> "PixelvaeFolder":
    from latentfit.pixelvae_folder import collect_pixelvae
    from latentfit.vae import Vae

    return collect_pixelvae(folder, Vae.load(vae, space=space, device=device), store)


def _palette(
    how: _How,
    palettizing: "Palettizing",
    pairs: "PixelvaeFolder | Path | None",
    balance: float | None,
    oklab: float | None,
) -> list[str]:
    """Train on a store, or on a folder's training latents and score on its test latents."""
    from latentfit.fit import ChannelMap
    from latentfit.named_maps import load_any
    from latentfit.pairs import PairStore
    from latentfit.palette_scores import evaluate_palettes, summary
    from latentfit.train import train_palette

    assert pairs is not None
    store, train, test = (
        (PairStore(pairs), None, None) if isinstance(pairs, Path) else (pairs.store, pairs.train, pairs.test)
    )
    first = load_any(how.begin, store.space, palettizing.palette) if how.begin else None
    made = train_palette(
        store, palettizing, how.preset, how.out, config=how.config, balance=balance, oklab=oklab, split=how.split,
        samples=train, begin=first, device=how.device,
    )  # fmt: skip
    said = [f"{how.path}: {made.name} of {palettizing.in_words}, {made.n_parameters} numbers, "
            f"{made.card['seen_images']} crops seen"]  # fmt: skip
    said += [f"its curve and samples: {how.path.with_suffix('.run')}"]
    if test is None:
        return [*said, f"score it: latentfit evaluate {how.path} --store {store.path}"]
    baseline = ChannelMap("3").fit(store, samples=train).approximation()
    return [
        *said,
        f"on the {len(test)} latents of the test set:",
        summary(evaluate_palettes([made, baseline], store, samples=test)),
    ]
