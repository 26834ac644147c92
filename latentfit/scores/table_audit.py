"""audit(): published tables, our maps and what their forms could reach, on the same held-out pairs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from latentfit.errors import SpaceMismatchError
from latentfit.fit import ChannelMap
from latentfit.maps.contracts import Approximation
from latentfit.maps.scales import as_scale
from latentfit.pairs.store import PairStore, Sample
from latentfit.scores.evaluation import Place, Reference, evaluate
from latentfit.scores.held_out import by_name, samples_to_score
from latentfit.scores.published import PublishedTable, tables

if TYPE_CHECKING:
    import pandas as pd

UNSUITED_DB = 3.0  # below the best possible affine map by more than this on both references: more than merely worse
KINDS = {"photograph": "photographs", "drawing": "drawings"}
"""Kinds of pictures that verdicts are of, in words; a table unsuited to both is wrong."""
LEAST_PICTURES = 10  # for a verdict: on fewer the oracle knows them by heart
MOST_ORACLE_TERMS = 1200


def audit(
    store: PairStore,
    approximations: Sequence[Approximation] = (),
    *,
    references: Sequence[Reference] | None = None,
    places: Sequence[Place] | None = None,
    with_oracles: bool = True,
    with_pictures: bool = False,
    progress: bool = False,
) -> "pd.DataFrame":
    """Rank every published table of the store's space with our maps, on pictures that none of ours was fitted on.

    Parameters
    ----------
    store : PairStore
        With the column "photo" the photograph is a second reference; of an encoder alone it is the only one.
    approximations : sequence of Approximation
        The maps to rank beside them.
    references, places
        Arguments of `latentfit.scores.evaluate`.
    with_oracles : bool
        Also the same forms fitted on the scored pictures themselves: what each form could reach.
    with_pictures : bool
        Also a row for each picture, for paired differences.
    progress : bool
        Show bars with rate and time left.

    Returns
    -------
    DataFrame
        Pooled rows of `evaluate` with the columns ``origin`` ("published", "ours", "oracle"), ``status`` and
        ``verdict``: "unsuited to … latents of photographs" (or of drawings) when the table lies more than 3 dB below
        the affine oracle on such pictures, against *both* references at the cells, and "wrong" before it when that
        holds on both kinds. Fewer than 10 pictures of a kind, or a store without photographs or decodes, give none.
        `attrs["not_run"]` holds id -> reason.
    """
    not_run = {table.id: table.obstacle for table in tables(store.space) if table.obstacle}
    ours = [approximation for approximation in approximations if approximation.space == store.space]
    if len(ours) != len(approximations):
        others = sorted({a.space.name for a in approximations} - {store.space.name})
        raise SpaceMismatchError(
            "audit",
            expected=f"maps of the store's space {store.space.name!r} alone",
            got=f"some of {', '.join(others)}",
        )
    samples, n_left_out, n_copies = samples_to_score(ours, store, "all")
    who = contenders(store, ours)
    named, origin = dict(who.named), dict(who.origin)
    for name, oracle in oracles(store, samples, ours, progress=progress).items() if with_oracles else ():
        named[name], origin[name] = oracle, "oracle"
    frame = evaluate(
        named,
        store,
        samples=samples,
        references=references,
        places=places,
        with_structure=False,
        progress=progress,
    )
    attrs = {**frame.attrs, "n_left_out": n_left_out, "n_copies": n_copies}
    kept = frame if with_pictures else frame[frame["image"] == "all"]
    pooled = _with_copies(kept, who.copies)
    pooled["origin"] = pooled["approximation"].map(origin)
    pooled["status"] = pooled["approximation"].map(who.status).fillna("")
    shown = pooled[pooled["image"] == "all"]
    by_kind = {kind: unsuited(shown, kind) for kind in KINDS}
    verdicts = {name: verdict(name, by_kind, store.vae_name) for name in origin if origin[name] == "published"}
    pooled["verdict"] = [verdicts.get(name, "") for name in pooled["approximation"]]
    pooled.attrs = {**attrs, "not_run": not_run}
    return pooled


@dataclass(frozen=True)
class Contenders:
    """The maps that are ranked.

    Attributes
    ----------
    named : dict of str to Approximation
        Published tables that can be run, one of those with equal numbers, and ours.
    origin : dict of str to str
        "published" or "ours", of copies too.
    status : dict of str to str
        Status of published tables.
    copies : list of list of str
        Published tables of equal numbers; the first of each is in `named`.
    """

    named: dict[str, Approximation]
    origin: dict[str, str]
    status: dict[str, str]
    copies: list[list[str]]


def contenders(store: PairStore, ours: Sequence[Approximation]) -> Contenders:
    """Every published table of the store's space that can be run, and our maps, by the names they are ranked under."""
    published = [table for table in tables(store.space) if table.obstacle is None]
    published += [table.clamped() for table in published if table.overflow != "clamp"]
    copies: dict[tuple[object, ...], list[str]] = {}
    for table in published:
        copies.setdefault(table.numbers, []).append(table.id)
    named = {table.id: table.approximation() for table in published if copies[table.numbers][0] == table.id}
    origin = {table.id: "published" for table in published}
    for name, approximation in by_name(ours, store).items() if ours else ():
        named[f"ours: {name}"] = approximation
        origin[f"ours: {name}"] = "ours"
    for name, approximation in _in_their_place(published, ours).items():
        named[name], origin[name] = approximation, "ours"
    status = {table.id: table.suspect or table.status for table in published}
    return Contenders(named, origin, status, [ids for ids in copies.values() if len(ids) > 1])


