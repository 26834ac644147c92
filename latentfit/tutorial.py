"""What the notebooks share: a VAE, pairs, decoders to compare with, how far a training came, a tiny pipeline."""

import contextlib
import io
import math
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentfit.fit.basis import form_in_words
from latentfit.fit.channel_map import ChannelMap
from latentfit.formats.bundled import bundled_decoders
from latentfit.formats.saved import load, load_approximation
from latentfit.images.pixels import rgb_tensor, save_png
from latentfit.images.sources import held_out_photographs, pictures
from latentfit.latents.files import write_latents
from latentfit.latents.spaces import LatentSpace, get_space
from latentfit.maps.contracts import Approximation, LatentMap
from latentfit.pairs.collector import collect
from latentfit.pairs.config import QUICK_PX
from latentfit.pairs.store import PairStore
from latentfit.runtime.storage import alone_in
from latentfit.scores.held_out import as_seen
from latentfit.vae.sources import ASSETS_VARIABLE
from latentfit.vae.spaces import PUBLIC_TINY, slug
from latentfit.vae.vae import Vae

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown

NOISES = ("random_latents", "random_pixels")
SHOWN_PX = 512  # of the pictures that are looked at
MOST_SHOWN = 3  # of them
TRUTH = "the VAE's decode"  # what every map is held against, as it is called beside them


def open_vae(vae: str | None, space: str) -> Vae:
    """The named VAE, or the bundled mini VAE of the space: with the network as without.

    Raises
    ------
    VaeError
        When none is named and none is bundled for the space.
    """
    return Vae.load(f"mini-{get_space(space).name}") if vae is None else Vae.load(vae, space=space)


def open_pairs(vae: str | None, space: str, images: str, out: str | os.PathLike[str]) -> PairStore:
    """Pairs of these pictures, collected with `open_vae`'s into ``out/runs``; what is there is not collected again.

    Notebooks that run at a time share the pairs: one collects, the others wait for it.
    """
    loaded = open_vae(vae, space)
    with alone_in(_pairs(loaded, out)):
        store = collect(loaded, images, _pairs(loaded, out), size=QUICK_PX, keep="photo", square=True)
    n_test = len(store.split("test"))
    print(f"{len(store)} samples of {store.space.title}: {len(store) - n_test} to fit, {n_test} held out by their hash")
    print(f"encoded and decoded by {store.reference}")
    return store


def open_shown(vae: str | None, space: str, images: str, out: str | os.PathLike[str]) -> PairStore:
    """The pictures to look at, up to 512 px, each with its decode: no fit of a notebook learns from them.

    Of ``images="bundled"`` the three photographs that are always held out (`latentfit.images.always_held_out`); of
    pictures of your own, up to three that `open_pairs` holds out, photographs first.
    """
    loaded = open_vae(vae, space)
    folder = _pairs(loaded, out)
    if images == "bundled":
        chosen = held_out_photographs()
    else:
        held_out = sorted(PairStore(folder).split("test"), key=lambda sample: sample.kind != "photograph")
        names = list(dict.fromkeys(sample.name for sample in held_out))[:MOST_SHOWN]
        chosen = [picture for picture in pictures(images) if picture.name in names]
    with alone_in(folder.with_suffix(".shown")), contextlib.redirect_stdout(io.StringIO()):  # said below, in a line
        store = collect(loaded, chosen, folder.with_suffix(".shown"), size=SHOWN_PX, keep="photo", progress=False)
    print(f"{', '.join(short_name(sample.name) for sample in store.samples)}: looked at, never fitted on")
    return store


def fit_forms(store: PairStore, forms: Sequence[str], scale: int = 1) -> dict[str, Approximation]:
    """Each form (of `latentfit.ChannelMap`) fitted on the store's training pictures, by its name in words.

    Of a `scale` above 1 the names end in what a cell becomes, such as ``3×3 affine → 8×8 px``.
    """
    ending = f" → {scale}×{scale} px" if scale > 1 else ""
    names = {form: form_in_words(form) + ending for form in forms}
    return {name: ChannelMap(form, scale=scale).fit(store).approximation(name) for form, name in names.items()}


