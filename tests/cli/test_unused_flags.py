"""An option that would change nothing, or a value that means nothing, is one line and an exit code of 2."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import latentfit as lf
from latentfit.cli import main
from latentfit.fit import ChannelMap
from latentfit.nets import PixelVae, TinyEncoder
from latentfit.palettes import Palette
from tests.support.fake_vae import FakeVae


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store s, a map a.safetensors with a constant term and one l.safetensors without, pixelvae's, latents."""
    root, rng = tmp_path_factory.mktemp("place"), np.random.default_rng(1)
    (root / "photos").mkdir()
    (root / "latents").mkdir()
    for index in range(8):
        small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        small.resize((72, 64), Image.Resampling.BICUBIC).save(root / "photos" / f"{index}.png")
    store = lf.collect(FakeVae(), root / "photos", root / "s", size=32, progress=False)
    lf.save(ChannelMap("affine").fit(store).approximation(), root / "a.safetensors")
    lf.save(ChannelMap("linear").fit(store).approximation(), root / "l.safetensors")
    other = lf.collect(FakeVae(2.0), root / "photos", root / "x", size=32, progress=False)
    lf.save(ChannelMap("affine").fit_joined(store.join(other)).latent_map(), root / "b.safetensors")
    torch.save(PixelVae(4, len(Palette.load("ega16"))).state_dict(), root / "pixelvae.pt")
    torch.save(torch.randn(1, 4, 8, 8), root / "latents" / "x.pt")
    return root


NOTHING = "would change nothing"
LINES = {
    "evaluate @/a.safetensors --store @/s --palette nonsense": "no palette 'nonsense'",
    "evaluate @/a.safetensors --store @/s --palette pico-8": f"--palette {NOTHING}: none of the files is pixelvae's",
    "evaluate @/a.safetensors --store @/s --source-vae mini-sd1": f"--source-vae {NOTHING}: with one store",
    "evaluate @/a.safetensors --store @/s --target-vae nonsense": f"--target-vae {NOTHING}",
    "evaluate @/a.safetensors --store @/s --source-vae a --target-vae b --device cpu":
        f"--source-vae and --target-vae and --device {NOTHING}.*leave them out",
    "evaluate @/b.safetensors --source @/s --target @/x --palette pico-8": f"--palette {NOTHING}: maps between latents",
    "evaluate @/b.safetensors --source @/s --target @/x --source-vae taesd": "name the VAEs of the stores",
    "evaluate @/a.safetensors --store @/s --csv @/x.txt": "--csv .*x.txt: expected a name ending in .csv",
    "audit --store @/s --csv @/x.txt": "--csv .*x.txt: expected a name ending in .csv",
    "fit --source @/s --target @/x --kernels affine --out @/q --no-censored": f"--no-censored {NOTHING}: between",
    "fit --source @/s --target @/x --kernels affine --out @/q --scale 2": f"--scale {NOTHING}: between latents",
    "fit --source @/s --target @/x --kernels affine --out @/q --smoothing invokeai": f"--smoothing {NOTHING}",
    "fit @/s --kernels affine --out @/q --smoothing nonsense": "'nonsense' is not known to smooth",
    "fit @/s --kernels affine --out @/q --ridge nan": "ridge: expected None or a finite number",
    "report @/a.safetensors --store @/s --out @/q.html --pictures 0": "--pictures: expected 1 or more, got 0",
    "export @/a.safetensors --to comfyui --out @/q.py --bias-free @/l.safetensors":
        f"--bias-free {NOTHING}: 'comfyui' takes .*a.safetensors as it is",
    "export @/l.safetensors --to a1111 --out @/q.py --bias-free @/l.safetensors": f"--bias-free {NOTHING}: 'a1111'",
    "export @/a.safetensors --to comfyui --out @/q.py --palette pico-8": "leave --palette out",
    "info @/s --space sd1": f"--space {NOTHING}: .* is a folder",
    "info @/s --target nonsense --palette nonsense": f"--target and --palette {NOTHING}",
    "collect --vae mini-sd1 --images @/photos --out @/c --domain raw": "no latent file .* leave --domain out",
    "collect --vae mini-sd1 --images @/latents --out @/c --crops 4": "latent files are taken whole.* leave --crops out",
    "collect --vae mini-sd1 --images @/photos --out @/c --scales 1 2 --domain raw": f"--domain {NOTHING}",
    "collect --vae mini-sd1 --images @/photos --out @/c --random-scales 2": "lie between those of --scales",
    "collect --vae mini-sd1 --images @/photos --out @/c --scales 1 2 --random-scales -2": "--random-scales: expected 0",
    "collect --vae mini-sd1 --images @/photos --out @/c --limit 0": "--limit: expected 1 or more, got 0",
    "collect --vae mini-sd1 --images @/photos --out @/c --crops 0": "--crops: expected 1 or more, got 0",
    "collect --vae mini-sd1 --images @/photos --out @/c --space sdxl": "space 'sdxl' for 'mini-sd1': expected 'sd1'",
    "autofit --vae mini-sd1 --images @/photos --out @/c --space flux1": "space 'flux1' for 'mini-sd1': expected 'sd1'",
    "same-space mini-sd1 mini-sdxl --limit 0": "--limit: expected 1 or more, got 0",
    "comfyui uninstall @/nowhere --copy": f"--copy {NOTHING}",
    "train interposer --source @/s --target @/x --preset interposer --out @/n --trunk none --begin @/b.safetensors":
        f"--trunk {NOTHING}: .*b.safetensors brings all weights",
    "train palette --store @/s --preset cell-palette --out @/n --palette pico-8 --space sd1": "--space go with",
}  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_what_would_change_nothing_is_one_line(place: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.replace("@", str(place)).split()) == 2
    said = [one for one in capsys.readouterr().err.splitlines() if one and "%|" not in one]
    assert len(said) == 1, said
    assert re.search(LINES[line], said[0]), said[0]


def test_what_matters_is_taken(place: Path) -> None:
    """The same options where they do something."""
    good = [
        "evaluate @/pixelvae.pt @/a.safetensors --store @/s --palette ega16",
        "export @/a.safetensors --to a1111 --out @/q.py --bias-free @/l.safetensors",
        "collect --vae mini-sd1 --images @/latents --out @/d --domain model",
    ]
    for line in good:
        assert main(line.replace("@", str(place)).split()) == 0, line


def test_an_encoder_has_neither_bias_nor_palette(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = place / "taesd_encoder.safetensors"
    save_file(TinyEncoder(4).state_dict(), encoder)
    for flag in ("--palette pico-8", f"--bias-free {place / 'l.safetensors'}"):
        assert main(["export", str(encoder), "--to", "onnx", "--out", str(place / "e.onnx"), *flag.split()]) == 2
        assert f"{flag.split()[0]} {NOTHING}" in capsys.readouterr().err
