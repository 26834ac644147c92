"""How to say in Python where a thing is: the variables of the session that a widget was made in."""

import keyword
import os
import sys
from collections.abc import Mapping
from typing import Any

from latentfit.pairs.store import PairStore

_MOST_WRITTEN = 12


def expression_of(thing: object) -> str | None:
    """A public variable that holds this very thing, or the place in a mapping or list that one holds; or None.

    Examples
    --------
    >>> expression_of(object()) is None
    True
    """
    found = None
    for name, value in list(_session().items()):
        if name.startswith("_") or not name.isidentifier() or keyword.iskeyword(name) or name in ("In", "Out"):
            continue
        if value is thing:
            return name
        if found is None:
            found = _place(name, value, thing)
    return found


def written(value: object) -> str | None:
    """How to write an argument: paths and numbers as they are, a store by its folder, the rest by `expression_of`.

    A short list or tuple that no variable holds is written out, when all of it can be.

    Examples
    --------
    >>> written(("one", "two")), written([1.5, "a.png"]), written([object()])
    ("('one', 'two')", "[1.5, 'a.png']", None)
    """
    if isinstance(value, str | os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, bool | int | float):
        return repr(value)
    if (found := expression_of(value)) is not None:
        return found
    if isinstance(value, PairStore):
        return f"lf.PairStore({str(value.path)!r})"
    if type(value) not in (list, tuple) or not 0 < len(value) <= _MOST_WRITTEN:  # type: ignore[arg-type]
        return None
    parts = [written(each) for each in value]  # type: ignore[attr-defined]
    if None in parts:
        return None
    said = ", ".join(str(part) for part in parts)
    return f"[{said}]" if isinstance(value, list) else f"({said}{',' if len(parts) == 1 else ''})"


def _place(name: str, holder: object, thing: object) -> str | None:
    if isinstance(holder, Mapping) and type(holder).__module__ in ("builtins", "collections"):
        keys = [key for key, value in holder.items() if value is thing and isinstance(key, str | int)]
    elif isinstance(holder, list | tuple):
        keys = [index for index, value in enumerate(holder) if value is thing]
    else:
        keys = []
    return f"{name}[{keys[0]!r}]" if keys else None


def _session() -> dict[str, Any]:
    """Variables of the notebook where there is one, else of the program."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return shell.user_ns if shell is not None else vars(sys.modules["__main__"])
