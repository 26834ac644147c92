"""Where an autoencoder lies: a local folder, a file, a TAESD pair, or the hub."""

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from latentfit.errors import SpaceMismatchError, VaeError
from latentfit.latents.spaces import LatentSpace, get_space, list_spaces
from latentfit.runtime.storage import data_path
from latentfit.vae.spaces import BUNDLED, NAMED, PUBLIC_TINY

ASSETS_VARIABLE = "LATENTFIT_ASSETS"
"""Environment variable that names a folder whose ``weights/taesd`` holds the TAESD family."""

_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
_HUB_ID = re.compile(r"^([\w.-]+/[\w.-]+)(?:/([\w./-]+)| \[([\w.-]+)\])?$")
_FOLDER_WEIGHTS = "diffusion_pytorch_model"


@dataclass(frozen=True)
class Source:
    """One place; exactly one of `folder`, `file`, `pair` is set.

    Attributes
    ----------
    name : str
        For people, and for a space of its own.
    folder : Path or None
        A diffusers folder: config.json and weights.
    file : Path or None
        A single weights file.
    pair : tuple of Path or None
        A TAESD's (encoder, decoder).
    """

    name: str
    folder: Path | None = None
    file: Path | None = None
    pair: tuple[Path, Path] | None = None


def find_source(reference: str | os.PathLike[str]) -> Source:
    """The place that a reference names; see `Vae.load` for what it may be.

    Raises
    ------
    VaeError
        When nothing of that name is here, or the hub is needed and out of reach.
    """
    text = os.fspath(reference)
    path = Path(text).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return _of_file(path)
    pair = _pair(path)
    if pair:
        return Source(path.name, pair=pair)
    if text in BUNDLED:
        return Source(text, folder=data_path(f"vaes/{text}"))
    if text in PUBLIC_TINY:
        return _public_tiny(text)
    space = _space_named(text)
    if space is not None:
        return _of_space(space)
    hub_id = _HUB_ID.match(text)
    if hub_id and not text.endswith(_SUFFIXES):
        return _from_hub(hub_id[1], hub_id[2] or hub_id[3] or "")
    names = [*NAMED, *(space.name for space in list_spaces())]
    near = difflib.get_close_matches(text, names, n=3, cutoff=0.5)
    offer = f"; nearest presets: {', '.join(near)}" if near else ""
    raise VaeError(
        f"VAE {text!r}",
        expected=(
            "a diffusers folder, a weights file, the common start of X_encoder.* and X_decoder.*, a preset or a hub id"
        ),
        remedy=f"nothing of that name is here{offer}",
    )


def weights_in(folder: Path) -> list[Path]:
    """The weights files of a diffusers folder: one, or the shards of one; safetensors before pickles."""
    for suffix in (".safetensors", ".bin"):
        whole = folder / f"{_FOLDER_WEIGHTS}{suffix}"
        if whole.is_file():
            return [whole]
        shards = sorted(folder.glob(f"{_FOLDER_WEIGHTS}-?????-of-?????{suffix}"))
        if shards:
            return shards
        variants = sorted(folder.glob(f"{_FOLDER_WEIGHTS}.*{suffix}"))
        if variants:
            return variants[:1]
    raise VaeError(
        place=folder, expected=f"{_FOLDER_WEIGHTS}.safetensors beside config.json", got="none", remedy="fetch it again"
    )


def _in_folder(folder: Path) -> Source:
    if (folder / "model_index.json").is_file() and (folder / "vae" / "config.json").is_file():
        folder = folder / "vae"
    if (folder / "config.json").is_file():
        resolved = folder.resolve()
        plain = resolved.parent.name if resolved.name in ("vae", "") else resolved.name
        return Source(plain, folder=folder)
    stems = sorted({path.name.rsplit("_encoder", 1)[0] for path in folder.glob("*_encoder.*")})
    pairs = {stem: pair for stem in stems if (pair := _pair(folder / stem))}
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    if len(pairs) == 1:
        stem, pair = next(iter(pairs.items()))
        return Source(stem, pair=pair)
    if not pairs and len(files) == 1:
        return _of_file(files[0])
    offers = [*pairs, *(path.name for path in files if not pairs)]
    raise VaeError(
        place=folder,
        expected="config.json of a diffusers autoencoder, one weights file or one TAESD pair",
        got=f"{('several: ' + ', '.join(offers[:8]) if offers else 'none of them')}",
        remedy="name one of its files",
    )


