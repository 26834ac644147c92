"""Put trained networks where they ship, float16, with the scores that their cards state.

Reads runs/train (`make models`), LATENTFIT_ASSETS (weights/taesd, images/eval) and data/tables (`make tables`). Writes
data/vaes/mini-*, data/models/*.safetensors with their cards, and, from one evaluate call a space over every form, small
network and TAESD, data/models/pareto_SPACE.csv and figures/06_pareto_SPACE.png. Everything is scored on images/eval,
which nothing here was trained on.
"""

import argparse
import csv
import json
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

import latentfit as lf
from benchmarks.measuring import machine_facts
from latentfit.compare.figures import pareto
from latentfit.errors import BadFileError
from latentfit.formats.programs import PROGRAMS, operators
from latentfit.nets import TinyDecoder, TinyEncoder, load_tiny_encoder, receptive_cells_of
from latentfit.pairs import PairStore
from latentfit.runtime import WeightsFile, significant, write_atomic
from latentfit.scores import ms_ssim, tables
from latentfit.vae import save_tiny_folder
from recipes.cards.results_tables import keeping_kinds
from recipes.cards.wording import rows_in_words
from recipes.models import LARGE, SHARP, VAES, path_of
from recipes.tables import stores_of

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("cell", LARGE)
"""Presets."""
PROVENANCE = """\
Trained by `recipes/models.py`, scored by `make cards`. The lines above say what was really run: some runs had
another length than their preset's, or fewer crops to draw from (docs/log.md), so `make models` as it stands gives other
weights and other numbers."""


def main() -> None:
    """Every space that has something trained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spaces", nargs="+", default=list(VAES), choices=list(VAES))
    options = parser.parse_args()
    assets = Path(
        os.environ.get("LATENTFIT_ASSETS") or sys.exit("make_cards: set LATENTFIT_ASSETS (weights/, images/)")
    )
    for space in options.spaces:
        _, eval_store = stores_of(space, assets)
        mini_vae(space, assets, eval_store)
        cell_decoders(space, assets, eval_store)
    readme_of_models()
    operators_of(assets)


def mini_vae(space: str, assets: Path, eval_store: PairStore) -> None:
    """data/vaes/mini-SPACE: weights, config, model card."""
    encoder_file, decoder_file = path_of(space, "mini-encoder"), path_of(space, "mini-decoder")
    if not (encoder_file.is_file() and decoder_file.is_file()):
        print(f"{space}: no mini VAE is trained yet")
        return
    encoder = load_tiny_encoder(WeightsFile(encoder_file).read())
    decoder = lf.load(decoder_file).module
    assert isinstance(encoder, TinyEncoder)
    assert isinstance(decoder, TinyDecoder)
    folder = save_tiny_folder(encoder, decoder, ROOT / "data" / "vaes" / f"mini-{space}")
    mini = lf.Vae.load(f"mini-{space}", device="cpu")
    teacher = lf.Vae.load(str(assets / "weights" / "taesd" / VAES[space]), space=space, device="cpu")
    scores = round_trips(mini, teacher, eval_store)
    told = keeping_kinds(folder / "README.md", vae_card(space, teacher, scores, folder))
    save_tiny_folder(encoder, decoder, folder, card=told)
    write_atomic(folder / "scores.json", json.dumps(scores, indent=1) + "\n")
    print(json.dumps({"vae": f"mini-{space}", **{name: round(value, 4) for name, value in scores.items()}}))


def round_trips(mini: lf.Vae, teacher: lf.Vae, store: PairStore) -> dict[str, float]:
    """R² of the mini VAE's latents against the teacher's, and decode(encode(x)) of both against x."""
    squared, total, squares, n_values = 0.0, torch.zeros(store.space.channels), torch.zeros(store.space.channels), 0
    mse: dict[str, list[float]] = {"mini": [], "teacher": [], "mini decodes teacher": []}
    similar: dict[str, list[float]] = {name: [] for name in mse}
    for batch in store.batches(columns=["photo"], n_cells=1):
        wanted, made = teacher.encode(batch.photo), mini.encode(batch.photo)
        squared += float((made - wanted).square().sum())
        total, squares = total + wanted.sum((0, 2, 3)), squares + wanted.square().sum((0, 2, 3))
        n_values += wanted[:, 0].numel()
        decoded = {"mini": mini.decode(made), "teacher": teacher.decode(wanted)}
        decoded["mini decodes teacher"] = mini.decode(wanted)
        for name, rgb in decoded.items():
            mse[name].append(float((rgb - batch.photo).square().mean()))
            similar[name].append(ms_ssim(rgb, batch.photo))
    variance = float((squares / n_values - (total / n_values) ** 2).sum())
    pooled = {f"psnr {name}": -10 * torch.tensor(values).mean().log10().item() for name, values in mse.items()}
    means = {f"ms_ssim {name}": statistics.fmean(values) for name, values in similar.items()}
    return {"r2": 1 - squared / n_values / variance, **pooled, **means}


def vae_card(space: str, teacher: lf.Vae, scores: dict[str, float], folder: Path) -> str:
    """README.md of a mini VAE."""
    title, name = lf.get_space(space).title, folder.name
    size = (folder / "diffusion_pytorch_model.safetensors").stat().st_size
    trained = [training_of(space, preset) for preset in ("mini-encoder", "mini-decoder")]
    rows = [
        "| on images/eval, 40 photographs, short side 320 px | mini | teacher |", "|---|--:|--:|",
        f"| decode(encode(x)) against x, PSNR, pooled, dB | {scores['psnr mini']:.2f} | {scores['psnr teacher']:.2f} |",
        f"| decode(encode(x)) against x, MS-SSIM | {scores['ms_ssim mini']:.3f} | {scores['ms_ssim teacher']:.3f} |",
        f"| decode of the *teacher's* latents against x, PSNR, dB | {scores['psnr mini decodes teacher']:.2f} | "
        f"{scores['psnr teacher']:.2f} |",
        f"| latents against the teacher's, R² | {scores['r2']:.3f} | 1 |",
    ]  # fmt: skip
    return f"""# {name}

