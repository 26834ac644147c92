"""Rivals are timed in the memory layout that suits them."""

import time

import pytest
import torch

import latentfit as lf
from latentfit.scores import costs, in_best_layout


def is_channels_last(latents: torch.Tensor) -> bool:
    return latents.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("wants_channels_last", [True, False])
def test_the_faster_layout_is_given(wants_channels_last: bool) -> None:
    latents = torch.randn(1, 4, 6, 7)

    def slow_in_the_other(given: torch.Tensor) -> None:
        torch.testing.assert_close(given, latents)
        if is_channels_last(given) != wants_channels_last:
            time.sleep(0.02)

    assert is_channels_last(in_best_layout(slow_in_the_other, latents)) == wants_channels_last


def test_one_lucky_slow_call_does_not_decide() -> None:
    calls: list[bool] = []

    def first_channels_last_is_interrupted(given: torch.Tensor) -> None:
        calls.append(is_channels_last(given))
        slow = not calls[-1] or calls.count(True) == 2  # its first counted call is slowed by something else
        time.sleep(0.01 if slow else 0)

    found = in_best_layout(first_channels_last_is_interrupted, torch.randn(1, 4, 6, 7), n_trials=3)
    assert is_channels_last(found)
    assert len(calls) == 2 * (1 + 3)


class Slow(torch.nn.Module):
    """Slow unless its latents lie channels-last, as big convolutions do."""

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        time.sleep(0 if is_channels_last(latents) else 0.05)
        return latents[:, :3].clone()


def test_costs_are_those_of_the_better_layout() -> None:
    spent = costs({"slow": lf.Approximation(Slow(), "sd1", name="slow")}, torch.randn(1, 4, 8, 9))
    assert spent["slow"]["ms"] < 40
