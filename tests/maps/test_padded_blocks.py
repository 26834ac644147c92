"""Sides that do not divide into a map's blocks: the last row and column are repeated, and nothing dark creeps in."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from latentfit.fit import PolynomialMap
from latentfit.maps import LatentMap, map_latents_in_tiles


class Blocks(nn.Module):
    """The mean of each block of 2×2 cells, on 3×3 cells: a map of scale 3/2 that looks at nothing else."""

    receptive_cells = 0

    def forward(self, latents: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(latents, 2).repeat_interleave(3, 2).repeat_interleave(3, 3)


@pytest.mark.parametrize("size", [(7, 8), (6, 9), (7, 9)])
def test_the_last_row_and_column_are_repeated(size: tuple[int, int]) -> None:
    latents = torch.randn(2, 4, *size, generator=torch.Generator().manual_seed(1))
    enlarged = LatentMap(Blocks(), "sd1", "sd1", Fraction(3, 2))
    rows, columns = (3 * side // 2 for side in size)
    repeated = latents[:, :, [*range(size[0]), size[0] - 1]][..., [*range(size[1]), size[1] - 1]]
    right = torch.zeros(2, 4, rows, columns)
    for row in range(rows):
        for column in range(columns):
            top, left = 2 * (row // 3), 2 * (column // 3)
            right[:, :, row, column] = repeated[:, :, top : top + 2, left : left + 2].mean((2, 3))
    torch.testing.assert_close(enlarged(latents), right)
    torch.testing.assert_close(map_latents_in_tiles(enlarged, latents, 4), right)


def test_latents_of_one_value_stay_so_to_the_last_row() -> None:
    halved = LatentMap(PolynomialMap(4, (3,), n_outputs=4, shrink=2, target="latents"), "sd1", "sd1", Fraction(1, 2))
    values = torch.zeros(1 + 9 * 16, 4, dtype=torch.float64)
    values[1:] = 1 / (9 * 16)  # the mean of all that it sees
    halved.module.set_coefficients(values)
    made = halved(torch.full((1, 4, 9, 7), 1.5))
    torch.testing.assert_close(made, torch.full((1, 4, 4, 3), 1.5))
