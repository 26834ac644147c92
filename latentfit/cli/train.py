"""`latentfit train decoder|encoder|palette|interposer|upscaler|vae`: networks, where the closed form stops."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from latentfit.cli.arguments import Device, MaybeFile, Name, Store, check_out, check_without, say
from latentfit.cli.usage import command
from latentfit.errors import StoreError, TrainError

if TYPE_CHECKING:
    from latentfit.latents.spaces import LatentSpace
    from latentfit.maps.contracts import Approximation
    from latentfit.pairs.pixelvae_folder import PixelvaeFolder
    from latentfit.train.config import TrainConfig
    from latentfit.train.latent_map_presets import LatentPreset


MaybeInt = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
MaybeFloat = Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")]
Folders = Annotated[tuple[Path, ...], tyro.conf.arg(metavar="DIR...", help_behavior_hint="")]


@dataclass(frozen=True)
class TrainFlags:
    """The settings of a training run.

    Attributes
    ----------
    preset : str
        What network, losses and course; a wrong name lists them.
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
    precision : str or None
        Mixed precision; no: float32. bf16 takes half the time on CPUs with AVX512-BF16. Left out: the preset's.
    split : str
        "train": four pictures in five, by their hash, so that the others can be scored; "all": every picture.
    begin : Path or None
        A trained network of the same make, to begin from.
    device : str
        Where to train.
    """

    preset: Annotated[str, tyro.conf.arg(metavar="NAME")]
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    images: MaybeInt = None
    batch: MaybeInt = None
    lr: MaybeFloat = None
    seed: int = 0
    samples: int = 0
    precision: Annotated[Literal["no", "bf16", "fp16"] | None, tyro.conf.arg(help_behavior_hint="")] = None
    split: Literal["train", "all"] = "train"
    begin: MaybeFile = None
    device: Device = "auto"

    @property
    def path(self) -> Path:
        """The file that will be written."""
        return self.out.with_suffix(".safetensors")

    def config(self, preset: "TrainConfig", *, is_folder: bool = False) -> "TrainConfig":
        """The preset's, with what is told instead; an output that cannot be written is refused here."""
        if is_folder:
            check_out(self.out / "config.json", ".json")
        else:
            check_out(self.out, ".safetensors", or_none=True)
        return replace(
            preset,
            n_images=preset.n_images if self.images is None else self.images,
            batch_images=preset.batch_images if self.batch is None else self.batch,
            lr=preset.lr if self.lr is None else self.lr,
            seed=self.seed,
            sample_images=self.samples,
            precision=self.precision or preset.precision,
        )


Flags = Annotated[TrainFlags, tyro.conf.arg(name="")]


def decoder(store: Store, how: Flags) -> None:
    """A decoder: latents to pictures. Presets: PRESETS.

    Parameters
    ----------
    store : Path
        A pair store with rgb, or with photo where the preset learns from photographs.
    """
    from latentfit.formats.opening import load_any
    from latentfit.pairs.store import PairStore
    from latentfit.train import preset_named, train_decoder

    config, opened = how.config(preset_named(how.preset, "decoder").config), PairStore(store)
    first = load_any(how.begin, opened.space) if how.begin else None
    made = train_decoder(opened, how.preset, how.out, config=config, split=how.split, begin=first, device=how.device)
    _say(
        f"{how.path}: {made.name}, {made.n_parameters} numbers, {made.card['seen_images']} crops seen",
        _curve(how),
        f"score it: latentfit evaluate {how.path} --store {store}",
    )


def encoder(store: Store, how: Flags) -> None:
    """An encoder, pictures to latents, to go with a decoder. Presets: PRESETS.

    Parameters
    ----------
    store : Path
        A pair store with photo.
    """
    from latentfit.nets.tiny import load_tiny_encoder
    from latentfit.pairs.store import PairStore
    from latentfit.runtime.weights import WeightsFile
    from latentfit.train import preset_named, train_encoder

    config, opened = how.config(preset_named(how.preset, "encoder").config), PairStore(store)
    first = load_tiny_encoder(WeightsFile(how.begin).read()) if how.begin else None
    train_encoder(opened, how.preset, how.out, config=config, split=how.split, begin=first, device=how.device)
    _say(f"{how.path}: {how.preset}", _curve(how))