def side_by_side(
    shown: PairStore,
    maps: Mapping[str, Approximation],
    *,
    names: Sequence[str] = (),
    with_photograph: bool = False,
    truth: str = TRUTH,
) -> dict[str, dict[str, Tensor]]:
    """What each map makes of each picture, for `latentfit.compare.figures.score_sheet`: the truth first.

    Parameters
    ----------
    shown : PairStore
        The store that `open_shown` gave.
    maps : mapping of str to Approximation
    names : sequence of str
        Pictures by the last part of their names, such as ``("astronaut", "coffee")``; none: all. Where the store holds
        none of these, its first ones, as many.
    with_photograph : bool
        Also the photograph, before the truth.
    truth : str
        What the VAE's decode is called.

    Returns
    -------
    dict
        Picture -> name -> ``(3, H, W)`` in [0, 1].
    """
    samples = [s for s in shown.samples if short_name(s.name) in names] or list(shown.samples)[: len(names) or None]
    rows: dict[str, dict[str, Tensor]] = {}
    for sample in samples:
        batch = next(shown.batches([sample], ["rgb", "photo"], n_cells=1))
        assert batch.rgb is not None
        assert batch.photo is not None  # both were asked for
        seen = {"photograph": batch.photo[0]} if with_photograph else {}
        rows[short_name(sample.name)] = {
            **seen,
            truth: batch.rgb[0],
            **{name: one(batch.latents)[0] for name, one in maps.items()},
        }
    return rows


