"""Threads are as many as before after a while on one, and fits take BLAS's only where they are few."""

import pytest
import torch
from threadpoolctl import threadpool_info

import latentfit
from latentfit.runtime import device_of, one_thread, torch_threads
from tests.support.paths import ROOT


def blas() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_torch_comes_back_whatever_happens() -> None:
    before = torch.get_num_threads()

    def fail() -> None:
        with torch_threads(before + 1):
            raise RuntimeError(f"inside, on {torch.get_num_threads()}")

    with pytest.raises(RuntimeError, match=f"inside, on {before + 1}"):
        fail()
    assert torch.get_num_threads() == before


def test_one_thread_is_torchs_and_blass() -> None:
    with torch_threads(2):
        before = blas()
        with one_thread():
            assert torch.get_num_threads() == 1
            assert set(blas()) <= {1}
        assert (torch.get_num_threads(), blas()) == (2, before)


def test_a_module_lies_where_its_numbers_lie() -> None:
    assert device_of(torch.nn.Conv2d(4, 3, 1, device="meta")).type == "meta"
    assert device_of(torch.nn.BatchNorm2d(4, affine=False, device="meta")).type == "meta"
    assert device_of(torch.nn.Identity()).type == "cpu"


def test_the_version_is_said_once() -> None:
    from latentfit import runtime

    assert latentfit.__version__ == runtime.__version__


def test_only_this_room_sets_threads() -> None:
    setting = {
        path.relative_to(ROOT).as_posix()
        for folder in ("latentfit", "recipes", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if "set_num_threads(" in path.read_text("utf-8")
    }
    # the second sets them for a whole process, which gives way to all others
    assert setting == {"latentfit/runtime/threads.py", "recipes/idle.py"}