def palette(
    how: Flags,
    store: Annotated[Path | None, tyro.conf.arg(metavar="STORE", help_behavior_hint="")] = None,
    palette: Name = None,
    method: Literal["k-centroid", "vote", "nearest"] = "k-centroid",
    dither: Literal["none", "bayer-2", "bayer-4", "bayer-8"] = "none",
    of: Literal["rgb", "photo"] = "rgb",
    balance: MaybeFloat = None,
    oklab: MaybeFloat = None,
    folder: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None,
    vae: Annotated[str | None, tyro.conf.arg(metavar="REF", help_behavior_hint="")] = None,
    space: Name = None,
) -> None:
    """A palettized decoder: latents to classes of a palette. Presets: PRESETS.

    Parameters
    ----------
    store : Path or None
        A pair store with rgb. With --folder: where its latents' decodes are kept; left out: NAME.pairs/ beside the
        network.
    palette : str or None
        A bundled name such as pico-8, or a file: .hex, .txt, .gpl, .pal, .act, .png.
    method : str
        How a cell's pixels become one class.
    dither : str
        Ordered dithering of the targets, and then of what the decoder gives.
    of : str
        What becomes classes: rgb, what the VAE decoded; photo, what it was given, as for pixel art that is drawn with
        one pixel a cell (with --method nearest).
    balance : float or None
        0, every cell counts alike, to 1, every class does; left out: the preset's.
    oklab : float or None
        Weight of the expected OKLab distance beside the cross-entropy; left out: the preset's.
    folder : Path or None
        Learn from .latent files laid out as pixelvae's, set1_train/0001.latent; those with "test" in their path are
        held out.
    vae : str or None
        With --folder: what decodes them; preset, hub id, diffusers folder, or single file.
    space : str or None
        With --folder: the latent space of the VAE, where its file does not say.
    """
    from latentfit.fit import ChannelMap
    from latentfit.formats.opening import load_any
    from latentfit.pairs.store import PairStore
    from latentfit.palettes.palette import Palette, bundled_palettes
    from latentfit.palettes.targets import Palettizing
    from latentfit.scores.palettes import evaluate_palettes, palette_summary
    from latentfit.train import preset_named, train_palette

    if palette is None:
        raise TrainError(
            "train palette: no palette is named",
            remedy=f"name one with --palette: {', '.join(bundled_palettes())}, or a file",
        )
    config = how.config(preset_named(how.preset, "palette").config)
    palettizing = Palettizing(Palette.load(palette), method, dither, of=of)
    pairs = _folder_pairs(how, folder, vae, space, store)
    if folder is not None and how.split != "train":
        check_without("train palette", "names with 'test' in their path decide which latents are held out", split="all")
    opened, train, test = (PairStore(pairs), None, None) if isinstance(pairs, Path) else (
        pairs.store, pairs.train, pairs.test
    )  # fmt: skip
    first = load_any(how.begin, opened.space, palettizing.palette) if how.begin else None
    made = train_palette(
        opened, palettizing, how.preset, how.out, config=config, balance=balance, oklab=oklab, split=how.split,
        samples=train, begin=first, device=how.device,
    )  # fmt: skip
    seen = made.card["seen_images"]
    said = f"{how.path}: {made.name} of {palettizing.in_words}, {made.n_parameters} numbers, {seen} crops seen"
    if test is None:
        _say(said, _curve(how), f"score it: latentfit evaluate {how.path} --store {opened.path}")
        return
    baseline = ChannelMap("3").fit(opened, samples=train).approximation()
    table = palette_summary(evaluate_palettes([made, baseline], opened, samples=test))
    _say(said, _curve(how), f"on the {len(test)} latents of the test set:", table)


def interposer(source: Store, target: Store, how: Flags, decoder: MaybeFile = None, trunk: MaybeFile = None) -> None:
    """A map from one VAE's latents to another's. Presets: PRESETS.

    Parameters
    ----------
    source : Path
        A pair store of the VAE whose latents come in.
    target : Path
        A pair store of the same pictures, with the same crops, of the VAE whose latents go out.
    decoder : Path or None
        A saved decoder of the target's space, through which decoded losses look; left out: the bundled cell decoder.
    trunk : Path or None
        A saved decoder of preset cell-large of the source's space, whose blocks the network begins with; left out: the
        bundled one where the preset can take it; none: it begins anew.
    """
    from latentfit.formats.opening import load_latent_map
    from latentfit.pairs.store import PairStore
    from latentfit.train.latent_maps import train_latent_map
    from latentfit.train.presets import preset_named

    preset = preset_named(how.preset, "interposer")
    config, joined = how.config(preset.config), PairStore(source).join(PairStore(target))
    here, there = joined.source.space, joined.target.space
    looks = _decoder_for(how, preset, here, there, decoder)
    first = load_latent_map(how.begin, here, there) if how.begin else None
    made = train_latent_map(
        joined, how.preset, how.out, decoder=looks, trunk=_trunk_for(how, preset, here, trunk), config=config,
        split=how.split, begin=first, device=how.device,
    )  # fmt: skip
    back = how.path.with_name(f"{how.path.stem}_back.safetensors")
    about = "" if joined.scale == 1 else f", {joined.scale} times as large"
    _say(
        f"{how.path}: {made.name}, {here.title} latents -> {there.title} latents{about}, {made.n_parameters} numbers, "
        f"{made.card['seen_images']} crops seen of {made.card['n_samples']} pairs",
        *([f"its inverse: {back}"] if preset.both_ways and back.is_file() else []),
        _curve(how),
        f"score it: latentfit evaluate {how.path} --source {source} --target {target} --source-vae REF "
        "--target-vae REF",
        f"use it: latentfit convert X.latent --map {how.path} --out Y.latent",
    )


