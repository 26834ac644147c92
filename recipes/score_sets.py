"""Score what ships, and what it is compared with, on every set of scored_sets.py: data/results/*.csv.

Reads LATENTFIT_ASSETS (weights, images), data/tables, data/models and data/vaes. Pairs are collected into runs/results;
there is a row for each picture in runs/results/rows, where a killed run goes on, and `--gather` puts them into
data/results. Jobs: collect, tables, decoders, interposers, upscalers, palettes.

    python -m recipes.score_sets [--jobs tables decoders] [--spaces sd1] [--sets drawings] [--most 8] [--gather]
"""

import argparse
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

import latentfit as lf
from latentfit.errors import BadFileError
from latentfit.images import resampled
from latentfit.maps import Approximation, LatentMap, resampling
from latentfit.pairs import Batch, PairStore, Sample
from latentfit.runtime import torch_threads, write_atomic
from latentfit.scores import (
    BASELINE,
    ColourSums,
    PictureFeatures,
    as_seen,
    at_cells,
    contenders,
    evaluate_palettes,
    gmsd,
    ms_ssim,
    oracles,
    tables,
)
from recipes.cards.results_tables import COMFYUI
from recipes.scored_sets import ROOT, SETS, SHOWN, SIZE, assets_folder, pictures_of, shown_set
from recipes.tables import VAES

ROWS, RESULTS = ROOT / "runs" / "results" / "rows", ROOT / "data" / "results"
DATA = ROOT / "data"
MAPPED = ("sd1", "sdxl", "flux1")
"""Spaces that have decoders and maps between latents."""
PAIRS = (("sd1", "sdxl"), ("sdxl", "sd1"), ("sd1", "flux1"), ("flux1", "sd1"))
JOBS = ("collect", "tables", "decoders", "palettes", "upscalers", "interposers")
FORMS = ("linear", "affine", "quadratic", "cubic", "3", "3_1", "5", "5_1", "5_3")
CLOSED = "its closed form alone"
Row = dict[str, Any]


def main() -> None:
    """Score what is not there yet, gather."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", nargs="+", default=JOBS, choices=JOBS)
    parser.add_argument("--spaces", nargs="+", default=list(VAES), choices=list(VAES))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--most", type=int, help="pictures of each set, instead of all that are collected")
    parser.add_argument("--gather", action="store_true", help="score nothing, only put together what is there")
    options = parser.parse_args()
    for job in () if options.gather else options.jobs:
        for space in options.spaces:
            for name in options.sets:
                JOBS_BY_NAME[job](space, name, assets_folder(), options.most)
                print(job, space, name, flush=True)
    gather()


def store_path(space: str, name: str) -> Path:
    """Where the pairs of a set lie."""
    return ROOT / "runs" / "results" / f"{space}_{name.replace(' ', '_')}"


def vae_of(space: str, assets: Path) -> lf.Vae:
    """TAESD's family, on the CPU."""
    return lf.Vae.load(str(assets / "weights" / "taesd" / VAES[space]), space=space, device="cpu")


def collected(space: str, name: str, assets: Path, most: int | None = None) -> PairStore:
    """The pairs of a set, encoded and decoded once."""
    found = pictures_of(name, assets)[:most]
    return lf.collect(vae_of(space, assets), found, store_path(space, name), size=SIZE, keep="photo", progress=False)


def opened(space: str, name: str, assets: Path, most: int | None) -> tuple[PairStore, list[Sample]] | None:
    """The store and which of its samples to score: the first pictures of the set; None where it is not collected."""
    if not store_path(space, name).is_dir():
        print(f"{space}, {name}: not collected")
        return None
    store = PairStore(store_path(space, name))
    wanted = {picture.name: index for index, picture in enumerate(pictures_of(name, assets))}
    samples = sorted((one for one in store.samples if one.name in wanted), key=lambda one: wanted[one.name])
    return store, samples[:most]


