"""Latents as other programs keep them: kohya's caches, dictionaries, safetensors; and files that claim too much."""

import io
import resource
import struct
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from latentfit.errors import BadFileError
from latentfit.latents import get_space, latent_folder, read_latents, write_latents
from latentfit.nets import TinyDecoder

SD1, FLUX1 = get_space("sd1"), get_space("flux1")


@pytest.fixture
def raw() -> Tensor:
    return torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(2)) * 5


def same(path: Path, raw: Tensor) -> None:
    torch.testing.assert_close(read_latents(path, SD1).latents, SD1.comfy_to_model(raw[None] if raw.ndim == 3 else raw))


def kohyas(raw: Tensor, suffix: str = "") -> dict[str, Any]:
    """What kohya's scripts keep of a picture."""
    return {
        f"latents{suffix}": raw.numpy(),
        f"original_size{suffix}": np.array([640, 480]),
        f"crop_ltrb{suffix}": np.array([0, 0, 40, 48]),
        f"latents_flipped{suffix}": raw.flip(-1).numpy(),
        f"alpha_mask{suffix}": np.ones((48, 40), np.float32),
    }


def test_kohyas_caches(tmp_path: Path, raw: Tensor) -> None:
    np.savez(tmp_path / "a_sd.npz", **kohyas(raw))
    same(tmp_path / "a_sd.npz", raw)
    small = raw[:, :3, :3]
    np.savez(tmp_path / "b_sd3.npz", **kohyas(small, "_3x3"), **kohyas(raw, "_6x5"))
    same(tmp_path / "b_sd3.npz", raw)  # the largest of several sizes, not its mirrored twin
    np.savez_compressed(tmp_path / "c.npz", **kohyas(raw))
    same(tmp_path / "c.npz", raw)
    np.savez(tmp_path / "half.npz", latents=raw.half().numpy())
    same(tmp_path / "half.npz", raw.half().float())
    np.savez(tmp_path / "te.npz", hidden_state1=np.ones((1, 77, 768), np.float32), pool2=np.ones((1, 4, 9), np.float32))
    with pytest.raises(BadFileError, match=r"te\.npz: expected one tensor of latents, .* got 2: hidden_state1, pool2"):
        read_latents(tmp_path / "te.npz", SD1)


@pytest.mark.parametrize("key", ["samples", "latents", "latent_tensor", "latent", "anything"])
@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin", ".safetensors", ".latent"])
def test_latents_in_a_dictionary(tmp_path: Path, raw: Tensor, key: str, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    held = {key: raw[None].clone(), "batch_index": torch.arange(3), "noise_mask": torch.zeros(6, 5)}
    if ending in (".safetensors", ".latent"):
        save_file({**held, "latent_format_version_0": torch.zeros(0)}, path)
    else:
        torch.save({**held, "batch_index": [0]}, path)
    same(path, raw)


def test_comfyuis_old_factor_holds_for_its_own_files_only(tmp_path: Path, raw: Tensor) -> None:
    for ending, factor in ((".latent", 1 / 0.18215), (".safetensors", 1.0)):
        save_file({"latent_tensor": raw[None].clone()}, tmp_path / f"x{ending}")
        same(tmp_path / f"x{ending}", raw * factor)
    save_file({"samples": raw[None].clone()}, tmp_path / "s.latent")
    same(tmp_path / "s.latent", raw)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_latents_of_any_precision(tmp_path: Path, raw: Tensor, dtype: torch.dtype) -> None:
    kept = raw.to(dtype)
    save_file({"samples": kept}, tmp_path / "x.safetensors")
    torch.save({"samples": kept}, tmp_path / "x.pt")
    for ending in (".safetensors", ".pt"):
        same(tmp_path / f"x{ending}", kept.float())


def test_a_folder_lists_latents_and_leaves_networks_out(tmp_path: Path, raw: Tensor) -> None:
    save_file({"samples": raw}, tmp_path / "a.safetensors")
    save_file(
        {"latents_1x6x5_float32": raw.clone(), "latents_flipped_1x6x5_float32": raw.clone()}, tmp_path / "b.safetensors"
    )
    save_file(TinyDecoder(4, 8).state_dict(), tmp_path / "decoder.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"?")
    np.savez(tmp_path / "c.npz", **kohyas(raw))
    write_latents(tmp_path / "d.latent", torch.zeros(1, 4, 2, 2), SD1)
    names = [path.name for path in latent_folder(tmp_path)]
    assert names == ["a.safetensors", "b.safetensors", "broken.safetensors", "c.npz", "d.latent"]  # the broken is told
    with pytest.raises(BadFileError, match=r"decoder\.safetensors: expected one tensor of latents"):
        read_latents(tmp_path / "decoder.safetensors", SD1)


def npy_header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize("shape", ["(4, 100000, 100000)", "(4, -6, 5)", "(4, 10000000000000000000000, 1)", "(4, 6, 5"])
@pytest.mark.parametrize("form", ["npy", "npz"])
def test_arrays_that_claim_more_than_their_file_are_refused(tmp_path: Path, shape: str, form: str) -> None:
    blob, path = npy_header(shape) + bytes(480), tmp_path / f"x.{form}"
    if form == "npy":
        path.write_bytes(blob)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("latents.npy", blob)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadFileError, match=rf"x\.{form}: not a whole \.{form} file") as refused:
        read_latents(path, SD1)
    assert "bytes that claim an array of shape" in str(refused.value) or not shape.endswith(")")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 17  # KiB


def test_an_npz_of_zeros_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    n_rows = 1 << 12
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("latents.npy", "w") as file:
        file.write(npy_header(f"(4, {n_rows}, 4096)"))
        for _ in range(4 * n_rows // 64):
            file.write(bytes(4096 * 4 * 64))
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 20
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadFileError, match=r"\d+ bytes that unpack to 268435584, which latents never do"):
        read_latents(tmp_path / "bomb.npz", SD1)
    assert time.perf_counter() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 16  # KiB


def test_arrays_of_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", latents=np.array([[["a"]]], dtype=object))
    with pytest.raises(BadFileError, match=r"x\.npz: expected one array of floats, got object"):
        read_latents(tmp_path / "x.npz", SD1)
    np.savez(tmp_path / "x.npz", latents=np.ones((4, 2, 2), np.complex64))
    with pytest.raises(BadFileError, match="expected one array of floats, got complex64"):
        read_latents(tmp_path / "x.npz", SD1)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_sparse_tensor_that_claims_many_cells_is_refused(tmp_path: Path) -> None:
    nowhere = torch.zeros(4, 0, dtype=torch.long)
    sparse = torch.sparse_coo_tensor(nowhere, torch.zeros(0), (1, 4, 10**4, 10**4))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for what in (sparse, {"samples": sparse}):
        torch.save(what, tmp_path / "s.pt")
        with pytest.raises(BadFileError, match=r"s\.pt: expected plain latents.* sparse"):
            read_latents(tmp_path / "s.pt", SD1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 17  # KiB


def test_what_is_read_is_not_the_mapped_file(tmp_path: Path, raw: Tensor) -> None:
    path = tmp_path / "x.pt"
    torch.save(raw, path)
    latents = read_latents(path, SD1).latents
    buffer = io.BytesIO()
    torch.save(torch.zeros_like(raw), buffer)
    path.write_bytes(buffer.getvalue())  # in place
    torch.testing.assert_close(latents, SD1.comfy_to_model(raw[None]))
    torch.save(torch.randn(1, 16, 2, 2), path)
    assert read_latents(path, FLUX1).latents.shape == (1, 16, 2, 2)