def upscaler(store: Store, how: Flags, factor: str = "", decoder: MaybeFile = None, trunk: MaybeFile = None) -> None:
    """A map to larger latents of the same space. Presets, ours first, then other projects': PRESETS.

    Parameters
    ----------
    store : Path
        Stores of several scales: latentfit collect --scales 1 2.
    factor : str
        Which of the scales, over the least; left out: 2, or all of them where the preset learns any.
    decoder : Path or None
        A saved decoder of the space, through which decoded losses look; left out: the bundled cell decoder.
    trunk : Path or None
        A saved decoder of preset cell-large of the space, whose blocks the network begins with; left out: the bundled
        one where the preset can take it; none: it begins anew.
    """
    from latentfit.formats.opening import load_latent_map
    from latentfit.pairs.scaled import ScaledStores
    from latentfit.train.latent_maps import train_latent_map
    from latentfit.train.presets import preset_named

    preset, stores = preset_named(how.preset, "upscaler"), ScaledStores(store)
    joined = [stores.join(factor or 2)] if factor or not preset.any_factor else stores.joined()
    space = joined[0].source.space
    looks = _decoder_for(how, preset, space, space, decoder)
    first = load_latent_map(how.begin, space, space) if how.begin else None
    made = train_latent_map(
        joined, how.preset, how.out, decoder=looks, trunk=_trunk_for(how, preset, space, trunk),
        config=how.config(preset.config), split=how.split, begin=first, device=how.device,
    )  # fmt: skip
    factors = ", ".join(str(one.scale) for one in joined)
    _say(
        f"{how.path}: {made.name}, {space.title} latents {factors} times as large, {made.n_parameters} numbers, "
        f"{made.card['seen_images']} crops seen of {made.card['n_samples']} pairs",
        _curve(how),
        f"score it: latentfit evaluate {how.path} --source {stores.join(made.scale).source.path} --target "
        f"{stores.join(made.scale).target.path} --source-vae REF --target-vae REF",
        f"use it: latentfit upscale X.latent --model {how.path} --factor {made.scale} --out Y.latent",
    )


def vae(pictures: Folders, how: Flags) -> None:
    """A true autoencoder, AutoencoderKL as diffusers has it, from pictures alone. Presets: PRESETS.

    --out names a folder: config.json and weights, which diffusers and every command here read.

    Parameters
    ----------
    pictures : tuple of Path
        Folders of pictures. The name of each is its kind, of which the preset may draw more or fewer crops:
        photographs, paintings, drawings, pixel art.
    """
    from latentfit.images.sources import folder
    from latentfit.train import card_of, preset_named, train_autoencoder

    if how.samples:
        raise TrainError(
            f"--samples {how.samples}: an autoencoder draws no sample sheets", remedy="leave that flag out"
        )
    names = [path.resolve().name for path in pictures]
    if len(set(names)) < len(names):
        raise TrainError(
            f"--pictures {' '.join(map(str, pictures))}", expected="folders of different names, each a kind",
            got=", ".join(names), remedy="put what is of one kind into one folder",
        )  # fmt: skip
    config = how.config(preset_named(how.preset, "vae").config, is_folder=True)
    made = train_autoencoder(
        {name: folder(path) for name, path in zip(names, pictures, strict=True)}, how.preset, how.out,
        config=config, split=how.split, begin=how.begin, device=how.device,
    )  # fmt: skip
    card = card_of(how.out) or {}
    _say(
        f"{how.out}: {how.preset}, {sum(p.numel() for p in made.network.parameters())} numbers, {card['seen_images']} "
        f"crops seen of {card['n_images']} pictures, scaling factor {made.space.scale[0]:.4g}",
        f"its curve: {how.out.with_suffix('.run')}",
        f"use it: latentfit collect --vae {how.out} --images DIR --out STORE",
    )


