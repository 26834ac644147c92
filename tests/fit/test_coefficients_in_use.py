"""A closed form shows the coefficients that it was given last, whatever it has kept ready of others."""

import pytest
import torch
from torch import Tensor

from latentfit.fit import PolynomialMap

LATENTS = torch.tensor([0.5, -1.0, 2.0, 0.25])[None, :, None, None]


def values(factor: float) -> Tensor:
    """Each colour, signed, is `factor` times the first latent and 0.1 more."""
    coefficients = torch.zeros(5, 3, dtype=torch.float64)
    coefficients[0], coefficients[1] = 0.1, factor
    return coefficients


def shown(module: PolynomialMap, dtype: torch.dtype = torch.float32) -> Tensor:
    with torch.no_grad():
        return module(LATENTS.to(dtype)).flatten()


@pytest.mark.parametrize("is_loaded", [False, True], ids=["set", "loaded"])
def test_new_coefficients_take_the_place_of_old_ones(is_loaded: bool) -> None:
    module = PolynomialMap(4, (1,)).set_coefficients(values(0.4))
    torch.testing.assert_close(shown(module), torch.full((3,), (0.4 * 0.5 + 0.1) / 2 + 0.5))
    if is_loaded:
        module.load_state_dict(PolynomialMap(4, (1,)).set_coefficients(values(-0.6)).state_dict())
    else:
        module.set_coefficients(values(-0.6))
    torch.testing.assert_close(shown(module), torch.full((3,), (-0.6 * 0.5 + 0.1) / 2 + 0.5))
    in_double = torch.full((3,), (-0.6 * 0.5 + 0.1) / 2 + 0.5, dtype=torch.float64)
    torch.testing.assert_close(shown(module, torch.float64), in_double, rtol=1e-6, atol=0)
    torch.testing.assert_close(shown(module), in_double.float())