def _in_their_place(published: Sequence[PublishedTable], ours: Sequence[Approximation]) -> dict[str, Approximation]:
    """Our linear tables as a consumer that smooths would run them: its own table has that advantage too."""
    linear = [one for one in ours if one.card.get("kernels") == [1] and not one.card.get("intercept", True)]
    tables_of_ours = [one for one in linear if one.card.get("smoothing") is None]
    found = {}
    for table in published:
        for approximation in tables_of_ours if table.smoothing else ():
            in_place = table.run_on(approximation)
            found[f"ours: {in_place.name}"] = in_place
    return found


def oracles(
    store: PairStore, samples: Sequence[Sample], ours: Sequence[Approximation], *, progress: bool = False
) -> dict[str, Approximation]:
    """The affine form, and each of our forms, fitted on the scored samples themselves."""
    target: Literal["vae", "photo"] = "vae" if store.has_decodes else "photo"
    forms = {"affine": ChannelMap("affine", target=target)}
    for card in (approximation.card for approximation in ours if approximation.card.get("kernels")):
        smoothing = card.get("smoothing")
        scale = as_scale(card.get("scale", 1))
        if scale.denominator != 1:
            continue  # of latents to latents
        forms[str(card.get("form"))] = ChannelMap(
            kernels=tuple(card["kernels"]),
            scale=int(scale),
            intercept=bool(card.get("intercept", True)),
            smoothing=None if smoothing is None else tuple(map(tuple, smoothing)),
            target=target,
        )
    found = {}
    for name, channel_map in forms.items():
        few = channel_map.n_terms(store.space.channels) <= MOST_ORACLE_TERMS
        if few and (channel_map.scale == 1 or "rgb" in store.columns or target == "photo"):
            found[f"oracle: {name}"] = channel_map.fit(store, samples=samples, progress=progress).approximation()
    return found


def audit_summary(frame: "pd.DataFrame", kind: str = "all") -> str:
    """The ranking as text: one block for each reference and place."""
    attrs = frame.attrs
    lines = [
        f"{attrs['n_images']} pictures scored, {attrs['n_left_out']} left out because a compared map was fitted on them"
    ]
    if "published" not in set(frame["origin"]):
        lines.append("no program is known to publish a table for this space")
    elif frame[(frame["image"] == "all") & frame["kind"].isin(KINDS)]["n_images"].max() < LEAST_PICTURES:
        lines.append(f"no table is called unsuited or wrong on so few pictures: that takes {LEAST_PICTURES} of a kind")
    columns = ["approximation", "psnr", "delta_e", "delta_e95", "bias", "saturation", "clipped", "verdict"]
    pooled = frame[(frame["image"] == "all") & (frame["kind"] == kind)]
    for (reference, place), block in pooled.groupby(["reference", "place"], sort=False):
        against = attrs["reference"] if reference == "vae" else "the photograph"
        lines.append(f"\n{place}, against {against}:")
        ranked = block.sort_values("psnr", ascending=False)[columns]
        lines.append(ranked.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
    lines += [f"not run: {name}: {reason}" for name, reason in attrs["not_run"].items()]
    return "\n".join(lines)


def _with_copies(pooled: "pd.DataFrame", copies: Sequence[Sequence[str]]) -> "pd.DataFrame":
    """Rows of tables with equal numbers, which were scored once, under each of their names."""
    import pandas as pd

    repeated = [
        pooled[pooled["approximation"] == first].assign(approximation=other)
        for first, *others in copies
        for other in others
    ]
    return pd.concat([pooled, *repeated], ignore_index=True)


def unsuited(pooled: "pd.DataFrame", kind: str) -> frozenset[str] | None:
    """Published tables more than 3 dB below the affine oracle against both references at the cells.

    Parameters
    ----------
    pooled : DataFrame
        Pooled rows of `audit`.
    kind : str
        Kind of pictures, as in the column ``kind``; "all" for every picture of the store.

    Returns
    -------
    frozenset of str or None
        None where nothing can be said: on fewer than 10 pictures, with one reference, or without the oracle.
    """
    cells = pooled[(pooled["place"] == "cells") & (pooled["kind"] == kind)]
    if cells.empty or int(cells["n_images"].max()) < LEAST_PICTURES:
        return None
    psnr = cells.pivot(index="approximation", columns="reference", values="psnr")
    if not {"vae", "photo"} <= set(psnr.columns) or "oracle: affine" not in psnr.index:
        return None
    below = psnr.loc["oracle: affine"] - psnr
    far = (below[["vae", "photo"]] > UNSUITED_DB).all(axis=1)
    published = cells[cells["origin"] == "published"]["approximation"]
    return frozenset(str(name) for name in published if bool(far[name]))


def verdict(name: str, by_kind: Mapping[str, Collection[str] | None], vae_name: str) -> str:
    """What is said of a published table.

    Parameters
    ----------
    name : str
    by_kind : mapping of str to collection of str or None
        Kind of pictures of `KINDS` -> the tables that `unsuited` found on them; None where nothing can be said.
    vae_name : str
        Name of the VAE whose latents and decodes they were.

    Returns
    -------
    str
        Empty, "unsuited to … latents of photographs" or of drawings, or, of both, "wrong: unsuited to …".

    Examples
    --------
    >>> verdict("a", {"photograph": {"a"}, "drawing": set()}, "TAESD")
    'unsuited to TAESD latents of photographs'
    >>> verdict("a", {"photograph": {"a"}, "drawing": {"a"}}, "TAESD")
    'wrong: unsuited to TAESD latents of photographs and of drawings'
    """
    kinds = [KINDS[kind] for kind, names in by_kind.items() if names is not None and name in names]
    if not kinds:
        return ""
    wrong = "wrong: " if len(kinds) == len(KINDS) else ""
    return f"{wrong}unsuited to {vae_name} latents of {' and of '.join(kinds)}"
