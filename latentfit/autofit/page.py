"""The page that `autofit` leaves: verdicts first, then pictures, ranking, learning curve, files, and how it came."""

from pathlib import Path
from typing import TYPE_CHECKING, get_args

from latentfit.autofit.page_pictures import published_title, show_pictures, title
from latentfit.autofit.steps import learning_in_words
from latentfit.autofit.verdict import Verdict, standing_tables
from latentfit.compare.reports.cards import Card
from latentfit.compare.reports.page import Page
from latentfit.compare.reports.score_table import doubt_in_words, ranked, score_rows, show_facts, store_facts
from latentfit.compare.reports.tables import Link
from latentfit.formats.programs.registry import PROGRAMS, is_format, names
from latentfit.images.pixels import Kind
from latentfit.pairs.store import Sample
from latentfit.runtime.numbers import file_size, quantity, signed
from latentfit.runtime.storage import write_atomic

if TYPE_CHECKING:
    import pandas as pd

    from latentfit.autofit.run import AutofitResult

LARGEST_CODE = 60_000  # bytes of a file that is shown to copy
FEW_PICTURES = 10  # held-out pictures; fewer tell little, which is said
FORMS_IN_WORDS = (
    "How forms are named: a linear map weighs the channels of a cell, an affine one adds a constant, quadratic and "
    "cubic ones add products of two and three channels. 3×3 and 5×5 weigh the neighbouring cells too; “3×3 linear + "
    "1×1 quadratic” weighs the neighbours, and adds products of the cell’s own channels. All give one pixel a cell, "
    "except those called full size."
)


def write_page(result: "AutofitResult", path: Path) -> Path:
    """Write ``index.html`` for what `autofit` made; one file, no network."""
    store = result.store
    page = Page(
        f"Previews for {store.space.title}",
        f"What to give each program, so that it shows what {store.reference} decodes: every form was fitted on "
        f"{_n_pictures(store.split('train'))} pictures and scored on {_n_scored(result)} others that nothing was "
        "fitted on.",
    )
    _show_verdicts(page, result, path.parent)
    _show_spared(page, result)
    page.heading("What each form shows")
    show_pictures(page, result)
    page.text(
        f"Held-out pictures, each first as the VAE was given it and as {store.reference} decodes it: that is what the "
        "others try to match. ΔE is the mean CIEDE2000 distance to that decode, as seen; below 2 few people see it. "
        "Small outputs are enlarged as a program's preview is. Milliseconds on this machine, one picture of "
        f"{store.origin.size} px.",
        is_soft=True,
    )
    page.text("Choose a picture to enlarge it; the arrow keys then flip through its row.", True, "screen")
    _show_ranking(page, result)
    _show_learning(page, result)
    _show_files(page, result, path.parent)
    _show_provenance(page, result)
    return write_atomic(path, page.html())


def _show_verdicts(page: Page, result: "AutofitResult", folder: Path) -> None:
    """A card for each program that can show the space, and one for Python."""
    found = result.verdicts
    n_scored = _n_scored(result)
    cards = [_card(result, verdict, folder) for verdict in found]
    page.heading("What to take")
    page.cards([*cards, *_card_for_python(result, folder)])
    standing = "the published tables that are in use today" if result.published is not None else "no published table"
    page.text(
        f"dB is PSNR against the VAE's decode, as seen in the program. What programs ship are {standing}. Ranges are "
        f"95 % bootstrap intervals over the {n_scored} held-out pictures; a gain whose range holds zero is a tie.",
        is_soft=True,
    )
    if n_scored < FEW_PICTURES:
        page.text(
            f"{n_scored} held-out pictures are few: take small gains with care, or give it more pictures.", is_soft=True
        )


