"""Draw what `recipes.calibration` measured, and write docs/calibration.md; `--check` changes nothing.

Reads data/results/calibration.csv; for the picture of previews also LATENTFIT_ASSETS, where it is named. Writes
figures/calibration.png, figures/calibration_previews.png and docs/calibration.md.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import torch
from torch import Tensor

import latentfit as lf
from latentfit.compare.figures import COLOURS, INK, SOFT, Figure, saved, style
from latentfit.formats import bundled_tables
from latentfit.runtime import write_atomic
from latentfit.scores import tables
from recipes.calibration import KINDS, RESULTS, learned_maps, stores_of

ROOT = Path(__file__).resolve().parents[2]
CHART, PREVIEWS = ROOT / "figures" / "calibration.png", ROOT / "figures" / "calibration_previews.png"
PAGE = ROOT / "docs" / "calibration.md"
GREW = {"with what is known": COLOURS[0], "from nothing": COLOURS[1]}
SHOWN_AFTER = (0, 1, 4, 16)
N_PREVIEWED = 4
RICHER = ("(5, 3)", "cubic")
"""Tables that ship in forms that no calibration takes."""


def main() -> int:
    """Write, or check, the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    frame = pd.read_csv(RESULTS, keep_default_na=False)
    frame = frame[~frame["name"].isin(RICHER)]
    if parser.parse_args().check:
        return 0 if PAGE.is_file() and PAGE.read_text("utf-8") == page(frame) else 1
    chart(frame, CHART)
    if os.environ.get("LATENTFIT_ASSETS"):
        previews("sd1", "photographs", PREVIEWS)
    print(write_atomic(PAGE, page(frame)))
    return 0


def chart(frame: pd.DataFrame, path: Path) -> Figure:
    """A panel for each space and kind of pictures: dB against pictures seen, with tables as level lines."""
    spaces = list(dict.fromkeys(frame["space"]))
    with style():
        figure = Figure(figsize=(2.6 * len(spaces) + 1.2, 5.6), layout="constrained")
        axes = figure.subplots(len(KINDS), len(spaces), squeeze=False, sharex=True)
        for row, kind in enumerate(KINDS):
            for column, space in enumerate(spaces):
                mine = frame[(frame["space"] == space) & (frame["kind"] == kind)]
                if mine.empty:
                    axes[row][column].set_axis_off()
                    continue
                _panel(axes[row][column], mine)
                axes[row][column].set_title(f"{lf.get_space(space).title}, {kind}", fontsize=9)
            axes[row][0].set_ylabel("dB")
        for axis in axes[-1]:
            axis.set_xlabel("pictures seen")
        figure.suptitle(
            "Previews that learn: on pictures of others, after so many generations", x=0.01, ha="left",
            fontsize=10, fontweight="bold",
        )  # fmt: skip
        handles = [mpl.lines.Line2D([], [], color=c, marker="o", markersize=4, label=n) for n, c in GREW.items()]
        handles += [
            mpl.lines.Line2D([], [], color=INK, linewidth=1.2, label="best table that ships in one of these forms"),
            mpl.lines.Line2D([], [], color=SOFT, linewidth=1.2, linestyle=(0, (2, 2)), label="best published table"),
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize=8)
    return saved(figure, path)


