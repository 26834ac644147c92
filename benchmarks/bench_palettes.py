"""Palette targets beside a loop over tiles with Pillow, as pixelvae makes them: seconds, and how far both agree.

- Seconds of k-centroid downscaling and of per-cell voting on a 512x512 photograph, one thread on both sides.
- Agreement on all bundled photographs: equal cells, and the mean distance in OKLab, before and after the palette.

    python -m benchmarks.bench_palettes [--quick]
"""

import argparse
import time
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.measuring import (
    bar,
    machine_facts,
    print_bars,
    print_table,
    ratio_in_turns,
    timed_in_turns,
    write_result,
)
from latentfit.images import crop_to_cells, kind_of, photographs, rgb_tensor, rgb_to_oklab
from latentfit.palettes import Palette, k_centroid, palettize, vote
from latentfit.runtime import torch_threads

CELL_PX, SIDE = 8, 512
PALETTES = ("ega16", "nes", "endesga-32", "atari-8-bit")


def main(quick: bool) -> dict[str, Any]:
    """Measure, print, write; returns the result."""
    facts = machine_facts()
    images, grey = crops(2 if quick else None)
    spent, first_s = seconds(images[0], quick)
    ratios = {
        form: ratio_in_turns(spent, f"Pillow, {form}", f"ours, {form}")
        for form in ("k-centroid, ega16", *(f"vote, {name}" for name in PALETTES))
    }
    centroids = {"colour": agreement_of_centroids(images), "grey": agreement_of_centroids(grey)}
    indices = agreement_of_indices([*images, *grey])
    bars = [bar(f"a loop over tiles with Pillow / ours, {form}", r, 20, at_most=False) for form, r in ratios.items()]
    bars.append(
        bar(
            "k-centroid: cells of exactly Pillow's colour, colour photographs",
            centroids["colour"]["equal"],
            0.99,
            at_most=False,
        )
    )
    result = {
        "name": "palettes", "quick": quick, "machine": facts,
        "settings": {"picture": f"{SIDE}x{SIDE}", "cell_px": CELL_PX, "threads": 1,
                     "n_photographs": {"colour": len(images), "grey": len(grey)}},
        "median_ms": {name: round(1e3 * float(np.median(runs)), 3) for name, runs in spent.items()},
        "best_ms": {name: round(1e3 * min(runs), 3) for name, runs in spent.items()},
        "ratios": {form: round(ratio, 1) for form, ratio in ratios.items()},
        "table_of_a_palette_ms": round(1e3 * first_s, 1),
        "k_centroid": centroids, "indices": indices, "bars": bars,
    }  # fmt: skip
    print_table(["512x512, ms", "median", "best"], [
        [name, f"{result['median_ms'][name]:.2f}", f"{result['best_ms'][name]:.2f}"] for name in spent
    ])  # fmt: skip
    print(f"  k-centroid against Pillow, before the palette: {centroids}")
    print_table(
        ["after the palette", "equal cells", "ours: OKLab error", "Pillow's"],
        [[row["what"], f"{row['equal']:.3f}", f"{row['ours']:.4f}", f"{row['pillow']:.4f}"] for row in indices],
    )
    print_bars(result)
    write_result(result)
    return result


def crops(most: int | None) -> tuple[list[Image.Image], list[Image.Image]]:
    """Bundled photographs of at least the size, their centres: in colour, the first of which is timed; and grey."""
    colour: list[Image.Image] = []
    grey: list[Image.Image] = []
    for picture in photographs():
        image, _ = picture.load()
        if min(image.size) >= SIDE:
            found = Image.fromarray(crop_to_cells(image, SIDE, SIDE, square=True)[0])
            (grey if kind_of(found, "photograph") == "greyscale" else colour).append(found)
    return colour[:most], grey[:most]


def seconds(image: Image.Image, quick: bool) -> tuple[dict[str, list[float]], float]:
    """All sides in turns on one thread; and the seconds of the first vote with a palette less a later one's."""
    rgb, palettes = rgb_tensor(np.array(image)), {name: Palette.load(name) for name in PALETTES}
    calls: dict[str, Any] = {}
    for name, palette in palettes.items():
        if name == "ega16":
            calls["Pillow, k-centroid, ega16"] = lambda p=palette: pillow_nearest(pillow_k_centroid(image), p)
            calls["ours, k-centroid, ega16"] = lambda p=palette: palettize(rgb, p, CELL_PX, "k-centroid")
            calls["ours, nearest, ega16"] = lambda p=palette: palettize(rgb, p, CELL_PX, "nearest")
            calls["ours, nearest, bayer-4, ega16"] = lambda p=palette: palettize(rgb, p, CELL_PX, "nearest", "bayer-4")
        calls[f"Pillow, vote, {name}"] = lambda p=palette: pillow_vote(image, p)
        calls[f"ours, vote, {name}"] = lambda p=palette: palettize(rgb, p, CELL_PX, "vote")
    with torch_threads(1):
        fresh = Palette.load("ega16")
        started = time.perf_counter()
        vote(rgb, fresh, CELL_PX)
        first_s = time.perf_counter() - started
        runs = 5 if quick else 25
        spent = timed_in_turns(calls, most_runs=runs, least_runs=runs, enough_s=float("inf"))
    return spent, first_s - min(spent["ours, vote, ega16"])