def scored(job: str, space: str, name: str, samples: list[Sample], score: Callable[[Sample], Iterator[Row]]) -> None:
    """Append the rows of every sample that has none yet to the job's file: whole pictures, whatever ends the run."""
    path = ROWS / f"{job}-{space}-{name.replace(' ', '_')}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = set(pd.read_csv(path)["image"].astype(str)) if path.is_file() else set()
    for sample in samples:
        if sample.name in known:
            continue
        rows = [{"space": space, "set": name, "image": sample.name, **row} for row in score(sample)]
        new = not path.is_file()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if new:
                writer.writeheader()
            writer.writerows(rows)


def batch_of(store: PairStore, sample: Sample) -> Batch:
    """One sample with all its columns."""
    return next(store.batches([sample], store.columns))


def squared(first: Tensor, second: Tensor) -> float:
    """Mean squared error, both in [0, 1]."""
    return float((first.clamp(0, 1).double() - second.double()).square().mean())


def rounded(row: Row) -> Row:
    """Five digits say all."""
    return {name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in row.items()}


def score_tables(space: str, name: str, assets: Path, most: int | None) -> None:
    """Published tables, ours and the affine oracle, at the cells, against the VAE's decode and the picture."""
    found = opened(space, name, assets, most)
    if found is None:
        return
    store, samples = found
    folder = DATA / "tables" / space
    ours = [lf.load(folder / f"{form}.safetensors") for form in FORMS if (folder / f"{form}.safetensors").is_file()]
    if (folder / "linear_smoothed.safetensors").is_file():
        ours.append(lf.load(folder / "linear_smoothed.safetensors"))
    who = contenders(store, ours)
    compared = {**who.named, **oracles(store, samples, [])}

    def score(sample: Sample) -> Iterator[Row]:
        batch = batch_of(store, sample)
        photo, size = batch.photo_cells(), (batch.latents.shape[-2], batch.latents.shape[-1])
        for map_name, one in compared.items():
            made = at_cells(one.unclamped(batch.latents).float(), size)
            sums = ColourSums().add(made, batch.cells).scores()
            yield rounded({
                "map": map_name, "origin": who.origin.get(map_name, "oracle"), "pixels": size[0] * size[1],
                "mse_vae": squared(made, batch.cells), "mse_photo": squared(made, photo), "delta_e": sums["delta_e"],
            })  # fmt: skip

    scored("tables", space, name, samples, score)


def decoders_of(space: str, assets: Path) -> dict[str, tuple[str, Approximation]]:
    """Name -> (family, map to a picture) of everything that is seen at full size, but for the VAE itself."""
    audit = pd.read_csv(DATA / "tables" / space / "audit.csv")
    seen = audit[(audit["place"] == "seen") & (audit["reference"] == "vae") & (audit["kind"] == "all")]
    best = seen[(seen["origin"] == "published") & (seen["status"] != "hypothetical")].nlargest(1, "psnr")
    by_id = {table.id: table for table in tables(space)}
    found = {
        name: ("published table", by_id[name].approximation())
        for name in dict.fromkeys([COMFYUI[space], *best["approximation"]])
    }
    for form in ("affine", "3", "5_3", "3_decoder"):
        if (path := DATA / "tables" / space / f"{form}.safetensors").is_file():
            one = lf.load(path)
            found[one.name] = ("closed form", one)
    if space == "sd1":
        for label, file in (
            ("A1111 approx CNN", "vae-approx/model.pt"),
            ("Birch-san MLP", "birch-san/birch_decoder_sd1.5.pt"),
        ):
            try:
                found[label] = ("others' network", lf.load(assets / "weights" / file, space=space))
            except BadFileError as error:
                print(f"{label}: left out, {error}")
    for path in sorted((DATA / "models").glob(f"{space}-cell*.safetensors")):
        found[path.stem] = ("our network", lf.load(path))
    found[f"mini-{space} decoder"] = ("our network", lf.Vae.load(f"mini-{space}", device="cpu").approximation())
    return found


