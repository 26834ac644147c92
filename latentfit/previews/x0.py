"""The picture that a denoiser expects: x0, read off one step of a diffusers scheduler."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_type_hints

import torch
from torch import Tensor

from latentfit.errors import PreviewError

Schedule = Literal["ve", "flow"]
_Kind = Literal["flow", "trigonometric", "preconditioned", "indexed", "sigmas", "cumulative", "ipndm", "consistency"]

_FLOW = (
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "FlowMatchLCMScheduler",
    "LTXEulerAncestralRFScheduler",
)
"""Schedulers whose model gives noise - x0 at ``(1 - sigma) * x0 + sigma * noise``; nothing in their config says so.

Where the config inverts the sigmas (Mochi) they are the share of x0, and the model gives x0 - noise.
"""


@dataclass(frozen=True)
class X0:
    """A denoiser's estimate of x0.

    Attributes
    ----------
    latents : Tensor
        In the layout of the pipeline, float32, detached.
    sigma : float
        Strength of the noise in what the model saw. "ve": relative to x0, as k-diffusion counts it, for every scheduler
        of epsilon, v or sample prediction. "flow": its share, 0 to 1.
    schedule : {"ve", "flow"}
    """

    latents: Tensor
    sigma: float
    schedule: Schedule


@dataclass(frozen=True)
class _Level:
    """What the model saw: ``alpha * x0 + sigma * noise``."""

    alpha: float
    sigma: float


class X0Reader:
    """Reads x0 off the steps of one scheduler, without calling anything of it that has a state.

    Where a step itself returns its predicted x0 (DDIM, DDPM, Euler, Heun, LMS, KDPM2, ...), that is it, clipped and
    churned as the scheduler does. Elsewhere (DPM-Solver, UniPC, DEIS, LCM, PNDM, flow matching, ...) it follows from
    sample, output and noise level. It is always the estimate of this very call of the model: second-order schedulers
    (Heun, KDPM2) and PNDM's warm-up call it also on trial points between two steps, and each call is a step here. A
    consistency model's boundary scaling (LCM) is left out.

    Parameters
    ----------
    scheduler : diffusers scheduler

    Raises
    ------
    PreviewError
        When nothing says how this scheduler's model output becomes x0.
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._names = _returned_names(scheduler)
        self._kind = _kind_of(scheduler, self._names)

    def level_before(self) -> float | None:
        """Noise level of a second-order scheduler's trial point, to be asked before the step; None on other steps."""
        scheduler = self._scheduler
        if self._kind != "sigmas" or getattr(scheduler, "state_in_first_order", True):
            return None
        middle = getattr(scheduler, "mid_point_sigma", None)  # DPM-Solver SDE
        between = getattr(scheduler, "sigmas_interpol", None)  # KDPM2
        if middle is not None:
            return float(middle)
        if between is None:
            return None  # Heun: its sigmas have an entry for each call
        ancestral = getattr(scheduler, "sigmas_up", None) is not None
        return float(between[scheduler.step_index - int(ancestral)])

    @torch.no_grad()
    def read(self, arguments: Mapping[str, Any], output: Any, trial_sigma: float | None = None) -> X0:
        """x0 of the step that was just made.

        Parameters
        ----------
        arguments : mapping
            Arguments of the scheduler's `step` by name: model_output, timestep, sample.
        output
            What `step` returned.
        trial_sigma : float or None
            What `level_before` said.
        """
        sample, predicted = arguments["sample"].float(), arguments["model_output"].float()
        if predicted.ndim > 3 and predicted.shape[1] == 2 * sample.shape[1]:
            predicted = predicted[:, : sample.shape[1]]  # the other half is a learned variance
        own = self._own(output)
        if self._kind == "flow":
            return self._of_flow(sample, predicted, arguments)
        if self._kind == "trigonometric":
            angle = float(self._scheduler.timesteps[self._index()])
            deviation = float(self._scheduler.config.sigma_data)
            x0 = math.cos(angle) * sample - math.sin(angle) * predicted
            return X0(x0 / deviation, math.tan(angle), "ve")  # its samples are latents times sigma_data
        if self._kind == "ipndm":  # its model predicts v, at alpha² + beta² = 1
            index = self._index()
            level = _Level(float(self._scheduler.alphas[index]), float(self._scheduler.betas[index]))
            x0 = _solved(sample, predicted, level, "v_prediction")
            return X0(x0, level.sigma / level.alpha if level.alpha else math.inf, "ve")
        if self._kind == "consistency":
            sigma = float(self._scheduler.sigmas[self._index()])
            skip, out = self._scheduler.get_scalings_for_boundary_condition(self._scheduler.sigmas[self._index()])
            x0 = skip * sample + out * predicted
            return X0(x0.clamp(-1, 1) if self._scheduler.config.clip_denoised else x0, sigma, "ve")
        if self._kind in ("preconditioned", "sigmas"):
            sigma = float(self._scheduler.sigmas[self._index()]) if trial_sigma is None else trial_sigma
            x0 = own if own is not None else self._scheduler.precondition_outputs(sample, predicted, sigma)
            return X0(x0.detach().float(), sigma, "ve")
        level = self._level(arguments["timestep"])
        kind = str(self._scheduler.config.prediction_type)
        x0 = own if own is not None else self._clipped(_solved(sample, predicted, level, kind))
        if kind == "flow_prediction":
            return X0(x0.detach().float(), level.sigma, "flow")
        return X0(x0.detach().float(), level.sigma / level.alpha if level.alpha else math.inf, "ve")

    def _of_flow(self, sample: Tensor, predicted: Tensor, arguments: Mapping[str, Any]) -> X0:
        per_token = arguments.get("per_token_timesteps")
        if per_token is None:
            sigma = float(self._scheduler.sigmas[self._index()])
            if self._scheduler.config.get("invert_sigmas"):
                return X0(sample + (1 - sigma) * predicted, 1 - sigma, "flow")
            return X0(sample - sigma * predicted, sigma, "flow")
        sigmas = per_token[..., None].float() / self._scheduler.config.num_train_timesteps
        return X0(sample - sigmas * predicted, float(sigmas.max()), "flow")

    def _index(self) -> int:
        """Of the step that was just made: schedulers count on before they return."""
        return int(self._scheduler.step_index) - 1

    def _level(self, timestep: Any) -> _Level:
        scheduler = self._scheduler
        if self._kind == "indexed":
            alpha, sigma = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[self._index()])
            return _Level(float(alpha), float(sigma))
        kept = float(scheduler.alphas_cumprod[int(torch.as_tensor(timestep).flatten()[0])])
        return _Level(math.sqrt(kept), math.sqrt(1 - kept))

    def _own(self, output: Any) -> Tensor | None:
        """The x0 that the step returned, in a tuple or by name."""
        if "pred_original_sample" not in self._names:
            return None
        if isinstance(output, tuple):
            return output[self._names.index("pred_original_sample")] if len(output) == len(self._names) else None
        found: Tensor | None = output.pred_original_sample
        return found

    def _clipped(self, x0: Tensor) -> Tensor:
        """As schedulers that clip do inside."""
        config = self._scheduler.config
        if config.get("thresholding"):
            thresholded: Tensor = self._scheduler._threshold_sample(x0)
            return thresholded
        limit = float(config.get("clip_sample_range") or 1.0)
        return x0.clamp(-limit, limit) if config.get("clip_sample") else x0


