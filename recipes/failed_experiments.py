"""Repeat, in short runs, what those before us report as failing with upscalers: Prodigy with SwinFIR, SSIM on latents.

    python -m recipes.failed_experiments runs/train/sd1-x0.5 runs/train/sd1-maps

The two stores are of one space, the second of twice the sides. Prints the loss and the share of the latents' variance
that is explained on held-out pictures, at the start of each run and as it goes. docs/log.md keeps what came of it.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from pytorch_optimizer import load_optimizer
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from latentfit.nets import SwinFir, UpscalerV2
from latentfit.pairs import JoinedStores, PairStore
from latentfit.train import JoinedCrops, l1, mse

CROP, BATCH, HELD_OUT = 16, 16, 64


def main() -> None:
    """Run them all, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small", type=Path)
    parser.add_argument("large", type=Path)
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    joined = PairStore(options.small).join(PairStore(options.large))
    channels = joined.source.space.channels

    def small_swin() -> nn.Module:
        return SwinFir(channels, 60, (4, 4), 6, 8, 120)

    def city96() -> nn.Module:
        return UpscalerV2(channels)

    runs: list[tuple[str, Callable[[], nn.Module], Callable[[Tensor, Tensor], Tensor], str, float]] = [
        ("SwinFIR, LAMB 3e-4, mse", small_swin, mse, "lamb", 3e-4),
        ("SwinFIR, AdamW 2e-4, l1", small_swin, l1, "adamw", 2e-4),
        ("SwinFIR, Prodigy 1, l1", small_swin, l1, "prodigy", 1.0),
        ("SwinFIR, Prodigy 0.1, l1", small_swin, l1, "prodigy", 0.1),
        ("city96 v2, AdamW 5e-4, l1", city96, l1, "adamw", 5e-4),
        ("city96 v2, AdamW 5e-4, 1 - SSIM", city96, lambda a, b: 1 - similarity(a, b), "adamw", 5e-4),
        ("city96 v2, AdamW 5e-4, 1 - SSIM from 0", city96, lambda a, b: 1 - similarity(a, b, 0.0), "adamw", 5e-4),
    ]  # fmt: skip
    for name, make, loss, optimizer, rate in runs:
        print(name, flush=True)
        tried(joined, make, loss, load_optimizer(optimizer), rate, options.steps)


def similarity(made: Tensor, target: Tensor, least: float = -1.0) -> Tensor:
    """Mean SSIM over latents as if they were pictures; its constants want a range, theirs is what the target spans."""
    maps = ssim(made, target, data_range=float(target.max() - target.min()), reduction="none")
    assert isinstance(maps, Tensor)
    return maps.clamp(min=least).mean()


def tried(
    joined: JoinedStores,
    make: Callable[[], nn.Module],
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: Callable[..., torch.optim.Optimizer],
    rate: float,
    n_steps: int,
) -> None:
    """One run; a line a fifth of it."""
    torch.manual_seed(0)
    network = make()
    steps = optimizer(network.parameters(), lr=rate)
    crops, held_out = JoinedCrops(joined, "train", CROP), JoinedCrops(joined, "test", CROP).batch(range(HELD_OUT))
    started, losses = time.monotonic(), []
    for step in range(n_steps + 1):
        if step % (n_steps // 5) == 0:
            with torch.inference_mode():
                network.eval()
                error = (network(held_out["input"]) - held_out["target"]).square().sum()
                network.train()
            variance = (held_out["target"] - held_out["target"].mean((0, 2, 3), keepdim=True)).square().sum()
            mean = sum(losses) / len(losses) if losses else float("nan")
            print(f"  {step:5} steps: loss {mean:.4f}, R² {1 - error / variance:.3f}", flush=True)
            losses = []
        batch = crops.batch(range(step * BATCH, (step + 1) * BATCH))
        value = loss(network(batch["input"]), batch["target"])
        steps.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        steps.step()
        losses.append(float(value.detach()))
    print(f"  {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
