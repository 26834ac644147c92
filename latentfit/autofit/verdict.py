"""What each program should be given, and whether that beats the table it ships: published tables scored beside ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from latentfit.autofit.steps import Exports
from latentfit.errors import StoreError
from latentfit.formats.programs.registry import is_format
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.pairs.store import PairStore
from latentfit.scores.paired import Difference, difference
from latentfit.scores.published import PublishedTable, tables

if TYPE_CHECKING:
    import pandas as pd

NEAR_DB = 0.1  # so little nobody sees: of two maps the smaller one is advised then
STANDING = ("current", "copy")
"""Status of published tables that a program uses today."""

Outcome = Literal["better", "tie", "worse", "one picture", "not scored", "ships none"]


@dataclass(frozen=True)
class Verdict:
    """The best of our maps that a program runs, beside the best table that it ships for the space.

    Attributes
    ----------
    program : str
        Name in `latentfit.formats.PROGRAMS`.
    label : str
        Label of our map.
    path : Path
        The map's file for the program.
    psnr, delta_e : float
        Score of our map against the VAE's decode as the program would show it, pooled over the held-out pictures.
    ships : str or None
        Id of the published table; None where none is known.
    ships_psnr : float or None
        PSNR of that table, on the same pictures; None where it was not scored.
    clamped_psnr : float or None
        PSNR of our map if the program clamped colours before it casts them to 8 bit; None where it does.
    gain : Difference or None
        Our map minus that table in dB, picture by picture; None where there are fewer than two pictures.
    """

    program: str
    label: str
    path: Path
    psnr: float
    delta_e: float
    ships: str | None = None
    ships_psnr: float | None = None
    clamped_psnr: float | None = None
    gain: Difference | None = None

    @property
    def outcome(self) -> Outcome:
        """The outcome in one word; "better" and "worse" only where the interval over pictures says so."""
        if self.ships is None:
            return "ships none"
        if self.ships_psnr is None:
            return "not scored"
        if self.gain is None:
            return "one picture"
        if self.gain.is_tie:
            return "tie"
        return "better" if self.gain.mean > 0 else "worse"


def standing_tables(space: LatentSpace) -> list[PublishedTable]:
    """The published tables of a space that are in use today and can be run on its latents."""
    return [one for one in tables(space) if one.status in STANDING and one.obstacle is None]


def score_published(
    maps: Mapping[str, Approximation],
    exports: Exports,
    scores: "pd.DataFrame",
    store: PairStore,
    until: Callable[[], bool],
) -> "pd.DataFrame | None":
    """Published tables of the space, and ours as programs that smooth or wrap would run them, on the scored samples.

    Parameters
    ----------
    maps : mapping of str to Approximation
    exports : Exports
        Says which map each program gets.
    scores : DataFrame
        Scores of the maps, as `latentfit.evaluate` gives it.
    store : PairStore
    until : callable
        Asked after each sample: True ends the scoring, and the table is of the samples so far.

    Returns
    -------
    DataFrame or None
        As `latentfit.evaluate` gives it, against the VAE's decode alone and without structure; None where the space has
        no published table. `attrs["copies"]` holds id -> the other ids of equal numbers, which are scored once.
    """
    from latentfit.scores.evaluation import evaluate

    copies: dict[tuple[object, ...], list[PublishedTable]] = {}
    for one in standing_tables(store.space):
        copies.setdefault(one.numbers, []).append(one)
    if not copies:
        return None
    named = {same[0].id: same[0].approximation() for same in copies.values()}
    for one in (one for same in copies.values() for one in same):
        if _program_of(one) not in exports.files:
            continue
        label = _choice(exports, _program_of(one), scores)
        if one.run_on(maps[label]) is not maps[label]:
            named[_in_place(label, one)] = one.run_on(maps[label])
    scored = dict.fromkeys(scores["sample"].dropna())
    samples = [sample for sample in store.samples if sample.key in scored]
    samples.sort(key=lambda sample: list(scored).index(sample.key))
    frame = evaluate(named, store, samples=samples, references=["vae"], with_structure=False, until=until)
    frame.attrs["copies"] = {same[0].id: [one.id for one in same[1:]] for same in copies.values()}
    return frame


def verdicts(exports: Exports, scores: "pd.DataFrame", published: "pd.DataFrame | None") -> list[Verdict]:
    """One for each program that can show the space, those that show the best previews first.

    Parameters
    ----------
    exports : Exports
    scores : DataFrame
        Scores of our maps.
    published : DataFrame or None
        What `score_published` gave.
    """
    order = _ranked(scores)
    programs = [name for name in exports.files if not is_format(name)]
    found = [_verdict(name, exports, scores, published) for name in programs]
    return sorted(found, key=lambda one: order.index(one.label))  # stable: then as the registry has them


def _verdict(program: str, exports: Exports, scores: "pd.DataFrame", published: "pd.DataFrame | None") -> Verdict:
    import pandas as pd

    label = _choice(exports, program, scores)
    path = exports.files[program][label]
    shipped = _shipped(program, published)
    frame = scores if published is None else pd.concat([scores, published])
    pooled = pooled_seen(frame)
    if not shipped:
        return Verdict(program, label, path, float(pooled["psnr"][label]), float(pooled["delta_e"][label]))
    best, name = max(shipped, key=lambda one: float(pooled["psnr"][one[1]]))
    ours = _in_place(label, best)
    ours = ours if ours in pooled.index else label
    same = scores[scores["sample"].isin(published["sample"])] if published is not None else scores
    try:
        gain = difference(pd.concat([same, published]), ours, name, reference="vae", place="seen")
    except StoreError:  # on fewer than two pictures
        gain = None
    psnr, delta_e = float(pooled["psnr"][ours]), float(pooled["delta_e"][ours])
    clamped = float(pooled["psnr"][label]) if best.overflow != "clamp" else None
    return Verdict(program, label, path, psnr, delta_e, best.id, float(pooled["psnr"][name]), clamped, gain)


def pooled_seen(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Rows of all pictures together, as seen, against the VAE; by name."""
    rows = frame[(frame["image"] == "all") & (frame["kind"] == "all") & (frame["place"] == "seen")]
    return rows[rows["reference"] == "vae"].set_index("approximation")


def _shipped(program: str, published: "pd.DataFrame | None") -> list[tuple[PublishedTable, str]]:
    """The tables that a program ships, with the names they were scored under."""
    from latentfit.scores.published import table

    if published is None:
        return []
    scored_as = {copy: first for first, others in published.attrs["copies"].items() for copy in (first, *others)}
    found = [(table(identifier), first) for identifier, first in scored_as.items()]
    return [(one, first) for one, first in found if _program_of(one) == program]


def _program_of(one: PublishedTable) -> str:
    return one.id.partition("/")[0]


def _in_place(label: str, one: PublishedTable) -> str:
    """Name of our map as the table's program would run it."""
    return f"{label}, in {_program_of(one)}"


def _ranked(scores: "pd.DataFrame") -> list[str]:
    return [str(name) for name in pooled_seen(scores)["psnr"].sort_values(ascending=False).index]


def _choice(exports: Exports, program: str, scores: "pd.DataFrame") -> str:
    """Of the maps that a program runs the one of fewest numbers that is about as good as the best of them."""
    rows = pooled_seen(scores).loc[list(exports.files[program])]
    near = rows[rows["psnr"] >= rows["psnr"].max() - NEAR_DB].sort_values(
        ["parameters", "psnr"], ascending=[True, False]
    )
    return str(near.index[0])