def pillow_k_centroid(image: Image.Image) -> Image.Image:
    """Each tile quantized to two colours by maximum coverage and k-means; the more common one is the cell's."""
    columns, rows = image.width // CELL_PX, image.height // CELL_PX
    cells = Image.new("RGB", (columns, rows))
    for row in range(rows):
        for column in range(columns):
            two = tile_of(image, row, column).quantize(
                colors=2, method=Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE
            )
            index = max(counted(two), key=lambda count: count[0])[1]
            levels = two.getpalette() or []
            cells.putpixel((column, row), tuple(levels[3 * index : 3 * index + 3]))
    return cells


def pillow_vote(image: Image.Image, palette: Palette) -> Image.Image:
    """Each tile quantized to the palette; the most common index is the cell's."""
    columns, rows = image.width // CELL_PX, image.height // CELL_PX
    cells = template(palette, (columns, rows))
    for row in range(rows):
        for column in range(columns):
            tile = tile_of(image, row, column).quantize(palette=cells, dither=Image.Dither.NONE)
            cells.putpixel((column, row), max(counted(tile), key=lambda count: count[0])[1])
    return cells


def pillow_nearest(cells: Image.Image, palette: Palette) -> Image.Image:
    """Pillow's nearest colour, in sRGB."""
    return cells.quantize(palette=template(palette, (1, 1)), dither=Image.Dither.NONE)


def template(palette: Palette, size: tuple[int, int]) -> Image.Image:
    """An empty indexed picture with the palette."""
    image = Image.new("P", size)
    image.putpalette(palette.colours.numpy().tobytes())
    return image


def tile_of(image: Image.Image, row: int, column: int) -> Image.Image:
    """The pixels of one cell."""
    left, top = column * CELL_PX, row * CELL_PX
    return image.crop((left, top, left + CELL_PX, top + CELL_PX))


def counted(image: Image.Image) -> list[tuple[int, Any]]:
    """How often each index is there."""
    return image.getcolors() or []


def agreement_of_centroids(images: list[Image.Image]) -> dict[str, float]:
    """Before the palette, over all cells of all pictures."""
    equal, distances = [], []
    for image in images:
        ours = k_centroid(rgb_tensor(np.array(image)), CELL_PX)
        theirs = rgb_tensor(np.array(pillow_k_centroid(image)))
        equal.append((ours == theirs).all(1).double().mean())
        distances.append((rgb_to_oklab(ours) - rgb_to_oklab(theirs)).norm(dim=1).double().mean())
    return {"equal": round(mean(equal), 5), "oklab_distance": round(mean(distances), 6)}


def agreement_of_indices(images: list[Image.Image]) -> list[dict[str, Any]]:
    """After the palette: equal cells, and the mean distance in OKLab of each side to the cells before the palette."""
    rows = []
    for name in PALETTES:
        palette = Palette.load(name)
        for method in ("k-centroid", "vote"):
            equal, ours_off, theirs_off = [], [], []
            for image in images:
                rgb = rgb_tensor(np.array(image))
                cells = k_centroid(rgb, CELL_PX)
                ours = palettize(rgb, palette, CELL_PX, method)
                found = pillow_vote(image, palette) if method == "vote" else pillow_nearest(
                    pillow_k_centroid(image), palette
                )  # fmt: skip
                theirs = torch.from_numpy(np.array(found)).long()[None]
                equal.append((ours == theirs).double().mean())
                ours_off.append(off(palette, ours, cells))
                theirs_off.append(off(palette, theirs, cells))
            rows.append({
                "what": f"{method}, {name}", "equal": round(mean(equal), 4),
                "ours": round(mean(ours_off), 5), "pillow": round(mean(theirs_off), 5),
            })  # fmt: skip
    return rows


def off(palette: Palette, indices: Tensor, cells: Tensor) -> Tensor:
    """Mean distance in OKLab of a palettized picture to the k-centroid cells."""
    return (rgb_to_oklab(palette.picture(indices)) - rgb_to_oklab(cells)).norm(dim=1).double().mean()


def mean(values: list[Tensor]) -> float:
    """Of one number a picture."""
    return float(torch.stack(values).mean())


def markdown(result: dict[str, Any]) -> str:
    """For docs/speed.md: milliseconds, ratios and agreement."""
    median, ratios = result["median_ms"], result["ratios"]
    lines = [
        f"A {SIDE}x{SIDE} picture to {SIDE // CELL_PX}x{SIDE // CELL_PX} palette indices, one thread "
        f"({result['machine']['cpu']}):",
        "",
        "| target | Pillow, tile by tile | ours | faster |",
        "|---|--:|--:|--:|",
    ]
    for form, ratio in ratios.items():
        lines.append(
            f"| {form} | {median[f'Pillow, {form}']:.0f} ms | {median[f'ours, {form}']:.1f} ms | {ratio:.0f}x |"
        )
    shares = {kind: f"{100 * found['equal']:.1f} %" for kind, found in result["k_centroid"].items()}
    lines += [
        "",
        f"Before the palette, {shares['colour']} of the cells of colour photographs have exactly Pillow's colour, and "
        f"{shares['grey']} of grey ones, where more pixels are equally far away and either may be taken. After it both "
        "differ where the nearest colour in OKLab is not the nearest in sRGB:",
        "",
        "| target | equal cells | ours: mean OKLab distance to the cells | Pillow's |",
        "|---|--:|--:|--:|",
    ]
    lines += [
        f"| {row['what']} | {100 * row['equal']:.0f} % | {row['ours']:.4f} | {row['pillow']:.4f} |"
        for row in result["indices"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="four photographs, fewer rounds; written to runs/bench")
    main(parser.parse_args().quick)
