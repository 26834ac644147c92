"""The page that `autofit` leaves: pictures first, then the ranking, the learning curve, the files, and how it came."""

import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from torch import Tensor

from latentfit.autofit.steps import learning_in_words
from latentfit.compare.reports.page import Page
from latentfit.compare.reports.score_table import ranked, score_rows, show_facts, store_facts
from latentfit.fit import ChannelMap
from latentfit.formats.programs.registry import PROGRAMS, is_format, names
from latentfit.images.pixels import Kind, to_pil
from latentfit.pairs.store import Batch, Sample
from latentfit.runtime.storage import write_atomic
from latentfit.scores.held_out import as_seen

if TYPE_CHECKING:
    from latentfit.autofit.run import AutofitResult

SHOWN = ("linear", "affine", "3")  # besides the best other table and the best full-size decoder
N_SHOWN = 2  # held-out pictures on the page
LARGEST_CODE = 60_000  # bytes of a file that is shown to copy


def write_page(result: "AutofitResult", path: Path) -> Path:
    """Write ``index.html`` for what `autofit` made; one file, no network."""
    store = result.store
    n_train, n_scored = _n_pictures(store.split("train")), result.scores.attrs["n_images"]
    page = Page(
        f"Previews for {store.space.title}",
        f"Every cheap stand-in for the decoder of {store.reference}: fitted on {n_train} pictures, scored on "
        f"{n_scored} others that nothing was fitted on.",
    )
    if result.no_time_for:
        page.callout(f"To keep to the time some was left out: {'; '.join(result.no_time_for)}.")
    _show_pictures(page, result)
    _show_ranking(page, result)
    page.heading("Would more pictures help?")
    page.callout(learning_in_words(result.learning))
    series = {
        title(result, str(form)): list(zip(map(float, rows["n_pictures"]), map(float, rows["psnr"]), strict=True))
        for form, rows in result.learning.groupby("form", sort=False)
    }
    page.chart(series, "pictures fitted on", "dB to the VAE's decode")
    page.text(
        "PSNR on the held-out pictures at one pixel a latent cell. A curve that still rises says: collect more, from "
        "more pictures or with more minutes.",
        is_soft=True,
    )
    _show_files(page, result, path.parent)
    _show_provenance(page, result)
    return write_atomic(path, page.html())


def title(result: "AutofitResult", label: str) -> str:
    """What people call a form: "3×3 affine", "(3, 1)", "3×3 affine → 8×8 patch"."""
    form = label.removeprefix("decoder ")
    return ChannelMap(form, 1 if form == label else result.store.space.cell_px).name


def _show_pictures(page: Page, result: "AutofitResult") -> None:
    """Held-out pictures, a row each: photograph, decode, and every shown form, all as large as the decode."""
    store = result.store
    page.heading("What each form shows")
    scored = set(result.scores["sample"])
    for sample in _shown_samples([one for one in store.split("test") if one.key in scored]):
        batch = next(store.batches([sample], ["rgb", "photo"], n_cells=1))
        page.pictures(_row(result, batch), strong=("the VAE's decode",))
    page.text(
        f"Held-out pictures, each first as the VAE was given it and as {store.reference} decodes it: that is what the "
        "others try to match. ΔE is the CIEDE2000 distance to that decode, as seen; below 2 few people see it. Small "
        "outputs are enlarged as a program's preview is. Milliseconds on this machine, one picture of "
        f"{store.origin.size} px.",
        is_soft=True,
    )


def _row(result: "AutofitResult", batch: Batch) -> list[tuple[str, str, bytes]]:
    if batch.rgb is None or batch.photo is None:
        raise ValueError("write_page: autofit's store keeps photo and rgb")
    decode_ms = 1e3 * result.plan.seconds_per_decode
    shown = [
        ("the picture", batch.samples[0].name.rsplit("/")[-1], _png(batch.photo[0])),
        ("the VAE's decode", f"{decode_ms:,.0f} ms", _png(batch.rgb[0])),
    ]
    scores = result.scores
    scores = scores[(scores["sample"] == batch.samples[0].key) & (scores["reference"] == "vae")]
    scores = scores[scores["place"] == "seen"].set_index("approximation")
    size = (batch.rgb.shape[-2], batch.rgb.shape[-1])
    for label in _shown_forms(result):
        picture = as_seen(result.maps[label].unclamped(batch.latents), size)
        caption = f"ΔE {scores['delta_e'][label]:.1f}\n{scores['ms'][label]:.2g} ms"
        shown.append((title(result, label), caption, _png(picture[0])))
    return shown


def _shown_forms(result: "AutofitResult") -> list[str]:
    """The plain tables, then the best of the richer ones, and the best that writes full-size pictures."""
    ranked = [label for label in _ranked(result) if label not in SHOWN]
    tables = [label for label in ranked if result.maps[label].scale == 1]
    decoders = [label for label in ranked if result.maps[label].scale > 1]
    return [*(label for label in SHOWN if label in result.maps), *tables[:1], *decoders[:1]]


def _ranked(result: "AutofitResult") -> list[str]:
    """Labels of the maps, best first, as seen against the VAE."""
    return [str(label) for label in ranked(result.scores, "seen")["approximation"]]


