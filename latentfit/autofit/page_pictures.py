"""Rows of pictures of autofit's page: held-out ones as the VAE was given them, as it decodes them, and as maps do."""

from typing import TYPE_CHECKING

from torch import Tensor

from latentfit.autofit.steps import form_title
from latentfit.autofit.verdict import pooled_seen
from latentfit.compare.reports.grid import Tile, lossless
from latentfit.compare.reports.page import Page
from latentfit.compare.reports.pictures import cut_out, middle_window
from latentfit.fit import parse_kernels
from latentfit.formats.programs.registry import PROGRAMS
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import Batch, Sample
from latentfit.runtime.numbers import quantity
from latentfit.scores.held_out import as_seen
from latentfit.scores.published import table

if TYPE_CHECKING:
    import pandas as pd

    from latentfit.autofit.run import AutofitResult

SHOWN = ("linear", "affine", "3")  # besides the best other table and the best full-size decoder
N_SHOWN = 3  # held-out pictures on the page
MOST_MIB = 8  # of pictures on the page; the first one's row stands there in any case
MOST_SIDE_PX = 512  # of a picture; of a larger crop its middle is shown, so that the page stays small


def title(result: "AutofitResult", label: str) -> str:
    """A form in words: "3×3 affine", "3×3 linear + 1×1 quadratic", "3×3 affine, full size"."""
    form = label.removeprefix("decoder ")
    return form_title(*parse_kernels(form), 1 if form == label else result.store.space.cell_px)


def published_title(identifier: str) -> str:
    """Id of a published table, such as comfyui/SD15 -> "ComfyUI’s SD15"."""
    program, _, name = identifier.partition("/")
    return f"{PROGRAMS[program].title if program in PROGRAMS else program}’s {name}"


def show_pictures(page: Page, result: "AutofitResult") -> None:
    """Held-out pictures, a row each: photograph, decode, and every shown form, all as large as the decode."""
    store = result.store
    scored, left = set(result.scores["sample"]), MOST_MIB * 2**20
    for sample in shown_samples([one for one in store.split("test") if one.key in scored]):
        batch = next(store.batches([sample], ["rgb", "photo"], n_cells=1))
        window, cut = middle_window(batch, store.space.cell_px, MOST_SIDE_PX)
        tiles, size = _tiles(result, batch, window)
        n_bytes = sum(4 * len(tile.picture) // 3 for tile in tiles)
        if n_bytes > left < MOST_MIB * 2**20:
            page.text(f"Another picture would have made the page larger than {MOST_MIB} MiB.", is_soft=True)
            break
        left -= n_bytes
        note = f"{sample.kind}, held out{f'; {cut}, scored as a whole' if cut else ''}"
        page.pictures(tiles, size, sample.name.rsplit("/")[-1], note)


def _tiles(result: "AutofitResult", batch: Batch, window: tuple[slice, slice]) -> tuple[list[Tile], tuple[int, int]]:
    if batch.rgb is None or batch.photo is None:
        raise ValueError("write_page: autofit's store keeps photo and rgb")

    def encoded(rgb: Tensor) -> bytes:
        return lossless(cut_out(rgb, batch, window))

    decode_ms = 1e3 * result.plan.seconds_per_decode
    tiles = [
        Tile("the picture", "what the VAE was given", encoded(batch.photo[0])),
        Tile("the VAE's decode", f"{quantity(decode_ms, 2)} ms", encoded(batch.rgb[0]), is_truth=True),
    ]
    size = (batch.rgb.shape[-2], batch.rgb.shape[-1])
    for name, one, row in _shown_maps(result, batch.samples[0]):
        caption = f"{row['psnr']:.1f} dB · ΔE {row['delta_e']:.1f}\n{quantity(float(row['ms']), 2)} ms"
        tiles.append(Tile(name, caption, encoded(as_seen(one.unclamped(batch.latents), size)[0])))
    truth = cut_out(batch.rgb[0], batch, window)
    return tiles, (truth.shape[-2], truth.shape[-1])


def _shown_maps(result: "AutofitResult", sample: Sample) -> list[tuple[str, Approximation, "pd.Series"]]:
    """The best of the tables that programs ship today, where there is one, and our forms, with their scores of it."""
    frames = dict.fromkeys(_shown_forms(result), result.scores)
    maps, names = dict(result.maps), {label: title(result, label) for label in frames}
    if result.published is not None:
        best = str(pooled_seen(result.published)["psnr"][list(result.published.attrs["copies"])].idxmax())
        frames = {best: result.published, **frames}
        maps[best], names[best] = table(best).approximation(), f"{published_title(best)}, the best in use today"
    shown = []
    for label, frame in frames.items():
        rows = frame[(frame["approximation"] == label) & (frame["sample"] == sample.key)]
        rows = rows[(rows["reference"] == "vae") & (rows["place"] == "seen")]
        shown += [(names[label], maps[label], rows.iloc[0])] if len(rows) else []
    return shown


def _shown_forms(result: "AutofitResult") -> list[str]:
    """The plain tables, then the best of the richer ones, and the best that writes full-size pictures."""
    order = [str(label) for label in pooled_seen(result.scores)["psnr"].sort_values(ascending=False).index]
    others = [label for label in order if label not in SHOWN]
    tables = [label for label in others if result.maps[label].scale == 1]
    decoders = [label for label in others if result.maps[label].scale > 1]
    return [*(label for label in SHOWN if label in result.maps), *tables[:1], *decoders[:1]]


def shown_samples(held_out: list[Sample]) -> list[Sample]:
    """The widest crop of some held-out pictures: two photographs, and a chart or drawing, where there are such."""
    first: dict[str, Sample] = {}
    for sample in sorted(held_out, key=lambda one: one.box[0] - one.box[2]):
        first.setdefault(sample.sha256, sample)
    photographs = [sample for sample in first.values() if sample.kind == "photograph"]
    others = [sample for sample in first.values() if sample.kind in ("chart", "drawing")]
    chosen = [*photographs[:2], *others[:1], *photographs[2:], *others[1:], *first.values()]
    return list({sample.sha256: sample for sample in chosen}.values())[:N_SHOWN]
