"""solve_head(): the last convolution of a network between latents, by least squares on what its trunk gives."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from latentfit.errors import TrainError
from latentfit.fit.moments import Moments
from latentfit.fit.solver import Solution, solve
from latentfit.maps.scales import is_any_factor, network_of
from latentfit.nets.any_scale_upscaler import AnyUpscaler
from latentfit.nets.interposer import Interposer
from latentfit.nets.shared_trunk import convolutions
from latentfit.nets.upscaler import Upscaler
from latentfit.pairs.joined import JoinedStores, SamplePair
from latentfit.pairs.store import Split

ENOUGH_CELLS = 200_000
_FOLDS, _CELLS_AT_ONCE = 4, 1 << 13


@torch.no_grad()
def solve_head(
    network: nn.Module,
    joined: Sequence[JoinedStores],
    split: Split,
    weights: Mapping[str, float],
    n_cells: int = ENOUGH_CELLS,
) -> Solution:
    """Set the last convolution so that skip and network together err least, and say how well they do.

    Parameters
    ----------
    network : Interposer, Upscaler, AnyUpscaler, or an AtScale of it
        In the model domain; changed in place.
    joined : sequence of JoinedStores
        Pairs to fit on; of any-factor networks at several scales.
    split : {"train", "test", "all"}
    weights : mapping of str to float
        What pictures of a kind count, relative to 1.
    n_cells : int
        About so many of the target's cells are looked at, of pictures spread over all: features are many, unknowns few.

    Returns
    -------
    Solution
        Its ridge is chosen on left-out pictures.

    Raises
    ------
    TrainError
        When the network is none of ours, or there is no pair.
    """
    inner = network_of(network)
    if not isinstance(inner, Interposer | Upscaler | AnyUpscaler):
        raise TrainError(f"{type(inner).__name__}", expected="a network of ours to solve the last convolution of")
    last = convolutions(inner)[2]
    last.weight.zero_()
    assert last.bias is not None
    last.bias.zero_()
    came: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, inputs: came.append(inputs[0]))
    moments = Moments(last.in_channels * 9, last.out_channels, _FOLDS)
    try:
        for one in joined:
            for source, target, fold, weight in _spread(one, split, weights, n_cells // len(joined)):
                skipped = network(source, tuple(target.shape[-2:])) if is_any_factor(network) else network(source)
                moments.add(_rows(came.pop(), target - skipped, weight), fold)
    finally:
        hook.remove()
    solution = solve(moments)
    values = torch.from_numpy(solution.coefficients).float()
    last.weight.copy_(values[1:].T.reshape(last.weight.shape))
    last.bias.copy_(values[0])
    return solution


def _spread(
    joined: JoinedStores, split: Split, weights: Mapping[str, float], n_cells: int
) -> "list[tuple[Tensor, Tensor, int, float]]":
    """(source, target, fold, weight) of pairs that are spread over the split, a picture in one fold."""
    pairs = [pair for pair in joined.split(split) if weights.get(pair.source.kind, 1.0) > 0]
    if not pairs:
        raise TrainError(f"{joined}: no pair to solve the last convolution on", remedy="collect more pictures")
    total = sum(rows * wide for rows, wide in (pair.target.size_cells for pair in pairs))
    chosen = pairs[:: max(1, total // n_cells)]
    groups: dict[tuple[int, float], list[SamplePair]] = {}
    for pair in chosen:
        fold = int(pair.source.leader[:8], 16) % _FOLDS
        groups.setdefault((fold, weights.get(pair.source.kind, 1.0)), []).append(pair)
    return [
        (source.latents.float(), target.latents.float(), fold, weight)
        for (fold, weight), members in groups.items()
        for source, target in joined.batches(members, n_cells=_CELLS_AT_ONCE)
    ]


def _rows(features: Tensor, wanted: Tensor, weight: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Ones, neighbourhoods of features and targets, ``(1 + terms + targets, cells)``, each cell counted by weight."""
    terms = unfold(features, 3, padding=1).movedim(0, 1).flatten(1)
    targets = wanted.movedim(0, 1).flatten(1)
    rows = torch.cat([torch.ones(1, terms.shape[1]), terms, targets]).double() * weight**0.5
    return np.ascontiguousarray(rows.numpy())