def zoomed(
    rows: Mapping[str, Mapping[str, Tensor]], places: Mapping[str, tuple[int, int]], side_px: int = 144
) -> dict[str, dict[str, Tensor]]:
    """A detail of each picture of `side_by_side`, as seen at the size of the first.

    Parameters
    ----------
    rows : mapping
        Rows that `side_by_side` gave.
    places : mapping of str to (int, int)
        Picture -> row and column of the detail's upper left corner; pictures that are not named: the middle.
    side_px : int
    """
    details = {}
    for name, row in rows.items():
        high, wide = next(iter(row.values())).shape[-2:]
        top, left = places.get(name, ((high - side_px) // 2, (wide - side_px) // 2))
        rows_px, columns_px = slice(max(top, 0), top + side_px), slice(max(left, 0), left + side_px)
        seen = {one: as_seen(picture[None], (high, wide))[0] for one, picture in row.items()}
        details[name] = {one: picture[..., rows_px, columns_px] for one, picture in seen.items()}
    return details


def short_name(name: str) -> str:
    """Last part of a picture's name: ``skimage/coffee`` -> ``coffee``."""
    return Path(name).stem


def as_table(frame: "pd.DataFrame", columns: Mapping[str, str], *, row: str = "") -> "Markdown":
    """A table of scores that is read at once: units in its head, the best in bold, as many digits as tell rows apart.

    Parameters
    ----------
    frame : DataFrame
        A frame whose index names the rows; forms are said in words.
    columns : mapping of str to str
        Column -> its head with the unit, such as ``"PSNR, dB ↑"``; at the end ↑ where more is better, ↓ where less is:
        there the best value is in bold.
    row : str
        Head of the rows.

    Returns
    -------
    Markdown
        Shown alike by JupyterLab and by pages that hold no style sheets; a value that is missing is a dash.

    Raises
    ------
    KeyError
        When the frame lacks a column.
    """
    from IPython.display import Markdown

    heads = [row, *columns.values()]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'--:|' * len(columns)}"]
    texts = {name: _in_digits(frame[name], head) for name, head in columns.items()}
    for place, name in enumerate(frame.index):
        words = " · ".join(form_in_words(str(part)) for part in (name if isinstance(name, tuple) else (name,)))
        lines.append(f"| {words} | {' | '.join(texts[column][place] for column in columns)} |")
    return Markdown("\n".join(lines))  # type: ignore[no-untyped-call]


def _in_digits(values: "pd.Series", head: str) -> list[str]:
    """A column's numbers as people write them: one number of decimals, unless they span more than a hundredfold."""
    numbers = [float(value) for value in values]
    there = [abs(number) for number in numbers if math.isfinite(number) and number != 0] or [0.0]
    is_whole = all(number == round(number) for number in there)
    spans = max(there) > 100 * min(there)
    alike = 0 if is_whole else _decimals(statistics.median(there))
    texts = []
    for number in numbers:
        decimals = 0 if is_whole else _decimals(abs(number)) if spans else alike
        texts.append(f"{number:,.{decimals}f}".replace("-", "−") if math.isfinite(number) else "–")
    if head.endswith(("↑", "↓")):
        finite = [number for number in numbers if math.isfinite(number)]
        best = (max if head.endswith("↑") else min)(finite, default=math.nan)
        texts = [f"**{text}**" if number == best else text for text, number in zip(texts, numbers, strict=True)]
    return texts


def _decimals(size: float) -> int:
    """Decimals of a number of this size: 1,120; 21.3; 5.44; 0.809."""
    return 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3


def noise_pairs(vae: str | None, space: str, out: str | os.PathLike[str]) -> dict[str, PairStore]:
    """Pairs of random latents and of random pixels, by `NOISES`, collected likewise."""
    loaded = open_vae(vae, space)
    folder = _pairs(loaded, out).with_suffix(".noise")
    with alone_in(folder):
        return collect_noise(loaded, folder)


def _pairs(vae: Vae, out: str | os.PathLike[str]) -> Path:
    return Path(out) / "runs" / "pairs" / f"{slug(vae.name)}-{vae.fingerprint[:8]}"


def collect_noise(vae: Vae, out: Path, n_files: int = 8, cells: int = 24) -> dict[str, PairStore]:
    """Draw standard normal latents and uniform pixels, seeded, and collect their cells.

    Parameters
    ----------
    vae : Vae
    out : Path
        Folder for the drawn files (``drawn/``) and a store for each of `NOISES`.
    n_files, cells : int
        Files of each kind, and the side of each in latent cells.
    """
    generator = torch.Generator().manual_seed(0)
    for index in range(n_files):
        latents = torch.randn(1, vae.space.channels, cells, cells, generator=generator)
        path = out / "drawn" / "random_latents" / f"{index}.latent"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_latents(path, latents, vae.space)
        side = cells * vae.space.cell_px
        save_png(torch.rand(3, side, side, generator=generator), out / "drawn" / "random_pixels" / f"{index}.png")
    return {
        noise: collect(vae, str(out / "drawn" / noise), out / noise, keep="cells", progress=False) for noise in NOISES
    }


def decoders_at_hand(space: LatentSpace, vae: Vae) -> dict[str, tuple[str, Approximation]]:
    """Shipped decoders of a space, TAESD where its weights lie in LATENTFIT_ASSETS, and the VAE that is worked with.

    Nothing is fetched. Shipped networks were trained on the bundled pictures; their names end in †.

    Returns
    -------
    dict
        Name -> (family of `latentfit.compare.figures.FAMILIES`, decoder).
    """
    found: dict[str, tuple[str, Approximation]] = {}
    for path in bundled_decoders(space.name):
        found[f"{path.stem} †"] = ("our network", load_approximation(path))
    assets = os.environ.get(ASSETS_VARIABLE)
    names = [name for name, (_, its_space) in PUBLIC_TINY.items() if its_space == space.name]
    for name in names if assets else ():
        paths = sorted((Path(str(assets)) / "weights" / "taesd").glob(f"{name}_decoder.*"))
        for path in paths[:1]:
            found[PUBLIC_TINY[name][0]] = ("autoencoder", load_approximation(path, space))
    found.setdefault(vae.name, ("autoencoder", vae.approximation()))
    return found


def say_training(trained: Mapping[str, Approximation | LatentMap], longer: Mapping[str, Path] | None = None) -> None:
    """Show how far trainings came within their time, and what was trained longer and is there to compare with.

    Parameters
    ----------
    trained : mapping of str to Approximation or LatentMap
        Name -> network, as its recipe gave it.
    longer : mapping of str to Path, optional
        Name -> file of a network that was trained longer; files that are not there are left out.
    """
    from IPython.display import Markdown, display

    lines, goes_on = [], False
    for name, made in trained.items():
        seen, planned = int(made.card["seen_images"]), int(made.card["config"]["n_images"])
        lines.append(f"- *{name}*: {min(seen, planned):,} of {planned:,} crops")
        if seen < planned:
            goes_on = True
            lines[-1] += "; its time was up, **the next run of this notebook goes on from there**"
    for name, path in (longer or {}).items():
        if path.is_file():
            card = load(path).card
            lines.append(f"- *{name}*, trained longer, comes along: {_crops_in_all(card):,} crops, {path.name}")
    shown = Markdown("\n".join(lines))  # type: ignore[no-untyped-call]
    display(shown, metadata={"latentfit": {"goes_on": goes_on}})  # type: ignore[no-untyped-call]


def _crops_in_all(card: Mapping[str, Any]) -> int:
    """Crops that a network saw, and those that what it began from saw."""
    return int(card.get("seen_images", 0)) + (_crops_in_all(card["begun_from"]) if "begun_from" in card else 0)


def sample_sheets(run: Path) -> dict[str, Tensor]:
    """The sample sheets of a training run, ``(3, H, W)`` in [0, 1], by the number of crops seen."""
    sheets = {}
    for path in sorted((run / "samples").glob("*.png")):
        with Image.open(path) as image:
            sheets[f"{int(path.stem):,} crops"] = rgb_tensor(np.array(image.convert("RGB")))[0]
    return sheets


def tiny_pipeline(space: LatentSpace) -> tuple[Any, Callable[..., Tensor]]:
    """A Stable Diffusion pipeline with tiny random weights, for any space of 8 px a cell.

    Its pictures are noise, its mechanics real: scheduler, guidance, loop.

    Returns
    -------
    pipe, paint
        What `latentfit.preview` watches, and ``paint(n_steps=12, seed=0, size_px=(128, 192))`` -> latents.
    """
    import diffusers
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()  # it says at length which image processors it does without
    try:
        pipeline = diffusers.StableDiffusionPipeline
    finally:
        logging.set_verbosity(level)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        widths = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
        vae = diffusers.AutoencoderTiny(latent_channels=space.channels, **widths)
        unet = diffusers.UNet2DConditionModel(
            sample_size=32, in_channels=space.channels, out_channels=space.channels, cross_attention_dim=16,
            block_out_channels=(16, 16), layers_per_block=1, norm_num_groups=4, attention_head_dim=2,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )  # fmt: skip
        words = torch.randn(2, 4, 16)
    absent = dict.fromkeys(("text_encoder", "tokenizer", "safety_checker", "feature_extractor"))
    pipe: Any = pipeline(
        vae=vae.eval(), unet=unet.eval(), scheduler=diffusers.DDIMScheduler(clip_sample=False, steps_offset=1),
        requires_safety_checker=False, **absent,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)

    def paint(n_steps: int = 12, seed: int = 0, size_px: tuple[int, int] = (128, 192)) -> Tensor:
        made: Tensor = pipe(
            prompt_embeds=words[:1], negative_prompt_embeds=words[1:], num_inference_steps=n_steps,
            height=size_px[0], width=size_px[1], output_type="latent", generator=torch.Generator().manual_seed(seed),
        ).images  # fmt: skip
        return made

    return pipe, paint
