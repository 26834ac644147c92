"""Latent files: what ComfyUI writes comes back in the model domain, and damaged files are errors, never surprises."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from latentfit import get_space
from latentfit.errors import BadFileError, LatentfitError, SpaceMismatchError
from latentfit.latent_files import latent_folder, read_latents, write_latents

SD1, FLUX2 = get_space("sd1"), get_space("flux2")


def test_round_trip_is_raw_on_disk(tmp_path: Path) -> None:
    latents = torch.randn(2, 4, 5, 6)
    path = write_latents(tmp_path / "a.latent", latents, SD1)
    read = read_latents(path, SD1)
    torch.testing.assert_close(read.latents, latents)
    assert not read.is_legacy
    length = struct.unpack("<Q", path.read_bytes()[:8])[0]
    assert set(json.loads(path.read_bytes()[8 : 8 + length])) >= {"latent_tensor", "latent_format_version_0"}


def test_a_file_without_marker_was_stored_in_the_model_domain_of_sd1(tmp_path: Path) -> None:
    latents = torch.randn(1, 4, 3, 3)
    save_file({"latent_tensor": latents}, tmp_path / "old.latent")
    read = read_latents(tmp_path / "old.latent", SD1)
    assert read.is_legacy
    torch.testing.assert_close(read.latents, latents)


def test_flux2_is_unpacked(tmp_path: Path) -> None:
    latents = torch.randn(1, 32, 4, 6)
    path = write_latents(tmp_path / "f.latent", latents, FLUX2)
    assert torch.equal(read_latents(path, FLUX2).latents, latents)


def test_numpy_and_torch_files(tmp_path: Path) -> None:
    raw = torch.randn(1, 4, 3, 3)
    np.save(tmp_path / "a.npy", raw.numpy())
    torch.save(raw[0], tmp_path / "b.pt")
    torch.save(raw.repeat(3, 1, 1, 1), tmp_path / "c.bin")
    for name, n in (("a.npy", 1), ("b.pt", 1), ("c.bin", 3)):
        torch.testing.assert_close(read_latents(tmp_path / name, SD1).latents, (raw * 0.18215).repeat(n, 1, 1, 1))
    assert [path.name for path in latent_folder(tmp_path)] == ["a.npy", "b.pt", "c.bin"]


class _Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (open, ("pwned", "w"))


@pytest.mark.parametrize("ending", [".pt", ".bin", ".npy"])
def test_pickles_are_refused_and_not_run(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"bad{ending}"
    if ending == ".npy":
        np.save(path, np.array([_Bomb()], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(BadFileError):
        read_latents(path, SD1)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(tmp_path: Path, value: float) -> None:
    path = write_latents(tmp_path / "n.latent", torch.full((1, 4, 2, 2), value), SD1)
    with pytest.raises(BadFileError, match="NaN or Inf"):
        read_latents(path, SD1)


def test_wrong_channels_name_the_file(tmp_path: Path) -> None:
    path = write_latents(tmp_path / "n.latent", torch.randn(1, 4, 2, 2), SD1)
    with pytest.raises(SpaceMismatchError, match=r"n\.latent.*16"):
        read_latents(path, get_space("flux1"))


def test_a_header_that_lies(tmp_path: Path) -> None:
    path = write_latents(tmp_path / "n.latent", torch.randn(1, 4, 4, 4), SD1)
    path.write_bytes(path.read_bytes().replace(b"[1,4,4,4]", b"[1,4,4,8]"))
    with pytest.raises(BadFileError, match="not a whole"):
        read_latents(path, SD1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), ending=st.sampled_from([".latent", ".npy", ".pt"]))
def test_edited_files_are_errors_of_ours_or_still_latents(tmp_path: Path, data: st.DataObject, ending: str) -> None:
    path = tmp_path / f"fuzz{ending}"
    raw = torch.ones(1, 4, 2, 2)
    if ending == ".latent":
        write_latents(path, raw, SD1)
    elif ending == ".npy":
        np.save(path, raw.numpy())
    else:
        torch.save(raw, path)
    blob = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(blob[: data.draw(st.integers(0, len(blob)))]))
    try:
        assert read_latents(path, SD1).latents.shape[1] == 4
    except LatentfitError as error:
        if str(path) not in str(error):
            raise AssertionError("the message does not name the file") from error
