"""Weights into a network by key: all of them, none missing and none left over."""

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from latentfit.errors import BadFileError

Network = TypeVar("Network", bound=nn.Module)


def loaded(network: Network, weights: Mapping[str, Tensor], title: str) -> Network:
    """The network with these weights, float32, in evaluation mode; `title` names it in errors.

    Raises
    ------
    BadFileError
        When keys or shapes differ.
    """
    wanted = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    given = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    if wanted != given:
        wrong = sorted(key for key in wanted.keys() | given.keys() if wanted.get(key) != given.get(key))
        raise BadFileError(
            f"weights of {title}: expected {len(wanted)} tensors by its keys, got {len(given)}, that differ at "
            f"{', '.join(wrong[:4])}{', ...' if len(wrong) > 4 else ''}; is this the file of {title}?"
        )
    for key, tensor in weights.items():
        if not bool(tensor.float().isfinite().all()):
            raise BadFileError(f"weights of {title}: tensor {key!r} holds NaN or Inf; fetch or train them again")
    network.load_state_dict({key: tensor.float() for key, tensor in weights.items()})
    return network.eval().requires_grad_(False)