def score_decoders(space: str, name: str, assets: Path, most: int | None) -> None:
    """As seen, against the picture and the teacher's decode; the teacher itself, and the mini VAE there and back."""
    found = opened(space, name, assets, most) if space in MAPPED else None
    if found is None:
        return
    store, samples = found
    compared, mini = decoders_of(space, assets), lf.Vae.load(f"mini-{space}", device="cpu")

    def score(sample: Sample) -> Iterator[Row]:
        batch = batch_of(store, sample)
        assert batch.rgb is not None
        assert batch.photo is not None
        size = (batch.photo.shape[-2], batch.photo.shape[-1])
        made = {
            map_name: (family, as_seen(one.unclamped(batch.latents).float(), size))
            for map_name, (family, one) in compared.items()
        }
        made[f"mini-{space}, there and back"] = ("round trip", mini.decode(mini.encode(batch.photo)).clamp(0, 1))
        made["TAESD"] = ("autoencoder", batch.rgb)
        truth = PictureFeatures(batch.photo)
        for map_name, (family, rgb) in made.items():
            yield rounded({"map": map_name, "family": family, **seen_scores(rgb, truth, batch.rgb)})

    scored("decoders", space, name, samples, score)


def seen_scores(rgb: Tensor, truth: PictureFeatures, teacher: Tensor) -> Row:
    """One picture against the truth, and against the teacher's decode."""
    look = PictureFeatures(rgb.clamp(0, 1))
    return {
        "pixels": rgb.shape[-2] * rgb.shape[-1], "mse_photo": squared(rgb, truth.rgb),
        "mse_vae": squared(rgb, teacher), "delta_e": ColourSums().add(look, truth).scores()["delta_e"],
        "ms_ssim": ms_ssim(look, truth), "gmsd": gmsd(look, truth),
    }  # fmt: skip


def score_palettes(space: str, name: str, assets: Path, most: int | None) -> None:
    """Palettized decoders beside the nearest colours of the closed forms."""
    found = opened(space, name, assets, most) if space == "sd1" else None
    if found is None:
        return
    store, samples = found
    closed = {f"table {form}": lf.load(DATA / "tables" / space / f"{form}.safetensors") for form in ("3", "5_3")}
    for palettized in ("sd1-ega16", "sd1-nes55"):
        job, shipped = f"palettes-{palettized}", lf.load(DATA / "models" / f"{palettized}.safetensors")

        def score(sample: Sample, shipped: Approximation = shipped, label: str = palettized) -> Iterator[Row]:
            frame = evaluate_palettes({label: shipped, **closed}, store, samples=[sample])
            for row in frame[frame["image"] != "all"].itertuples():
                values = {key: getattr(row, key) for key in ("accuracy", "oklab", "delta_e", "target_delta_e")}
                cells = sample.size_cells[0] * sample.size_cells[1]
                yield rounded({"map": row.approximation, "palette": row.palette, "pixels": cells, **values})

        scored(job, space, name, samples, score)