def _of_file(path: Path) -> Source:
    if path.stem.startswith(_FOLDER_WEIGHTS) and (path.parent / "config.json").is_file():
        return _in_folder(path.parent)
    half = re.match(r"^(.+)_(encoder|decoder)$", path.stem)
    if half and None in _halves(path.with_name(half[1])):
        return Source(half[1], file=path)  # alone, it encodes or decodes
    pair = _pair(path.with_name(half[1])) if half else None
    if half and pair:
        return Source(half[1], pair=pair)
    return Source(path.stem, file=path)


def _pair(stem: Path) -> tuple[Path, Path] | None:
    """`X_encoder.*` and `X_decoder.*`; one alone is an error, none is None."""
    encoder, decoder = _halves(stem)
    if encoder and decoder:
        return encoder, decoder
    if encoder or decoder:
        missing = "decoder" if encoder else "encoder"
        there, does = (decoder, "decodes") if decoder else (encoder, "encodes")
        alone = f", or name {there.name} itself, which only {does}" if there else ""
        raise VaeError(
            place=stem,
            expected=f"a TAESD pair, {stem.name}_encoder.* and {stem.name}_decoder.*",
            got=f"no {missing}",
            remedy=(f"an autoencoder needs both: put {stem.name}_{missing}.safetensors beside the other{alone}"),
        )
    return None


def _halves(stem: Path) -> tuple[Path | None, Path | None]:
    """`X_encoder.*` and `X_decoder.*`, those of them that are there."""
    encoder, decoder = (
        next((path for suffix in _SUFFIXES if (path := stem.with_name(f"{stem.name}_{half}{suffix}")).is_file()), None)
        for half in ("encoder", "decoder")
    )
    return encoder, decoder


def _public_tiny(name: str) -> Source:
    assets = os.environ.get(ASSETS_VARIABLE)
    pair = _pair(Path(assets) / "weights" / "taesd" / name) if assets else None
    if pair:
        return Source(name, pair=pair)
    found = _from_hub(f"madebyollin/{name}", "")
    return Source(name, folder=found.folder, file=found.file, pair=found.pair)


def _space_named(text: str) -> LatentSpace | None:
    if "/" in text or "\\" in text or text.endswith(_SUFFIXES):
        return None
    try:
        return get_space(text)
    except SpaceMismatchError:
        return None


def _of_space(space: LatentSpace) -> Source:
    hub_id = _HUB_ID.match(space.hub_ids[0]) if space.hub_ids else None
    if hub_id is None:
        raise VaeError(
            f"space {space.name!r}",
            expected="a space with a published autoencoder",
            got="one without",
            remedy=f"name its folder or file, with space={space.name!r}",
        )
    return _from_hub(hub_id[1], hub_id[2] or hub_id[3] or "")


def _from_hub(repository: str, subfolder: str) -> Source:
    """Config and weights of a hub repository, from its cache where they are there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    prefix = f"{subfolder}/" if subfolder else ""
    wanted = ("config.json", f"{_FOLDER_WEIGHTS}.safetensors", "*_encoder.safetensors", "*_decoder.safetensors")
    try:
        # OSError covers the hub's own errors of connection, of offline mode and of an empty cache.
        snapshot = Path(snapshot_download(repository, allow_patterns=[prefix + name for name in wanted]))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise _offline(repository, subfolder, str(error)) from error
    folder = snapshot / subfolder
    if not folder.is_dir():
        raise _offline(repository, subfolder, "the repository has no such folder")
    found = _in_folder(folder)
    return Source(repository.split("/")[1], folder=found.folder, file=found.file, pair=found.pair)


def _offline(repository: str, subfolder: str, reason: str) -> VaeError:
    place = f"{repository}/{subfolder}" if subfolder else repository
    ways = (
        "ways on without the hub: a "
        "diffusers folder (config.json and diffusion_pytorch_model.safetensors); a single VAE file or a checkpoint "
        "that holds one, with its space, as in Vae.load('sdxl_vae.safetensors', space='sdxl'); a TAESD pair, as in "
        f"Vae.load('dir/taesdxl', space='sdxl'), or by name where {ASSETS_VARIABLE} names a folder with weights/taesd; "
        "or the hub's cache of another machine (HF_HOME)"
    )
    what = f"hub repository {place}: cannot be had ({' '.join(reason.split())[:200]})"
    return VaeError(what, remedy=ways)
