"""Mutations of the files that people share, seeded: ``python -m tests.support.fuzzing 5000`` tries many.

Each kind is a function that writes a sound file into a folder and gives how it is read; its JSON, wherever it lies, is
then changed in one to three places, or its bytes are. What is read must be read, or refused by a `LatentfitError`.
"""

import collections
import contextlib
import copy
import io
import json
import random
import resource
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes

import latentfit as lf
from latentfit import formats as dialects
from latentfit.errors import LatentfitError
from latentfit.formats import KINDS, read_card
from latentfit.nets import CellDecoder, Interposer
from latentfit.pairs import check_values, read_shard
from latentfit.palettes import Palette, nearest_of
from latentfit.runtime import data_path
from latentfit.vae import Vae
from tests.support.fake_vae import FakeVae

EXTRA_BYTES = 1 << 30  # of memory over what is in use: a bomb asks for more


class Raw(str):
    """Text that stands in JSON as it is."""


VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 7, 101, 4096, 65536, 10**9, 10**18, 0.5, -1.5, 1e30, 1e300, "", "x", "1",
    "1e999999999", "9" * 400, "1/0", "1/3", "a\nb", "\x1b[2J\u202e", "../../x", "x" * 5000, [], [0], [101], [1, 1],
    [[]], [[1.0]], ["x"], [None], [10**6], [1] * 200, [3, 3, 3], {}, {"x": 1}, {"kind": []}, Raw("9" * 400),
    Raw("NaN"), Raw("-Infinity"), Raw("1e999"), Raw('{"a": 1, "a": 2}'), Raw("[" * 3000 + "]" * 3000),
    Raw("[" * 100_000 + "]" * 100_000), Raw('"\\ud800"'),
]  # fmt: skip


@dataclass
class Kind:
    """A sound file, how it is read, and where its JSON lies: the metadata's key, or None: the file is JSON."""

    path: Path
    read: Callable[[Path], object]
    key: str | None = None


def used(path: Path) -> None:
    """Load a map, and do with it what the commands do."""
    read_card(path)
    loaded = lf.load(path)
    latents = torch.zeros(1, (loaded.space if isinstance(loaded, lf.Approximation) else loaded.source).channels, 4, 4)
    loaded(latents)
    if isinstance(loaded, lf.Approximation):
        for to in ("diffusers", "sdcpp", "markdown", "csv", "json", "invokeai"):
            with contextlib.suppress(LatentfitError):
                dialects.export(loaded, to, path.with_suffix(".out"))


def table_used(path: Path) -> None:
    loaded = dialects.read(path, "json")
    loaded(torch.zeros(1, loaded.space.channels, 4, 4))
    dialects.export(loaded, "json", path.with_suffix(".out"))


def vae_used(path: Path) -> None:
    vae = Vae.load(str(path.parent))
    vae.decode(torch.zeros(1, vae.space.channels, 2, 2))


def shard_used(path: Path) -> None:
    check_values(read_shard(path))
    store = lf.PairStore(path.parent)
    store.split("test")
    next(store.batches(columns=["rgb"], n_cells=64))


def sound(folder: Path) -> dict[str, Kind]:
    """A sound file of every kind."""
    torch.manual_seed(0)
    store = lf.collect(FakeVae(), "charts", folder / "store", size=48, limit=4, progress=False)
    affine = lf.ChannelMap("affine").fit(store, "all").approximation()
    affine.card["scores"] = [{"kind": "all", "place": "cells", "reference": "vae", "psnr": 20.0, "delta_e": 3.0}]
    made = {
        "affine": affine,
        "quadratic": lf.ChannelMap("3,1").fit(store, "all").approximation(),
        "cell": lf.Approximation(CellDecoder(4, 8, 2, fine_width=8), "sd1", 8, name="cell"),
        "nearest": nearest_of(affine, Palette.load("pico-8")),
        "interposer": lf.LatentMap(
            Interposer(4, 16, 8, 2, 3, 1).eval(), "sd1", "flux1", 1, name="i", card={"form": "x"}
        ),
    }
    kinds = {name: Kind(lf.save(one, folder / f"{name}.safetensors"), used, "latentfit") for name, one in made.items()}
    bundled = {"upscaler": "sd1-upscaler-any", "palettized": "sd1-ega16"}
    for name, stem in bundled.items():
        kinds[name] = Kind(data_path("models") / f"{stem}.safetensors", used, "latentfit")
    kinds["table"] = Kind(dialects.export(affine, "json", folder / "table.json"), table_used)
    kinds["cubic table"] = Kind(
        dialects.export(lf.ChannelMap("cubic").fit(store, "all").approximation(), "json", folder / "c.json"), table_used
    )
    kinds["shard"] = Kind(next((folder / "store").glob("*.safetensors")), shard_used, "latentfit_pairs")
    mini = folder / "vae"
    mini.mkdir()
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (mini / name).write_bytes((data_path("vaes/mini-sd1") / name).read_bytes())
    kinds["vae config"] = Kind(mini / "config.json", vae_used)
    return kinds