def closed_of(one: LatentMap) -> Callable[[Tensor], Tensor]:
    """The least-squares map that a shipped network adds to."""
    skip, factor = one.module.skip, int(one.scale)

    def mapped(latents: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = skip(latents)  # type: ignore[operator]
            return torch.nn.functional.pixel_shuffle(found, factor) if factor > 1 else found

    return mapped


def score_interposers(space: str, name: str, assets: Path, most: int | None) -> None:
    """From this space to the others: what the target's VAE shows of a map's latents, and of the true ones."""
    for target in (there for here, there in PAIRS if here == space):
        here, there = opened(space, name, assets, most), opened(target, name, assets, None)
        if here is None or there is None:
            continue
        by_key = {sample.key: sample for sample in there[1]}
        samples = [sample for sample in here[0].samples if sample.key in by_key and sample in here[1]]
        samples.sort(key=here[1].index)
        shipped, vae = lf.load(DATA / "models" / f"{space}-to-{target}.safetensors"), vae_of(target, assets)

        def score(
            sample: Sample,
            shipped: LatentMap = shipped,
            vae: lf.Vae = vae,
            stores: tuple[PairStore, PairStore] = (here[0], there[0]),
            partners: dict[str, Sample] = by_key,
        ) -> Iterator[Row]:
            first, second = batch_of(stores[0], sample), batch_of(stores[1], partners[sample.key])
            assert first.rgb is not None
            calls = {
                "interposer": shipped(first.latents),
                CLOSED: closed_of(shipped)(first.latents),
                BASELINE: vae.encode(first.rgb),
            }
            yield from latent_rows(calls, second, vae)

        scored(f"interposers-{target}", space, name, samples, score)


def score_upscalers(space: str, name: str, assets: Path, most: int | None) -> None:
    """To twice the sides: the small latents are the encoded picture at half its size, resampled with Lanczos."""
    found = opened(space, name, assets, most) if space in MAPPED else None
    if found is None:
        return
    store, samples = found
    shipped, vae = lf.load(DATA / "models" / f"{space}-upscaler.safetensors"), vae_of(space, assets)
    bicubic = resampling("bicubic", space, 2)

    def score(sample: Sample) -> Iterator[Row]:
        batch = batch_of(store, sample)
        assert batch.photo is not None
        high, wide = batch.photo.shape[-2:]
        small = vae.encode(resampled(batch.photo, (high // 2, wide // 2)))
        calls = {
            "upscaler": shipped(small),
            CLOSED: closed_of(shipped)(small),
            "bicubic": bicubic(small),
            BASELINE: vae.encode(resampled(vae.decode(small), (high, wide)).clamp(0, 1)),
        }
        yield from latent_rows(calls, batch, vae)

    scored("upscalers", space, name, samples, score)


def latent_rows(calls: dict[str, Tensor], there: Batch, vae: lf.Vae) -> Iterator[Row]:
    """Latents that maps made beside the true ones: what the VAE shows of both."""
    assert there.rgb is not None
    assert there.photo is not None
    truth = PictureFeatures(there.rgb)
    for map_name, made in calls.items():
        look = PictureFeatures(vae.decode(made.float()).clamp(0, 1))
        yield rounded({
            "map": map_name, "pixels": look.rgb.shape[-2] * look.rgb.shape[-1],
            "mse_vae": squared(look.rgb, there.rgb), "mse_photo": squared(look.rgb, there.photo),
            "delta_e": ColourSums().add(look, truth).scores()["delta_e"], "ms_ssim": ms_ssim(look, truth),
            "mse_latents": float((made.double() - there.latents.double()).square().mean()),
        })  # fmt: skip


def gather() -> None:
    """data/results/JOB.csv from the rows of all runs: a row for each picture and map."""
    for job in ("tables", "decoders", "palettes", "interposers", "upscalers"):
        frames = []
        for path in sorted(ROWS.glob(f"{job}-*.csv")):
            frame = pd.read_csv(path)
            if job == "interposers":
                frame.insert(1, "target", path.stem.split("-")[1])
            frames.append(frame)
        if frames:
            whole = pd.concat(frames, ignore_index=True)
            whole["set"] = [shown_set(*pair) for pair in zip(whole["set"], whole["image"].astype(str), strict=True)]
            whole = in_order(whole)
            print(write_atomic(RESULTS / f"{job}.csv", whole.to_csv(index=False, float_format="%.5g")))


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """By space and set, as the tables have them; pictures and maps as they were scored."""
    spaces, sets = list(VAES), list(SHOWN)
    ranks = frame["space"].map(spaces.index) * len(sets) + frame["set"].map(sets.index)
    return frame.iloc[ranks.argsort(kind="stable")].reset_index(drop=True)


JOBS_BY_NAME: dict[str, Callable[[str, str, Path, int | None], object]] = {
    "collect": collected,
    "tables": score_tables,
    "decoders": score_decoders,
    "palettes": score_palettes,
    "upscalers": score_upscalers,
    "interposers": score_interposers,
}

if __name__ == "__main__":
    with torch_threads(1):
        main()