def _solved(sample: Tensor, predicted: Tensor, level: _Level, kind: str) -> Tensor:
    """x0 from ``sample = alpha * x0 + sigma * noise`` and what the model predicts."""
    if kind == "epsilon":
        return (sample - level.sigma * predicted) / level.alpha
    if kind == "v_prediction":
        return level.alpha * sample - level.sigma * predicted
    if kind == "flow_prediction":
        return sample - level.sigma * predicted
    if kind in ("sample", "original_sample"):
        return predicted
    raise PreviewError(
        "prediction_type",
        expected="epsilon, v_prediction, sample or flow_prediction",
        got=f"{kind!r}",
        remedy="set it in the scheduler's config",
    )


def _kind_of(scheduler: Any, names: tuple[str, ...]) -> _Kind:
    import diffusers

    flow = tuple(kind for name in _FLOW if isinstance(kind := getattr(diffusers, name, None), type))
    if isinstance(scheduler, flow):
        return "flow"
    if isinstance(scheduler, diffusers.SCMScheduler):
        return "trigonometric"
    if isinstance(scheduler, diffusers.IPNDMScheduler):
        return "ipndm"
    if isinstance(scheduler, diffusers.CMStochasticIterativeScheduler):
        return "consistency"
    if callable(getattr(scheduler, "precondition_outputs", None)):
        return "preconditioned"
    if callable(getattr(scheduler, "_sigma_to_alpha_sigma_t", None)):
        return "indexed"
    if getattr(scheduler, "sigmas", None) is not None and "pred_original_sample" in names:
        return "sigmas"
    if getattr(scheduler, "alphas_cumprod", None) is not None:
        return "cumulative"
    raise PreviewError(
        "scheduler",
        expected="one of epsilon, v, sample or flow prediction",
        got=f"{type(scheduler).__name__}, whose x0 cannot be told",
        remedy=("take another, such as Euler or DDIM for diffusion and FlowMatchEuler for flow matching"),
    )


def _returned_names(scheduler: Any) -> tuple[str, ...]:
    """Fields of what `step` returns, in the order of its tuple; () where its annotation does not say."""
    try:
        returned = get_type_hints(type(scheduler).step).get("return")
    except (NameError, TypeError, AttributeError):
        return ()
    for kind in (returned, *get_args(returned)):
        if is_dataclass(kind):
            return tuple(one.name for one in fields(kind))
    return ()
