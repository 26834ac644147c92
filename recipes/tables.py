"""Fit, score and write the tables of data/tables: every form for each space, with provenance.

Reads LATENTFIT_ASSETS: weights/taesd (the VAEs), images/cc0 and images/fit (fitted, with the bundled photographs and
charts), images/eval (scored only). Pairs are collected into runs/tables, where a killed run goes on. Of
Sana's TAESD the encoder alone can be had: its tables are fitted to the photographs, and ranked against them. What that
costs, `--cost sd1 flux1` measures where there are decodes too: data/tables/photo_targets.csv. Run by `make tables`;
`--spaces sd1 sdxl` does some only.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Literal

import pandas as pd

import latentfit as lf
from latentfit.fit import parse_kernels
from latentfit.pairs import PairStore
from latentfit.runtime import write_atomic
from latentfit.scores import audit, audit_summary, tables

ROOT = Path(__file__).resolve().parents[1]
ENCODERS = {"sana_dcae": "taesana_encoder.pth"}
"""Spaces of which the encoder alone can be had."""
SPACES = ("sd1", "sdxl", "sd3", "flux1", "flux2")
VAES = {space: next(iter(lf.get_space(space).facts.tiny_vaes)) for space in SPACES}
FORMS = ("linear", "affine", "quadratic", "cubic", "3", "3,1", "5", "5,1", "5,3")
DECODERS = ("1", "3")
SIZE = 320  # the short side of the BSDS photographs, so that nothing is enlarged
MOST_TERMS = 1000  # a larger basis takes longer than all others together and makes files of megabytes
N_EVAL = 40  # photographs of images/eval
MOST_NUMBERS = 60_000  # of a full-size decoder: those of cells of 32 px would be files of half a megabyte and more
WEIGHTS = {"chart": 0.25, "drawing": 0.25}  # saturated colours count, photographs count more; see docs/log.md


def main() -> None:
    """Collect, fit, score, write; with --cards only reword."""
    parser = argparse.ArgumentParser(description=__doc__)
    every = [*VAES, *ENCODERS]
    parser.add_argument("--spaces", nargs="*", default=every, choices=every)
    parser.add_argument("--cost", nargs="*", default=[], choices=list(VAES), help="what fitting to photographs costs")
    parser.add_argument("--cards", action="store_true", help="only reword the cards of what is there; needs no asset")
    options = parser.parse_args()
    if options.cards:
        return reword_cards()
    assets = os.environ.get("LATENTFIT_ASSETS") or sys.exit("make_tables: set LATENTFIT_ASSETS (weights/ and images/)")
    for space in options.spaces:
        tables_of(space, Path(assets))
    if options.cost:
        costs_of_photographs(options.cost, Path(assets))


def tables_of(space: str, assets: Path) -> None:
    """All tables of one space, and its audit."""
    fit_store, eval_store = stores_of(space, assets)
    fitted = {}
    for form in FORMS:
        started = time.perf_counter()
        channel_map = fit_form(form, 1, fit_store)
        if channel_map is not None:
            fitted[form] = channel_map
            print(f"{space} {form}: {time.perf_counter() - started:.1f} s, {channel_map.approximation().n_parameters}")
    for table in tables(space):
        if table.smoothing is not None and fit_store.has_decodes:  # InvokeAI's, of SDXL
            fitted["linear_smoothed"] = lf.ChannelMap("linear", weights=WEIGHTS, smoothing=table.smoothing)
            fitted["linear_smoothed"].fit(fit_store, split="all")
    decoders = {form: fit_form(form, fit_store.space.cell_px, fit_store) for form in DECODERS}
    frame = audit(eval_store, [m.approximation() for m in fitted.values()])
    print(audit_summary(frame))
    write_atomic(ROOT / "data" / "tables" / space / "audit.csv", frame.to_csv(index=False, float_format="%.5g"))
    folder = ROOT / "data" / "tables" / space
    for form, channel_map in (*fitted.items(), *((f"{f}_decoder", m) for f, m in decoders.items() if m is not None)):
        write_table(channel_map.approximation(), eval_store, folder / form.replace(",", "_"))


def stores_of(space: str, assets: Path) -> tuple[PairStore, PairStore]:
    """The pairs to fit and the pairs to score, collected when they are not there."""
    vae = vae_of(space, assets)
    to_fit = ["bundled", str(assets / "images" / "cc0"), str(assets / "images" / "fit")]
    keep: Literal["rgb", "photo"] = "rgb" if vae.decodes else "photo"
    fit_store = lf.collect(vae, to_fit, ROOT / "runs" / "tables" / f"{space}_fit", size=SIZE, keep=keep)
    return fit_store, eval_store_of(space, assets)


def vae_of(space: str, assets: Path) -> lf.Vae:
    """TAESD's of a space; of some the encoder alone."""
    return lf.Vae.load(str(assets / "weights" / "taesd" / {**VAES, **ENCODERS}[space]), space=space)


