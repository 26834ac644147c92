"""Weights of any precision and under any program's names; odd tensors and other programs' files are named."""

import io
import os
import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import latentfit as lf
from latentfit.cli import main
from latentfit.errors import BadFileError, SpaceMismatchError, VaeError
from latentfit.formats import load_any
from latentfit.latents import read_latents, write_latents
from latentfit.nets import ApproxCnn, InterposerV1, PixelMlp, TinyDecoder, TinyEncoder, UpscalerV1
from latentfit.runtime import WeightsFile
from latentfit.vae import Vae, folder_weights
from tests.support.paths import GOLDEN as GOLDEN_FOLDER

FP8 = GOLDEN_FOLDER / "taesd_decoder_fp8.safetensors"
SD1 = lf.get_space("sd1")
HALF_KINDS = (torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16, torch.float64)


def decoder(n_channels: int = 4, width: int = 8) -> TinyDecoder:
    return TinyDecoder(n_channels, width, n_blocks=(1, 0, 0, 1)).eval()


def encoder(n_channels: int = 4, width: int = 8) -> TinyEncoder:
    return TinyEncoder(n_channels, width, n_blocks=(1, 0, 0, 1)).eval()


@pytest.fixture
def latents() -> Tensor:
    return torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(1))


def saved(path: Path, weights: dict[str, Tensor]) -> Path:
    save_file({key: tensor.contiguous() for key, tensor in weights.items()}, path)
    return path


def test_the_fp8_decoder_decodes_as_its_values_in_float32(latents: Tensor, tmp_path: Path) -> None:
    plain = TinyDecoder(4)
    plain.load_state_dict({key: tensor.float() for key, tensor in load_file(FP8).items()})
    with torch.no_grad():
        wanted = plain(latents).clamp(0, 1)
    torch.testing.assert_close(lf.load(FP8, "sd1")(latents), wanted, rtol=0, atol=1e-6)
    write_latents(tmp_path / "x.latent", latents, SD1)
    assert main(["decode", str(FP8), "--latents", str(tmp_path / "x.latent"), "--space", "sd1",
                 "--out", str(tmp_path / "x.png")]) in (0, None)  # fmt: skip
    assert main(["info", str(FP8), "--space", "sd1"]) in (0, None)
    assert (tmp_path / "x.png").stat().st_size > 100


@pytest.mark.parametrize("dtype", HALF_KINDS, ids=str)
@pytest.mark.parametrize(
    "network", [decoder(), PixelMlp(), ApproxCnn(), InterposerV1(), UpscalerV1(4)], ids=lambda one: type(one).__name__
)
@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_any_precision_of_any_kind(tmp_path: Path, network: Any, dtype: torch.dtype, ending: str) -> None:
    weights = {key: tensor.to(dtype).contiguous() for key, tensor in network.state_dict().items()}
    path = tmp_path / f"x{ending}"
    save_file(weights, path) if ending == ".safetensors" else torch.save(weights, path)
    loaded = lf.load(path, "sd1", target="sdxl" if isinstance(network, InterposerV1) else None,
                     scale=2 if isinstance(network, UpscalerV1) else None)  # fmt: skip
    held = {key.split("network.")[-1]: tensor for key, tensor in loaded.module.state_dict().items()}
    for key, tensor in weights.items():
        assert held[key].dtype == torch.float32
        torch.testing.assert_close(held[key], tensor.float(), rtol=0, atol=0)


def named_otherwise(form: str, pair: tuple[TinyEncoder, TinyDecoder]) -> dict[str, Tensor]:
    """A TAESD's weights as other programs name them."""
    halves = [one.state_dict() for one in pair]
    if form in ("diffusers", "sd.cpp"):
        prefix = "tae." if form == "sd.cpp" else ""
        return {f"{prefix}{key}": tensor for key, tensor in folder_weights(*pair).items()}
    prefixes = {"comfyui": ("taesd_encoder.", "taesd_decoder."), "taesd.py": ("encoder.", "decoder.")}[form]
    return {f"{prefix}{key}": t for prefix, half in zip(prefixes, halves, strict=True) for key, t in half.items()}


