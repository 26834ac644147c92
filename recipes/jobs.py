"""Every network that ships, as a run in slices with a held-out curve: `recipes.all` divides hours between them.

A run lies in runs/train: its file, NAME.run with the checkpoint, and NAME.development.csv with the curve. It ends when
it has seen `LONGER` times its preset's crops. Networks between latents look through the cell decoder of their target,
which is the one that was trained here, or the one that ships while there is none.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import torch

import latentfit as lf
from latentfit.formats import load_approximation
from latentfit.maps import Approximation, LatentMap
from latentfit.nets import load_tiny_encoder
from latentfit.pairs import Batch, JoinedStores, PairStore
from latentfit.palettes import Palette, Palettizing
from latentfit.runtime import WeightsFile
from latentfit.scores import evaluate_palettes
from latentfit.train import (
    TrainConfig,
    card_of,
    preset_named,
    train_autoencoder,
    train_decoder,
    train_encoder,
    train_latent_map,
    train_palette,
)
from recipes import stores
from recipes.development import OF_EACH, SIZE, Curve, psnr_of, round_trip, squares
from recipes.mixing import draw_of, mix_of
from recipes.picture_sets import KINDS, development, training
from recipes.scheduling import Job
from recipes.scored_sets import ROOT
from recipes.tables import vae_of

RUNS, MODELS, CACHE = ROOT / "runs" / "train", ROOT / "data" / "models", ROOT / "runs" / "decoded"
SPACES = ("sd1", "sdxl", "flux1", "sd3", "flux2")
MINIS = ("sd1", "sdxl", "flux1")
PAIRS = (
    ("sd1", "sdxl"), ("sdxl", "sd1"), ("sd1", "flux1"), ("flux1", "sd1"), ("sd1", "flux2"), ("sdxl", "flux2"),
    ("flux1", "flux2"), ("sd1", "sd3"), ("sd3", "sd1"), ("sdxl", "sd3"), ("flux1", "sd3"),
)  # fmt: skip
PALETTES = ("ega16", "nes", "pico-8", "aap-64")
LONGER = 4
"""Crops that a run may see, over its preset's."""
INTERPOSER, MINI = "interposer-low", ("mini-encoder-48", "mini-decoder-48")
HALF = Fraction(1, 2)


def jobs(assets: Path) -> list[Job]:
    """All of them, in the order in which they are begun."""
    return [
        mini_kl(assets),
        *(decoder(space, preset, assets) for preset in ("cell-large", "cell") for space in SPACES),
        *(mini(space, preset, assets) for space in MINIS for preset in MINI),
        *(palette(name, preset, assets) for name in PALETTES for preset in ("cell-palette", "pixelvae")),
        *(interposer(source, target, assets) for source, target in PAIRS),
        *(upscaler(space, preset, assets) for preset in ("upscaler", "upscaler-any") for space in SPACES),
    ]


@dataclass(frozen=True)
class Place:
    """Where a run lies.

    Attributes
    ----------
    name : str
        Of its job.
    """

    name: str

    @property
    def path(self) -> Path:
        """The network."""
        return RUNS / f"{self.name.replace(':', '-')}.safetensors"

    @property
    def curve(self) -> Curve:
        """Its scores so far."""
        return Curve(RUNS / f"{self.name.replace(':', '-')}.development.csv")

    @property
    def seen_images(self) -> int:
        """Crops that the network which lies there has seen; 0 where none does."""
        if not self.path.is_file():
            return 0
        metadata = WeightsFile(self.path).metadata
        if "latentfit_encoder" in metadata:
            return int(json.loads(metadata["latentfit_encoder"])["card"]["seen_images"])
        return int(lf.load(self.path).card["seen_images"])


