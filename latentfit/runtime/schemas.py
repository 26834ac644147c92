"""What data from a file may hold: JSON read with bounds, and checks that name the field, what it expected and got.

A check takes a value and where it stands, and gives the value back as it is to be used, or raises `BadFileError`.
Nothing here allocates more than a few times the size of the text that it was given.
"""

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from latentfit.errors import BadFileError, part_of
from latentfit.runtime.escaping import one_line

Check = Callable[[Any, str], Any]

MOST_BYTES = 64 << 20  # of a text of JSON: the hashes of a million training pictures
MOST_VALUES = 1 << 22
MOST_BRACKETS = 1 << 20
MOST_DIGITS = 18  # of a whole number: past them no size, count or index lies
DEEPEST = 32

_SCALE = re.compile(r"\d{1,6}(\.\d{1,9})?|\d{1,6}/\d{1,6}")


def read_json(path: Path, most_values: int = MOST_VALUES, most_bytes: int = MOST_BYTES) -> Any:
    """A file of strict JSON; see `parse_json`.

    Raises
    ------
    BadFileError
        When it is none.
    OSError
        When it cannot be read.
    """
    with path.open("rb") as file:
        return parse_json(file.read(most_bytes + 1), os.fspath(path), most_values, most_bytes)


def parse_json(
    text: str | bytes,
    where: str,
    most_values: int = MOST_VALUES,
    most_bytes: int = MOST_BYTES,
    *,
    has_infinity: bool = False,
) -> Any:
    """Strict JSON: finite numbers, no key twice, bounded in length, depth and number of values.

    Parameters
    ----------
    text : str or bytes
        Bytes are UTF-8.
    where : str
        The file, for errors.
    most_values, most_bytes : int
        Longer texts are refused before they are read.
    has_infinity : bool
        Let ``Infinity`` pass: the sigma of pure noise.

    Raises
    ------
    BadFileError
        When it is no such text.
    """
    if len(text) > most_bytes:
        raise BadFileError(
            place=where, expected=f"at most {most_bytes} bytes of JSON", got=f"{len(text)}", remedy="is this the file?"
        )
    try:
        said = text if isinstance(text, str) else text.decode("utf-8-sig")
        if said.count(",") > most_values or said.count("[") + said.count("{") > most_values // 4:
            raise BadFileError(f"more than {most_values} values of JSON", place=where, remedy="is this the file?")
        read = json.loads(
            said,
            object_pairs_hook=_unique,
            parse_constant=_infinity if has_infinity else _no_constant,
            parse_int=_whole,
            parse_float=_finite,
        )
        _check_depth(read)
    except RecursionError as error:
        raise BadFileError(
            f"JSON nested deeper than {DEEPEST} levels", place=where, remedy="write the file anew"
        ) from error
    except UnicodeDecodeError as error:
        raise BadFileError(
            place=where, expected="JSON in UTF-8", got="other bytes", remedy="write the file anew"
        ) from error
    except json.JSONDecodeError as error:
        raise BadFileError(
            place=where, expected="JSON", got=f"something else ({error})", remedy="write the file anew"
        ) from error
    except _WrongJsonError as error:
        raise BadFileError(f"{error}", place=where, remedy="write the file anew") from error
    return read


