"""`latentfit convert`, `same-space`: what is done between latent spaces."""

from pathlib import Path
from typing import Annotated

import tyro

from latentfit.cli_support import Device, Name, OutFile, check_out, note_likelier_space
from latentfit.errors import BadFileError, SpaceMismatchError


def convert(
    latents: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="LATENT")],
    map: Annotated[Path, tyro.conf.arg(metavar="FILE")],
    out: OutFile,
    source: Name = None,
    target: Name = None,
) -> None:
    """Turn latents of one space into latents of another with a saved map between them.

    Parameters
    ----------
    latents : Path
        ComfyUI's .latent, or .npy, .pt, .bin.
    map : Path
        A map written by `train interposer`, or another project's interposer.
    out : Path
        ComfyUI's .latent to write.
    source : str or None
        Space that another project's map takes, whose file does not say it. What a file says itself must agree.
    target : str or None
        Space that it leads to.
    """
    from latentfit.latent_files import read_latents, write_latents
    from latentfit.named_maps import load_latent_map
    from latentfit.spaces import get_space
    from latentfit.tiled import map_latents_in_tiles

    check_out(out, ".latent")
    loaded = load_latent_map(map, source, target)
    for flag, named, own in (("--source", source, loaded.source), ("--target", target, loaded.target)):
        if named is not None and get_space(named) != own:
            raise SpaceMismatchError(
                f"{flag} {named}: {map} leads from {loaded.source.name!r} to {loaded.target.name!r}; leave that flag "
                "out, or take a map between the spaces you mean"
            )
    read = read_latents(latents, loaded.source).latents
    note_likelier_space(latents, read, loaded.source)
    made = map_latents_in_tiles(loaded, read)
    if not bool(made.isfinite().all()):
        raise BadFileError(f"{latents}: too large for {loaded.name!r}: what it makes overflows; expected about ±5")
    print(f"{write_latents(out, made, loaded.target)}: {loaded.target.title} latents {tuple(made.shape)}")


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
    from latentfit.same_space import same_space as run
    from latentfit.vae import Vae

    one, other = (Vae.load(reference, device=device) for reference in (first, second))
    print(run(one, other, list(images), size=size, limit=limit))