A small autoencoder in {title}'s own latent space: what the notebooks encode and decode with when no other VAE is named.
A stand-in for a stand-in: use TAESD or the model's VAE where you have them.

- **Loads as** `latentfit.Vae.load("{name}")`, or diffusers' `AutoencoderTiny.from_pretrained(folder)`:
  {size / 1e6:.2f} MB, float16, one width of 40 channels, blocks (0, 1, 2, 4) down and (5, 3, 1, 0) up.
- **Teacher**: {teacher.name} (Ollin Boer Bohan, MIT), itself a stand-in for {lf.get_space(space).kl_name}. The encoder
  learned the teacher's latents, the decoder to give the photograph back from them.
- **Data**: 18 CC0 photographs, the photographs that scikit-image and scikit-learn carry, and this project's charts,
  in crops of 256 px.
{chr(10).join(f"- {line}." for line in trained)}

{chr(10).join(rows)}

{PROVENANCE}
"""


def training_of(space: str, preset: str) -> str:
    """One line: crops, minutes, machine; of a network that went on from a first run, both."""
    last = path_of(space, preset).with_suffix(".run")
    first = last.with_name(last.name.replace(".run", ".first.run"))
    said = ", then ".join(run_in_words(run) for run in (first, last) if run.is_dir())
    facts = machine_facts()
    return f"{preset}: {said}, on a machine of {facts['cores']} CPU cores ({facts['cpu']})"


def run_in_words(run: Path) -> str:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    seen, seconds = 0.0, 0.0
    for row in rows:
        seconds += (float(row["seen_images"]) - seen) / float(row["images_per_s"])
        seen = float(row["seen_images"])
    config = json.loads((run / "config.json").read_text("utf-8"))
    losses = "".join(f"{weight:g} × {name}, " for name, weight in config.get("losses", {}).items())
    squares = f" of {config['n_samples']:,} squares" if "n_samples" in config else ""
    return (
        f"{int(seen):,} crops{squares} in batches of {config['batch_images']}, {losses}{config['optimizer']} "
        f"at {significant(config['lr'], 2)}, seed {config['seed']}, precision {config['precision']}, "
        f"{seconds / 60:.0f} minutes"
    )


def cell_decoders(space: str, assets: Path, eval_store: PairStore) -> None:
    """data/models/SPACE-*.safetensors, the table of all that was compared, the Pareto chart."""
    shipped = {}
    for preset in SHIPPED:
        path = path_of(space, SHARP if preset == LARGE else preset)
        if path.is_file():
            one = lf.load(path)
            one.module.half().float()  # as it ships
            one.card["trained"] = training_of(space, preset)
            if "sharpened" in one.card:
                side, energy = one.card["sharpened"]["side"], one.card["sharpened"]["energy"]
                one.card["trained"] += (
                    f"; then a filter of {side}×{side} pixels in closed form, for {energy:g} of the training "
                    "photographs' high frequencies"
                )
            shipped[f"{space}-{preset}"] = one
    families: dict[str, str] = {}
    compared: dict[str, lf.Approximation] = {}
    for family, name, approximation in contenders(space, assets):
        families[name], compared[name] = family, approximation
    for name, approximation in shipped.items():
        families[name], compared[name] = "our network", approximation
    frame = lf.evaluate(compared, eval_store, progress=True)
    pooled = frame[(frame["image"] == "all") & (frame["kind"] == "all")]
    pooled = pooled.assign(family=[families[name] for name in pooled["approximation"]])
    kept = pooled.drop(columns=["image", "sample", "kind"])
    write_atomic(ROOT / "data" / "models" / f"pareto_{space}.csv", kept.to_csv(index=False, float_format="%.5g"))
    draw(space, kept)
    for name, approximation in shipped.items():
        rows = kept[kept["approximation"] == name].drop(columns=["approximation", "family"])
        approximation.card["scores"] = json.loads(rows.to_json(orient="records", double_precision=5))
        own = frame[(frame["approximation"] == name) & (frame["place"] == "seen") & (frame["reference"] == "vae")]
        single = own[own["image"] != "all"]
        approximation.card["pictures"] = dict(zip(single["image"], single["psnr"].round(2), strict=True))
        approximation.card["scored_on"] = f"images/eval: {eval_store.reference}, {len(eval_store.samples)} pictures"
        approximation.name = name
        path = lf.save(approximation, ROOT / "data" / "models" / f"{name}.safetensors", dtype=torch.float16)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


def contenders(space: str, assets: Path) -> Iterator[tuple[str, str, lf.Approximation]]:
    """(family, name, approximation) of everything that stands beside the shipped networks."""
    audit = rows_in_words(ROOT / "data" / "tables" / space / "audit.csv", "approximation")
    seen = audit[(audit["place"] == "seen") & (audit["reference"] == "vae") & (audit["kind"] == "all")]
    best = seen[(seen["origin"] == "published") & (seen["status"] != "hypothetical")].nlargest(1, "psnr")
    by_id = {table.id: table for table in tables(space)}
    comfy = next(name for name in by_id if name.startswith("comfyui/") and "@" not in name)
    for name in dict.fromkeys([comfy, *best["approximation"]]):
        yield "published table", name, by_id[name].approximation()
    for form in ("affine", "cubic", "3", "5", "5_3", "1_decoder", "3_decoder"):
        path = ROOT / "data" / "tables" / space / f"{form}.safetensors"
        if path.is_file():
            approximation = lf.load(path)
            yield "closed form", approximation.name, approximation
    if space == "sd1":
        for name, file in (
            ("A1111 approx CNN", "vae-approx/model.pt"),
            ("Birch-san MLP", "birch-san/birch_decoder_sd1.5.pt"),
        ):
            try:
                yield "others' network", name, lf.load(assets / "weights" / file, space=space)
            except BadFileError as error:
                print(f"{name}: left out, {error}")
    mini = path_of(space, "mini-decoder")
    if mini.is_file():
        yield "our network", f"mini-{space} decoder", lf.load(mini)
    taesd = lf.load(assets / "weights" / "taesd" / f"{VAES[space]}_decoder.safetensors", space=space)
    yield "autoencoder", "TAESD" if space == "sd1" else lf.Vae.load(VAES[space]).name, taesd


def draw(space: str, pooled: pd.DataFrame) -> None:
    """As seen, against the photograph: neither the teacher nor what imitates it is the judge."""
    rows = pooled[(pooled["place"] == "seen") & (pooled["reference"] == "photo")]
    title = f"{lf.get_space(space).title}: 40 photographs as seen, against the photograph itself; area: parameters"
    pareto(rows, title=title, path=ROOT / "figures" / f"06_pareto_{space}.png")


def readme_of_models() -> None:
    """data/models/README.md: every shipped decoder with its numbers."""
    lines = [
        "# Cell decoders", "",
        "Latents to full-size pictures; nearly all work is done at latent resolution, pixel shuffles end it.",
        "float16 files, run in float32. Scored by `make cards` on images/eval (40 photographs, short side",
        "320 px, none of them trained on, but settings were chosen on them: the project's docs/results.md) from",
        "TAESD's latents. *Teacher*: against TAESD's decode; *photograph*: against what was encoded. dB are pooled",
        "over pixels; differences with their intervals, and other kinds of pictures, stand at the end.", "",
        "| file | MB | numbers | dB, teacher | dB, photograph (TAESD) | MS-SSIM (TAESD) | GMSD (TAESD) | "
        "high frequencies (TAESD) |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    trained = []
    for path in sorted((ROOT / "data" / "models").glob("*-cell*.safetensors")):
        approximation = lf.load(path)
        frame = rows_in_words(ROOT / "data" / "models" / f"pareto_{approximation.space.name}.csv", "approximation")
        seen = frame[frame["place"] == "seen"]
        rows = seen[seen["approximation"] == path.stem].set_index("reference")
        taesd = seen[seen["family"] == "autoencoder"].set_index("reference").loc["photo"]
        photo = rows.loc["photo"]
        both = [
            f"{photo[score]:.{digits}f} ({taesd[score]:.{digits}f})"
            for score, digits in (("psnr", 2), ("ms_ssim", 3), ("gmsd", 3), ("high_frequency", 2))
        ]
        lines.append(
            f"| {path.name} | {path.stat().st_size / 1e6:.2f} | {approximation.n_parameters:,} | "
            f"{rows.loc['vae', 'psnr']:.2f} | {' | '.join(both)} |"
        )
        trained.append(f"- `{path.name}`: {approximation.card['title']}; {approximation.card['trained']}")
    data = (
        "Trained on free photographs (images/cc0; the large ones also on those of data/training_pictures.json), the "
        "photographs that scikit-image and scikit-learn carry, and this project's charts, in squares of 256 px, "
        "through TAESD. High frequencies: energy above half of Nyquist over the photograph's; below 1 is blur."
    )
    lines += [
        "",
        data,
        "",
        *trained,
        "",
        PROVENANCE,
        "",
        "## What was asked of them",
        "",
        "On images/eval, pooled.",
        "",
        *bars_of_decoders(),
        "",
    ]
    path = ROOT / "data" / "models" / "README.md"
    write_atomic(path, keeping_kinds(path, "\n".join(lines)))


def bars_of_decoders() -> list[str]:
    """A table of every mark beside what was reached: met or missed."""
    lines = ["| decoder | mark | measured | |", "|---|---|--:|---|"]
    for path in sorted((ROOT / "data" / "models").glob("*-cell*.safetensors")):
        space, kind = path.stem.split("-", 1)
        frame = pd.read_csv(ROOT / "data" / "models" / f"pareto_{space}.csv")
        seen = frame[frame["place"] == "seen"].set_index(["reference", "approximation"])
        teacher = seen[seen["family"] == "autoencoder"].loc["photo"].iloc[0]
        photo, gap = seen.loc[("photo", path.stem)], seen.loc[("photo", path.stem), "psnr"] - teacher["psnr"]
        if kind == "cell":
            marks = [("at most 1.5 dB below the teacher, against the photograph", gap, gap >= -1.5)]
            if space == "sd1":
                to_teacher = seen.loc[("vae", path.stem), "psnr"]
                marks.insert(0, ("24.0 dB to the teacher's decode", to_teacher, to_teacher >= 24.0))
        else:
            fine, gmsd_share = photo["high_frequency"], photo["gmsd"] / teacher["gmsd"]
            marks = [
                ("not below the teacher in dB to the photograph", gap, gap >= 0),
                ("high frequencies 0.6 to 1.1 of the photograph's", fine, 0.6 <= fine <= 1.1),
                ("GMSD at most 1.25 times the teacher's", gmsd_share, gmsd_share <= 1.25),
            ]
        lines += [
            f"| {path.stem} | {mark} | {value:.2f} | {'met' if met else 'missed'} |" for mark, value, met in marks
        ]
    return lines


def operators_of(assets: Path) -> None:
    """data/models/operators.json: TAESD's comparison table, with what ships here beside it."""
    compared = {
        "3×3 table": lf.load(ROOT / "data" / "tables" / "sd1" / "3.safetensors"),
        "3×3 decoder, closed form": lf.load(ROOT / "data" / "tables" / "sd1" / "3_decoder.safetensors"),
        **{path.stem: lf.load(path) for path in sorted((ROOT / "data" / "models").glob("sd1-cell*.safetensors"))},
        "mini-sd1's decoder": lf.load(path_of("sd1", "mini-decoder")),
        "TAESD's decoder": lf.load(assets / "weights" / "taesd" / "taesd_decoder.safetensors", space="sd1"),
    }
    found = {
        name: {
            "parameters": one.n_parameters,
            "operators": operators(PROGRAMS["onnx"].write(one, None)),
            "tiles": "no" if receptive_cells_of(one.module) is None else "yes",
        }
        for name, one in compared.items()
    }
    # As the README of madebyollin/taesd states it; such networks are not exported here.
    listed = (
        "Add, Cast, Concat, Constant, ConstantOfShape, Conv, Div, Gather, InstanceNormalization, MatMul, Mul, Pad, "
        "Reshape, Resize, Shape, Sigmoid, Slice, Softmax, Transpose, Unsqueeze"
    )
    found["SD's KL-VAE's decoder, as TAESD's README states it"] = {
        "parameters": 49_490_179, "operators": listed.split(", "), "tiles": "no"
    }  # fmt: skip
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    write_atomic(ROOT / "data" / "models" / "operators.json", text)


if __name__ == "__main__":
    main()