@pytest.mark.parametrize("form", ["diffusers", "comfyui", "taesd.py", "sd.cpp"])
def test_taesd_under_other_programs_names(tmp_path: Path, latents: Tensor, form: str) -> None:
    pair = encoder(), decoder()
    path = saved(tmp_path / "diffusion_pytorch_model.safetensors", named_otherwise(form, pair))
    with torch.no_grad():
        wanted = pair[1](latents).clamp(0, 1)
    torch.testing.assert_close(lf.load(path, space="sd1")(latents), wanted)
    torch.testing.assert_close(load_any(path, "sd1")(latents), wanted)
    (tmp_path / "config.json").write_text("{}")  # the folder, as the hub ships it
    torch.testing.assert_close(lf.load(tmp_path, space="sd1")(latents), wanted)
    torch.testing.assert_close(load_any(tmp_path, "sd1")(latents), wanted)
    (tmp_path / "config.json").unlink()
    vae = Vae.load(path, space="sd1", device="cpu")
    torch.testing.assert_close(vae.decode(latents), wanted)
    picture = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(vae.encode(picture), pair[0](picture))
    with pytest.raises(BadFileError, match="the file does not say which latent space"):
        lf.load(path)


@pytest.mark.parametrize("name", ["sd1", "sdxl", "sd3", "flux1"])
def test_comfyuis_combined_file_tells_its_space_by_its_numbers(tmp_path: Path, name: str) -> None:
    space = lf.get_space(name)
    pair = encoder(space.channels), decoder(space.channels)
    numbers = {"vae_scale": torch.tensor(space.scale[0]), "vae_shift": torch.tensor(space.shift[0])}
    path = saved(tmp_path / "combined.safetensors", named_otherwise("comfyui", pair) | numbers)
    assert lf.load(path).space == space
    other = {"sd1": "sdxl", "sdxl": "sd1", "sd3": "flux1", "flux1": "sd3"}[name]
    with pytest.raises(SpaceMismatchError, match=f"whose scale is that of space '{name}', not of '{other}'"):
        lf.load(path, other)


def test_a_prefix_of_all_keys_is_passed_over(tmp_path: Path, latents: Tensor) -> None:
    network = decoder()
    path = saved(tmp_path / "w.safetensors", {f"module.{key}": one for key, one in network.state_dict().items()})
    with torch.no_grad():
        torch.testing.assert_close(lf.load(path, "sd1")(latents), network(latents).clamp(0, 1))


def test_a_decoder_alone_collects_from_latent_files(tmp_path: Path, latents: Tensor) -> None:
    network = decoder()
    path = saved(tmp_path / "mine_decoder.safetensors", network.state_dict())
    vae = Vae.load(path, space="sd1", device="cpu")
    write_latents(tmp_path / "latents" / "a.latent", latents, SD1)
    store = lf.collect(vae, tmp_path / "latents", tmp_path / "store", keep="rgb", progress=False)
    (sample,) = store.samples
    rgb = store.sample(sample.key, ("latents", "cells", "rgb")).rgb
    assert rgb is not None
    with torch.no_grad():
        wanted = network(latents.half().float()).clamp(0, 1)
    torch.testing.assert_close(rgb, wanted, rtol=0, atol=1 / 255)
    with pytest.raises(VaeError, match="loaded from its decoder alone, so it only decodes"):
        vae.encode(torch.rand(1, 3, 16, 16))


