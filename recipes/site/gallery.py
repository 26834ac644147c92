"""The gallery: every bundled map and VAE with its picture, its card, its size, and what it reaches by kind of picture.

What there is comes from the folders of bundled files, what it reaches from data/results, pictures from `make gallery`.
"""

import html
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

import latentfit as lf
from latentfit.latents import get_space
from latentfit.maps import LatentMap
from latentfit.nets import Palettized
from recipes.cards.gallery import FOLDER, MADE, SIZE_PX, Exhibit, exhibits, recorded, stale
from recipes.cards.results_tables import BASELINE, COMFYUI, VAES, pooled, results, sets_in, shown
from recipes.scored_sets import SHOWN
from recipes.site.sources import ROOT

DECODERS, TABLES, PALETTES = "decoders", "tables", "palettes"
INTERPOSERS, UPSCALERS, MINI_VAES = "interposers", "upscalers", "vaes"
KINDS = {
    DECODERS: ("Full-size decoders", "From latents to a picture at full size."),
    TABLES: ("Preview tables and kernels", "One pixel a latent cell, enlarged here as programs enlarge previews."),
    PALETTES: ("Palettized decoders", "One colour of a palette for each latent cell."),
    INTERPOSERS: ("Interposers", "From the latents of one space to those of another, shown by the target's VAE."),
    UPSCALERS: ("Upscalers", "From latents to larger latents: the photograph was encoded at half its size."),
    MINI_VAES: ("Mini VAEs", "Small encoders and decoders, so that everything here runs without a download."),
}
"""Page -> its title, and what stands on it."""
SIZE = f'width="{SIZE_PX[1]}" height="{SIZE_PX[0]}" loading="lazy"'


@dataclass(frozen=True)
class Entry:
    """One thing of the gallery.

    Attributes
    ----------
    exhibit : Exhibit
    name : str
    kind : str
        A key of `KINDS`.
    space : str
        Of the latents that come in.
    target : str
        Of what comes out, for maps between latents; else as `space`.
    card : dict
    n_parameters : int or None
        None for VAEs, whose encoder and decoder the card counts apart.
    """

    exhibit: Exhibit
    name: str
    kind: str
    space: str
    target: str
    card: dict[str, Any]
    n_parameters: int | None

    @property
    def anchor(self) -> str:
        """Of its section on the page of its kind."""
        return self.exhibit.key

    @property
    def title(self) -> str:
        """Its name, with its space where names of several spaces are the same."""
        return f"{self.name}, {get_space(self.space).title}" if self.kind == TABLES or "→" in self.name else self.name


@cache
def models() -> tuple[Entry, ...]:
    """Every bundled thing, opened."""
    return tuple(_entry(one) for one in exhibits())


def _entry(exhibit: Exhibit) -> Entry:
    if exhibit.path.is_dir():
        space = lf.Vae.load(exhibit.path.name).space.name
        return Entry(exhibit, exhibit.path.name, MINI_VAES, space, space, {}, None)
    one = lf.load(exhibit.path)
    if isinstance(one, LatentMap):
        kind = INTERPOSERS if one.source != one.target else UPSCALERS
        return Entry(exhibit, one.name, kind, one.source.name, one.target.name, one.card, one.n_parameters)
    kind = PALETTES if isinstance(one.module, Palettized) else TABLES if one.scale == 1 else DECODERS
    return Entry(exhibit, one.name, kind, one.space.name, one.space.name, one.card, one.n_parameters)


def pictures() -> dict[str, str]:
    """Path in the repository -> address in the site."""
    names = ["photograph", *sorted({row["reference_picture"] for row in recorded().values()})]
    paths = [FOLDER / f"{name}.webp" for name in names] + [entry.exhibit.picture for entry in models()]
    return {path.relative_to(ROOT).as_posix(): f"gallery/{path.name}" for path in paths if path.is_file()}


def pages() -> dict[str, str]:
    """Address -> Markdown.

    Raises
    ------
    ValueError
        When something bundled has no picture of its present weights.
    """
    if found := [one.key for one in stale()]:
        raise ValueError(f"the gallery has no picture of the present weights of {', '.join(found)}; run `make gallery`")
    kinds = {f"gallery/{kind}.md": _page(kind) for kind in KINDS if any(entry.kind == kind for entry in models())}
    return {"gallery/index.md": _overview()} | kinds


def _overview() -> str:
    n_bytes = sum(entry.exhibit.weights.stat().st_size for entry in models())
    lines = [
        "# Gallery",
        "",
        f"{len(models())} maps and VAEs come with the package, {n_bytes / 1e6:.0f} MB in all.",
        _credit(),
        "",
    ]
    for kind, (title, words) in KINDS.items():
        entries = [entry for entry in models() if entry.kind == kind]
        if entries:
            tiles = "".join(_tile(entry) for entry in entries)
            lines += [f"## [{title}]({kind}.md)", "", words, "", f'<div class="lf-tiles">{tiles}</div>', ""]
    return "\n".join(lines)


def _credit() -> str:
    credit = pd.read_json(MADE, typ="series")["credit"]
    return f"All show one photograph that none of them was fitted or trained on: {credit}."


def _tile(entry: Entry) -> str:
    told = recorded()[entry.exhibit.key]
    return (
        f'<a class="lf-tile" href="{entry.kind}.html#{entry.anchor}"><img src="{entry.exhibit.picture.name}" '
        f'alt="{html.escape(_alt(entry))}" {SIZE}>'
        f"<span><b>{html.escape(entry.title)}</b><small>{told['psnr']:.1f} dB · {_size(entry)}</small></span></a>"
    )


