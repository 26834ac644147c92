"""Where previews appear: a notebook's output that changes in place, or lines in a terminal."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import Any, Literal, Protocol, TextIO

from PIL import Image

from latentfit.errors import PreviewError
from latentfit.previews.frames import jpeg_of
from latentfit.runtime.escaping import lines

ScreenName = Literal["auto", "notebook", "terminal", "none"]
_TEXT_COLUMNS, _TEXT_ROWS = 72, 24


class Screen(Protocol):
    """Shows the previews of one run after another."""

    def begin(self) -> None:
        """A run begins: what was shown of the one before stays."""
        ...

    def show(self, picture: Image.Image, tiles: Image.Image, caption: str) -> None:
        """The newest preview, in the place of the one before; `tiles` are the picture without its caption."""
        ...

    def end(self, summary: str) -> None:
        """Close the display: no more steps will come."""
        ...


class NotebookScreen:
    """One output of the running cell, updated in place."""

    def __init__(self) -> None:
        self._handle: Any = None

    def begin(self) -> None:
        self._handle = None

    def show(self, picture: Image.Image, tiles: Image.Image, caption: str) -> None:
        from IPython.display import Image as Shown
        from IPython.display import display

        shown = Shown(data=jpeg_of(picture), format="jpeg", alt=caption)  # type: ignore[no-untyped-call]
        if self._handle is None:
            self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown)

    def end(self, summary: str) -> None:
        print(lines(summary), flush=True)


class TerminalScreen:
    """A line for each preview; where the terminal has 24-bit colours, also the picture in half blocks, in place.

    Parameters
    ----------
    stream : text stream or None
        None: standard output.
    is_coloured : bool or None
        None: when the stream is a terminal and COLORTERM says ``truecolor`` or ``24bit``.
    """

    def __init__(self, stream: TextIO | None = None, is_coloured: bool | None = None) -> None:
        self._stream = stream or sys.stdout
        self._is_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        says = os.environ.get("COLORTERM", "") in ("truecolor", "24bit")
        self._is_coloured = says and self._is_terminal if is_coloured is None else is_coloured
        self._n_lines = 0

    def begin(self) -> None:
        self._n_lines = 0

    def show(self, picture: Image.Image, tiles: Image.Image, caption: str) -> None:
        if not self._is_coloured:
            return self._write(f"{caption}\n")
        words = textwrap.wrap(caption, shutil.get_terminal_size().columns)  # a line that the terminal breaks is two
        lines = [*half_blocks(tiles, *_text_size(len(words))), *words]
        back = f"\x1b[{self._n_lines}A" if self._n_lines else ""
        self._write(back + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self._n_lines = len(lines)

    def end(self, summary: str) -> None:
        self._write(f"{summary}\n")

    def _write(self, text: str) -> None:
        """The pipeline's progress bar stands in the line where this begins: it is wiped, and draws itself anew."""
        coded = getattr(self._stream, "encoding", None) or "utf-8"  # an ASCII or Windows one has no sigma and no block
        text = text.encode(coded, "replace").decode(coded)
        self._stream.write(f"\r\x1b[K{text}" if self._is_terminal else text)
        self._stream.flush()


class NoScreen:
    """Nothing is shown; what is kept can be looked at afterwards."""

    def begin(self) -> None: ...

    def show(self, picture: Image.Image, tiles: Image.Image, caption: str) -> None: ...

    def end(self, summary: str) -> None: ...


def half_blocks(picture: Image.Image, n_columns: int, n_rows: int) -> list[str]:
    """A picture as lines of ``▀``, each two pixels in 24-bit colour, at most so many columns and rows."""
    ratio = min(n_columns / picture.width, 2 * n_rows / picture.height)
    wide = max(int(picture.width * ratio), 1)
    high = max(int(picture.height * ratio) // 2 * 2, 2)
    small = picture.convert("RGB").resize((wide, high), Image.Resampling.BOX)
    pixels = list(small.tobytes())

    def colour(column: int, row: int) -> str:
        at = 3 * (row * wide + column)
        return ";".join(map(str, pixels[at : at + 3]))

    return [
        "".join(f"\x1b[38;2;{colour(x, y)};48;2;{colour(x, y + 1)}m▀" for x in range(wide)) + "\x1b[0m"
        for y in range(0, high, 2)
    ]


def screen_of(name: ScreenName) -> Screen:
    """The screen of that name; "auto": a notebook's where a notebook runs, else the terminal's.

    Raises
    ------
    PreviewError
        When there is no such screen.
    """
    makers: dict[str, Callable[[], Screen]] = {
        "notebook": NotebookScreen,
        "terminal": TerminalScreen,
        "none": NoScreen,
        "auto": NotebookScreen if _in_notebook() else TerminalScreen,
    }
    if name not in makers:
        raise PreviewError("display", expected=f"one of {', '.join(sorted(makers))}, or a function", got=f"{name!r}")
    return makers[name]()


def _in_notebook() -> bool:
    """Whether a kernel runs this: only then is there somebody to send pictures to."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def _text_size(n_words: int) -> tuple[int, int]:
    """Columns and rows of a picture above so many lines of words and three others."""
    window = shutil.get_terminal_size()
    return min(_TEXT_COLUMNS, window.columns), min(_TEXT_ROWS, max(window.lines - 3 - n_words, 4))
