"""The command line: one function a command; its flags are the function's parameters."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from latentfit.errors import BadFileError, LatentfitError

if TYPE_CHECKING:
    from latentfit.approx import Approximation

File = tyro.conf.Positional[Path]
Files = tyro.conf.Positional[tuple[Path, ...]]
Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["float32", "float16", "bfloat16"]


def collect(
    vae: str,
    out: Path,
    images: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DIR")] = ("bundled",),
    space: str | None = None,
    size: int = 512,
    keep: Literal["cells", "rgb", "photo"] = "rgb",
    crops: int = 1,
    limit: int | None = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Collect latents beside what the VAE made of them; the same command goes on where a killed run stopped.

    Parameters
    ----------
    vae : str
        Preset, hub id, diffusers folder, single file, or the common part of a pair of TAESD files.
    out : Path
        Folder of the pair store.
    images : tuple of str
        Folders of pictures or latents; or "bundled", "photographs", "charts", "hf:ID[:split[:column]]".
    space : str or None
        Latent space of the VAE; None: from the VAE itself.
    size : int
        Pixels of the short side, shrunk to and never enlarged; with crops, the side of a crop.
    keep : str
        Also keep what the VAE decoded (rgb), and what it was given (photo).
    crops : int
        Square crops a picture; 1: the centre of the picture, not square.
    limit : int or None
        Stop after this many pictures.
    device, dtype : str
        Where and in what precision the VAE runs.
    """
    from latentfit.collector import collect as run
    from latentfit.vae import Vae

    loaded = Vae.load(vae, space=space, device=device, dtype=dtype)
    store = run(loaded, list(images), out, size=size, keep=keep, crops=crops, limit=limit)
    print(f"{out}: {len(store.samples)} samples of {store.space.name} from {store.reference}")


def fit(
    store: File,
    kernels: str,
    out: Path,
    scale: int = 1,
    intercept: bool = True,
    split: Literal["train", "all"] = "train",
    censored: bool = True,
    ridge: float | None = None,
) -> None:
    """Fit a map in closed form.

    Parameters
    ----------
    store : Path
        A pair store.
    kernels : str
        "linear", "affine", "quadratic", "cubic", or the sides of the neighbourhoods, one a degree: "5,3".
    out : Path
        File to write.
    scale : int
        Pixels per latent cell: 1 for a table, the space's cell size for a full-size decoder.
    intercept : bool
        Fit a constant term.
    split : str
        "train": the pictures whose hash says so; "all": every picture.
    censored : bool
        Treat targets clipped at 0 or 1 as bounds.
    ridge : float or None
        Fixed ridge; None: chosen by cross-validation over pictures.
    """
    from latentfit.files import save
    from latentfit.fit import ChannelMap, parse_kernels
    from latentfit.pairs import PairStore

    sides, form_intercept = parse_kernels(kernels)
    channel_map = ChannelMap(
        kernels=sides,
        scale=scale,
        intercept=intercept and form_intercept,
        ridge=ridge,
        censored=censored,
    )
    channel_map.fit(PairStore(store), split=split)
    fitted = channel_map.approximation()
    if _is_first_rank():
        path = save(fitted, out)
        print(f"{path}: {fitted.name}, {fitted.n_parameters} numbers")
        print(_solution_line(fitted.card))


def evaluate(
    files: Files, store: Path, csv: Path | None = None, split: Literal["test", "train", "all"] = "all"
) -> None:
    """Score saved maps on the pictures of a store that none of them was fitted on.

    Parameters
    ----------
    files : tuple of Path
        Maps written by `fit`, or exported JSON tables.
    store : Path
        A pair store.
    csv : Path or None
        Also write every row, per picture too.
    split : str
        Which pictures to consider before those that were fitted are left out.
    """
    from latentfit.pairs import PairStore
    from latentfit.scores import evaluate as run
    from latentfit.scores import summary

    frame = run([load_any(path) for path in files], PairStore(store), split=split)
    print(summary(frame))
    if csv is not None:
        _write_csv(frame, csv)


def audit(store: Path, files: Files = (), csv: Path | None = None) -> None:
    """Rank every published table of the store's space, and your own maps, on the same held-out pairs.

    Parameters
    ----------
    store : Path
        A pair store; with the column "photo" the photograph is a second reference.
    files : tuple of Path
        Maps to rank among the published ones; none: the bundled tables of this space.
    csv : Path or None
        Also write every row.
    """
    from latentfit.pairs import PairStore
    from latentfit.ranking import audit as run
    from latentfit.ranking import summary

    opened = PairStore(store)
    frame = run(opened, [load_any(path) for path in files or bundled_tables(opened.space.name)])
    print(summary(frame))
    if csv is not None:
        _write_csv(frame, csv)