def mutated(document: Any, draw: random.Random) -> Any:
    """The document with one to three places changed: replaced, taken out, renamed, or one twice."""
    made = copy.deepcopy(document)
    for _ in range(draw.randint(1, 3)):
        places = list(places_in(made))
        holder, key = draw.choice(places)
        value = copy.deepcopy(draw.choice(VALUES))
        how = draw.random()
        if how < 0.75 or isinstance(holder, list):
            holder[key] = value
        elif how < 0.85:
            del holder[key]
        elif how < 0.95:
            holder[draw.choice(("x", "kind", "n_channels", "scale", "a\nb", "__class__"))] = value
        else:
            holder[key] = [copy.deepcopy(holder[key])] * draw.choice((1, 2, 50))
    return made


def places_in(value: Any) -> Any:
    """Every (holder, key) of a document; of long lists the first few."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from places_in(inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value[:6]):
            yield value, index
            yield from places_in(inner)


def said(value: Any) -> str:
    """JSON, with what is `Raw` as it is."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {said(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(said, value)) + "]"
    return json.dumps(value)


def write_mutation(kind: Kind, path: Path, draw: random.Random) -> str:
    """A changed file at `path`; gives its JSON, or what was done to its bytes."""
    blob = kind.path.read_bytes()
    if draw.random() < 0.1:
        return _spoilt(blob, path, draw)
    if kind.key is None:
        text = said(mutated(json.loads(blob), draw))
        path.write_text(text, "utf-8")
        return text
    with safe_open(kind.path, "pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    text = metadata[kind.key] = said(mutated(json.loads(metadata[kind.key]), draw))
    if draw.random() < 0.1:
        name = draw.choice(sorted(tensors))
        tensors[name] = draw.choice(
            (tensors[name].to(torch.complex64), tensors[name][:0], tensors[name].to(torch.int8), torch.zeros(3),
             tensors[name].float() * float("nan"), tensors[name].float().to(torch.float8_e4m3fn))
        )  # fmt: skip
    path.write_bytes(to_bytes({name: one.contiguous() for name, one in tensors.items()}, metadata))
    return text


def _spoilt(blob: bytes, path: Path, draw: random.Random) -> str:
    made = bytearray(blob)
    if draw.random() < 0.4:
        del made[draw.randrange(len(made)) :]
    for _ in range(draw.randint(0, 4)):
        if made:
            made[draw.randrange(min(len(made), 4096))] = draw.randrange(256)
    path.write_bytes(bytes(made))
    return f"{len(made)} of {len(blob)} bytes"


def fuzz(folder: Path, count: int, seed: int = 0) -> tuple[collections.Counter[str], list[str]]:
    """`count` mutations in turns of every kind: what became of them, and the reports of those that broke."""
    kinds, draw = sound(folder), random.Random(seed)
    became: collections.Counter[str] = collections.Counter()
    broke: list[str] = []
    with open("/proc/self/statm", encoding="ascii") as file:
        in_use = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + EXTRA_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    names = sorted(kinds)
    for index in range(count):
        name = names[index % len(names)]
        kind = kinds[name]
        inside = name in ("shard", "vae config")  # read with what lies beside them
        path = kind.path if inside else folder / f"mutated{kind.path.suffix}"
        kept = kind.path.read_bytes() if inside else b""
        done = write_mutation(kind, path, draw)
        try:
            with warnings.catch_warnings(action="ignore"):
                kind.read(path)
            became[f"{name}: read"] += 1
        except LatentfitError as error:
            if "\n" in str(error) or len(str(error)) > 3000:
                broke.append(f"{name} {index}: an error of several lines\n{error!r:.300}")
            became[f"{name}: refused"] += 1
        except BaseException:  # noqa: BLE001  # whatever leaves is the finding
            became[f"{name}: broke"] += 1
            broke.append(f"{name} {index}: {done[:600]}\n{traceback.format_exc()[-1500:]}")
        if inside:
            kind.path.write_bytes(kept)
    return became, broke


def main() -> int:
    import tempfile

    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, "utf-8", errors="replace")
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    assert KINDS
    with tempfile.TemporaryDirectory() as folder:
        became, broke = fuzz(Path(folder), count, seed)
    for report in broke[:20]:
        print(report, end="\n\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(dict(sorted(became.items())), f"{len(broke)} broke of {count}, peak {peak} MiB")
    return int(bool(broke))


if __name__ == "__main__":
    sys.exit(main())
