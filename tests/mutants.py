"""Known faults, planted one at a time: each must make a test fail. `make mutants` prints those that survive.

A mutant replaces a text that stands exactly once in a module, in a copy of the package, and runs the tests that should
notice. One whose text is gone, or stands twice, is an error: the list is kept true.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes
    ----------
    area : str
        What it breaks, such as "tiles".
    name : str
        The fault in words.
    path : str
        The module, from the checkout's root.
    old, new : str
        Text that stands there once, and what takes its place.
    tests : str
        Test files that should notice, named without folder and ending, separated by spaces.
    """

    area: str
    name: str
    path: str
    old: str
    new: str
    tests: str


MUTANTS = (
    # the solver
    Mutant("fit", "the ridge is not scaled by the mean eigenvalue", "latentfit/fit/solve.py",
           "np.asarray(ridges) * self._mean_value", "np.asarray(ridges)", "test_fit test_regressor"),
    Mutant("fit", "the ridge with the largest error is chosen", "latentfit/fit/solve.py",
           "chosen = min(cv_mse, key=lambda r: cv_mse[r])", "chosen = max(cv_mse, key=lambda r: cv_mse[r])", "test_fit"),
    Mutant("fit", "folds are scored with their own cells in the fit", "latentfit/fit/solve.py",
           "cross.sum(0) - cross[fold], self._ridges", "cross.sum(0), self._ridges", "test_fit"),
    Mutant("fit", "terms are not centred", "latentfit/fit/solve.py",
           "- np.outer(self._mean, self._mean)", "- 0 * np.outer(self._mean, self._mean)", "test_fit test_regressor"),
    Mutant("fit", "nothing is cut from the spectrum", "latentfit/fit/solve.py",
           "self._kept = self._values > max(n_terms, 1) * np.finfo(float).eps * 10 * max(largest, 1e-300)",
           "self._kept = self._values > -1", "test_fit test_regressor"),
    Mutant("fit", "residuals count the diagonal twice", "latentfit/fit/solve.py",
           "(2 * (upper @ flat) - upper.diagonal()[:, None] * flat)", "(2 * (upper @ flat))", "test_fit"),
    Mutant("fit", "merged moments lose one side", "latentfit/fit/moments.py",
           "self.sums += other.sums", "self.sums = other.sums", "test_fit"),
    Mutant("fit", "a gram matrix keeps the fold that is left out", "latentfit/fit/moments.py",
           "if fold != without:", "if True:", "test_fit"),
    # domains
    Mutant("domains", "raw latents are scaled before they are shifted", "latentfit/spaces.py",
           "return (raw - shift) * scale", "return raw * scale - shift", "test_spaces"),
    Mutant("domains", "the way back to raw forgets the shift", "latentfit/spaces.py",
           "return latents / scale + shift", "return latents / scale", "test_spaces"),
    Mutant("domains", "signed colours are read a half too dark", "latentfit/spaces.py",
           "return signed / 2 + 0.5", "return signed / 2", "test_spaces test_approx"),
    Mutant("domains", "colours become signed by half the range", "latentfit/spaces.py",
           "return rgb * 2 - 1", "return rgb - 0.5", "test_spaces"),
    Mutant("domains", "packed channels are ordered otherwise", "latentfit/spaces.py",
           "return torch.nn.functional.pixel_shuffle(packed, 2)",
           "return torch.nn.functional.pixel_shuffle(packed.flip(1), 2)", "test_spaces"),
    Mutant("domains", "old .latent files are taken as scaled", "latentfit/latent_files.py",
           "raw = raw.float() * _LEGACY_FACTOR if is_legacy else raw.float()", "raw = raw.float()", "test_latent_files"),
    Mutant("domains", "latents are written in the model domain", "latentfit/latent_files.py",
           "samples = space.model_to_comfy(latents).contiguous().cpu()", "samples = latents.contiguous().cpu()",
           "test_latent_files"),
    Mutant("domains", "channels are not checked", "latentfit/spaces.py",
           "if latents.ndim not in (4, 5) or latents.shape[1] != self.channels:", "if latents.ndim not in (4, 5):",
           "test_spaces test_approx"),
    # the module of a closed form
    Mutant("maps", "borders are zeros", "latentfit/fit/module.py",
           'padded = nn.functional.pad(latents, (self.kernels[0] // 2,) * 4, mode="replicate")',
           'padded = nn.functional.pad(latents, (self.kernels[0] // 2,) * 4)', "test_fit test_dialects"),
    Mutant("maps", "signed coefficients are shown as they are", "latentfit/fit/module.py",
           "values = torch.cat([values[:1] / 2 + 0.5, values[1:] / 2])", "values = values + 0", "test_fit"),
    Mutant("maps", "new coefficients leave the old ones in use", "latentfit/fit/module.py",
           "        self.coefficients = values.to(self.coefficients.device)\n        self._prepared = None",
           "        self.coefficients = values.to(self.coefficients.device)", "test_fit"),
    Mutant("maps", "pictures are not clamped", "latentfit/approx.py",
           "return self.unclamped(latents).clamp_(0, 1)", "return self.unclamped(latents)", "test_approx"),
    Mutant("maps", "frames of a video change places with its channels", "latentfit/approx.py",
           "return unfolded.movedim(1, 2) if channels else unfolded", "return unfolded", "test_approx"),
    Mutant("maps", "a chain takes any order of spaces", "latentfit/approx.py",
           "if part.target != space:", "if False:", "test_approx"),
    Mutant("maps", "blocks are padded with zeros", "latentfit/approx.py",
           'return nn.functional.pad(latents, (0, right, 0, down), mode="replicate") if down or right else latents',
           "return nn.functional.pad(latents, (0, right, 0, down)) if down or right else latents",
           "test_approx test_fit test_tiled"),
    # tiles
    Mutant("tiles", "margins are kept", "latentfit/vae_tiling.py",
           "depth = torch.arange(n_pixels, dtype=torch.float32) + 0.5 - margin",
           "depth = torch.arange(n_pixels, dtype=torch.float32) + 0.5", "test_tiled"),
    Mutant("tiles", "the picture's own edge is thrown away", "latentfit/vae_tiling.py",
           "if start > 0:", "if True:", "test_tiled test_vae"),
    Mutant("tiles", "the last tile is left out", "latentfit/vae_tiling.py",
           "return [*range(0, n_cells - self.tile_cells, stride), n_cells - self.tile_cells]",
           "return [*range(0, n_cells - self.tile_cells, stride)]", "test_tiled test_vae"),
    Mutant("tiles", "overlaps are added up, not averaged", "latentfit/vae_tiling.py",
           "return blended / total", "return blended", "test_tiled test_vae"),
    # pictures
    Mutant("pictures", "collected pictures are shrunk bilinearly", "latentfit/pixels.py",
           "image.resize((int(columns * share), int(rows * share)), Image.Resampling.LANCZOS, box=clipped)",
           "image.resize((int(columns * share), int(rows * share)), Image.Resampling.BILINEAR, box=clipped)",
           "test_images test_pixels test_collector"),
    Mutant("pictures", "small pictures are enlarged", "latentfit/pixels.py",
           "ratio = min(1.0, size / min(width, height))", "ratio = size / min(width, height)", "test_images test_pixels"),
    Mutant("pictures", "transparent pictures stand on black", "latentfit/pixels.py",
           '(255, 255, 255, 255)', '(0, 0, 0, 255)', "test_images test_pixels"),
    Mutant("pictures", "crops are centred a pixel off", "latentfit/pixels.py",
           "left, top = (wide - columns) // 2, (tall - rows) // 2", "left, top = (wide - columns) // 2 + 1, (tall - rows) // 2",
           "test_images test_pixels"),
    # splits
    Mutant("splits", "one picture in four is held out", "latentfit/images.py",
           "TEST_SHARE = 5  #", "TEST_SHARE = 4  #", "test_images test_pairs test_published"),
    Mutant("splits", "folds follow the split", "latentfit/images.py",
           "return int(sha256[8:16], 16) % n_folds", "return int(sha256[:8], 16) % n_folds", "test_images test_fit"),
    Mutant("splits", "held-out pictures are those that were fitted on", "latentfit/judging.py",
           "if sample.sha256 not in fitted]", "if sample.sha256 in fitted or not fitted]", "test_scores"),
    Mutant("splits", "`fit` takes all pictures", "latentfit/fit/channel_map.py",
           "chosen = list(store.split(split) if samples is None else samples)",
           "chosen = list(store.samples if samples is None else samples)", "test_fit test_cli"),
    Mutant("splits", "`train` takes all pictures", "latentfit/train/recipes.py",
           "source = _source(store, store.split(split), preset, scale, config.seed)",
           'source = _source(store, store.split("all"), preset, scale, config.seed)', "test_train test_cli"),
    Mutant("splits", "`evaluate` scores every split", "latentfit/cli_scores.py",
           "frame = run(named, opened, split=split, progress=True)", "frame = run(named, opened, progress=True)",
           "test_cli"),
    # pairs
    Mutant("pairs", "crops of one picture share a key", "latentfit/shards.py",
           "return hashlib.sha256(f\"{sha256}:{','.join(map(str, box))}\".encode()).hexdigest()",
           "return hashlib.sha256(sha256.encode()).hexdigest()", "test_pairs test_collector"),
    Mutant("pairs", "edited shards are not noticed", "latentfit/shards.py",
           "if _checksum(values) != shard.checksum:", "if False:", "test_pairs"),
    Mutant("pairs", "stores of two VAEs are mixed", "latentfit/pairs.py",
           "if differences := first.differences(shard.origin):", "if differences := \"\":", "test_pairs"),
    Mutant("pairs", "colours are read from 0 to 1.004", "latentfit/pairs.py",
           "tensor.float().div_(255)", "tensor.float().div_(254)", "test_pairs test_collector"),
    # training
    Mutant("seeds", "a training step is not seeded", "latentfit/train/loop.py",
           "torch.manual_seed((config.seed * 1_000_003 + state.seen_images) * 1_009 + parallel.rank())", "pass",
           "test_train test_train_palette test_upscaler_training"),
    Mutant("seeds", "crops do not depend on the seed", "latentfit/train/crops.py",
           "draw = np.random.default_rng((self.seed, image))", "draw = np.random.default_rng((0, image))", "test_train"),
    Mutant("seeds", "a resumed run forgets its means", "latentfit/train/state.py",
           "        self.means.load_state_dict(state.tensors[\"means\"])\n", "", "test_train"),
    Mutant("seeds", "a resumed run forgets its averaged weights", "latentfit/train/state.py",
           "        self.averaged.load_state_dict(state.tensors[\"averaged\"])\n", "", "test_train"),
    Mutant("seeds", "a resumed run forgets its optimiser", "latentfit/train/state.py",
           "        self.optimizer.load_state_dict(state.tensors[\"optimizer\"])\n", "", "test_train"),
    Mutant("training", "a run of other settings is gone on with", "latentfit/train/checkpoint.py",
           "    if differing:\n", "    if False:\n", "test_train"),
    Mutant("training", "weights that are not finite are saved", "latentfit/train/state.py",
           "if not _finite(tensors):", "if False:", "test_train"),
    Mutant("training", "losses look at rims that other cells would change", "latentfit/train/crops.py",
           "lines[:border] = 0", "pass", "test_train"),
    # exporters
    Mutant("exports", "ComfyUI's rows are columns", "latentfit/dialects/python_programs.py",
           "        \"    #   R           G           B\",\n        rows(table.weights, \"[\", \"]\", \"    \"),\n        \"]\",\n    ]\n    bias = \"None\"",
           "        \"    #   R           G           B\",\n        rows(table.weights.flip(1), \"[\", \"]\", \"    \"),\n        \"]\",\n    ]\n    bias = \"None\"",
           "test_dialects"),
    Mutant("exports", "ComfyUI's hook pads with zeros", "latentfit/dialects/python_programs.py",
           "({margin}, {margin}, {margin}, {margin}), mode='replicate')", "({margin}, {margin}, {margin}, {margin}))",
           "test_dialects test_comfyui_golden"),
    Mutant("exports", "the callback's bytes begin at 0", "latentfit/dialects/common.py",
           "return Table(self.weights * 127.5, self._bias() * 127.5 + 127.5, self.side)",
           "return Table(self.weights * 127.5, self._bias() * 127.5, self.side)", "test_dialects"),
    Mutant("exports", "unit range is signed range", "latentfit/dialects/common.py",
           "return Table(self.weights / 2, self._bias() / 2 + 0.5, self.side)",
           "return Table(self.weights / 2, self._bias() / 2, self.side)", "test_dialects"),
    Mutant("exports", "InvokeAI gets a table with its bias dropped", "latentfit/dialects/common.py",
           "if not polynomial(approximation, consumer, smooths=smooths).intercept:", "if True:", "test_dialects"),
    Mutant("exports", "SD.Next's bias is forgotten", "latentfit/dialects/python_programs.py",
           "bias = (zeros if table.bias is None else table.bias).tolist()", "bias = zeros.tolist()", "test_dialects"),
    Mutant("exports", "stable-diffusion.cpp's bias is forgotten", "latentfit/dialects/compiled_programs.py",
           "bias = (torch.zeros(3, dtype=torch.float64) if table.bias is None else table.bias).tolist()",
           "bias = torch.zeros(3, dtype=torch.float64).tolist()", "test_dialects"),
    Mutant("exports", "a JSON table of other terms is taken", "latentfit/dialects/tables.py",
           "if document[key] != expected:", "if False:", "test_dialects"),
    Mutant("exports", "a Conv2d's weights are signed", "latentfit/dialects/tables.py",
           "table = linear_table(approximation, \"an nn.Conv2d\", largest_side=1 << 10).in_unit_range()",
           "table = linear_table(approximation, \"an nn.Conv2d\", largest_side=1 << 10)", "test_dialects"),
    # security and whole files
    Mutant("security", "checkpoints of training are unpickled", "latentfit/train/checkpoint.py",
           'read = torch.load(path, map_location="cpu", weights_only=True)',
           'read = torch.load(path, map_location="cpu", weights_only=False)', "test_train"),
    Mutant("security", "weights are unpickled", "latentfit/vae_weights.py",
           "weights_only=True, mmap=", "weights_only=False, mmap=", "test_vae"),
    Mutant("security", "latents are unpickled", "latentfit/latent_files.py",
           'loaded = torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True)',
           'loaded = torch.load(io.BytesIO(blob), map_location="cpu", weights_only=False)', "test_latent_files"),
    Mutant("security", "arrays are unpickled", "latentfit/latent_files.py",
           "allow_pickle=False)", "allow_pickle=True)", "test_latent_files"),
    Mutant("security", "compressed torch files are unpacked", "latentfit/latent_files.py",
           "if n_bytes > len(blob):", "if False:", "test_latent_files"),
    Mutant("whole files", "files are written in place", "latentfit/resources.py",
           "os.replace(temporary, target)", "target.write_bytes(blob)", "test_setup test_pairs test_fit"),
    Mutant("whole files", "half-written files stay", "latentfit/resources.py",
           "        Path(temporary).unlink(missing_ok=True)\n        raise", "        raise", "test_setup test_pairs test_fit"),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant each fault; 0 when every one is noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="areas or words of names, separated by commas")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    words = [word for word in options.only.split(",") if word]
    chosen = [one for one in MUTANTS if not words or any(word in f"{one.area} {one.name}" for word in words)]
    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = list(pool.map(_verdict, chosen))
    survivors = [one for one, verdict in zip(chosen, verdicts, strict=True) if verdict != "noticed"]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants noticed")
    for one in survivors:
        print(f"survived: {one.area}: {one.name} ({one.path})")
    return 1 if survivors else 0