def _alt(entry: Entry) -> str:
    return f"Rocks in a still sea at dawn, as {entry.title} shows them"


def _size(entry: Entry) -> str:
    n_bytes = entry.exhibit.weights.stat().st_size
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:.0f} kB"


def _page(kind: str) -> str:
    title, words = KINDS[kind]
    parts = [f"# {title}\n\n{words} {_credit()} Move the line: the reference is on its left."]
    parts += [_section(entry) for entry in models() if entry.kind == kind]
    return "\n\n".join(parts) + "\n"


def _section(entry: Entry) -> str:
    told = recorded()[entry.exhibit.key]
    lines = [f"## {entry.title} {{ #{entry.anchor} }}", "", _split(entry, told), "", *_facts(entry, told), ""]
    lines += list(_by_kind(entry))
    return "\n".join(lines)


def _split(entry: Entry, told: dict[str, Any]) -> str:
    reference = "The photograph" if _is_photograph(told) else html.escape(told["reference"])
    alt = "The photograph itself" if _is_photograph(told) else f"The same photograph, decoded by {reference}"
    return (
        '<div class="lf-split"><figure>'
        f'<img src="{told["reference_picture"]}.webp" alt="{alt}" {SIZE}>'
        f"<figcaption>{reference.split(',')[0]}</figcaption></figure><figure>"
        f'<img src="{entry.exhibit.picture.name}" alt="{html.escape(_alt(entry))}" {SIZE}>'
        f"<figcaption>{html.escape(entry.title)}</figcaption></figure>"
        f'<input type="range" min="0" max="100" value="50" aria-label="Line between reference and '
        f'{html.escape(entry.title)}"></div>'
    )


def _is_photograph(told: dict[str, Any]) -> bool:
    """Whether the picture stands beside the photograph, as of a space whose decoder cannot be had."""
    return bool(told["reference_picture"] == "photograph")


def _facts(entry: Entry, told: dict[str, Any]) -> Iterator[str]:
    path = entry.exhibit.path.relative_to(ROOT).as_posix()
    numbers = f", {entry.n_parameters:,} numbers" if entry.n_parameters is not None else ""
    true = "the photograph itself" if _is_photograph(told) else f"the decode of {told['reference']}"
    near = f"{told['psnr']:.1f} dB, ΔE {told['delta_e']:.1f} to {true}"
    facts = {"File": f"<code>{path}</code>", "Size": f"{_size(entry)}{numbers}", "On this photograph": near}
    labels = {"title": "What it is", "trained": "Trained", "scored_on": "Scored on"}
    facts |= {label: html.escape(str(entry.card[key])) for key, label in labels.items() if entry.card.get(key)}
    yield '<dl class="lf-facts">' + "".join(f"<dt>{term}</dt><dd>{said}</dd>" for term, said in facts.items()) + "</dl>"


def _by_kind(entry: Entry) -> Iterator[str]:
    """What it reaches on each kind of picture, beside what it is compared with; nothing where it was not scored."""
    found = _scored(entry)
    if found is None:
        return
    words, rows, names, value = found
    yield f"| {words} | {' | '.join(html.escape(label) for label in names.values())} |"
    yield "|---|" + "--:|" * len(names)
    for where in sets_in(rows):
        yield f"| {SHOWN[where]} | {' | '.join(shown(value(rows, name, where)) for name in names)} |"


Value = Callable[[pd.DataFrame, str, str], float]


def _scored(entry: Entry) -> tuple[str, pd.DataFrame, dict[str, str], Value] | None:
    """What the numbers are, the rows, map's name in them -> label, and how a number is taken."""
    job = {MINI_VAES: DECODERS}.get(entry.kind, entry.kind)
    rows = results(job)
    rows = rows[rows["space"] == entry.space]
    if entry.kind in (DECODERS, MINI_VAES):
        own = f"{entry.name}, there and back" if entry.kind == MINI_VAES else entry.name
        names, column, words = {own: entry.name, "TAESD": VAES.get(entry.space, "")}, "mse_photo", "dB to the picture"
    elif entry.kind == TABLES:
        names = {f"ours: {entry.name}": entry.name, COMFYUI.get(entry.space, ""): COMFYUI.get(entry.space, "")}
        column, words = "mse_vae", "dB at the cells, to the VAE's decode"
    elif entry.kind == PALETTES:
        rows = rows[rows["map"] == entry.name]
        return (
            None if rows.empty else ("share of cells of the target's class", rows, {entry.name: entry.name}, _accuracy)
        )
    else:
        if entry.kind == INTERPOSERS:
            rows = rows[rows["target"] == entry.target]
        own = {INTERPOSERS: "interposer", UPSCALERS: "upscaler"}[entry.kind]
        names = {own if not entry.name.endswith("-any") else entry.name: entry.name, BASELINE: BASELINE}
        column, words = "mse_vae", "dB to the decode of the true latents"
    names = {name: label for name, label in names.items() if name in set(rows["map"])}
    rows = rows[rows["map"].isin(list(names))]
    if entry.name not in names.values():
        return None
    return words, rows, names, lambda frame, name, where: pooled(frame, name, where, column)


def _accuracy(rows: pd.DataFrame, name: str, where: str) -> float:
    part = rows[(rows["map"] == name) & (rows["set"] == where)]
    return float((part["accuracy"] * part["pixels"]).sum() / part["pixels"].sum()) if len(part) else math.nan