def _shown_samples(held_out: list[Sample]) -> list[Sample]:
    """The first crop of two held-out pictures: a photograph, and a chart or drawing where there is one."""
    first: dict[str, Sample] = {}
    for sample in sorted(held_out, key=lambda one: one.box[0] - one.box[2]):  # the widest crop shows most
        first.setdefault(sample.sha256, sample)
    photographs = [sample for sample in first.values() if sample.kind == "photograph"]
    others = [sample for sample in first.values() if sample.kind in ("chart", "drawing")]
    return [*photographs[:1], *others[:1], *photographs[1:], *others[1:], *first.values()][: min(N_SHOWN, len(first))]


def _show_ranking(page: Page, result: "AutofitResult") -> None:
    page.heading("Ranking")
    page.table(_scores(result, "seen"), bar="dB to the VAE", left=("runs in",))
    page.text(
        "As seen: enlarged to the picture's size. dB is PSNR, more is better; saturation 1 means colours as strong as "
        "the VAE's.",
        is_soft=True,
    )
    page.table(_scores(result, "cells"), bar="dB to the VAE", left=("runs in",), fold="The same at one pixel a cell")
    if result.left_out:
        rows = [{"not fitted": title(result, form), "because": reason} for form, reason in result.left_out.items()]
        page.table(rows, left=("because",))


def _scores(result: "AutofitResult", place: str) -> list[dict[str, object]]:
    def runs_in(label: str) -> dict[str, object]:
        programs = [name for name in names(of_formats=False) if label in result.exports.files.get(name, {})]
        return {"runs in": ", ".join(PROGRAMS[name].title for name in programs) or "Python, by latentfit"}

    return score_rows(
        result.scores, place, first="form", named=partial(title, result), with_ms_ssim=False, more=runs_in
    )


def _show_files(page: Page, result: "AutofitResult", folder: Path) -> None:
    """For each program the best form that it can run, to paste; then everything else it can run."""
    page.heading("Files to take")
    order = _ranked(result)
    ranked = {name: sorted(files, key=order.index) for name, files in result.exports.files.items()}
    # programs first, of these the one that shows the best previews
    shown = sorted(ranked, key=lambda name: (is_format(name), order.index(ranked[name][0]), list(PROGRAMS).index(name)))
    best, rows = {}, []
    for name in shown:
        files = result.exports.files[name]
        path = best[name] = files[ranked[name][0]]
        others = [files[label].name for label in ranked[name][1:]]
        many = f"{len(others)} others in {path.parent.name}/"
        rows.append(
            {
                "for": PROGRAMS[name].title,
                "take": path.relative_to(folder).as_posix(),
                "form": title(result, ranked[name][0]),
                "size": _size(path.stat().st_size),
                "how": PROGRAMS[name].how_to_use,
                "also there": ", ".join(others) or "–" if len(others) < 5 else many,
            }
        )
    page.table(rows, left=("take", "form", "how", "also there"))
    for name in [name for name in shown if not is_format(name)]:
        if best[name].stat().st_size <= LARGEST_CODE:
            summary = f"{PROGRAMS[name].title}: {best[name].relative_to(folder).as_posix()}"
            page.code(summary, best[name].read_text("utf-8"), is_open=name == shown[0])
    refused = [
        {
            "program": PROGRAMS[name].title,
            "cannot run": "; ".join(title(result, label) for label in reasons),
            "for example": next(iter(reasons.values())),
        }
        for name, reasons in result.exports.refused.items()
    ]
    page.table(refused, left=("cannot run", "for example"), fold="What programs cannot run")


def _show_provenance(page: Page, result: "AutofitResult") -> None:
    store, plan = result.store, result.plan
    space = store.space
    kinds = {kind: _n_pictures([s for s in store.samples if s.kind == kind]) for kind in _kinds(store.samples)}
    facts = {
        **store_facts(store),
        "shift": _numbers(space.shift) if not space.normalised_by_vae else "in the VAE's weights",
        "scale": _numbers(space.scale) if not space.normalised_by_vae else "in the VAE's weights",
        "pictures": ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in kinds.items()),
        "crops": f"{len(store.samples)} of {store.origin.size} px, up to {plan.crops} a picture",
        "held out": f"{_n_pictures(store.split('test'))} pictures, chosen by their hash",
        "VAE's time": f"{plan.seconds_per_crop:.2f} s a crop to encode and decode",
        "this run": ", ".join(f"{step} {seconds:.0f} s" for step, seconds in result.seconds.items()),
    }
    show_facts(page, "How it came about", facts)


def _kinds(samples: list[Sample]) -> list[str]:
    return sorted({sample.kind for sample in samples}, key=get_args(Kind).index)


def _n_pictures(samples: list[Sample]) -> int:
    return len({sample.sha256 for sample in samples})


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.5g}" for value in values)


def _size(n_bytes: int) -> str:
    return f"{n_bytes:,} B" if n_bytes < 10_000 else f"{n_bytes / 1024:,.0f} KiB"


def _png(rgb: Tensor) -> bytes:
    buffer = io.BytesIO()
    to_pil(rgb).save(buffer, "PNG")
    return buffer.getvalue()