def export(file: File, to: str, out: Path) -> None:
    """Write a map in the format of the program that will run it.

    Parameters
    ----------
    file : Path
        A map written by `fit`.
    to : str
        The consumer: comfyui, sdcpp, invokeai, a1111, sdnext, diffusers, json, csv, markdown, …
    out : Path
        File to write.
    """
    from latentfit.dialects import export as run

    print(run(load_any(file), to, out))


def decode(file: File, latents: Path, out: Path, enlarge: int = 1) -> None:
    """Turn a latent file into a picture with a saved map.

    Parameters
    ----------
    file : Path
        A map written by `fit`.
    latents : Path
        ComfyUI's .latent, or .npy, .pt, .bin.
    out : Path
        PNG to write; of a batch, the second and later ones get _1, _2, …
    enlarge : int
        Enlarge this many times, bilinearly.
    """
    from latentfit.images import save_png
    from latentfit.latent_files import read_latents

    approximation = load_any(file)
    rgb = approximation(read_latents(latents, approximation.space).latents)
    frames = rgb.movedim(2, 1).flatten(0, 1) if rgb.ndim == 5 else rgb
    for index, picture in enumerate(frames):
        path = out if index == 0 else out.with_stem(f"{out.stem}_{index}")
        print(save_png(picture, path, enlarge=enlarge))


def info(file: File) -> None:
    """Say what a saved map or a pair store is, and how it was made.

    Parameters
    ----------
    file : Path
        A map or a store.
    """
    from latentfit.files import read_card
    from latentfit.pairs import PairStore

    if file.is_dir():
        store = PairStore(file)
        n_test = len(store.split("test"))
        print(f"pair store {file}\n  space      {store.space.name} ({store.space.channels} channels, ", end="")
        print(
            f"{store.space.cell_px} px a cell)\n  reference  {store.reference}\n  columns    {', '.join(store.columns)}"
        )
        print(
            f"  samples    {len(store.samples)} ({n_test} test)\n  vae        {store.vae_name} {store.fingerprint[:16]}"
        )
        return
    header = read_card(file) if file.suffix != ".json" else json.loads(file.read_text("utf-8"))
    card = header.get("card", {})
    hashes = card.get("train_hashes")
    if isinstance(hashes, list):
        header = {**header, "card": {**card, "train_hashes": f"{len(hashes)} pictures"}}
    print(json.dumps(header, indent=2))


def bundled_tables(space: str) -> list[Path]:
    """The tables of `data/tables` that were fitted for this space."""
    from latentfit.resources import data_path

    folder = data_path("tables") / space
    return sorted(folder.glob("*.safetensors")) if folder.is_dir() else []


def load_any(path: Path) -> "Approximation":
    """A saved map, or a table in one of the dialects that can be read back."""
    from latentfit.files import load_approximation

    if path.suffix == ".json":
        from latentfit.dialects import read

        return read(path, "json")
    if path.suffix != ".safetensors":
        raise BadFileError(f"{path}: expected a .safetensors map or a .json table, got {path.suffix or 'no ending'!r}")
    return load_approximation(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 2 on an error that says what to do, 130 when interrupted."""
    from latentfit.ladder import ladder

    commands: dict[str, Callable[..., object]] = {
        "collect": collect,
        "fit": fit,
        "evaluate": evaluate,
        "audit": audit,
        "export": export,
        "decode": decode,
        "info": info,
        "ladder": ladder,
    }
    try:
        tyro.extras.subcommand_cli_from_dict(commands, prog="latentfit", description=__doc__, args=arguments)
    except LatentfitError as error:
        print(f"latentfit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("latentfit: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    return 0


def _is_first_rank() -> bool:
    from latentfit.parallel import rank

    return rank() == 0


def _solution_line(card: dict[str, object]) -> str:
    parts = [f"{key} {card[key]:.4g}" for key in ("ridge", "condition", "residual") if isinstance(card.get(key), float)]
    return ", ".join([f"{card.get('n_images')} pictures", f"{card.get('n_cells')} cells", *parts])


def _write_csv(frame: object, path: Path) -> None:
    import pandas as pd

    from latentfit.resources import write_atomic

    if isinstance(frame, pd.DataFrame):
        print(write_atomic(path, frame.to_csv(index=False)))
