"""What a bounded fit says of itself: residual and r2 of true targets, and whether it converged."""

import numpy as np
import pytest
import torch

import latentfit as lf
from latentfit.cli import solution_line
from latentfit.fit import censored as module


def clipped_material(loud: float = 0.8) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents, and colours that a linear law gives but for clipping."""
    latents = torch.randn(24, 4, 6, 6)
    mixing = torch.tensor([[0.4, 0.1, 0.0, 0.2], [0.0, 0.3, -0.2, 0.1], [0.1, 0.0, 0.3, 0.0]]) * loud
    noise = 0.02 * torch.randn(24, 3, 6, 6)
    return latents, (torch.einsum("oc,nchw->nohw", mixing, latents) + 0.5 + noise).clamp(0, 1)


def test_residual_and_r2_are_of_the_true_targets() -> None:
    latents, rgb = clipped_material()
    fitted = lf.ChannelMap("affine", ridge=0.0).fit_arrays(latents, rgb, space="sd1")
    shown = fitted.approximation()(latents).double().numpy()  # clamped, as it is shown
    truth = rgb.double().numpy()
    error = np.square(2 * (shown - truth)).mean()  # in the signed range
    spread = np.square(2 * (truth - truth.mean((0, 2, 3), keepdims=True))).mean()
    assert fitted.solution_.residual == pytest.approx(np.sqrt(error), rel=1e-5)
    assert fitted.solution_.r2 == pytest.approx(1 - error / spread, rel=1e-5)
    assert fitted.solution_.residual < fitted.plain_.residual  # which does not know of clipping
    assert fitted.solution_.converged
    assert 1 < fitted.solution_.n_passes < module.PASSES
    assert fitted.plain_.n_passes == 0


def test_weights_count_in_the_evidence() -> None:
    latents, rgb = clipped_material()
    examples = lf.ChannelMap("affine", ridge=0.0, censored=True)
    examples._weight = lambda kind: 0.25  # type: ignore[method-assign]
    quarter = examples.fit_arrays(latents, rgb, space="sd1").solution_
    whole = lf.ChannelMap("affine", ridge=0.0).fit_arrays(latents, rgb, space="sd1").solution_
    assert (quarter.residual, quarter.r2) == (pytest.approx(whole.residual), pytest.approx(whole.r2))


def test_a_fit_that_has_not_converged_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PASSES", 2)
    latents, rgb = clipped_material(6.0)  # nine in ten values at a bound
    fitted = lf.ChannelMap("affine").fit_arrays(latents, rgb, space="sd1")
    assert not fitted.solution_.converged
    assert fitted.solution_.n_passes == 2
    card = fitted.approximation().card
    assert card["converged"] is False
    assert "had not converged after 2 passes" in solution_line(card)


def test_a_plain_fit_and_one_that_converged_say_nothing() -> None:
    latents, rgb = clipped_material()
    for bounded in (False, True):
        card = lf.ChannelMap("affine", censored=bounded).fit_arrays(latents, rgb, space="sd1").approximation().card
        assert "converged" not in card
        assert "converged" not in solution_line(card)
        assert "r2" in solution_line(card)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_pictures_of_one_colour_converge(level: float) -> None:
    fitted = lf.ChannelMap("affine").fit_arrays(torch.randn(8, 4, 6, 6), torch.full((8, 3, 6, 6), level), space="sd1")
    assert fitted.solution_.converged
    assert fitted.solution_.residual == pytest.approx(0, abs=1e-6)
