"""A VAE that averages cells and mixes colours: fast, exact, and slow on request; run as a script it collects."""

import hashlib
import os
import sys
import time

import torch
from torch import Tensor

import latentfit as lf
from latentfit import runtime as parallel
from latentfit.latents import LatentSpace, get_space

MIXING = torch.tensor([[1.0, 0.2, 0.1], [0.0, 1.0, -0.3], [0.3, 0.0, 1.0], [0.1, -0.2, 0.3]])


class FakeVae:
    """Latents: signed cell means times a matrix, and one channel of contrast."""

    def __init__(self, gain: float = 1.0, seconds: float = 0.0) -> None:
        self.mixing = gain * MIXING
        self.seconds = seconds
        self.space: LatentSpace = get_space("sd1")
        self.name = "fake"
        self.reference = "a fake VAE, standing in for nothing"
        self.fingerprint = hashlib.sha256(self.mixing.numpy().tobytes()).hexdigest()

    def encode(self, rgb: Tensor) -> Tensor:
        time.sleep(self.seconds * len(rgb))
        return torch.einsum("oc,nchw->nohw", self.mixing, torch.nn.functional.avg_pool2d(rgb * 2 - 1, 8))

    def decode(self, latents: Tensor) -> Tensor:
        cells = torch.einsum("co,nohw->nchw", torch.linalg.pinv(self.mixing), latents)
        return ((cells + 1) / 2).repeat_interleave(8, 2).repeat_interleave(8, 3)


def main() -> None:
    """``photos out seconds [map]``: collect, and with a fourth argument fit what was collected."""
    photos, out, seconds, *rest = sys.argv[1:]
    from latentfit.pairs import collector
    from latentfit.pairs import preparation as preparing

    collector.FLUSH_SECONDS = 0.05
    preparing.BATCH_PIXELS = 1
    parallel.start_ranks()
    os.write(1, f"world {parallel.world_size()}\n".encode())  # one write: two ranks share the pipe
    store = lf.collect(FakeVae(seconds=float(seconds)), photos, out, size=48, progress=False)
    if rest:
        fitted = lf.ChannelMap("3").fit(store, "all").approximation()
        if parallel.rank() == 0:
            lf.save(fitted, rest[0])
    parallel.stop_ranks()


if __name__ == "__main__":
    main()
