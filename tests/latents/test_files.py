"""Latent files: what ComfyUI writes comes back in the model domain, and damaged files are errors, never surprises."""

import io
import json
import os
import pickle
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as to_bytes
from safetensors.torch import save_file

from latentfit import get_space
from latentfit.errors import BadFileError, LatentfitError, SpaceMismatchError
from latentfit.latents import latent_folder, read_latents, write_latents

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


def test_without_marker_comfyuis_factor_holds_whatever_the_space(tmp_path: Path) -> None:
    stored = torch.randn(1, 4, 3, 3)
    save_file({"latent_tensor": stored}, tmp_path / "old.latent")
    sdxl = get_space("sdxl")
    torch.testing.assert_close(read_latents(tmp_path / "old.latent", sdxl).latents, sdxl.to_model(stored / 0.18215))


def test_whole_numbers_are_no_latents_with_or_without_marker(tmp_path: Path) -> None:
    for marker in ({}, {"latent_format_version_0": torch.zeros(0)}):
        save_file({"latent_tensor": torch.ones(1, 4, 3, 3, dtype=torch.int32), **marker}, tmp_path / "i.latent")
        with pytest.raises(BadFileError, match=r"expected floating latents.*torch\.int32"):
            read_latents(tmp_path / "i.latent", SD1)


def test_metadata_comes_along(tmp_path: Path) -> None:
    tensors = {"latent_tensor": torch.randn(1, 4, 2, 2), "latent_format_version_0": torch.zeros(0)}
    save_file(tensors, tmp_path / "a.latent", {"prompt": "{}"})
    assert read_latents(tmp_path / "a.latent", SD1).metadata == {"prompt": "{}"}


def test_only_visible_latent_files_are_listed(tmp_path: Path) -> None:
    (tmp_path / "set1_train").mkdir()
    for name in ("set1_train/0001.latent", "b.NPY", "._b.npy", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.latent").mkdir()
    assert latent_folder(tmp_path) == [tmp_path / "b.NPY", tmp_path / "set1_train/0001.latent"]
    assert latent_folder(tmp_path / "nowhere") == []


class _Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (open, ("pwned", "w"))


def _bomb_file(path: Path, form: str) -> Path:
    if form == "npy":
        np.save(path, np.array([_Bomb()], dtype=object), allow_pickle=True)
    elif form == "pickle":
        path.write_bytes(pickle.dumps(_Bomb()))
    else:
        torch.save(
            {"latent_tensor": torch.ones(1, 4, 2, 2), "x": _Bomb()}, path, _use_new_zipfile_serialization=form == "zip"
        )
    return path


@pytest.mark.parametrize("form", ["npy", "pickle", "zip", "legacy"])
@pytest.mark.parametrize("ending", [".pt", ".bin", ".npy", ".latent"])
def test_pickles_are_refused_and_not_run(
    tmp_path: Path, form: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = _bomb_file(tmp_path / "bad.npy", form).rename(tmp_path / f"bad{ending}")
    with pytest.raises(BadFileError, match="bad"):
        read_latents(path, SD1)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_parameter_is_read_without_its_gradient(tmp_path: Path, form: str) -> None:
    raw = torch.nn.Parameter(torch.randn(1, 4, 2, 2))
    torch.save(raw, tmp_path / "p.pt", _use_new_zipfile_serialization=form == "zip")
    latents = read_latents(tmp_path / "p.pt", SD1).latents
    assert not latents.requires_grad
    torch.testing.assert_close(latents, SD1.to_model(raw.detach()))


ODD = {
    "expanded to a terabyte": torch.zeros(1, 1, 1, 1).expand(1, 4, 250_000, 250_000),
    "sparse": torch.ones(1, 4, 2, 2).to_sparse(),
    "without values": torch.empty(1, 4, 2, 2, device="meta"),
    "complex": torch.ones(1, 4, 2, 2, dtype=torch.complex64),
    "whole numbers": torch.ones(1, 4, 2, 2, dtype=torch.int64),
    "one number": torch.tensor(1.0),
    "a list": torch.ones(4),
    "six axes": torch.ones(1, 1, 1, 4, 2, 2),
    "empty": torch.ones(1, 4, 0, 2),
    "a dictionary of two": {"a": torch.ones(1, 4, 2, 2), "b": torch.ones(1, 4, 2, 2)},
}


@pytest.mark.parametrize("what", ODD)
def test_odd_tensors_are_refused(tmp_path: Path, what: str) -> None:
    torch.save(ODD[what], tmp_path / "odd.pt")
    for space in (SD1, FLUX2):
        with pytest.raises(BadFileError, match=r"odd\.pt: expected"):
            read_latents(tmp_path / "odd.pt", space)


def test_an_archive_that_unpacks_to_more_than_itself_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(torch.zeros(1, 4, 256, 256), buffer)
    with zipfile.ZipFile(buffer) as whole, zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    with pytest.raises(BadFileError, match=r"z\.pt: \d+ bytes that unpack to"):
        read_latents(tmp_path / "z.pt", SD1)


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_float32_are_infinite(tmp_path: Path) -> None:
    np.save(tmp_path / "big.npy", np.full((1, 4, 2, 2), 1e300))
    with pytest.raises(BadFileError, match="NaN or Inf"):
        read_latents(tmp_path / "big.npy", SD1)


def test_numpy_headers_that_lie_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lie.npy"
    np.save(path, np.ones((1, 4, 2, 2), np.float32))
    whole = path.read_bytes()
    for shape in (b"(1, 4, 2, 9)", b"(9, 9, 9999999, 9999999)", b"(-1, 4, 2, 2)", b"(1, 4, 2"):
        path.write_bytes(whole.replace(b"(1, 4, 2, 2)", shape))
        started = time.process_time()
        with pytest.raises(BadFileError, match="not a whole"):
            read_latents(path, SD1)
        assert time.process_time() - started < 2
    np.savez(tmp_path / "many.npz", a=np.ones((1, 4, 2, 2)))
    os.replace(tmp_path / "many.npz", path)
    with pytest.raises(BadFileError, match="not a whole"):
        read_latents(path, SD1)
    np.save(path, np.ones((1, 4, 2, 2), np.int16))
    with pytest.raises(BadFileError, match="array of floats, got int16"):
        read_latents(path, SD1)


def test_names_and_tensors_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="no such file"):
        read_latents(tmp_path / "x.latent", SD1)
    (tmp_path / "x.txt").write_bytes(b"")
    with pytest.raises(BadFileError, match=r"expected one of .*\.latent"):
        read_latents(tmp_path / "x.txt", SD1)
    save_file({"a": torch.ones(1, 4, 2, 2), "b": torch.ones(1, 4, 2, 2)}, tmp_path / "y.latent")
    with pytest.raises(BadFileError, match=r"one tensor of latents, named 'latent_tensor', .* got 2: a, b"):
        read_latents(tmp_path / "y.latent", SD1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(tmp_path: Path, value: float) -> None:
    path = write_latents(tmp_path / "n.latent", torch.full((1, 4, 2, 2), value), SD1)
    with pytest.raises(BadFileError, match="NaN or Inf"):
        read_latents(path, SD1)


def test_wrong_channels_name_the_file(tmp_path: Path) -> None:
    path = write_latents(tmp_path / "n.latent", torch.randn(1, 4, 2, 2), SD1)
    with pytest.raises(SpaceMismatchError, match=r"n\.latent.*16"):
        read_latents(path, get_space("flux1"))


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (b"[1,4,4,4]", b"[1,4,4,8]"),
        (b"[1,4,4,4]", b"[1,4,4,1]"),
        (b'"F32"', b'"F64"'),
        (b"[0,256]", b"[0,999]"),
        (b"[0,256]", b"[8,256]"),
        (b'"F32"', b'"QQQ"'),
    ],
)
def test_a_header_that_lies(tmp_path: Path, said: bytes, instead: bytes) -> None:
    path = write_latents(tmp_path / "n.latent", torch.randn(1, 4, 4, 4), SD1)
    assert said in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(said, instead))
    with pytest.raises(BadFileError, match=r"n\.latent: not a whole"):
        read_latents(path, SD1)


