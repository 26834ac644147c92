"""Losses: small callables of a prediction and its target, each a mean that does not depend on the batch's size."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from latentfit.errors import TrainError
from latentfit.scores.similarity import LEAST_MS_SSIM_PX

SSIM_WINDOW = 8


def l1(made: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute error."""
    return (made - target).abs().mean()


def mse(made: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error."""
    return (made - target).square().mean()


def huber(made: Tensor, target: Tensor) -> Tensor:
    """Squared up to an error of 1, linear beyond (Huber 1964)."""
    return nn.functional.huber_loss(made, target)


def charbonnier(made: Tensor, target: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Smooth L1: sqrt(d² + ε²) (Charbonnier et al. 1994)."""
    return ((made - target).square() + epsilon**2).sqrt().mean()


def coarse_mse(made: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of the means over squares of 4 × 4: what is low in frequency, which an eye sees first.

    A network that learns from every frequency alike leaves a little of the lowest ones, where the closed form that it
    stands on leaves none: there noise buries the error later.
    """
    error = made - target
    rows, columns = (max(1, side // 4 * 4) for side in error.shape[-2:])
    side = (min(4, rows), min(4, columns))
    return nn.functional.avg_pool2d(error[..., :rows, :columns], side).square().mean()


def gradient(made: Tensor, target: Tensor) -> Tensor:
    """L1 of the differences between neighbours, across and down: edges, whatever the level."""
    error = made - target
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


def fft(made: Tensor, target: Tensor) -> Tensor:
    """L1 of the orthonormal spectra, real and imaginary parts: every frequency counts alike."""
    error: Tensor = torch.fft.rfft2((made - target).float(), norm="ortho")
    return torch.view_as_real(error).abs().sum(-1).mean()


def hfen(made: Tensor, target: Tensor) -> Tensor:
    """High-frequency error norm: L1 between Laplacians of Gaussians of 1.5 px, 15×15 (Ravishankar & Bresler 2011)."""
    error = (made - target).float()
    at = torch.arange(-7, 8, dtype=torch.float32, device=error.device)
    squares = (at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2)
    bell = torch.exp(-squares)
    kernel = bell * (squares - 1)
    kernel = (kernel - kernel.mean()) / bell.sum()
    n_channels = error.shape[1]
    return nn.functional.conv2d(error, kernel.expand(n_channels, 1, 15, 15), padding=7, groups=n_channels).abs().mean()


def gradient_similarity(made: Tensor, target: Tensor) -> Tensor:
    """1 − GMS (Xue et al. 2014), mean over full and half size: edges as *strong* as the target's, wherever they lie.

    What a pixel loss leaves blurred because it cannot place it to the pixel, this sharpens; a little PSNR pays for it.
    """
    levels = [255 * (0.299 * p[:, 0] + 0.587 * p[:, 1] + 0.114 * p[:, 2]).float()[:, None] for p in (made, target)]
    found = []
    for _ in range(2):
        first, second = (_edge_energy(level) for level in levels)
        product = ((first + 1) * (second + 1)).sqrt()  # + 1: the root has no slope at 0
        found.append((1 - (2 * product + 170) / (first + second + 172)).mean())
        levels = [nn.functional.avg_pool2d(level, 2) for level in levels]
    return torch.stack(found).mean()


def _edge_energy(grey: Tensor) -> Tensor:
    """Squared length of Prewitt's gradient, ``(N, 1, H - 2, W - 2)``."""
    tall, wide = grey[:, :, :-2] - grey[:, :, 2:], grey[..., :-2] - grey[..., 2:]
    across = (tall[..., :-2] + tall[..., 1:-1] + tall[..., 2:]) / 3
    down = (wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]) / 3
    return across.square() + down.square()


def ms_ssim(made: Tensor, target: Tensor) -> Tensor:
    """1 − MS-SSIM (Wang et al. 2003), five scales.

    Raises
    ------
    TrainError
        On pictures smaller than 176 px, borders taken off.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    if min(made.shape[-2:]) < LEAST_MS_SSIM_PX:
        raise TrainError(
            "MS-SSIM",
            expected=f"pictures of {LEAST_MS_SSIM_PX} px or more",
            got=f"{tuple(made.shape[-2:])} with borders taken off",
            remedy="take larger crops",
        )
    similarity = multiscale_structural_similarity_index_measure(made.float(), target.float(), data_range=1.0)
    assert isinstance(similarity, Tensor)
    return 1 - similarity


def ssim(made: Tensor, target: Tensor) -> Tensor:
    """1 − SSIM (Wang et al. 2004), mean over full, half and quarter size: structure of crops too small for MS-SSIM.

    Its windows are squares of 8 px, 4 px apart, as video encoders have them: a sixteenth of the cost of one at every
    pixel. Scales whose sides are shorter than a window are left out.
    """
    pictures, found = (made.float(), target.float()), []
    for _ in range(3):
        if min(pictures[0].shape[-2:]) < SSIM_WINDOW:
            break
        found.append((1 - _ssim_of(*pictures)).mean())
        halves = [nn.functional.avg_pool2d(picture, 2) for picture in pictures]
        pictures = (halves[0], halves[1])
    if not found:
        raise TrainError("SSIM", expected=f"pictures of {SSIM_WINDOW} px or more", got=f"{tuple(made.shape[-2:])}")
    return torch.stack(found).mean()


def _ssim_of(first: Tensor, second: Tensor) -> Tensor:
    """SSIM of each window and channel, pictures in [0, 1]."""

    def mean(values: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(values, SSIM_WINDOW, SSIM_WINDOW // 2)

    a, b = mean(first), mean(second)
    spread = mean(first.square() + second.square()) - a.square() - b.square()
    together = mean(first * second) - a * b
    c1, c2 = 0.01**2, 0.03**2
    return (2 * a * b + c1) * (2 * together + c2) / ((a.square() + b.square() + c1) * (spread + c2))


def feature_matching(made: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Mean L1 over pairs of features, such as a discriminator's levels."""
    return torch.stack([(a - b.detach()).abs().mean() for a, b in zip(made, target, strict=True)]).mean()


def hinge_generator(verdict_on_made: Tensor) -> Tensor:
    """What the generator wants: a high verdict."""
    return -verdict_on_made.mean()


def hinge_discriminator(verdict_on_real: Tensor, verdict_on_made: Tensor) -> Tensor:
    """The discriminator's loss: it wants above 1 on real ones, below −1 on generated ones (Lim & Ye 2017)."""
    return (1 - verdict_on_real).relu().mean() + (1 + verdict_on_made).relu().mean()


PIXEL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1,
    "mse": mse,
    "huber": huber,
    "charbonnier": charbonnier,
    "coarse_mse": coarse_mse,
    "gradient": gradient,
    "fft": fft,
    "hfen": hfen,
    "ms_ssim": ms_ssim,
    "ssim": ssim,
    "gradient_similarity": gradient_similarity,
}
