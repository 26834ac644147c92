"""The page that `ladder` leaves: pictures first, then scores, the learning curve, and tables to copy."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from latentfit.compare import figures
from latentfit.page import Page
from latentfit.resources import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from latentfit.ladder import Ladder

SHOWN = ("linear", "affine", "3", "3,1", "5,3", "decoder 3")


def write_page(result: "Ladder", path: Path) -> Path:
    """Write ``index.html`` for what `ladder` made; one file, no network."""
    store = result.store
    n_test = len({sample.sha256 for sample in store.split("test")})
    page = Page(
        f"Previews for {store.space.title}",
        f"{len(store.samples)} crops of {len({s.sha256 for s in store.samples})} pictures through {store.reference}; "
        f"every score below is on {n_test} pictures that nothing was fitted on.",
    )
    page.heading("What each form shows")
    page.figure(
        _sheet(result), f"One held-out picture, all at one size; reference: {store.reference}. ΔE is CIEDE2000."
    )
    page.heading("Scores")
    for place in [place for place in ("cells", "seen") if place in set(result.scores["place"])]:
        page.text({"cells": "At one pixel a cell:", "seen": "As seen, enlarged to the picture's size:"}[place])
        page.table(_rows(result, place))
    page.heading("Would more pictures help?")
    page.figure(
        figures.curves(result.learning, "n_pictures", "psnr", "form", title="Fitted on more and more pictures"),
        "PSNR on the held-out pictures, cells. A curve that is still rising says: collect more.",
    )
    page.heading("Tables")
    for file in sorted((path.parent / "tables").glob("*")):
        if file.suffix in (".py", ".h") and file.stat().st_size < 60_000:
            page.code(file.name, file.read_text("utf-8"), is_open=file.name == "3.comfyui.py")
    page.heading("Left out")
    page.table([{"what": name, "why": reason} for name, reason in result.left_out.items()])
    page.heading("Provenance")
    facts = {
        "VAE": store.vae_name,
        "weights": store.fingerprint[:16],
        "space": store.space.name,
        "size": store.origin.size,
    }
    page.table([{"": key, "value": str(value)} for key, value in facts.items()])
    page.table([{"step": step, "seconds": seconds} for step, seconds in result.seconds.items()])
    return write_atomic(path, page.html())


def _sheet(result: "Ladder") -> "Figure":
    """The held-out photograph with the widest colours, through each shown form, all at the picture's size."""
    store = result.store
    candidates = store.split("test")
    photographs = [sample for sample in candidates if sample.kind == "photograph"] or candidates
    batch = next(store.batches(photographs[:1], ["rgb"], n_cells=1))
    if batch.rgb is None:
        raise ValueError("write_page: the ladder's store keeps rgb")
    name = batch.samples[0].name
    pictures, captions = {"reference": batch.rgb[0]}, {"reference": "the VAE's decode"}
    scores = result.scores[(result.scores["image"] == name) & (result.scores["reference"] == "vae")]
    for label in [label for label in SHOWN if label in result.maps]:
        small = result.maps[label](batch.latents)
        size = batch.rgb.shape[-2:]
        pictures[label] = torch.nn.functional.interpolate(small, size, mode="bilinear", align_corners=False)[0]
        mine = scores[(scores["approximation"] == label) & (scores["place"] == "seen")]
        captions[label] = f"ΔE {mine['delta_e'].iloc[0]:.1f}, {mine['ms'].iloc[0]:.2f} ms" if len(mine) else ""
    return figures.contact_sheet(pictures, captions)


def _rows(result: "Ladder", place: str) -> list[dict[str, object]]:
    scores = result.scores
    pooled = scores[(scores["image"] == "all") & (scores["kind"] == "all") & (scores["place"] == place)]
    against_vae = pooled[pooled["reference"] == "vae"].sort_values("psnr", ascending=False)
    photo = pooled[pooled["reference"] == "photo"].set_index("approximation")["psnr"]
    columns = {"delta_e": "ΔE", "delta_e95": "ΔE 95 %", "saturation": "saturation", "parameters": "numbers", "ms": "ms"}
    return [
        {
            "form": row["approximation"],
            "dB to the VAE": row["psnr"],
            "dB to the photograph": photo.get(row["approximation"]),
            **{title: row[column] for column, title in columns.items()},
        }
        for _, row in against_vae.iterrows()
    ]