def _card(result: "AutofitResult", verdict: Verdict, folder: Path) -> Card:
    """A verdict in words."""
    program, ours = PROGRAMS[verdict.program], title(result, verdict.label)
    n_scored, gain = _n_scored(result), verdict.gain
    own = f"{verdict.psnr:.1f} dB and ΔE {verdict.delta_e:.1f} to the VAE's decode"
    if verdict.clamped_psnr is not None:
        own += f" as the program is today, {verdict.clamped_psnr:.1f} dB with the clamp that the file names"
    own_table = (verdict.ships or "").partition("/")[2]
    ships = f"({own_table}: {verdict.ships_psnr or 0:.1f} dB)"
    eyebrow, choice, comparison = "take this:", ours, f"over what it ships today {ships}"
    doubt = f"{own}, over {_pictures(n_scored)}."
    if gain is not None:
        won = "on all of them" if gain.won == 1 else f"on {gain.won:.0%} of them"
        range_ = f"{signed(gain.low, 2)} to {signed(gain.high, 2)} dB over {_pictures(gain.n)}"
        doubt = f"95 %: {range_}, better {won}. {own[0].upper()}{own[1:]}."
    if verdict.outcome == "ships none":
        comparison = "No table of its own for this space is known today."
    elif verdict.outcome == "not scored":
        comparison = "What it ships today was not scored: there was no time."
    elif verdict.outcome == "tie" and gain is not None and gain.mean > 0:
        eyebrow, comparison = "it hardly matters:", f"a tie with what it ships today {ships}"
    elif verdict.outcome in ("tie", "worse"):
        tie = ", a tie" if verdict.outcome == "tie" else ""
        eyebrow, choice, comparison = "keep what it ships:", own_table, f"with {ours} instead{tie} {ships}"
    return Card(
        title=program.title,
        eyebrow=eyebrow,
        choice=choice,
        gain=_gain(verdict),
        comparison=comparison,
        doubt=doubt,
        link=_link(verdict.path, folder),
        size=file_size(verdict.path.stat().st_size),
        how=program.how_to_use,
        code_mark=_mark(verdict) if _text(verdict.path) else "",
        n_lines=len(_text(verdict.path).splitlines()),
        is_advised=verdict.outcome not in ("tie", "worse"),
    )


def _gain(verdict: Verdict) -> str:
    if verdict.gain is not None:
        return f"{signed(verdict.gain.mean)} dB"
    return f"{signed(verdict.psnr - verdict.ships_psnr)} dB" if verdict.ships_psnr is not None else ""


def _card_for_python(result: "AutofitResult", folder: Path) -> list[Card]:
    """The best of all forms, for code of one's own."""
    files = result.exports.files.get("safetensors", {})
    rows = _pooled(result, "seen")
    best = next((label for label in rows.index if label in files), None)
    if best is None:
        return []
    own = f"{rows['psnr'][best]:.1f} dB and ΔE {rows['delta_e'][best]:.1f} to the VAE's decode"
    return [
        Card(
            title="your own Python", eyebrow="take this:", choice=title(result, best), gain="",
            comparison="The best of all forms that were fitted.",
            doubt=f"{own}, over {_pictures(_n_scored(result))}.", link=_link(files[best], folder),
            size=file_size(files[best].stat().st_size), how=PROGRAMS["safetensors"].how_to_use,
        )
    ]  # fmt: skip


def _show_spared(page: Page, result: "AutofitResult") -> None:
    """What there was no time for: forms, pictures, scores, points of the curve."""
    late = {form: why for form, why in result.left_out.items() if "allow more minutes" in why}
    points = [*result.no_time_for, *(f"{title(result, form)}: {why}" for form, why in late.items())]
    if points:
        kept = "the time" if result.minutes is None else f"{quantity(result.minutes)} minutes"
        page.callout(f"To keep to {kept} some was left out:", points)


def _pooled(result: "AutofitResult", place: str) -> "pd.DataFrame":
    """Rows of all pictures together, best first, by form."""
    return ranked(result.scores, place).set_index("approximation")


def _show_ranking(page: Page, result: "AutofitResult") -> None:
    page.heading("Ranking")
    page.table(_scores(result, "seen"), dot="dB to the VAE", left=("runs in",))
    page.text(
        "As seen: enlarged to the picture's size. dB is PSNR, more is better; saturation 1 means colours as strong as "
        f"the VAE's. {doubt_in_words(_n_scored(result))}",
        is_soft=True,
    )
    page.text(FORMS_IN_WORDS, is_soft=True)
    page.table(_scores(result, "cells"), dot="dB to the VAE", left=("runs in",), fold="The same at one pixel a cell")
    rows = [{"not fitted": title(result, form), "because": reason} for form, reason in result.left_out.items()]
    page.table(rows, left=("because",))


