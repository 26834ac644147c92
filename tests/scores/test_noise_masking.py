"""How much noise covers an error."""

import pytest
import torch

from latentfit.scores import ErrorBands, Schedule, masking_strength, sigma_at


def test_white_noise_has_energy_one_in_every_band() -> None:
    noise = torch.randn(8, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    bands = ErrorBands().add(noise, torch.zeros_like(noise))
    assert bands.energy[4:].sub(1).abs().max() < 0.2  # the lowest hold few coefficients
    assert bands.frequencies.diff().min() > 0


def test_a_constant_offset_is_all_in_the_lowest_band() -> None:
    true = torch.randn(1, 4, 16, 16)
    bands = ErrorBands().add(true + 0.5, true)
    assert bands.energy[0] > 1
    assert bands.energy[1:].max() < 1e-12
    assert bands.sigma == pytest.approx(0.5 * 16)  # a mean over 256 cells stands out 16 times as far


def test_pooling_does_not_depend_on_the_order() -> None:
    a, b = torch.randn(2, 4, 16, 16), torch.randn(1, 4, 16, 24)
    one = ErrorBands().add(a, a * 0).add(b, b * 0)
    two = ErrorBands().add(b, b * 0).add(a[:1], a[:1] * 0).add(a[1:], a[1:] * 0)
    torch.testing.assert_close(one.energy, two.energy)


def test_strengths() -> None:
    assert masking_strength(1.0, "flow") == 0.5
    strengths = [masking_strength(sigma, "sd") for sigma in (0.01, 0.5, 1.0, 14.0, 100.0)]
    assert strengths == sorted(strengths)
    assert strengths[-1] == 1.0
    assert 0.3 < strengths[2] < 0.5  # sigma 1 lies at about step 400 of Stable Diffusion's 1000


@pytest.mark.parametrize("schedule", ["sd", "flow"])
@pytest.mark.parametrize("strength", [0.001, 0.1, 0.5, 0.9])
def test_a_strengths_noise_is_buried_by_it(schedule: Schedule, strength: float) -> None:
    assert masking_strength(sigma_at(strength, schedule), schedule) == pytest.approx(strength)


def test_a_strength_without_signal_is_refused() -> None:
    for strength, schedule in ((0.0, "sd"), (1.2, "sd"), (1.0, "flow")):
        with pytest.raises(ValueError, match="strength"):
            sigma_at(strength, schedule)