def job_of(
    name: str,
    config: TrainConfig,
    train: Callable[[TrainConfig, Path], object],
    score: Callable[[Path], Mapping[str, float]],
    **more: object,
) -> Job:
    """A job from what trains a network to a path with a config, and what scores the network there."""
    place, longer = Place(name), replace(config, n_images=LONGER * config.n_images)

    def is_done() -> bool:
        return place.seen_images >= longer.n_images

    def sliced(seconds: float) -> bool:
        began = time.process_time()
        train(replace(longer, cpu_seconds=seconds, log_images=max(1, longer.n_images // 400)), place.path)
        hours = place.curve.hours + (time.process_time() - began) / 3600
        place.curve.add({"hours": hours, "seen_images": place.seen_images, **score(place.path)})
        return is_done()

    return Job(name, sliced, partial(score, place.path), place.curve, is_done, **more)  # type: ignore[arg-type]


def mini_kl(assets: Path) -> Job:
    """The AutoencoderKL, from pictures alone; its last course is a job of `recipes.mini_kl --fine`."""
    out, curve = RUNS / "mini-kl", Curve(RUNS / "mini-kl.development.csv")
    config = preset_named("mini-kl", "vae").config

    def seen() -> int:
        card = card_of(out) if (out / "config.json").is_file() else None
        return 0 if card is None else int(card["seen_images"])

    def score() -> dict[str, float]:
        return round_trip(lf.Vae.load(out, device="cpu"), squares(assets))

    def sliced(seconds: float) -> bool:
        began = time.process_time()
        train_autoencoder(
            training(assets), "mini-kl", out, config=replace(config, cpu_seconds=seconds), split="all", cache=CACHE,
            progress=False,
        )  # fmt: skip
        curve.add({"hours": curve.hours + (time.process_time() - began) / 3600, "seen_images": seen(), **score()})
        return seen() >= config.n_images

    return Job("mini-kl", sliced, score, curve, lambda: seen() >= config.n_images)


def decoder(space: str, preset: str, assets: Path) -> Job:
    """A cell decoder."""
    config = replace(preset_named(preset, "decoder").config, precision="bf16")

    def train(config: TrainConfig, out: Path) -> None:
        store = stores.training_store(space, assets)
        draw = draw_of(store.samples, mix_of(space, preset))
        train_decoder(store, preset, out, config=config, split="all", draw=draw, progress=False)

    return job_of(f"{space}:{preset}", config, train, lambda path: decoded(path, space, assets))


def decoded(path: Path, space: str, assets: Path) -> dict[str, float]:
    """Kind -> PSNR of what a decoder makes of the VAE's latents, against the pictures."""
    approximation = load_approximation(path)

    def made(store: PairStore, kind: str) -> float:
        batches = list(batches_of(store, kind, ["photo"]))
        wanted = [batch.photo for batch in batches if batch.photo is not None]
        return psnr_of([approximation(batch.latents) for batch in batches], wanted)

    return by_kind(stores.development_store(space, assets), made)


def mini(space: str, preset: str, assets: Path) -> Job:
    """Half of a mini VAE."""
    encodes = "encoder" in preset
    chosen = preset_named(preset, "encoder" if encodes else "decoder")
    config = replace(chosen.config, precision="bf16")

    def train(config: TrainConfig, out: Path) -> None:
        store, course = stores.training_store(space, assets), train_encoder if encodes else train_decoder
        draw = draw_of(store.samples, mix_of(space, "cell"))
        course(store, preset, out, config=config, split="all", draw=draw, progress=False)

    def score(path: Path) -> dict[str, float]:
        return encoded(path, space, assets) if encodes else decoded(path, space, assets)

    return job_of(f"{space}:{preset}", config, train, score)


def encoded(path: Path, space: str, assets: Path) -> dict[str, float]:
    """Kind -> how far below the latents' unit variance the error lies, in dB: 10 is R² of 0.9."""
    encoder = load_tiny_encoder(WeightsFile(path).read()).eval()

    @torch.no_grad()
    def made(store: PairStore, kind: str) -> float:
        batches = [batch for batch in batches_of(store, kind, ["photo"]) if batch.photo is not None]
        found = [encoder(batch.photo) for batch in batches]
        return psnr_of(found, [batch.latents for batch in batches])

    return by_kind(stores.development_store(space, assets), made)


def palette(name: str, preset: str, assets: Path) -> Job:
    """A palettized decoder of sd1, for pixel art: its classes are the indices of the art itself."""
    config = replace(preset_named(preset, "palette").config, precision="bf16", n_images=20_000)
    how = Palettizing(Palette.load(name), "nearest", of="photo")

    def train(config: TrainConfig, out: Path) -> None:
        store = stores.sprites_store("sd1", name, assets, "training")
        train_palette(store, how, preset, out, config=config, split="all", progress=False)

    def score(path: Path) -> dict[str, float]:
        store = stores.sprites_store("sd1", name, assets, "development")
        frame = evaluate_palettes([load_approximation(path)], store)
        pooled = frame[(frame["image"] == "all") & (frame["kind"] == "all")]
        return {"pixel art": 100 * float(pooled["accuracy"].iloc[0])}

    return job_of(f"sd1:{name}-{preset}", config, train, score, unit="% right", worth=0.1)


def interposer(source: str, target: str, assets: Path) -> Job:
    """A map from one space's latents to another's, with a loss on what is low in frequency."""
    config = replace(preset_named(INTERPOSER, "interposer").config, precision="bf16")

    def train(config: TrainConfig, out: Path) -> None:
        joined = JoinedStores(*(stores.training_store(space, assets) for space in (source, target)))
        train_latent_map(
            joined, INTERPOSER, out, decoder=best_of(target, "cell"), trunk=best_of(source, "cell-large"),
            config=config, split="all", progress=False,
        )  # fmt: skip

    def score(path: Path) -> dict[str, float]:
        there, here = (stores.development_store(space, assets) for space in (target, source))
        return mapped(path, JoinedStores(here, there))

    needs = (f"{target}:cell", f"{source}:cell-large")
    return job_of(f"{source}-to-{target}", config, train, score, needs=needs)


def upscaler(space: str, preset: str, assets: Path) -> Job:
    """A map to twice the sides, or of any factor."""
    config = replace(preset_named(preset, "upscaler").config, precision="bf16")
    shares = (HALF, Fraction(3, 4)) if preset.endswith("any") else (HALF,)

    def train(config: TrainConfig, out: Path) -> None:
        large = stores.training_store(space, assets)
        joined = [smaller(space, share, assets).join(large) for share in shares]
        train_latent_map(
            joined, preset, out, decoder=best_of(space, "cell"), trunk=best_of(space, "cell-large"), config=config,
            split="all", progress=False,
        )  # fmt: skip

    def score(path: Path) -> dict[str, float]:
        return mapped(path, smaller_development(space, assets).join(stores.development_store(space, assets)))

    return job_of(f"{space}:{preset}", config, train, score, needs=(f"{space}:cell", f"{space}:cell-large"))


def smaller(space: str, share: Fraction, assets: Path) -> PairStore:
    """The training squares at a share of their sides."""
    out = RUNS / f"{space}-mixed-x{float(share):g}"
    vae, pictures = vae_of(space, assets), training(assets)
    for kind in KINDS:
        lf.collect(
            vae, stores.named(pictures[kind], kind), out, size=SIZE, crops=stores.CROPS[kind], keep="cells",
            scale=share, scales=(1, share), progress=False,
        )  # fmt: skip
    return PairStore(out)


def smaller_development(space: str, assets: Path) -> PairStore:
    """The development pictures at half their sides."""
    out, vae = RUNS / f"{space}-development-x0.5", vae_of(space, assets)
    few = {kind: pictures[:OF_EACH] for kind, pictures in development(assets).items()}
    for kind in KINDS:
        how = {"size": SIZE, "keep": "cells", "scale": HALF, "scales": (1, HALF), "progress": False}
        lf.collect(vae, stores.named(few[kind], kind), out, **how)  # type: ignore[arg-type]
    return PairStore(out)


def mapped(path: Path, joined: JoinedStores) -> dict[str, float]:
    """Kind -> how far below the target latents' unit variance a map's error lies, in dB."""
    latent_map = lf.load(path)
    assert isinstance(latent_map, LatentMap)
    if latent_map.is_any_factor:
        latent_map = latent_map.at_scale(joined.scale)
    found: dict[str, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
    for pair in joined.split("all"):
        for here, there in joined.batches([pair]):
            made, wanted = found.setdefault(pair.source.kind, ([], []))
            made.append(latent_map(here.latents))
            wanted.append(there.latents)
    return {kind: psnr_of(*found[kind]) for kind in sorted(found)}


@cache
def best_of(space: str, preset: str) -> Approximation:
    """The cell decoder that was trained here, or while there is none the one that ships."""
    own, shipped = Place(f"{space}:{preset}").path, MODELS / f"{space}-{preset}.safetensors"
    found = lf.load(own if own.is_file() else shipped)
    assert isinstance(found, Approximation)
    return found


def by_kind(store: PairStore, score: Callable[[PairStore, str], float]) -> dict[str, float]:
    """Kind of samples -> score."""
    return {kind: score(store, kind) for kind in sorted({sample.kind for sample in store.samples})}


def batches_of(store: PairStore, kind: str, columns: Sequence[str]) -> Iterable[Batch]:
    """Samples of a kind, one at a time."""
    return store.batches([sample for sample in store.samples if sample.kind == kind], columns, n_cells=1)
