"""One step of a training, by hand: its gradients, its averaged weights, and the adversary's own turn."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from latentfit.nets import CellDecoder, PatchDiscriminator
from latentfit.train import Objective, RunState, TrainConfig, train

CONFIG = TrainConfig(n_images=8, batch_images=8, lr=1e-2, warmup_images=0, ema_images=20.0, clip=0.0)


class Drawn:
    """Batches that only their images' numbers decide."""

    def batch(self, images: range) -> dict[str, Tensor]:
        generators = [torch.Generator().manual_seed(number) for number in images]
        latents = torch.stack([torch.randn(4, 4, 4, generator=generator) for generator in generators])
        target = torch.stack([torch.rand(3, 32, 32, generator=generator) for generator in generators])
        return {"input": latents, "target": target}


def gradients(checkpoint: Path, weights: dict[str, float], **changes: Any) -> list[list[Tensor]]:
    """Of every optimiser's turn in a run of one step: the network's, then the adversary's."""
    found: list[list[Tensor]] = []

    def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        found.append([one.grad.clone() for group in optimizer.param_groups for one in group["params"]])

    torch.manual_seed(0)
    model, adversary = CellDecoder(4, 8, 1), PatchDiscriminator(3, 4) if "gan" in weights else None
    hook = register_optimizer_step_pre_hook(note)
    try:
        train(model, Objective(weights, adversary), Drawn(), replace(CONFIG, **changes), checkpoint, device="cpu",
              progress=False)  # fmt: skip
    finally:
        hook.remove()
    return found


def test_gradients_of_several_batches_are_those_of_one_large_one(tmp_path: Path) -> None:
    (whole,) = gradients(tmp_path / "a.pt", {"mse": 1.0})
    (parts,) = gradients(tmp_path / "b.pt", {"mse": 1.0}, batch_images=2, accumulate=4)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_the_adversarys_gradients_are_of_its_own_loss_alone(tmp_path: Path) -> None:
    """Whatever the generator's turn left: its weight in that loss changes nothing here."""
    (generator, own), (strong_generator, strong) = (
        gradients(tmp_path / f"{weight}.pt", {"mse": 1.0, "gan": weight}) for weight in (0.1, 10.0)
    )
    assert not torch.equal(generator[0], strong_generator[0])
    for one, other in zip(own, strong, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("seen", "kept"), [(0, 0.5 ** (8 / 0.8)), (92, 0.5 ** (8 / 10)), (10_000, 0.5 ** (8 / 20))])
def test_averages_keep_half_after_so_many_images_and_less_at_the_start(seen: int, kept: float, tmp_path: Path) -> None:
    state = RunState(CellDecoder(4, 8, 1), Objective({"mse": 1.0}), CONFIG, tmp_path / "c.pt", {}, "cpu")
    before = [one.clone() for one in state.averaged.parameters()]
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(1.0)
    state.seen_images = seen
    state.average()
    for one, was in zip(state.averaged.parameters(), before, strict=True):
        torch.testing.assert_close(one, was + (1 - kept))
