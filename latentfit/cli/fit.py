"""`latentfit fit`: closed forms, from latents to pictures or to other latents."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from latentfit.cli.arguments import MaybeStore, OutFile, check_out, check_places, check_without, say, solution_line


def fit(
    kernels: Annotated[str, tyro.conf.arg(metavar="FORM")],
    out: OutFile,
    store: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[STORE]", help_behavior_hint="")] = None,
    source: MaybeStore = None,
    target: Annotated[Path | None, tyro.conf.arg(metavar="STORE|photo", help_behavior_hint="")] = None,
    scale: Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")] = None,
    intercept: bool = True,
    split: Literal["train", "all"] = "train",
    censored: bool = True,
    ridge: Annotated[float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="")] = None,
    smoothing: Annotated[str | None, tyro.conf.arg(metavar="PROGRAM", help_behavior_hint="")] = None,
) -> None:
    """Fit a map in closed form.

    Parameters
    ----------
    kernels : str
        linear, affine, quadratic, cubic, or the odd sides of the neighbourhoods, one a degree: 3 or 5,3.
    out : Path
        File to write, .safetensors.
    store : Path or None
        A pair store that `collect` wrote: from its latents to its pictures.
    source : Path or None
        With --target: from this store's latents to the other's, collected from the same pictures.
    target : Path or None
        With --source: a store of another VAE, or of the same one at another size. With a pair store, photo: fit to the
        photographs that it keeps instead of what the VAE decoded, as where there is no decoder.
    scale : int or None
        Pixels per latent cell: 1, also when left out, for a table, the space's cell size for a full-size decoder.
        Between latents the stores decide.
    intercept : bool
        Fit a constant term.
    split : str
        "train": four pictures in five, by their hash, so that the others can be scored; "all": every picture.
    censored : bool
        Treat colours clipped at 0 or 1 as bounds.
    ridge : float or None
        Fixed ridge; left out: chosen by cross-validation over pictures.
    smoothing : str or None
        invokeai: fit a linear table to what that program shows, which smooths its previews of SDXL.
    """
    from latentfit.fit import ChannelMap, parse_kernels
    from latentfit.formats.saved import save
    from latentfit.maps.contracts import Approximation, LatentMap
    from latentfit.pairs.store import PairStore
    from latentfit.runtime.distributed import rank
    from latentfit.scores.published import smoothing_of

    check_out(out, ".safetensors", or_none=True)
    to_photo = store is not None and source is None and target == Path("photo")
    target = None if to_photo else target
    sides, form_intercept = parse_kernels(kernels)
    intercept = intercept and form_intercept
    if check_places("fit", store, source, target):
        assert source is not None
        assert target is not None
        check_without(
            "fit", "between latents the stores decide the scale, and no colour is clipped or smoothed",
            scale=scale, smoothing=smoothing, no_censored=not censored,
        )  # fmt: skip
        joined = PairStore(source).join(PairStore(target))
        channel_map = ChannelMap(sides, joined.scale, intercept, ridge)
        fitted: Approximation | LatentMap = channel_map.fit_joined(joined, split, progress=True).latent_map()
        here, there = joined.source.space.title, joined.target.space.title
        n_copies = joined.source.n_copies
        leads = f", {here} latents -> {there} latents, scale {joined.scale}"
    else:
        assert store is not None
        opened = PairStore(store)
        n_copies = opened.n_copies
        smooths = None if smoothing is None else smoothing_of(smoothing, opened.space)
        channel_map = ChannelMap(
            sides, 1 if scale is None else scale, intercept, ridge, censored, smoothing=smooths,
            target="photo" if to_photo else "vae",
        )  # fmt: skip
        fitted, leads = channel_map.fit(opened, split=split, progress=True).approximation(), ""
    if rank() == 0:
        path = save(fitted, out)
        say(f"{path}: {fitted.name}{leads}, {fitted.n_parameters} numbers")
        say(solution_line(fitted.card))
        if n_copies:
            say(f"{n_copies} pictures of the store are copies of others: each is on the side of its original")