def _verdict(mutant: Mutant) -> str:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        verdict = _planted(mutant, Path(folder))
    print(f"{verdict:9} {mutant.area}: {mutant.name} ({time.monotonic() - started:.0f} s)", flush=True)
    return verdict


def _planted(mutant: Mutant, copy: Path) -> str:
    """"noticed" or "survived", after the tests ran on a copy of the package with the fault in it."""
    shutil.copytree(ROOT / "latentfit", copy / "latentfit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("data", "tests", "pyproject.toml", "notebooks", "benchmarks", "README.md"):
        (copy / name).symlink_to(ROOT / name)
    module = copy / mutant.path
    text = module.read_text("utf-8")
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.path}: expected once, found {text.count(mutant.old)} times: {mutant.old!r}")
    module.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    tests = [str(found) for name in mutant.tests.split() for found in sorted((ROOT / "tests").rglob(f"{name}.py"))]
    if len(tests) != len(mutant.tests.split()):
        raise SystemExit(f"{mutant.name}: expected one file for each of {mutant.tests}, found {tests}")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT),
         "-c", str(ROOT / "pyproject.toml"), *tests],
        cwd=copy, env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if run.returncode not in (0, 1):
        raise SystemExit(f"{mutant.name}: the tests did not run:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return "noticed" if run.returncode == 1 else "survived"


if __name__ == "__main__":
    sys.exit(main())