def _decoder_for(
    how: TrainFlags, preset: "LatentPreset", source: "LatentSpace", space: "LatentSpace", file: Path | None
) -> "Approximation | None":
    """What decoded losses look through, where there are such: the one that is named, or the bundled one."""
    from latentfit.formats.bundled import bundled_decoder
    from latentfit.formats.saved import load_approximation
    from latentfit.train.latent_map_objective import looks_at_pictures

    if not looks_at_pictures(preset.losses_of(source, space)):
        if file is not None or how.samples:
            flag = f"--samples {how.samples}" if file is None else f"--decoder {file}"
            raise TrainError(
                f"{flag}: preset {how.preset!r} looks at no decoded pictures", remedy="leave that flag out"
            )
        return None
    chosen = file or bundled_decoder(space.name)
    if chosen is None or not chosen.is_file():
        raise TrainError(
            f"preset {how.preset!r} has decoded losses",
            expected=f"a decoder of {space.title}, of which none is bundled",
            remedy="train one with `latentfit train decoder`, and name it with --decoder",
        )
    _say(f"decoded losses look through {chosen.name}" + ("" if file else ", the bundled decoder"))
    return load_approximation(chosen, space)


def _trunk_for(
    how: TrainFlags, preset: "LatentPreset", source: "LatentSpace", file: Path | None
) -> "Approximation | None":
    """Whose blocks a network begins with: the decoder that is named, or the bundled one, where the preset takes one."""
    from latentfit.formats.bundled import bundled_decoder
    from latentfit.formats.saved import load_approximation

    if file is not None and file == Path("none"):
        if how.begin is not None or not preset.takes_trunk:
            reason = f"{how.begin} brings all weights" if how.begin else f"preset {how.preset!r} begins with no trunk"
            check_without("train", reason, trunk=file)
        return None
    if file is not None and not preset.takes_trunk:
        raise TrainError(
            f"--trunk {file}: preset {how.preset!r} has other blocks than a cell decoder", remedy="leave it out"
        )
    if file is not None and how.begin is not None:
        raise TrainError(f"--trunk {file}: --begin {how.begin} brings all weights", remedy="leave one of the two out")
    if file is None and (how.begin is not None or not preset.takes_trunk):
        return None
    chosen = file or bundled_decoder(source.name, "cell-large")
    if chosen is None:
        return None
    _say(f"begins with the blocks of {chosen.name}" + ("" if file else ", the bundled decoder"))
    return load_approximation(chosen, source)


def _folder_pairs(
    how: TrainFlags, folder: Path | None, vae: str | None, space: str | None, store: Path | None
) -> "PixelvaeFolder | Path":
    """A store's path, or a folder of latents, decoded."""
    if folder is None:
        if vae is not None or space is not None:
            raise TrainError(
                "train palette: --vae and --space go with --folder", remedy="leave them out: a store knows its own"
            )
        if store is None:
            raise TrainError("train palette: no pairs are named", remedy="name a pair store with --store or --folder")
        return store
    if vae is None:
        raise TrainError(
            "train palette: --folder holds latents alone", remedy="name what decodes them with --vae, such as taesd"
        )
    from latentfit.pairs.pixelvae_folder import collect_pixelvae
    from latentfit.vae.vae import Vae

    opened = Vae.load(vae, space=space, device=how.device)
    try:
        return collect_pixelvae(folder, opened, store or how.out.with_suffix(".pairs"))
    except StoreError as error:
        raise error.renamed(out="store") from error


def _curve(how: TrainFlags) -> str:
    return f"its curve{' and samples' if how.samples else ''}: {how.path.with_suffix('.run')}"


def _say(*lines: str) -> None:
    """Once, whatever the number of processes."""
    from latentfit.runtime import distributed as parallel

    parallel.start_ranks()
    if parallel.rank() == 0:
        say("\n".join(lines))


_KINDS = {function.__name__: command(function) for function in (decoder, encoder, palette, interposer, upscaler, vae)}
Kind = (
    Annotated[Any, tyro.conf.subcommand(name="decoder", constructor=_KINDS["decoder"])]
    | Annotated[Any, tyro.conf.subcommand(name="encoder", constructor=_KINDS["encoder"])]
    | Annotated[Any, tyro.conf.subcommand(name="palette", constructor=_KINDS["palette"])]
    | Annotated[Any, tyro.conf.subcommand(name="interposer", constructor=_KINDS["interposer"])]
    | Annotated[Any, tyro.conf.subcommand(name="upscaler", constructor=_KINDS["upscaler"])]
    | Annotated[Any, tyro.conf.subcommand(name="vae", constructor=_KINDS["vae"])]
)


def name_presets() -> None:
    """Put the names of the presets into the help of each kind: only where training is asked for, as it costs torch."""
    from latentfit.train.presets import preset_names

    for kind, run in _KINDS.items():
        names = ", ".join(preset_names(kind))  # type: ignore[arg-type]
        run.__doc__ = (run.__doc__ or "").replace("PRESETS", names)


def train(kind: Annotated[Kind, tyro.conf.arg(name="")]) -> None:
    """Train a network on a store's training pictures; the same command goes on where a killed run stopped."""
