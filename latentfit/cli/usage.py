"""A command line that cannot be run, said in one line: what was expected, what came, and the nearest valid name.

The parser draws a page in a box on the standard error stream. It is held back until a command begins; when none does,
the page is read and said in a line.
"""

import difflib
import functools
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO, TypeVar

from latentfit.runtime.escaping import one_line

Parse = Callable[[Sequence[str]], object]
Run = TypeVar("Run", bound=Callable[..., Any])

_KINDS = {"INT": "a whole number", "FLOAT": "a number"}
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class _Written(io.StringIO):
    """Text of the parser, which draws its boxes for the encoding of its stream."""

    encoding = "utf-8"


class _Held(io.StringIO):
    """What is written to the standard error stream before a command begins."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def isatty(self) -> bool:
        """The stream's, so that help is drawn as ever."""
        return self.stream.isatty()


def command(function: Run) -> Run:
    """A command, at whose beginning what was held back is written."""

    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        _release()
        return function(*arguments, **named)

    return run  # type: ignore[return-value]


@contextmanager
def held_until_a_command() -> Iterator[Callable[[], str]]:
    """Hold the standard error stream back; gives what calls for the page that the parser wrote, "" after a command."""
    held = _Held(sys.stderr)
    sys.stderr = held
    try:
        yield lambda: held.getvalue() if sys.stderr is held else ""
    finally:
        if sys.stderr is held:
            sys.stderr = held.stream


def _release() -> None:
    held = sys.stderr
    if isinstance(held, _Held):
        sys.stderr = held.stream
        sys.stderr.write(held.getvalue())


def in_one_line(page: str, arguments: Sequence[str], parse: Parse) -> str:
    """The parser's page as a line.

    Parameters
    ----------
    page : str
        The page as the parser drew it.
    arguments : sequence of str
        The command line.
    parse : callable
        Parses another command line: asked for the help of a command, for the names of its options.
    """
    title, sections = _read(page)
    command_path = _command_path(arguments, parse)
    where = " ".join(["latentfit", *command_path])
    said = _said(title, sections, arguments, functools.partial(_options_of, command_path, parse))
    return one_line(f"{' '.join(command_path) + ': ' if command_path else ''}{said}; see `{where} --help`", 900)


def _said(title: str, sections: list[str], arguments: Sequence[str], options: Callable[[], list[str]]) -> str:
    first = " ".join(sections[0].split()) if sections else ""
    unknown = _unknown(sections)
    if unknown and unknown[0].startswith("-"):
        name = unknown[0].split("=")[0]
        near = difflib.get_close_matches(name, options(), 2, 0.6)
        offer = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(options()) or 'none'}"
        return f"there is no option {_quoted(name)}; {offer}"
    if unknown:
        commands = re.search(r"Available subcommands: (.*)", " ".join(" ".join(sections).split()))
        if commands is None:
            return f"expected no more arguments, got {_quoted(unknown[0])}"
        known = [name.strip() for name in commands[1].split("For full")[0].split(",")]
        near = difflib.get_close_matches(unknown[0], known, 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"expected one of {', '.join(known)}, got {_quoted(unknown[0])}{hint}"
    if title == "Required options":
        listed = [line for line in sections[0].splitlines() if not line.strip().startswith("Missing from")]
        indent = min(len(line) - len(line.lstrip()) for line in listed)
        missing = [line.strip() for line in listed if len(line) - len(line.lstrip()) == indent]
        joined = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        return f"expected {joined}, got {'neither' if len(missing) == 2 else 'none'}"
    if found := re.search(r"Error parsing ([^ :]+):", first):
        return _wrong_value(found[1], " ".join(sections[1:]), arguments)
    if found := re.search(r"Missing value for argument '([^']+)'", first):
        return f"{found[1]}: expected a value, got none"
    if found := re.search(r"for argument '([^']+)'\. Expected one of \((.*?)\)", first):
        allowed = re.findall(r"'([^']*)'", found[2])
        got = _value_of(found[1], arguments)
        if got is None:
            got = next(iter(re.findall(r"invalid choice '(.*)' for argument", first)), "")
        near = difflib.get_close_matches(got, allowed, 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{found[1]}: expected one of {', '.join(allowed)}, got {_quoted(got)}{hint}"
    if found := re.search(r"Expected one of \{(.*?)\}", first):
        return f"expected a command, one of {found[1]}, got none"
    return f"{title[:1].lower()}{title[1:]}: {first}"


def _wrong_value(option: str, helptext: str, arguments: Sequence[str]) -> str:
    """An option whose value is of another type."""
    name = option.split("/")[0]
    kind = re.search(rf"{re.escape(name)} ([A-Z_.]+)", helptext)
    expected = _KINDS.get(kind[1], kind[1]) if kind else "another value"
    return f"{name}: expected {expected}, got {_quoted(_value_of(name, arguments) or 'another')}"


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    """What the command line gives an option."""
    for index, one in enumerate(arguments):
        if one == option:
            return arguments[index + 1] if index + 1 < len(arguments) else ""
        if one.startswith(f"{option}="):
            return one.partition("=")[2]
    return None


def _unknown(sections: list[str]) -> list[str]:
    for section in sections:
        head, colon, rest = section.strip().partition(":")
        if colon and head in ("Unrecognized options", "Unrecognized arguments"):
            return [token.strip(",") for token in rest.split()]
    return []


def _read(page: str) -> tuple[str, list[str]]:
    """Title, and text of the sections, of the parser's box; the last ones, which lead to the help, aside."""
    title, sections = "", [""]
    for line in filter(str.strip, _ESCAPES.sub("", page).splitlines()):
        inner = line.strip("│").removeprefix(" ").rstrip()  # of a stream that is not UTF-8 the box has no sides
        if not title:
            title = line.strip("╭╮─ ")
        elif not inner.strip("─-╰╯ "):
            sections.append("")
        else:
            sections[-1] += f"{inner}\n"
    return title, [one for one in sections if one.strip() and not one.startswith("For full helptext")]


def _command_path(arguments: Sequence[str], parse: Parse) -> list[str]:
    """The command's name; "train decoder" is two words."""
    path: list[str] = []
    for word in arguments[:2]:
        if word.startswith("-") or not re.fullmatch("[a-z-]+", word) or not _help([*path, word], parse):
            break
        path.append(word)
        if word != "train":
            break
    return path


def _options_of(path: Sequence[str], parse: Parse) -> list[str]:
    """The options that a command has, as its help names them."""
    columns = [line[2:].split("  ")[0] for line in _help(path, parse).splitlines() if line.startswith("│ --")]
    return list(dict.fromkeys(name for column in columns for name in re.findall("--[a-z][a-z-]*", column)))


def _help(path: Sequence[str], parse: Parse) -> str:
    """The help of a command; "" where there is no such command."""
    written = _Written()
    with redirect_stdout(written), redirect_stderr(io.StringIO()), suppress(SystemExit):
        parse([*path, "--help"])
    said = _ESCAPES.sub("", written.getvalue())
    return said if re.match(rf"\s*usage: {re.escape(' '.join(['latentfit', *path]))}\b", said) else ""


def _quoted(value: str) -> str:
    return repr(one_line(value, 80))