def _scores(result: "AutofitResult", place: str) -> list[dict[str, object]]:
    """Our forms and the published tables, best first."""
    import pandas as pd

    published = result.published
    copies: dict[str, list[str]] = {} if published is None else published.attrs["copies"]
    frames = [result.scores] if published is None else [
        result.scores, published[published["approximation"].isin(list(copies))]
    ]  # fmt: skip

    def named(name: str) -> str:
        return ", ".join(map(published_title, [name, *copies[name]])) if name in copies else title(result, name)

    def runs_in(name: str) -> dict[str, object]:
        if name in copies:
            return {"runs in": "published"}
        programs = [one for one in names(of_formats=False) if name in result.exports.files.get(one, {})]
        titles = ", ".join(PROGRAMS[one].title for one in programs)
        return {"runs in": f"{len(programs)} programs" if len(programs) > 2 else titles or "Python alone"}

    return score_rows(pd.concat(frames), place, first="form", named=named, with_ms_ssim=False, more=runs_in)


def _show_learning(page: Page, result: "AutofitResult") -> None:
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


def _show_files(page: Page, result: "AutofitResult", folder: Path) -> None:
    """Every file that was written, best form first, for each program and format; then what programs cannot run."""
    page.heading("All files")
    order = list(_pooled(result, "seen").index)
    rows: list[dict[str, object]] = []
    for name in sorted(result.exports.files, key=is_format):
        files = result.exports.files[name]
        links = [_link(files[label], folder, title(result, label)) for label in sorted(files, key=order.index)]
        rows.append({"for": PROGRAMS[name].title, "files, best first": links, "how": PROGRAMS[name].how_to_use})
    rows += [
        {"for": what, "files, best first": [Link(name, name)], "how": how}
        for what, name, how in _OTHER_FILES
        if (folder / name).exists()
    ]
    page.table(rows, left=("files, best first", "how"))
    for verdict in result.verdicts:
        if text := _text(verdict.path):
            page.code(f"The text for {PROGRAMS[verdict.program].title}: {verdict.path.name}", text, mark=_mark(verdict))
    refused = [
        {
            "program": PROGRAMS[name].title,
            "cannot run": "; ".join(title(result, label) for label in reasons),
            "for example": next(iter(reasons.values())),
        }
        for name, reasons in result.exports.refused.items()
    ]
    page.table(refused, left=("cannot run", "for example"), fold="What programs cannot run")


_OTHER_FILES = (
    ("scores", "scores.csv", "A row for each form, reference, place, kind and picture."),
    ("published tables' scores", "published.csv", "The same, of the tables that programs ship today."),
    ("learning curve", "learning.csv", "PSNR after so many pictures."),
    ("plan", "plan.json", "What was to be collected; the same command goes on from it."),
    ("pairs", "store", "The pair store: latents, decodes and pictures, to fit more on."),
)
"""What, its name beside the page, and what it holds."""


def _show_provenance(page: Page, result: "AutofitResult") -> None:
    store, plan = result.store, result.plan
    space = store.space
    kinds = {kind: _n_pictures([s for s in store.samples if s.kind == kind]) for kind in _kinds(store.samples)}
    sources = sorted({one.source for one in standing_tables(space)} if result.published is not None else ())
    facts = {
        **store_facts(store),
        "shift": _numbers(space.shift) if not space.normalised_by_vae else "in the VAE's weights",
        "scale": _numbers(space.scale) if not space.normalised_by_vae else "in the VAE's weights",
        "pictures": ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in kinds.items()),
        "crops": f"{len(store.samples)} of {store.origin.size} px, up to {plan.crops} a picture",
        "held out": f"{_n_pictures(store.split('test'))} pictures, chosen by their hash",
        "VAE's time": f"{plan.seconds_per_crop:.2f} s a crop to encode and decode",
        "this run": ", ".join(f"{step} {seconds:.0f} s" for step, seconds in result.seconds.items()),
        **({"published tables": "; ".join(sources)} if sources else {}),
    }
    show_facts(page, "How it came about", facts)


def _kinds(samples: list[Sample]) -> list[str]:
    return sorted({sample.kind for sample in samples}, key=get_args(Kind).index)


def _n_pictures(samples: list[Sample]) -> int:
    return len({sample.sha256 for sample in samples})


def _n_scored(result: "AutofitResult") -> int:
    return int(result.scores.attrs["n_images"])


def _pictures(count: int) -> str:
    return f"{count} held-out picture{'s' if count > 1 else ''}"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.5g}" for value in values)


def _link(path: Path, folder: Path, text: str = "") -> Link:
    return Link(text or path.name, path.relative_to(folder).as_posix())


def _mark(verdict: Verdict) -> str:
    """Id of a program's text on the page."""
    return f"text-{verdict.program}"


def _text(path: Path) -> str:
    """A file's text to copy; "" when it is long."""
    return path.read_text("utf-8") if path.stat().st_size <= LARGEST_CODE else ""
