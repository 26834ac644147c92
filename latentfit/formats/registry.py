"""Every architecture that a file may hold: those of `nets`, the fitted polynomials, and what stands beside a palette.

What a module is called in a saved map's header, and how it is built again from its config, derive from the rows.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from latentfit.errors import BadFileError
from latentfit.fit import polynomial_map
from latentfit.maps.scales import AtScale, is_any_factor, network_of
from latentfit.nets.architecture import Architecture, architectures, by_kind
from latentfit.nets.model_domain import ModelDomain
from latentfit.palettes import decoder

ARCHITECTURES: Mapping[str, Architecture] = by_kind(
    [*polynomial_map.ARCHITECTURES, *decoder.ARCHITECTURES, *architectures().values()]
)
"""Kind -> its row; those of other folders register here, for imports run one way."""
KINDS: Mapping[str, Callable[[dict[str, Any]], nn.Module]] = {
    kind: row.built for kind, row in ARCHITECTURES.items() if row.is_saved
}
"""Kind in the header of a saved map -> how its module is rebuilt from the config."""
_ROWS = {row.network: row for row in ARCHITECTURES.values()}


def architecture_of(network: nn.Module) -> Architecture:
    """The row of a network.

    Raises
    ------
    BadFileError
        When it has none.
    """
    if type(network) not in _ROWS:
        raise BadFileError(
            "network", expected=f"one of {', '.join(sorted(ARCHITECTURES))}", got=f"{type(network).__name__}"
        )
    return _ROWS[type(network)]


def described(module: nn.Module) -> tuple[nn.Module, dict[str, Any]]:
    """The network inside its wrappers, and what a header says of both: kind, config, domain, whether any factor.

    Raises
    ------
    BadFileError
        When the network has no reader, so that nobody could load the file.
    """
    header: dict[str, Any] = {}
    if is_any_factor(module):
        module, header = network_of(module), {"any_factor": True}
    if isinstance(module, ModelDomain):
        module, header = module.network, {**header, "domain": module.numbers}
    row = _ROWS.get(type(module))
    if row is None or not row.is_saved:
        raise BadFileError(
            "save",
            expected=f"a module of kind {', '.join(sorted(KINDS))}",
            got=f"{type(module).__name__}",
            remedy="save its state_dict yourself",
        )
    return module, {"kind": row.kind, "config": module.config(), **header}  # type: ignore[operator]


def wrapped(network: nn.Module, header: Mapping[str, Any]) -> nn.Module:
    """A network in the wrappers that `described` took off."""
    if "domain" in header:
        network = ModelDomain(network, **header["domain"])
    return AtScale(network, header["scale"]) if header.get("any_factor") else network
