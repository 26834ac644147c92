"""Architecture: what a registry says of a network, and the registry of those that stand in this folder.

A row stands beside its network, in the same module, in a tuple called ``ARCHITECTURES``. Saved files, the recognition
of other projects' files, their messages and the conformance tests derive from the rows: adding a network is one file.
"""

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from torch import Tensor, nn

from latentfit.errors import BadFileError
from latentfit.nets.state_dict import UNFIT

Gives = Literal["colours", "classes", "logits", "latents", "encoding"]
"""What a network gives: of latents rgb, colours of a palette, logits of its classes or latents; of rgb an encoding.

Networks of logits are saved inside of the one of classes, encoders as their bare weights; the others by their kind.
"""

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """One row of the registry: a network that can be saved, recognised, or both.

    Attributes
    ----------
    kind : str
        Name in the header of a saved map: never changed, or files of before would not load.
    network : type of nn.Module
        Has `config`, which gives its constructor's arguments, JSON-able. A network of pixels says `cell_px`, pixels a
        cell; one of any factor `factors`; one whose weights do not say their factor `at_scale`.
    title : str
        For people, such as "TAESD's decoder".
    gives : str, or callable
        See `Gives`; a callable takes the config, where that tells.
    example : mapping
        The config of a small one, for tests.
    build : callable or None
        Config -> network, its weights drawn from torch's generator; None: the constructor takes the config. The config
        of a network of logits also holds `colours` ``(K, 3)`` uint8, where its constructor has that argument.
    check : callable or None
        (config as it was read, the file for errors) -> the config; None: the types of the constructor's arguments tell.
    recognise : callable or None
        Whether these keys of a file of another project are its, whole or not; None: no other project has it.
    load : callable or None
        Those weights -> the network, float32, in evaluation mode. It may be of a sibling's class, where only shapes
        tell them apart: then both have the same `recognise` and `load`.
    keeps_space : bool
        True for an upscaler between latents, which leads from a space to the same one.
    times : callable
        Network -> the factor by which it wants raw latents multiplied, of an upscaler of another project.
    """

    kind: str
    network: type[nn.Module]
    title: str
    gives: Gives | Callable[[Config], Gives]
    example: Config = field(default_factory=dict)
    build: Callable[[dict[str, Any]], nn.Module] | None = None
    check: Callable[[Any, str], dict[str, Any]] | None = None
    recognise: Callable[[Collection[str]], bool] | None = None
    load: Callable[[Mapping[str, Tensor]], nn.Module] | None = None
    keeps_space: bool = False
    times: Callable[[Any], float] = lambda network: 1.0

    def __post_init__(self) -> None:
        if (self.recognise is None) != (self.load is None):
            raise TypeError(f"{self.kind}: expected both of recognise and load, or neither")

    @property
    def is_saved(self) -> bool:
        """A saved map's header may name it."""
        return self.gives not in ("logits", "encoding")

    def gives_with(self, config: Config) -> Gives:
        """What the network of this config gives."""
        return self.gives(config) if callable(self.gives) else self.gives

    def built(self, config: Config) -> nn.Module:
        """The network of this config, its weights drawn from torch's generator."""
        return self.network(**config) if self.build is None else self.build(dict(config))

    def title_of(self, network: nn.Module) -> str:
        """The title, or what the network itself says where variants have names of their own."""
        return str(getattr(network, "title", self.title))


@lru_cache(maxsize=1)
def architectures() -> Mapping[str, Architecture]:
    """The rows of this folder's modules by kind, in the order of the modules' names.

    Raises
    ------
    TypeError
        When two rows have the same kind or the same network.
    """
    package = importlib.import_module("latentfit.nets")
    rows: list[Architecture] = []
    for module in pkgutil.walk_packages(package.__path__, "latentfit.nets."):
        rows += getattr(importlib.import_module(module.name), "ARCHITECTURES", ())
    return by_kind(rows)


def by_kind(rows: Iterable[Architecture]) -> dict[str, Architecture]:
    """Return the rows by kind.

    Raises
    ------
    TypeError
        When two have the same kind or the same network.
    """
    made: dict[str, Architecture] = {}
    for row in rows:
        same = [other.kind for other in made.values() if other.kind == row.kind or other.network is row.network]
        if same:
            raise TypeError(
                f"architecture {row.kind!r} of {row.network.__name__}: {same[0]!r} has that kind or network"
            )
        made[row.kind] = row
    return made


def recognised_among(rows: Iterable[Architecture], keys: Collection[str]) -> Architecture | None:
    """The row whose keys these are, whole or not; None where they are of none."""
    return next((row for row in rows if row.recognise is not None and row.recognise(keys)), None)


def network_of(row: Architecture, weights: Mapping[str, Tensor]) -> nn.Module:
    """The network that a recognised file's weights belong to, float32, in evaluation mode.

    Raises
    ------
    BadFileError
        When keys or shapes are not its.
    """
    if row.load is None:
        raise BadFileError(row.title, expected="an architecture of another project's files")
    try:
        return row.load(weights)
    except BadFileError:
        raise
    except UNFIT as error:
        raise BadFileError(
            f"keys of {row.title}, but its sizes cannot be told ({error!r})", remedy="is the file whole?"
        ) from error
