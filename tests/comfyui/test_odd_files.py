"""ComfyUI's node lists beside odd files: each node lists what can be read, and one line says why a file is left out."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import latentfit as lf
from latentfit.comfyui import map_files, maps, nodes, spaces
from latentfit.comfyui.decode import FULL, LatentFitDecode
from latentfit.nets import TinyDecoder, TinyEncoder
from latentfit.vae import folder_weights
from tests.support.fake_comfyui import ComfyUi
from tests.support.paths import GOLDEN as GOLDEN_FOLDER

FP8 = GOLDEN_FOLDER / "taesd_decoder_fp8.safetensors"
CELL = "bundled/models/sd1-cell.safetensors"


@pytest.fixture
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComfyUi:
    made = ComfyUi(tmp_path / "ComfyUI", monkeypatch)
    nodes.begin()
    map_files._told.clear()
    map_files._gives.cache_clear()
    maps._ready.cache_clear()
    return made


def offered() -> dict[str, list[str]]:
    """The maps that each node offers; a node whose list raises would vanish from ComfyUI."""
    inputs = {name: node.INPUT_TYPES() for name, node in nodes.NODE_CLASS_MAPPINGS.items()}  # type: ignore[attr-defined]
    assert len(inputs) == 6
    return {name: list(one["required"]["map_name"][0]) for name, one in inputs.items() if "map_name" in one["required"]}


def approx(comfyui: ComfyUi) -> Path:
    return comfyui.root / "models" / "vae_approx"


def test_an_fp8_decoder_is_listed_and_decodes_as_its_values_in_float32(comfyui: ComfyUi) -> None:
    (approx(comfyui) / FP8.name).write_bytes(FP8.read_bytes())
    label = f"vae_approx/{FP8.name}"
    lists = offered()
    assert all(label in lists[name] for name in ("LatentFitDecode", "LatentFitPreview", "LatentFitPalettize"))
    plain = TinyDecoder(4)
    plain.load_state_dict({key: tensor.float() for key, tensor in load_file(FP8).items()})
    latents = torch.randn(1, 4, 4, 4)
    wire = {"samples": lf.get_space("sd1").model_to_comfy(latents)}
    (image,) = LatentFitDecode().decode(wire, label, FULL, "bilinear", 128, "sd1")
    with torch.no_grad():
        wanted = plain(latents).clamp(0, 1).movedim(1, -1)
    torch.testing.assert_close(image, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", ["diffusers", "comfyui"])
def test_taesd_under_other_names_is_listed(comfyui: ComfyUi, form: str) -> None:
    pair = TinyEncoder(4, 8, n_blocks=(1, 0, 0, 1)), TinyDecoder(4, 8, n_blocks=(1, 0, 0, 1))
    weights = folder_weights(*pair)
    if form == "comfyui":
        weights = {
            f"taesd_{half}.{key}": tensor
            for half, one in zip(("encoder", "decoder"), pair, strict=True)
            for key, tensor in one.state_dict().items()
        }
    save_file(weights, approx(comfyui) / "diffusion_pytorch_model.safetensors")
    assert "vae_approx/diffusion_pytorch_model.safetensors" in offered()["LatentFitDecode"]
    wire = {"samples": torch.zeros(1, 4, 2, 2)}
    label = "vae_approx/diffusion_pytorch_model.safetensors"
    (image,) = LatentFitDecode().decode(wire, label, FULL, "bilinear", 128, "sd1")
    assert image.shape == (1, 16, 16, 3)


def sparse_file(path: Path, n_bytes: int) -> None:
    save_file({"model.layers.0.weight": torch.zeros(2)}, path)
    os.truncate(path, n_bytes)


ODD: dict[str, tuple[str, Callable[[Path], Any], str | None]] = {
    "empty": ("x.safetensors", lambda path: path.write_bytes(b""), "zero bytes"),
    "cut short": ("x.safetensors", lambda path: path.write_bytes(FP8.read_bytes()[:5000]), "whole safetensors"),
    "without a tensor": ("x.safetensors", lambda path: save_file({}, path), "no map"),
    "a folder": ("x.safetensors", lambda path: path.mkdir(), None),
    "a link to nothing": ("x.safetensors", lambda path: path.symlink_to("nowhere"), None),
    "a pipe": ("x.safetensors", os.mkfifo, None),
    "text": ("x.safetensors", lambda path: path.write_text("not weights"), "safetensors"),
    "random bytes": ("x.pt", lambda path: path.write_bytes(np.random.default_rng(0).bytes(999)), "torch file"),
    "half a pickle": ("x.pt", lambda path: path.write_bytes(b"\x80\x02}q\x00("), "torch file"),
    "gguf": ("x.safetensors", lambda path: path.write_bytes(b"GGUF\3\0\0\0" + bytes(99)), "a GGUF file"),
    "a huge model": (
        "x.safetensors",
        lambda path: sparse_file(path, 6 << 30),
        "most what a map or a small decoder has, got 6144 MiB",
    ),
    "another model": ("x.safetensors", lambda path: save_file({"lm_head.weight": torch.ones(3)}, path), "no map"),
    "an encoder": ("x.safetensors", lambda path: save_file(TinyEncoder(4).state_dict(), path), "no map|encoder"),
    "a video decoder": (
        "taew2_1.safetensors",
        lambda path: save_file({"decoder.7.conv.weight": torch.ones(2, 2, 1, 1)}, path),
        "TAEHV's video decoder",
    ),
    "int8": (
        "x.safetensors",
        lambda path: save_file({key: t.to(torch.int8) for key, t in TinyDecoder(4).state_dict().items()}, path),
        "quantised to int8",
    ),
    "nan": (
        "x.safetensors",
        lambda path: save_file({key: t * torch.nan for key, t in TinyDecoder(4).state_dict().items()}, path),
        "NaN or Inf",
    ),
    "a name that is not UTF-8": (
        os.fsdecode(b"\xff\xfe.safetensors"),
        lambda path: path.write_bytes(FP8.read_bytes()),
        "its name is not UTF-8",
    ),
    "broken json": ("x.json", lambda path: path.write_text("{"), None),
}


@pytest.mark.parametrize("what", ODD)
@pytest.mark.parametrize("folder", ["vae_approx", "latentfit"])
def test_one_odd_file_takes_no_node_down(
    comfyui: ComfyUi, what: str, folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    name, write, reason = ODD[what]
    before = offered()
    write(comfyui.root / "models" / folder / name)
    with caplog.at_level("INFO", "latentfit"):
        assert offered() == before
        said = [message for message in caplog.messages if "left out" in message]
        if reason is not None:
            assert len(said) == 1
            assert any(part in said[0] for part in reason.split("|"))
        assert all(message.isascii() and message.isprintable() for message in said)
        assert offered() == before
        assert len([message for message in caplog.messages if "left out" in message]) == len(said)  # once


def test_whatever_a_reader_raises_the_lists_stand(
    comfyui: ComfyUi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def raises(path: Path) -> Any:
        raise ZeroDivisionError("a fault of a reader")

    before = offered()
    (approx(comfyui) / "x.safetensors").write_bytes(FP8.read_bytes())
    monkeypatch.setattr(map_files, "WeightsFile", raises)
    assert offered()["LatentFitDecode"] == [*before["LatentFitDecode"]]
    assert "x.safetensors is left out of the lists: a fault of a reader" in caplog.text


def test_a_file_that_is_gone_or_locked_when_it_is_looked_at(comfyui: ComfyUi, monkeypatch: pytest.MonkeyPatch) -> None:
    before = offered()
    path = approx(comfyui) / "x.safetensors"
    path.write_bytes(FP8.read_bytes())
    real = Path.open

    def locked(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", locked)
    assert offered() == before
    monkeypatch.undo()
    ComfyUi(comfyui.root.parent / "again", monkeypatch)
    nodes.begin()
    monkeypatch.setattr(map_files.host, "model_path", lambda folder, name: comfyui.root / "gone.safetensors")
    monkeypatch.setattr(map_files.host, "model_files", lambda folder: ["gone.safetensors"])
    assert CELL in offered()["LatentFitDecode"]
    assert map_files.stamp_text("gone.safetensors") == ""
    assert map_files.gives_of("vae_approx/gone.safetensors") is None


def test_a_link_that_leads_back_lists_each_file_once(comfyui: ComfyUi, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = approx(comfyui)
    (folder / "x.safetensors").write_bytes(FP8.read_bytes())
    (folder / "loop").symlink_to(folder)
    names = ["loop/loop/x.safetensors", "loop/x.safetensors", "x.safetensors"]
    real = map_files.host.model_files
    monkeypatch.setattr(map_files.host, "model_files", lambda name: names if name == "vae_approx" else real(name))
    listed = [label for label in offered()["LatentFitDecode"] if label.startswith("vae_approx/")]
    assert listed == ["vae_approx/x.safetensors"]


def test_lists_are_read_once_and_a_large_model_never(comfyui: ComfyUi, monkeypatch: pytest.MonkeyPatch) -> None:
    (approx(comfyui) / "x.safetensors").write_bytes(FP8.read_bytes())
    sparse_file(approx(comfyui) / "llm.safetensors", 6 << 30)
    opened: list[Path] = []

    class Counted(map_files.WeightsFile):
        def __init__(self, path: Path) -> None:
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr(map_files, "WeightsFile", Counted)
    for _ in range(3):
        offered()
    names = [path.name for path in opened]
    assert names.count("x.safetensors") == 1
    assert "llm.safetensors" not in names
    assert spaces.AUTO in spaces.choices()
