"""`latentfit export`, `decode`, `report`, `info`: what is done with a saved map."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from latentfit.cli.arguments import (
    File,
    Files,
    MaybeDomain,
    MaybeFile,
    Name,
    OutFile,
    Store,
    check_at_least,
    check_out,
    check_said,
    check_without,
    noticed_latents,
    say,
    store_in_words,
)
from latentfit.errors import BadFileError, PaletteError, SpaceMismatchError
from latentfit.formats.programs import registry

if TYPE_CHECKING:
    from latentfit.maps.contracts import Approximation, LatentMap

_NAMES = (
    f"Program: {', '.join(registry.names(of_formats=False))}; or format: {', '.join(registry.names(of_formats=True))}."
)


def export(
    file: File,
    to: Annotated[str, tyro.conf.arg(metavar="NAME", help=_NAMES)],
    out: OutFile,
    bias_free: MaybeFile = None,
    space: Name = None,
    palette: Name = None,
) -> None:
    """Write a map in the format of the program that will run it.

    Parameters
    ----------
    file : Path
        A map or network written by `fit` or `train`, another project's decoder, or a TAESD encoder, which some formats
        hold.
    to : str
        Program or format.
    out : Path
        File to write.
    bias_free : Path or None
        A map without intercept, for a program that drops the bias; not needed when FILE is one.
    space : str or None
        Latent space of another project's file, which does not say it.
    palette : str or None
        Palette of pixelvae's file, which does not hold it.
    """
    from latentfit.formats.exporter import export as run
    from latentfit.formats.exporter import export_encoder, is_bias_free_needed
    from latentfit.formats.opening import load_any
    from latentfit.formats.recognition import encoder_in

    check_out(out)
    encoder = encoder_in(file) if file.suffix in (".safetensors", ".pt", ".pth") and file.is_file() else None
    if encoder is not None:
        check_without("export", f"{file} holds an encoder", bias_free=bias_free, palette=palette)
        say(export_encoder(encoder, space, to, out))
        return
    loaded, plain = load_any(file, space, palette), load_any(bias_free, space) if bias_free else None
    check_said("--space", space, file, loaded.space)
    if palette is not None:
        _check_palette(file, loaded, palette)
    if plain is not None and not is_bias_free_needed(loaded, to):
        check_without("export", f"{to!r} takes {file} as it is", bias_free=bias_free)
    say(run(loaded, to, out, bias_free=plain))


def decode(
    file: File,
    latents: Annotated[Path, tyro.conf.arg(metavar="FILE")],
    out: OutFile,
    enlarge: int = 1,
    space: Name = None,
    palette: Name = None,
    domain: MaybeDomain = None,
) -> None:
    """Turn a latent file into a picture with a saved map; a palettized decoder writes an indexed PNG.

    Parameters
    ----------
    file : Path
        A map written by `fit`, a network written by `train`, or another project's decoder.
    latents : Path
        ComfyUI's .latent, .pt, .npy, kohya's .npz, .safetensors, city96's .bin, or TAESD's 8-bit .png.
    out : Path
        PNG to write; of a batch, the second and later ones get _1, _2, …
    enlarge : int
        Enlarge this many times: bilinearly; an indexed PNG by whole squares.
    space : str or None
        Latent space of another project's decoder, whose file does not say it.
    palette : str or None
        Palette of pixelvae's decoder, whose file does not hold it: a bundled name such as ega16, or a file.
    domain : str or None
        What the file's numbers are: "raw", as a VAE emits them and ComfyUI stores them, or "model", as a denoiser sees
        them and diffusers gives them with output_type="latent". Left out: raw, and a note where that looks wrong.
    """
    from latentfit.formats.opening import load_any
    from latentfit.images.pixels import save_png
    from latentfit.maps.tiled import decode_in_tiles, indices_in_tiles
    from latentfit.palettes.decoder import is_palettized, palette_of
    from latentfit.runtime.storage import write_atomic

    check_out(out, ".png")
    if enlarge < 1:
        raise BadFileError("--enlarge", expected="1 or more", got=f"{enlarge}")
    approximation = load_any(file, space, palette)
    check_said("--space", space, file, approximation.space)
    if palette is not None:
        _check_palette(file, approximation, palette)
    read = noticed_latents(latents, approximation.space, domain).latents
    if is_palettized(approximation):
        chosen, indices = palette_of(approximation), indices_in_tiles(approximation, read)
        for index, picture in enumerate(indices.flatten(0, -3)):
            path = out if index == 0 else out.with_stem(f"{out.stem}_{index}")
            say(write_atomic(path, chosen.indexed_png(picture, enlarge)))
        return
    rgb = decode_in_tiles(approximation, read)
    if not bool(rgb.isfinite().all()):
        raise BadFileError(
            f"too large for {approximation.name!r}: its colours overflow", place=latents, expected="about ±5"
        )
    frames = rgb.movedim(2, 1).flatten(0, 1) if rgb.ndim == 5 else rgb
    for index, picture in enumerate(frames):
        path = out if index == 0 else out.with_stem(f"{out.stem}_{index}")
        say(save_png(picture, path, enlarge=enlarge))


def _check_palette(file: Path, approximation: "Approximation", named: str) -> None:
    """Refuse a palette that would change nothing; `load_any` used it where the file has none."""
    from latentfit.palettes.decoder import is_palettized, palette_of
    from latentfit.palettes.palette import Palette

    if not is_palettized(approximation):
        raise PaletteError(
            "gives colours, not classes of a palette",
            place=file,
            remedy=("leave --palette out, or train a palettized decoder: `latentfit train palette`"),
        )
    own = palette_of(approximation)
    if Palette.load(named).hex != own.hex:
        raise PaletteError(
            f"holds its own palette, {own.name!r} of {len(own)} colours", place=file, remedy="leave --palette out"
        )


def report(
    files: Files,
    store: Store,
    out: OutFile,
    pictures: int = 6,
    split: Literal["test", "train", "all"] = "all",
) -> None:
    """Write one HTML file that compares saved maps on a store: curtains, sliders, scores; it opens without a network.

    Parameters
    ----------
    files : tuple of Path
        Maps written by `fit` or `train`, exported JSON tables, other projects' decoders. One of another space is listed
        with the reason.
    store : Path
        A pair store that `collect` wrote.
    out : Path
        File to write, .html.
    pictures : int
        Most pictures to show; all held-out ones are scored.
    split : str
        Which pictures to consider before those that were fitted are left out.
    """
    from latentfit.compare.reports.builder import report as run

    check_out(out, ".html")
    check_at_least("report", 1, pictures=pictures)
    path = run(store, files, out, n_pictures=pictures, split=split, progress=True)
    say(f"{path}: {path.stat().st_size / 2**20:.1f} MiB; open it in any browser")


def info(file: File, space: Name = None, target: Name = None, palette: Name = None) -> None:
    """Say what a saved map, an exported table or a pair store is, and how it was made.

    Parameters
    ----------
    file : Path
        A map, a JSON table, a store, or another project's decoder or interposer.
    space : str or None
        Latent space of another project's decoder, or that its interposer takes, whose file does not say it.
    target : str or None
        Latent space to which another project's interposer leads.
    palette : str or None
        Palette of pixelvae's decoder, whose file does not hold it.
    """
    from latentfit.formats.opening import load_either
    from latentfit.formats.saved import read_card

    if file.is_dir():
        check_without("info", f"{file} is a folder, which says its own", space=space, target=target, palette=palette)
        say(store_in_words(file))
        return
    loaded = load_either(file, space, palette, target)
    _check_named(file, loaded, space, target, palette)
    is_ours = file.suffix == ".safetensors" and "file" not in loaded.card
    takes, gives, names = _in_words(loaded)
    header = read_card(file) if is_ours else names
    card = dict(loaded.card)
    card.pop("train_looks", None)
    if isinstance(card.get("train_hashes"), list):
        card["train_hashes"] = f"{len(card['train_hashes'])} pictures"
    say(f"{loaded.name}: {takes} -> {gives}, scale {loaded.scale}, {loaded.n_parameters} numbers")
    say(json.dumps({**header, "card": card}, indent=2))


def _check_named(
    file: Path, loaded: "Approximation | LatentMap", space: str | None, target: str | None, palette: str | None
) -> None:
    """What is said of a file must be what it says itself."""
    from latentfit.maps.contracts import LatentMap

    if isinstance(loaded, LatentMap):
        check_said("--space", space, file, loaded.source)
        check_said("--target", target, file, loaded.target)
        if palette is not None:
            raise PaletteError(
                f"{file}: leads from latents to latents, without a palette", remedy="leave --palette out"
            )
        return
    check_said("--space", space, file, loaded.space)
    if target is not None:
        raise SpaceMismatchError(f"{file}: gives pictures, not latents of another space", remedy="leave --target out")
    if palette is not None:
        _check_palette(file, loaded, palette)


def _in_words(loaded: "Approximation | LatentMap") -> tuple[str, str, dict[str, str]]:
    """What a map takes, what it gives, and the spaces' names."""
    from latentfit.maps.contracts import LatentMap
    from latentfit.palettes.decoder import is_palettized, palette_of

    if isinstance(loaded, LatentMap):
        names = {"space": loaded.source.name, "target": loaded.target.name}
        return f"{loaded.source.title} latents", f"{loaded.target.title} latents", names
    gives = f"{len(palette_of(loaded))} classes of {palette_of(loaded).name}" if is_palettized(loaded) else "rgb"
    return f"{loaded.space.title} latents", gives, {"space": loaded.space.name}