def eval_store_of(space: str, assets: Path) -> PairStore:
    """The pairs to score, collected when they are not there."""
    vae = vae_of(space, assets)
    out = ROOT / "runs" / "tables" / f"{space}_eval"
    return lf.collect(vae, str(assets / "images" / "eval"), out, size=SIZE, keep="photo")


COST_FORMS = ("linear", "affine", "quadratic", "3", "1_decoder")
COST_PICTURES, COST_SCORED = 40, 20


def costs_of_photographs(spaces: list[str], assets: Path) -> None:
    """Maps fitted to decodes and to photographs on the same pictures, scored on images/eval against both."""
    frames = []
    for space in spaces:
        vae = vae_of(space, assets)
        to_fit = ["bundled", str(assets / "images" / "cc0"), str(assets / "images" / "fit")]
        out = ROOT / "runs" / "tables" / f"{space}_fit_photo"
        store = lf.collect(vae, to_fit, out, size=SIZE, keep="photo", limit=COST_PICTURES)
        scored_on = lf.collect(
            vae, str(assets / "images" / "eval"), ROOT / "runs" / "tables" / f"{space}_eval", size=SIZE, keep="photo",
            limit=COST_SCORED,
        )  # fmt: skip
        maps = {}
        for form in COST_FORMS:
            kernels, intercept = parse_kernels(form.removesuffix("_decoder"))
            scale = store.space.cell_px if form.endswith("_decoder") else 1
            for target in ("vae", "photo"):
                one = lf.ChannelMap(kernels, scale, intercept, weights=WEIGHTS, target=target)
                maps[f"{form}|{target}"] = one.fit(store, samples=store.samples[:COST_PICTURES]).approximation()
        frame = lf.evaluate(maps, scored_on, samples=scored_on.samples[:COST_SCORED], with_structure=False)
        pooled = frame[(frame["image"] == "all") & (frame["kind"] == "all")]
        names = pooled["approximation"].str.split("|", expand=True)
        told = pooled.assign(space=space, form=names[0], fitted_to=names[1])
        frames.append(
            told[["space", "form", "fitted_to", "reference", "place", "psnr", "delta_e", "bias", "saturation"]]
        )
    path = ROOT / "data" / "tables" / "photo_targets.csv"
    write_atomic(path, pd.concat(frames).to_csv(index=False, float_format="%.5g"))
    print(f"{path.relative_to(ROOT)}: {len(spaces)} spaces")


def fit_form(form: str, scale: int, store: PairStore) -> "lf.ChannelMap | None":
    """Fit one form on every picture of the store; None when its basis is too large to be worth it."""
    kernels, intercept = parse_kernels(form)
    target: Literal["vae", "photo"] = "vae" if store.has_decodes else "photo"
    channel_map = lf.ChannelMap(kernels=kernels, scale=scale, intercept=intercept, weights=WEIGHTS, target=target)
    n_terms = channel_map.n_terms(store.space.channels)
    if n_terms > MOST_TERMS or n_terms * 3 * scale**2 > MOST_NUMBERS:
        print(f"{store.space.name} {form}: left out, {n_terms} terms")
        return None
    return channel_map.fit(store, split="all")


def scored_on(reference: str, n_pictures: int) -> str:
    """What a card says of the pictures that its scores are of."""
    return f"images/eval, {n_pictures} photographs of BSDS500, which settings were chosen on too: {reference}"


def reword_cards() -> None:
    """Say anew in every card of data/tables what it was scored on; no coefficient changes."""
    for path in sorted((ROOT / "data" / "tables").glob("*/*.safetensors")):
        approximation = lf.load(path)
        before = approximation.state_dict()
        reference = approximation.card["reference"]
        approximation.card["scored_on"] = scored_on(reference, N_EVAL)
        lf.save(approximation, path)
        after = lf.load(path).state_dict()
        assert all(bool((after[key] == value).all()) for key, value in before.items())
        if approximation.scale == 1:
            lf.export(approximation, "json", path.with_suffix(".json"))


def write_table(approximation: lf.Approximation, eval_store: PairStore, path: Path) -> None:
    """Score on the held-out pictures, put the scores into the card, write the map and its JSON."""
    frame = lf.evaluate([approximation], eval_store, places=("cells",))
    rows = frame[frame["image"] == "all"]
    keys = ["reference", "place", "kind", "psnr", "delta_e", "delta_e95", "bias", "saturation", "clipped", "r2"]
    approximation.card["scores"] = json.loads(rows[keys].to_json(orient="records", double_precision=5))
    approximation.card["scored_on"] = scored_on(eval_store.reference, len(eval_store.samples))
    lf.save(approximation, path.with_suffix(".safetensors"))
    if approximation.scale == 1:
        lf.export(approximation, "json", path.with_suffix(".json"))


if __name__ == "__main__":
    main()
