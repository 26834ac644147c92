"""sharpening_kernel(): the filter that gives back detail at the least squared error, in closed form.

What is trained on squared errors blurs: of detail that it cannot place it draws the mean. A filter brings the energy
back where the network's answer is right in direction and short in length. Among all filters of a side that reach an
energy, the one of least squared error is wanted: a quadratic form under a quadratic constraint, so one multiplier,
found by bisection.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)
_HALVINGS = 60
FLAT_LEVELS = 1.5
"""Standard deviation of luma, of 255 levels, below which a window is flat."""


def sharpening_kernel(pairs: Iterable[tuple[Tensor, Tensor]], energy: float, side: int = 7) -> Tensor:
    """The filter ``(side, side)``, float32, symmetric in all eight turns, its sum 1: flat areas stay what they are.

    Parameters
    ----------
    pairs : iterable of (Tensor, Tensor)
        What a decoder made ``(N, 3, H, W)`` and what it should have, in [0, 1]; equal sizes, rims of no weight.
    energy : float
        Share of the target's energy of luma above half of Nyquist that is to be reached.
    side : int
        Odd.

    Raises
    ------
    ValueError
        When there are no pairs, or the side is even.
    """
    if side % 2 == 0 or side < 3:
        raise ValueError(f"side: expected an odd number of 3 or more, got {side}")
    orbits = _orbits(side)
    n = len(orbits)
    gram, cross = torch.zeros(n, n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    fine, along = torch.zeros(n, n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    wanted = had = 0.0
    for made, real in pairs:
        margin = side // 2
        kernels = (orbits - orbits.sum((1, 2), keepdim=True) * _centre(side)).to(made.dtype)[:, None]
        n_rows = made.shape[0] * 3
        planes = made.reshape(n_rows, 1, *made.shape[-2:])
        features = torch.nn.functional.conv2d(planes, kernels).double()  # (planes, n, H', W')
        inner = [plane[..., margin:-margin, margin:-margin].double() for plane in (made, real)]
        error = (inner[1] - inner[0]).reshape(n_rows, -1)
        flat = features.flatten(2)
        gram += torch.einsum("pif,pjf->ij", flat, flat)
        cross += torch.einsum("pif,pf->i", flat, error)
        luma = torch.tensor(_LUMA, dtype=torch.float64)
        by_picture = features.reshape(made.shape[0], 3, n, *features.shape[-2:])
        spectra = _fine(torch.einsum("pcnhw,c->pnhw", by_picture, luma))
        before, target = (_fine(torch.einsum("pchw,c->phw", one, luma)) for one in inner)
        fine += torch.einsum("pif,pjf->ij", spectra.conj(), spectra).real
        along += torch.einsum("pif,pf->i", spectra.conj(), before).real
        wanted += float(target.abs().square().sum())
        had += float(before.abs().square().sum())
    if not wanted:
        raise ValueError("pairs: expected some with detail, got none")
    gram += 1e-7 * gram.diagonal().mean() * torch.eye(n, dtype=torch.float64)
    # (gram - multiplier * fine) c = cross + multiplier * along, until the energy is there
    highest = 1 / float(torch.linalg.eigvals(torch.linalg.solve(gram, fine)).real.max())
    low, high, found = 0.0, highest, torch.zeros(n, dtype=torch.float64)
    for _ in range(_HALVINGS):
        multiplier = (low + high) / 2
        found = torch.linalg.solve(gram - multiplier * fine, cross + multiplier * along)
        reached = had + float(2 * along @ found + found @ fine @ found)
        low, high = (multiplier, high) if reached < energy * wanted else (low, multiplier)
    kernel = _centre(side) + torch.einsum("n,nhw->hw", found, orbits - orbits.sum((1, 2), keepdim=True) * _centre(side))
    return kernel.float()


def sharpening_floor(pairs: Iterable[tuple[Tensor, Tensor]], kernel: Tensor, share: float = 0.95) -> float:
    """How strong what a filter adds is in areas that should be flat: below it, detail is the decoder's own noise.

    Windows of the filter's side are flat where the target's luma deviates by less than `FLAT_LEVELS` levels. Among what
    the filter adds there (root mean square over a window and the channels) the floor is the quantile `share`.

    Parameters
    ----------
    pairs : iterable of (Tensor, Tensor)
        Pairs as `sharpening_kernel` takes them.
    kernel : Tensor, (side, side)
        What that gave.
    share : float
        Share of the flat windows that are left alone, from 0 to 1.

    Returns
    -------
    float
        In the range of the pictures, [0, 1]; 0 where nothing is flat.
    """
    side, found = len(kernel), []
    margin = side // 2
    weight = torch.eye(3)[..., None, None] * kernel
    for made, real in pairs:
        added = torch.nn.functional.conv2d(made, weight.to(made)) - made[..., margin:-margin, margin:-margin]
        luma = torch.einsum("nchw,c->nhw", real, torch.tensor(_LUMA).to(real))[:, None]
        means = [torch.nn.functional.avg_pool2d(one, side, side) for one in (luma, luma.square())]
        deviation = (means[1] - means[0].square()).clamp_min(0).sqrt()
        strength = torch.nn.functional.avg_pool2d(added.square().mean(1, keepdim=True), side, side).sqrt()
        rows, columns = (min(a, b) for a, b in zip(deviation.shape[-2:], strength.shape[-2:], strict=True))
        is_flat = deviation[..., :rows, :columns] < FLAT_LEVELS / 255
        found.append(strength[..., :rows, :columns][is_flat])
    flat = torch.cat(found) if found else torch.zeros(0)
    return float(torch.quantile(flat, share)) if len(flat) else 0.0


def _orbits(side: int) -> Tensor:
    """Indicators ``(n, side, side)`` of taps that turns and mirrors take into each other, the centre left out."""
    at = torch.arange(side) - side // 2
    first, second = torch.meshgrid(at.abs(), at.abs(), indexing="ij")
    which = torch.maximum(first, second) * side + torch.minimum(first, second)
    kinds = sorted({int(kind) for kind in which.flatten()} - {0})
    return torch.stack([(which == kind).double() for kind in kinds])


def _centre(side: int) -> Tensor:
    centre = torch.zeros(side, side, dtype=torch.float64)
    centre[side // 2, side // 2] = 1
    return centre


def _fine(luma: Tensor) -> Tensor:
    """Spectrum above half of Nyquist ``(..., F)`` under a Hann window, as `latentfit.scores.similarity` measures it."""
    high, wide = luma.shape[-2:]
    window = torch.outer(*(torch.hann_window(n, dtype=luma.dtype) for n in (high, wide)))
    spectrum = torch.fft.rfft2((luma - luma.mean((-2, -1), keepdim=True)) * window)
    down = torch.fft.fftfreq(high).abs()[:, None]
    fine: Tensor = spectrum[..., torch.maximum(down, torch.fft.rfftfreq(wide)) > 0.25]
    return fine