class _WrongJsonError(ValueError):
    """What strict JSON refuses, before the file is named."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for index, key in enumerate(keys) if key in keys[:index])
        raise _WrongJsonError(f"the key {shown(twice)} stands there twice")
    return made


def _no_constant(name: str) -> Any:
    raise _WrongJsonError(f"holds NaN or Inf ({name}), expected finite numbers")


def _infinity(name: str) -> Any:
    return math.inf if name == "Infinity" else _no_constant(name)


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise _WrongJsonError(f"expected whole numbers of at most {MOST_DIGITS} digits, got one of {len(digits)}")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _WrongJsonError(f"holds NaN or Inf ({shown(digits)} is none of float's), expected finite numbers")
    return value


def _check_depth(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise _WrongJsonError(f"nested deeper than {DEEPEST} levels")


def shown(value: object) -> str:
    """A value in an error: one printable line, short."""
    if isinstance(value, dict | list | tuple) and len(value) > 8:
        return f"a {'list' if not isinstance(value, dict) else 'mapping'} of {len(value)}"
    if isinstance(value, str):
        return repr(one_line(value, 60))
    return one_line(repr(value), 60)


def wrong(where: str, expected: str, value: object) -> BadFileError:
    """The error for a field."""
    return BadFileError(place=where, expected=f"{expected}", got=f"{shown(value)}", remedy="write the file anew")


def integer(low: int, high: int, odd: bool = False) -> Check:
    """A whole number from `low` to `high`; a truth value is none."""

    def check(value: Any, where: str) -> int:
        if type(value) is not int or not low <= value <= high or (odd and value % 2 == 0):
            raise wrong(where, f"{'an odd' if odd else 'a whole'} number from {low} to {high}", value)
        return value

    return check


def number(low: float = -1e30, high: float = 1e30, nonzero: bool = False) -> Check:
    """A finite number from `low` to `high`, as a float."""

    def check(value: Any, where: str) -> float:
        if type(value) not in (int, float) or not low <= value <= high or (nonzero and abs(value) < 1e-30):
            raise wrong(where, f"a number from {low:g} to {high:g}{', not 0' if nonzero else ''}", value)
        return float(value)

    return check


def flag(value: Any, where: str) -> bool:
    """Check a value that is true or false."""
    if type(value) is not bool:
        raise wrong(where, "true or false", value)
    return value


def text(most: int = 400) -> Check:
    """Text, made one printable line of at most so many characters."""

    def check(value: Any, where: str) -> str:
        if type(value) is not str:
            raise wrong(where, "text", value)
        return one_line(value, most)

    return check


def name(value: Any, where: str) -> str:
    """Text that may stand in a file's name: one printable line, no separator of folders, no hidden file."""
    return re.sub(r"[/\\]|^\.+", "_", text(80)(value, where)) or "unnamed"


def digest(value: Any, where: str) -> str:
    """A SHA-256, or the beginning of one: hexadecimal digits."""
    if type(value) is not str or not re.fullmatch(r"[0-9a-fA-F]{0,128}", value):
        raise wrong(where, "hexadecimal digits", value)
    return value


def one_of(*allowed: Any) -> Check:
    """Return a check that a value is one of these."""

    def check(value: Any, where: str) -> Any:
        if not any(type(value) is type(one) and value == one for one in allowed):
            raise wrong(where, f"one of {', '.join(map(repr, allowed))}", value)
        return value

    return check


def scale(value: Any, where: str) -> Any:
    """A factor between sizes, 1/64 to 64: 8, 1.5, "3/2"."""
    said = str(value) if type(value) in (int, float, str) else ""
    if not _SCALE.fullmatch(said) or re.search(r"/0+$", said):
        raise wrong(where, "a positive number such as 2, 1.5 or '4/3'", value)
    above, _, below = said.partition("/")
    if not 1 / 64 <= float(above) / float(below or 1) <= 64:
        raise wrong(where, "a factor from 1/64 to 64", value)
    return value


def listed(check: Check, most: int, least: int = 0) -> Check:
    """A list of `least` to `most` values that each pass `check`; given back as a tuple."""

    def check_all(value: Any, where: str) -> tuple[Any, ...]:
        if type(value) not in (list, tuple) or not least <= len(value) <= most:
            count = str(most) if least == most else f"{least} to {most}"
            raise wrong(where, f"a list of {count}", value)
        return tuple(check(one, part_of(where, f"[{index}]")) for index, one in enumerate(value))

    return check_all


def optional(check: Check) -> Check:
    """Null, or what passes `check`."""
    return lambda value, where: None if value is None else check(value, where)


def record(
    fields: Mapping[str, Check], required: tuple[str, ...] = (), others: Check | None = None, most: int = 4096
) -> Check:
    """A mapping of these fields; others are refused, or must pass `others`."""

    def check(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > most or not all(type(key) is str for key in value):
            raise wrong(where, "a mapping of names to values", value)
        missing = [key for key in required if key not in value]
        if missing:
            raise BadFileError(f"lacks {', '.join(missing)}", place=where, remedy="write the file anew")
        made = {}
        for key, one in value.items():
            called = one_line(key, 80)
            field = fields.get(key, others)
            if field is None:
                raise BadFileError(
                    f"has an unknown field {called!r}", place=where, remedy="update latentfit, or write the file anew"
                )
            made[called] = field(one, part_of(where, f".{called}"))
        return made

    return check


def plain(value: Any, where: str) -> Any:
    """Any JSON value: texts in it become printable lines."""
    if isinstance(value, str):
        return one_line(value, 4000)
    if isinstance(value, dict):
        return {one_line(key, 200): plain(one, where) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, where) for one in value]
    return value