TAEHV = {
    "encoder.0.weight": torch.zeros(8, 3, 3, 3), "encoder.2.conv.weight": torch.zeros(8, 16, 1, 1),
    "encoder.4.conv.0.weight": torch.zeros(8, 16, 3, 3), "decoder.1.weight": torch.zeros(8, 16, 3, 3),
    "decoder.3.conv.0.weight": torch.zeros(8, 16, 3, 3), "decoder.7.conv.weight": torch.zeros(8, 8, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_taehv_is_named_a_video_decoder(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"taew2_1{ending}"
    save_file(TAEHV, path) if ending == ".safetensors" else torch.save(TAEHV, path)
    with pytest.raises(BadFileError, match=r"TAEHV's video decoder.* not supported yet"):
        lf.load(path, "wan21")
    with pytest.raises(VaeError, match=r"TAEHV, a tiny autoencoder of video, which is not supported yet"):
        Vae.load(path)


@pytest.mark.parametrize(
    ("blob", "what"),
    [
        (b"GGUF\3\0\0\0", "a GGUF file, whose weights are quantised"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"", "zero bytes"),
        (b"hello", "safetensors or torch file"),
    ],
)
@pytest.mark.parametrize("name", ["x.gguf", "x.safetensors", "x.pth", "x.txt"])
def test_what_is_no_weights_file_is_named(tmp_path: Path, blob: bytes, what: str, name: str) -> None:
    (tmp_path / name).write_bytes(blob)
    unknown = blob == b"hello" and name in ("x.txt", "x.gguf")
    with pytest.raises(BadFileError, match=r"expected a \.safetensors map" if unknown else what):
        load_any(tmp_path / name, "sd1")


def test_places_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "dangling.safetensors").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.safetensors")
    for name, what in (("folder", "a folder"), ("dangling", "a file that is gone"), ("pipe", "no such file")):
        with pytest.raises(BadFileError, match=what):
            load_any(tmp_path / f"{name}.safetensors", "sd1")
    for name in ("folder", "pipe"):
        with pytest.raises(BadFileError, match="expected a weights file, got"):
            WeightsFile(tmp_path / f"{name}.safetensors")


def odd_tensors() -> dict[str, tuple[Tensor, str]]:
    weight, nowhere = torch.zeros(8, 4, 3, 3), torch.zeros(2, 0, dtype=torch.long)
    return {
        "sparse": (
            torch.sparse_coo_tensor(nowhere, torch.zeros(0), (10**4,) * 2),
            "sparse",
        ),
        "nested": (torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]), "nested"),
        "negative": (weight.to(torch.complex64).conj().imag, "negative or conjugate bit"),
        "conjugate": (weight.to(torch.complex64).conj(), "complex"),
        "complex": (weight.to(torch.complex64), "complex"),
        "quantised": (torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8), "quantised"),
        "int8": (weight.to(torch.int8), "quantised to int8"),
        "meta": (weight.to("meta"), "meta"),
        "expanded": (torch.zeros(1).expand(10**9), "more than its storage holds"),
    }


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "what",
    ["sparse", "nested", "negative", "conjugate", "complex", "quantised", "int8", "meta", "expanded"],
)
def test_odd_tensors_are_refused_by_name(tmp_path: Path, what: str) -> None:
    tensor, said = odd_tensors()[what]
    torch.save({**decoder().state_dict(), "1.weight": tensor}, tmp_path / "odd.pt")
    with pytest.raises(BadFileError, match=rf"odd\.pt: tensor '1\.weight' is .*{said}"):
        lf.load(tmp_path / "odd.pt", "sd1")
    torch.save(tensor, tmp_path / "latents.pt")
    if what != "int8":
        with pytest.raises(BadFileError, match=said):
            read_latents(tmp_path / "latents.pt", SD1)


@pytest.mark.parametrize("key", ["1.scale_weight", "scaled_fp8", "1.weight.absmax"])
def test_quantised_weights_with_scales_beside_them_are_named(tmp_path: Path, key: str) -> None:
    path = saved(tmp_path / "q.safetensors", {**decoder().state_dict(), key: torch.ones(1)})
    with pytest.raises(BadFileError, match=f"quantised weights, whose scales lie beside them .'{key}'"):
        lf.load(path, "sd1")


