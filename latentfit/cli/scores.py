"""`latentfit evaluate`, `audit`: saved maps on pictures that none of them was fitted on."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from latentfit.cli.arguments import (
    Device,
    Files,
    MaybeFile,
    MaybeFiles,
    MaybeStore,
    Name,
    Ref,
    Store,
    check_out,
    check_places,
    check_without,
    evaluate_classes,
    show_scores,
    tables_unless_fitted_on,
)
from latentfit.errors import SpaceMismatchError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latentfit.maps.contracts import Approximation, LatentMap
    from latentfit.pairs.store import PairStore
    from latentfit.vae.vae import Vae


def evaluate(
    files: Files,
    store: MaybeStore = None,
    source: MaybeStore = None,
    target: MaybeStore = None,
    source_vae: Ref = None,
    target_vae: Ref = None,
    csv: MaybeFile = None,
    split: Literal["test", "train", "all"] = "all",
    palette: Name = None,
    device: Device = "auto",
) -> None:
    """Score saved maps on the pictures of a store that none of them was fitted on.

    Palettized decoders are scored by their classes too, beside the nearest colours of the other maps, or of the bundled
    3×3 table where there are none. With --source and --target, maps between latents are scored, beside decode → encode
    through the two VAEs and the latents as they are.

    Parameters
    ----------
    files : tuple of Path
        Maps written by `fit`, or exported JSON tables.
    store : Path or None
        A pair store that `collect` wrote.
    source : Path or None
        For maps between latents: the store whose latents come in,
    target : Path or None
        and the one, of the same pictures, whose latents should come out.
    source_vae : str or None
        The VAE of --source: preset, hub id, diffusers folder, single file, or the common start of a TAESD pair's names.
    target_vae : str or None
        The VAE of --target.
    csv : Path or None
        Also write every row, per picture too, as CSV.
    split : str
        Which pictures to consider before those that were fitted are left out.
    palette : str or None
        Palette of pixelvae's decoders, whose files do not hold it.
    device : str
        Where the two VAEs run.
    """
    from latentfit.formats.opening import load_named
    from latentfit.pairs.store import PairStore
    from latentfit.palettes.decoder import is_palettized
    from latentfit.scores.evaluation import evaluate as run
    from latentfit.scores.evaluation import score_summary

    check_out(csv, ".csv", flag="--csv")
    if check_places("evaluate", store, source, target):
        assert source is not None
        assert target is not None
        check_without("evaluate", "maps between latents have no palette", palette=palette)
        _evaluate_between(files, source, target, (source_vae, target_vae), csv, split, device)
        return
    assert store is not None
    reason = "with one store no VAE is run, as the store holds what it decoded"
    check_without("evaluate", reason, source_vae=source_vae, target_vae=target_vae, device=device)
    opened = PairStore(store)
    named = load_named(files, opened.space, palette)
    if palette is not None:
        _check_any_has(named.values(), palette)
    frame = run(named, opened, split=split, progress=True)
    show_scores(frame, score_summary(frame), csv)
    if any(map(is_palettized, named.values())):
        evaluate_classes(named, opened, split, csv)


def _check_any_has(maps: "Iterable[Approximation]", named: str) -> None:
    """Refuse a palette that is none, or that no map has: pixelvae's took it, others have their own or none."""
    from latentfit.palettes.decoder import is_palettized, palette_of
    from latentfit.palettes.palette import Palette

    wanted = Palette.load(named).hex
    if not any(is_palettized(one) and palette_of(one).hex == wanted for one in maps):
        check_without("evaluate", "none of the files is pixelvae's, which lacks its palette", palette=named)


def _evaluate_between(
    files: tuple[Path, ...],
    source: Path,
    target: Path,
    vaes: tuple[str | None, str | None],
    csv: Path | None,
    split: Literal["test", "train", "all"],
    device: Device,
) -> None:
    """Maps between latents; an inverse beside one, ``NAME_back`` or called as bundled ones, scores the round trip."""
    from latentfit.formats.opening import load_latent_map, named_apart
    from latentfit.pairs.store import PairStore
    from latentfit.scores.latent_maps import evaluate_latent_maps, latent_map_summary

    joined = PairStore(source).join(PairStore(target))
    here, there = joined.source, joined.target
    if None in vaes:
        raise StoreError(
            f"evaluate: the stores hold latents of {here.vae_name!r} and of {there.vae_name!r}",
            remedy="name the VAEs of the stores with --source-vae and --target-vae",
        )
    loaded = {path: load_latent_map(path, here.space, there.space) for path in dict.fromkeys(files)}
    for path, one in loaded.items():
        if one.is_any_factor:
            loaded[path] = one.at_scale(joined.scale)
    maps = named_apart(loaded)
    backs: dict[str, LatentMap] = {}
    for path, name in zip(loaded, maps, strict=True):
        names = [f"{path.stem}_back.safetensors"]
        if path.stem == f"{here.space.name}-to-{there.space.name}":
            names.append(f"{there.space.name}-to-{here.space.name}.safetensors")
        inverse = next((found for name in names if (found := path.with_name(name)).is_file()), None)
        if inverse is not None:
            backs[name] = load_latent_map(inverse, there.space, here.space)
    first, second = (_vae_of(str(vae), store, device) for vae, store in zip(vaes, (here, there), strict=True))
    frame = evaluate_latent_maps(maps, joined, first, second, backs=backs, split=split, progress=True)
    show_scores(frame, latent_map_summary(frame), csv)


def _vae_of(reference: str, store: "PairStore", device: Device) -> "Vae":
    """The VAE that made the store, or an error: another one's decode is not what its latents mean."""
    from latentfit.vae.vae import Vae

    vae = Vae.load(reference, space=store.space.name, device=device)
    if vae.fingerprint != store.fingerprint:
        raise SpaceMismatchError(
            f"{reference}: not the VAE of {store.path}, whose latents are of {store.vae_name!r}: their weights differ",
            remedy="name that one, or collect the store with this one",
        )
    return vae


def audit(store: Store, files: MaybeFiles = (), csv: MaybeFile = None) -> None:
    """Rank every published table of the store's space, and your own maps, on the same held-out pairs.

    Parameters
    ----------
    store : Path
        A pair store; with the column "photo" the photograph is a second reference.
    files : tuple of Path
        Maps to rank among the published ones; none: the bundled tables of this space.
    csv : Path or None
        Also write every row as CSV.
    """
    from latentfit.formats.opening import load_named
    from latentfit.pairs.store import PairStore
    from latentfit.scores.table_audit import audit as run
    from latentfit.scores.table_audit import audit_summary

    check_out(csv, ".csv", flag="--csv")
    opened = PairStore(store)
    paths = files or tables_unless_fitted_on(opened)
    frame = run(opened, list(load_named(paths, opened.space).values()), progress=True)
    show_scores(frame, audit_summary(frame), csv)
