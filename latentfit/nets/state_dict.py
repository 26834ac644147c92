"""Weights into a network by key: all of them, none missing and none left over."""

from collections.abc import Callable, Mapping
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from latentfit.errors import BadFileError

Network = TypeVar("Network", bound=nn.Module)
UNFIT = (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError)
"""What making a network raises on shapes of weights that are not its own."""


def loaded(network: Network | Callable[[], Network], weights: Mapping[str, Tensor], title: str) -> Network:
    """The network with these weights, float32, in evaluation mode; `title` names it in errors.

    Parameters
    ----------
    network : nn.Module or callable
        What makes it, where its sizes come from a file: it is made without memory first, so that sizes which the
        weights do not bear out allocate nothing.
    weights : mapping of str to Tensor
    title : str

    Raises
    ------
    BadFileError
        When keys or shapes differ.
    """
    if isinstance(network, nn.Module):
        _check_shapes(network, weights, title)
        made = cast(Network, network)
    else:
        with torch.device("meta"):
            _check_shapes(network(), weights, title)
        made = network()
    for key, tensor in weights.items():
        if not bool(tensor.float().isfinite().all()):
            raise BadFileError(
                f"weights of {title}: tensor {key!r} holds NaN or Inf", remedy="fetch or train them again"
            )
    made.load_state_dict({key: tensor.float() for key, tensor in weights.items()})
    return made.eval().requires_grad_(False)


def whole_numbers_among(given: Mapping[str, Tensor], network: Mapping[str, Tensor]) -> str | None:
    """The name of a tensor of whole numbers or truth values where the network's is floating; None where all fit.

    Read as weights they would be quantised ones without their scale. A network's own counts and places stay whole.
    """
    odd = (key for key, own in network.items() if own.is_floating_point() and not given[key].is_floating_point())
    return next(odd, None)


def _check_shapes(network: nn.Module, weights: Mapping[str, Tensor], title: str) -> None:
    wanted = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    given = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    if wanted != given:
        wrong = sorted(key for key in wanted.keys() | given.keys() if wanted.get(key) != given.get(key))
        raise BadFileError(
            f"weights of {title}",
            expected=f"{len(wanted)} tensors by its keys",
            got=f"{len(given)}, that differ at {', '.join(wrong[:4])}{(', ...' if len(wrong) > 4 else '')}",
            remedy=f"is this the file of {title}?",
        )
    whole = whole_numbers_among(weights, network.state_dict())
    if whole is not None:
        raise BadFileError(
            f"weights of {title}: tensor {whole!r}",
            expected="floating numbers",
            got=f"{weights[whole].dtype}",
            remedy="take the file in float32, float16 or bfloat16",
        )