def test_a_header_longer_than_the_file(tmp_path: Path) -> None:
    path = write_latents(tmp_path / "n.latent", torch.randn(1, 4, 4, 4), SD1)
    path.write_bytes(struct.pack("<Q", 1 << 60) + path.read_bytes()[8:])
    with pytest.raises(BadFileError, match="not a whole"):
        read_latents(path, SD1)


def _read_or_refused(path: Path, blob: bytes) -> None:
    path.write_bytes(blob)
    try:
        assert read_latents(path, SD1).latents.shape[1] == 4
    except LatentfitError as error:
        if str(path) not in str(error):
            raise AssertionError("the message does not name the file") from error


def _whole(ending: str, is_legacy: bool) -> bytes:
    raw, buffer = torch.ones(1, 4, 2, 2), io.BytesIO()
    if ending == ".npy":
        np.save(buffer, raw.numpy())
    elif ending == ".pt":
        torch.save(raw, buffer, _use_new_zipfile_serialization=not is_legacy)
    else:
        marker = {} if is_legacy else {"latent_format_version_0": torch.zeros(0)}
        return to_bytes({"latent_tensor": raw, **marker}, {"prompt": "{}"})
    return buffer.getvalue()


ENDINGS = st.sampled_from([".latent", ".npy", ".pt", ".bin"])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from([b"", b"\x93NUMPY\x01\0", b"PK\x03\x04", b"\x80\x02"]), ENDINGS)
def test_random_bytes_are_errors_of_ours(tmp_path: Path, blob: bytes, magic: bytes, ending: str) -> None:
    _read_or_refused(tmp_path / f"fuzz{ending}", magic + blob)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), ending=ENDINGS, is_legacy=st.booleans())
def test_edited_files_are_errors_of_ours_or_still_latents(
    tmp_path: Path, data: st.DataObject, ending: str, is_legacy: bool
) -> None:
    blob = bytearray(_whole(".pt" if ending == ".bin" else ending, is_legacy))
    for _ in range(data.draw(st.integers(0, 5))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.one_of(st.just(len(blob)), st.integers(0, len(blob))))
    _read_or_refused(tmp_path / f"fuzz{ending}", bytes(blob[:length]))
