"""`latentfit convert`, `upscale`, `same-space`: latents to other latents."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import tyro

from latentfit.cli.arguments import (
    Device,
    MaybeDomain,
    MaybeFile,
    Name,
    OutFile,
    check_at_least,
    check_out,
    check_said,
    noticed_latents,
    say,
)
from latentfit.errors import BadFileError, ScaleError, SpaceMismatchError

if TYPE_CHECKING:
    from latentfit.maps.contracts import LatentMap


def convert(
    latents: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="LATENT")],
    map: Annotated[Path, tyro.conf.arg(metavar="FILE")],
    out: OutFile,
    source: Name = None,
    target: Name = None,
    domain: MaybeDomain = None,
) -> None:
    """Turn latents of one space into latents of another with a saved map between them.

    Parameters
    ----------
    latents : Path
        ComfyUI's .latent, .pt, .npy, kohya's .npz, .safetensors, city96's .bin, or TAESD's 8-bit .png.
    map : Path
        A map written by `train interposer`, or another project's interposer.
    out : Path
        ComfyUI's .latent to write.
    source : str or None
        Space that another project's map takes, whose file does not say it. What a file says itself must agree.
    target : str or None
        Space that it leads to.
    domain : str or None
        What the file's numbers are: "raw", as a VAE emits them and ComfyUI stores them, or "model", as a denoiser sees
        them and diffusers gives them with output_type="latent". Left out: raw, and a note where that looks wrong.
    """
    from latentfit.formats.opening import load_latent_map
    from latentfit.latents.files import write_latents
    from latentfit.latents.spaces import get_space
    from latentfit.maps.tiled import map_latents_in_tiles

    check_out(out, ".latent")
    loaded = load_latent_map(map, source, target)
    for flag, named, own in (("--source", source, loaded.source), ("--target", target, loaded.target)):
        if named is not None and get_space(named) != own:
            raise SpaceMismatchError(
                f"{flag} {named}: {map} leads from {loaded.source.name!r} to {loaded.target.name!r}",
                remedy="leave that flag out, or take a map between the spaces you mean",
            )
    file = noticed_latents(latents, loaded.source, domain)
    made = map_latents_in_tiles(loaded, file.latents)
    if not bool(made.isfinite().all()):
        raise BadFileError(
            f"too large for {loaded.name!r}: what it makes overflows", place=latents, expected="about ±5"
        )
    written = write_latents(out, made, loaded.target, file.metadata)
    say(f"{written}: {loaded.target.title} latents {tuple(made.shape)}")


def upscale(
    latents: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="LATENT")],
    out: OutFile,
    model: MaybeFile = None,
    factor: Annotated[str | None, tyro.conf.arg(metavar="F", help_behavior_hint="")] = None,
    space: Name = None,
    domain: MaybeDomain = None,
) -> None:
    """Enlarge latents within their space.

    Parameters
    ----------
    latents : Path
        ComfyUI's .latent, .pt, .npy, kohya's .npz, .safetensors, city96's .bin, or TAESD's 8-bit .png.
    out : Path
        ComfyUI's .latent to write.
    model : Path or None
        An upscaler written by `train upscaler` or `fit`, or another project's; left out: the bundled one of --space.
    factor : str or None
        How many times the sides: 2, 1.5, 4/3. Beyond 2 in several steps. Left out: the model's own, 2 for bundled ones.
    space : str or None
        Space of the latents, for the bundled models and for other projects' files, which do not say it.
    domain : str or None
        What the file's numbers are: "raw", as a VAE emits them and ComfyUI stores them, or "model", as a denoiser sees
        them and diffusers gives them with output_type="latent". Left out: raw, and a note where that looks wrong.
    """
    from latentfit.latents.files import write_latents
    from latentfit.maps.enlarged import enlarge

    check_out(out, ".latent")
    wanted = None if factor is None else _factor_of(factor)
    loaded = _upscaler(model, space, wanted) if model else _upscaler(_bundled_upscaler(space, wanted or 2), space, None)
    if model is not None:
        check_said("--space", space, model, loaded.source)
    file = noticed_latents(latents, loaded.source, domain)
    made = enlarge(loaded, file.latents, wanted)
    if not bool(made.isfinite().all()):
        raise BadFileError(
            f"too large for {loaded.name!r}: what it makes overflows", place=latents, expected="about ±5"
        )
    written = write_latents(out, made, loaded.target, file.metadata)
    say(f"{written}: {loaded.name}, {loaded.target.title} latents {tuple(made.shape)}")


def _factor_of(factor: str) -> "Fraction":
    from latentfit.maps.scales import as_scale

    try:
        return as_scale(factor)
    except ScaleError as error:
        raise ScaleError("--factor", expected="a positive number such as 2, 1.5 or 4/3", got=f"{factor!r}") from error


def _upscaler(path: Path, space: str | None, factor: Fraction | None) -> "LatentMap":
    """The map of a file; city96's, whose file does not say its factor, is told it."""
    from latentfit.formats.opening import load_latent_map
    from latentfit.formats.saved import load

    try:
        return load_latent_map(path, space, space)
    except ScaleError:
        if factor is None:
            raise
        return cast("LatentMap", load(path, space, scale=factor))


def _bundled_upscaler(space: str | None, factor: Fraction | int) -> Path:
    """The one that doubles where that is enough, else the one of any factor."""
    from latentfit.formats.bundled import bundled_upscaler
    from latentfit.latents.spaces import get_space

    if space is None:
        raise SpaceMismatchError(
            "upscale: it is not said what to upscale with",
            remedy="name the latents' space with --space, or an upscaler with --model",
        )
    path = bundled_upscaler(get_space(space).name, factor)
    if path is None:
        raise BadFileError(
            f"upscale: no upscaler of {space!r} is bundled",
            remedy="train one with `latentfit train upscaler`, and name it with --model",
        )
    return path


def same_space(
    first: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="VAE_A")],
    second: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="VAE_B")],
    images: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DIR...")] = ("photographs",),
    size: int = 256,
    limit: int = 24,
    device: Device = "auto",
) -> None:
    """Are two VAEs' latents one space? Encodes the same pictures with both and says what a 1×1 map leaves.

    Parameters
    ----------
    first : str
        Preset, hub id, diffusers folder, single file, or the common start of a TAESD pair's names.
    second : str
        The other.
    images : tuple of str
        Folders of pictures; or "bundled", "photographs", "charts".
    size : int
        Pixels of the short side.
    limit : int
        Use at most this many pictures.
    device : str
        Where the VAEs run.
    """
    check_at_least("same-space", 1, size=size, limit=limit)
    from latentfit.scores.space_comparison import same_space as run
    from latentfit.vae.vae import Vae

    one, other = (Vae.load(reference, device=device) for reference in (first, second))
    say(run(one, other, list(images), size=size, limit=limit))
