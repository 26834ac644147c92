"""Text that came from a file, made safe for the language it is written into: a function a language.

A map's name, its card, a space's name and a picture's name are whatever somebody wrote into a file. Written as they
are, a line break in one becomes a line of the exported program, and an escape sequence is obeyed by the terminal.
"""

import html as html_module
import json
import re
from collections.abc import Callable

MOST_CHARACTERS = 400  # of a text within a program, a table or a page: a name, a reference

Escape = Callable[[str], str]

_SPACES = re.compile(r"\s+")
_COOKIE = re.compile(r"coding(?=[:=])", re.IGNORECASE)
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"  # what a spreadsheet computes, also in the full width it normalises
_CELL_WITHIN = re.compile(rf"([,;\t\"]\s*)(?=[{re.escape(_FORMULA)}])")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~&#!$@{}]|^[+\-]|(?<=\w)(?=://)|(?<=\bwww)(?=\.))", re.IGNORECASE)
_SURROGATES = re.compile("[\ud800-\udfff]")


def one_line(text: object, most: int = MOST_CHARACTERS) -> str:
    r"""One printable line of at most `most` characters.

    White space of every kind, line breaks too, becomes single spaces. What a reader would not see, or what would
    reorder what he sees (control characters, marks of direction, joiners, lone surrogates), becomes its code point in
    brackets.

    Parameters
    ----------
    text : object
        Anything; its `str` is escaped.
    most : int
        A longer text ends in "…".

    Examples
    --------
    >>> one_line("a\nb\x1b[31m")
    'a b[U+001B][31m'
    """
    whole = str(text)
    words = _SPACES.sub(" ", whole[: 4 * most + 1]).strip()
    shown = "".join(map(_visible, words[: most + 1]))
    return f"{shown[: most - 1]}…" if len(shown) > most or len(whole) > 4 * most + 1 else shown


def lines(text: str) -> str:
    """Text of several lines for a terminal: its line breaks and tabs stay, nothing else acts."""
    return "".join(c if c in "\n\t" else _visible(c) for c in text)


def python_comment(text: str) -> str:
    """Escape for a comment of Python, behind its ``#``: no second line, no declaration of an encoding."""
    return _COOKIE.sub(lambda found: f"{found[0]} ", one_line(text))


def c_comment(text: str) -> str:
    """Escape for a comment of C, C++, Metal or Swift: it opens and closes none, and joins no line to it."""
    said = one_line(text).replace("\\", "/").replace("??", "? ?")
    return said.replace("*/", "* /").replace("/*", "/ *")


def markdown(text: str) -> str:
    """Escape for a line or a table's cell of Markdown: no link, no emphasis, no code, no column, no HTML."""
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def csv_cell(value: object) -> object:
    """Escape for a spreadsheet's cell: text that would be computed gets an apostrophe; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    said = one_line(value, 4000)
    return f"'{said}" if said.lstrip("\"' ").startswith(tuple(_FORMULA)) else said


def csv_comment(text: str) -> str:
    """Escape for a comment line of CSV, which a spreadsheet splits at its commas all the same."""
    return _CELL_WITHIN.sub(r"\1'", one_line(text))


def html(text: object) -> str:
    """Escape for HTML and SVG, in an element or a quoted attribute; line breaks and tabs stay."""
    return html_module.escape(lines(str(text)))


def json_in_html(value: object) -> str:
    """JSON for a script element: nothing in it can end the element.

    Raises
    ------
    ValueError
        When a number is NaN or infinite, which JSON cannot say.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _SURROGATES.sub(lambda one: f"\\u{ord(one[0]):04x}", text.replace("<", "\\u003c"))


def identifier(text: str) -> str:
    """A name of a variable, in ASCII: "hunyuan-video" as "hunyuan_video", "7vae" as "_7vae"."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", text)[:64]
    return f"_{name}" if not name or name[0].isdigit() else name


def _visible(character: str) -> str:
    return character if character.isprintable() else f"[U+{ord(character):04X}]"