def _panel(axis: Any, frame: pd.DataFrame) -> None:
    for source, line in (("ships", {"color": INK}), ("published", {"color": SOFT, "linestyle": (0, (2, 2))})):
        known = frame[frame["source"] == source]
        if len(known):
            axis.axhline(known["psnr"].max(), linewidth=1.2, zorder=1, **line)
    for source, colour in GREW.items():
        rows = frame[frame["source"] == source]
        axis.plot(rows["pictures"], rows["psnr"], marker="o", markersize=4, color=colour, zorder=2)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def previews(space: str, kind: str, path: Path) -> Figure:
    """Held-out pictures as a preview shows them before and after some generations, and as the VAE decodes them."""
    learned, scored = stores_of(space, kind)
    published = [one for one in tables(lf.get_space(space)) if one.status == "current" and not one.obstacle]
    grown = dict(learned_maps(learned, None, 0))
    maps = {"published table, before": published[0].approximation()}
    maps |= {f"after {n}" if n > 1 else "after 1 generation": grown[n] for n in SHOWN_AFTER if n}
    shipped = [one for path in bundled_tables(space) if (one := lf.load(path)).scale == 1 and one.name not in RICHER]
    best = max(shipped, key=lambda one: one.n_parameters)
    maps["table that ships"] = best
    with style():
        samples = scored.samples[:: max(1, len(scored.samples) // N_PREVIEWED)][:N_PREVIEWED]
        figure = Figure(figsize=(1.75 * (len(maps) + 1), 1.6 * len(samples) + 0.3), layout="constrained")
        axes = figure.subplots(len(samples), len(maps) + 1, squeeze=False)
        for index, (row, sample) in enumerate(zip(axes, samples, strict=True)):
            batch = next(iter(scored.batches([sample], ["latents", "rgb"])))
            shown = {name: one(batch.latents.float())[0] for name, one in maps.items()} | {"VAE": batch.rgb[0].float()}
            for axis, (name, picture) in zip(row, shown.items(), strict=True):
                axis.imshow(_square(picture).permute(1, 2, 0).numpy(), interpolation="bilinear")
                axis.set_axis_off()
                if index == 0:
                    axis.set_title(name, fontsize=9)
    return saved(figure, path)


def _square(picture: Tensor) -> Tensor:
    side = min(picture.shape[-2:])
    top, left = ((length - side) // 2 for length in picture.shape[-2:])
    return torch.as_tensor(picture)[:, top : top + side, left : left + side].clamp(0, 1)


def page(frame: pd.DataFrame) -> str:
    """What docs/calibration.md says."""
    parts = [INTRODUCTION]
    for kind in KINDS:
        parts.append(f"### {kind.capitalize()}\n\n{_table(frame[frame['kind'] == kind])}")
    return "\n\n".join(parts) + "\n"


def _table(frame: pd.DataFrame) -> str:
    seen = sorted({int(n) for n in frame["pictures"] if n})
    rows = [
        f"| space | learns | {' | '.join(map(str, seen))} | best published | ships, of the same forms |",
        f"|---|---|{'---|' * (len(seen) + 2)}",
    ]
    for space in dict.fromkeys(frame["space"]):
        mine = frame[frame["space"] == space]
        known = [
            "" if (one := mine[mine["source"] == source]).empty else f"{one['psnr'].max():.1f}"
            for source in ("published", "ships")
        ]
        for source in GREW:
            values = mine[mine["source"] == source].set_index("pictures")["psnr"]
            cells = [f"{values[n]:.1f}" if n in values else "" for n in seen]
            rows.append(f"| {lf.get_space(space).title} | {source} | {' | '.join([*cells, *known])} |")
    return "\n".join(rows)


INTRODUCTION = """\
# Previews that learn

Written by `python -m recipes.cards.calibration` from data/results/calibration.csv, which
`python -m recipes.calibration` measures.

Every generation ends with one full decode by the true VAE. The latents that went in and the picture that came out are a
pair, and pairs are what a preview's table is fitted to. `lf.Calibration` takes such pairs one by one, and `lf.preview`
does so by itself:

```python
with lf.preview(pipe, "auto"):
    pipe("a lighthouse")  # shown with what is known, and learned from
    pipe("a harbour")  # shown with what was learned
```

```python
calibration = lf.Calibration("sd1", path="sd1.calibration")
calibration.observe(latents, rgb)  # (N, 4, h, w) in the model domain, and (N, 3, H, W) in [0, 1]
calibration.approximation()  # a map like any other: save it, export it, score it
```

```
latentfit calibrations                                         # what was learned, and where it lies
latentfit calibrations export sd1 --to comfyui --out sd1.py    # for a program
latentfit calibrations merge sd1 other.calibration             # what another machine learned
latentfit calibrations delete sd1
```

## How it learns

- **Sums, not pictures.** Of each picture the products of its terms and colours are added up, in eight folds. File and
  memory do not grow with the pictures, nothing of a picture can be seen again, and the answer does not depend on their
  order. The sums lie in one SQLite file: several processes may observe into it at once, and one that is killed leaves
  all that it had finished.
- **Towards what is known.** Before the first picture the map is what ships for the space, or the published table. How
  far the pairs may move it, and in which form (affine, 3×3, 3×3 with squares, 5×5, 5×5 with squares), is chosen on
  folds that are left out, from the sums alone; a gain that is not sure is not taken, and of fewer than four pictures a
  table that ships takes next to nothing. For a space that nobody knows there is nothing to keep to, and the first
  picture already gives a 3×3 kernel.
- **A clipped colour is a bound.** A cell that is nearly white would often be brighter still. Where a table that
  ships predicts a colour beyond the bound, its prediction (at most 0.2 of the range beyond) takes the place of the
  target; where none ships, such a target is moved out by 0.1 of the range. Since this does not change from picture to
  picture, order does not matter.
- **What is refused.** Pictures that are not finite, of one colour, or seen before are counted and not taken. Blocks of
  4×4 cells that were seen before, such as what an inpainting left as it was, are left out of the rest. Pairs of another
  VAE or space never mix: `lf.preview` keeps a file for each space and VAE, which it knows by a sketch of its weights
  (64 values of each tensor), so that the start costs milliseconds. The same VAE in another precision is another one.

They lie in the user's cache folder: `latentfit/calibrations` below `XDG_CACHE_HOME` or `~/.cache`,
`~/Library/Caches`, or `LOCALAPPDATA`. The environment variable `LATENTFIT_CACHE` names another.

## What it is worth

dB on held-out pictures at the latents' own size, clamped, as `lf.evaluate` has it, after so many pictures of the same
kind were seen; the mean of users with other pictures first. *From nothing* is what a model has that came out yesterday.

![dB against pictures seen, for each space and kind of pictures](../figures/calibration.png)

![Previews of four pictures with a published table, after 1, 4 and 16 generations from nothing, with the table that \
ships, and the VAE's own decode](../figures/calibration_previews.png)"""

if __name__ == "__main__":
    raise SystemExit(main())