class Made:
    """What unpickling is asked to call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("made", [Made(bytearray, 4 << 30), Made(torch.Tensor, 1 << 30)], ids=["bytearray", "Tensor"])
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_file_cannot_make_memory_that_it_does_not_hold(tmp_path: Path, made: Made, form: str) -> None:
    torch.save({"1.weight": made, "x": torch.zeros(1)}, tmp_path / "b.pt", _use_new_zipfile_serialization=form == "zip")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadFileError, match=r"b\.pt: (refused, because it makes a bytearray|\d+ bytes that claim)"):
        lf.load(tmp_path / "b.pt", "sd1")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20  # KiB


def test_a_compressed_torch_file_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"1.weight": torch.zeros(1 << 22)}, buffer)
    with zipfile.ZipFile(buffer) as whole, zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    with pytest.raises(BadFileError, match=r"z\.pt: \d+ bytes that unpack to \d+"):
        lf.load(tmp_path / "z.pt", "sd1")


def test_a_state_dict_that_holds_itself_is_refused(tmp_path: Path) -> None:
    loop: dict[str, Any] = {}
    loop["state_dict"] = loop
    torch.save(loop, tmp_path / "loop.pt")
    with pytest.raises(BadFileError, match="expected named tensors"):
        lf.load(tmp_path / "loop.pt", "sd1")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(BadFileError, match=r"plain\.pt"):
        lf.load(tmp_path / "plain.pt", "sd1")


def wide(width: int = 300_000) -> dict[str, dict[str, Tensor]]:
    """Files of a megabyte or two whose first kernel asks for layers of hundreds of gigabytes."""

    def one(*shape: int) -> Tensor:
        return torch.zeros(shape)

    return {
        "pixel MLP": {"in_proj.weight": one(width, 4), "out_proj.weight": one(3, width),
                      "hidden_layers.0.weight": one(1, 1)},
        "TAESD": {"1.weight": one(width, 4, 1, 1), "3.conv.0.weight": one(1, 1, 1, 1)},
        "pixelvae": {"0.weight": one(width, 4, 1, 1), "2.conv.0.weight": one(1, 1, 1, 1)},
        "interposer": {"head.short.weight": one(width, 4, 1, 1), "tail.weight": one(4, width, 1, 1),
                       "core.1.long.0.weight": one(1, 1, 1, 1)},
        "upscaler": {"sequential.0.weight": one(width, 4, 3, 3)[..., :1, :1].contiguous(),
                     "sequential.4.weight": one(1, 1, 1, 1), "sequential.6.weight": one(1, 1, 1, 1)},
        "resizer": {"conv_in.weight": one(width, 4, 1, 1), "in_blocks.0.in_layers.0.weight": one(1)},
    }  # fmt: skip


@pytest.mark.parametrize("what", ["pixel MLP", "TAESD", "pixelvae", "interposer", "upscaler", "resizer"])
def test_a_kernels_shape_alone_allocates_nothing(tmp_path: Path, what: str) -> None:
    path = saved(tmp_path / "wide.safetensors", wide()[what])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadFileError, match=r"wide\.safetensors"):
        lf.load(path, "sd1", target="sdxl" if what == "interposer" else None)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 19  # KiB


@pytest.mark.parametrize("shape", [(), (5,), (0, 4, 3, 3), (8, 4), (2, 2, 2, 2, 2)])
def test_first_kernels_of_odd_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    for what, weights in wide(8).items():
        first = next(iter(weights))
        path = saved(tmp_path / "odd.safetensors", {**weights, first: torch.zeros(shape)})
        with pytest.raises(BadFileError, match=r"odd\.safetensors"):
            lf.load(path, "sd1", target="sdxl" if what == "interposer" else None)


def test_an_autoencoders_keys_allocate_no_more_than_the_file_bears_out(tmp_path: Path) -> None:
    def one(*shape: int) -> Tensor:
        return torch.zeros(shape)

    few = {
        "encoder.conv_in.weight": one(3, 3, 3, 3), "decoder.conv_in.weight": one(1, 4, 1, 1),
        "decoder.conv_out.weight": one(3, 1, 1, 1), "encoder.mid_block.x": one(1), "decoder.mid_block.x": one(1),
        "encoder.down_blocks.0.resnets.0.conv2.weight": one(320_000, 1, 1, 1),
        "decoder.up_blocks.0.resnets.0.conv2.weight": one(320_000, 1, 1, 1),
    }  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((VaeError, BadFileError), match=r"wide\.safetensors: expected the \d+ tensors of AutoencoderKL"):
        Vae.load(saved(tmp_path / "wide.safetensors", few))
    for number in ("99999999999", "one", "\u00b2"):
        odd = {key.replace("down_blocks.0", f"down_blocks.{number}"): tensor for key, tensor in few.items()}
        with pytest.raises((VaeError, BadFileError), match=r"odd\.safetensors"):
            Vae.load(saved(tmp_path / "odd.safetensors", odd))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 19  # KiB
