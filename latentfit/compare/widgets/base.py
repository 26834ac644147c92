"""What every widget has: a page side, an answer to its messages, a still picture, and the call that makes it again."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from latentfit.compare.figures.canvas import Figure
from latentfit.compare.widgets.anywidget_base import PageSide
from latentfit.compare.widgets.page_data import without_bytes
from latentfit.compare.widgets.source_code import expression_of, written
from latentfit.errors import WidgetError

_LIVING: WeakValueDictionary[str, "Widget"] = WeakValueDictionary()


class Widget(PageSide):
    """A widget over ``widgets.js``; each kind of it says how it is drawn still.

    Where anywidget is not installed, it is shown as that still picture.

    Attributes
    ----------
    kind : str
        Kind of the widget, as ``mount`` of ``widgets.js`` takes it.
    page : dict
        What the page begins with; the contract is ``js/types.d.ts``.
    now : dict
        What was changed since, here or on a page: a page that is opened later begins with it.
    still : callable
        The present view as a figure: what stands where no widget can be shown.
    code : callable
        Python that makes the present view again by one call.
    """

    still: Callable[..., Figure]
    code: Callable[[], str]

    def __init__(self, kind: str, page: Mapping[str, Any]) -> None:
        self._handlers: dict[str, Callable[[Mapping[str, Any], Sequence[Any]], None]] = {"code": self._say_code}
        super().__init__(kind=kind, page=dict(page))
        _LIVING[self._short_id] = self
        self.on_msg(self._on_message)

    def data(self) -> dict[str, Any]:
        """The present state for a page without kernel, JSON-able: ``mount(element, kind, data)`` of ``widgets.js``."""
        shown: dict[str, Any] = without_bytes({**self.page, **self.now})
        return shown

    def _post(self, **part: Any) -> None:
        """Send the page a part of its data."""
        buffers: list[bytes] = []
        self.send({"type": "update", "part": _placed(part, buffers)}, buffers)

    def _begin_with(self, **part: Any) -> None:
        """Let pages that are opened from now on begin with a part of the data; those that are open are told apart."""
        self.now = {**self.now, **part}

    def _on_message(self, _: Any, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """A message of the page: say that it was heard, then do it."""
        self.send({"type": "heard", "seq": content.get("seq")})
        ear = self._handlers.get(str(content.get("type")))
        if ear is not None:
            ear(content, buffers)

    def _say_code(self, content: Mapping[str, Any], _: Sequence[Any]) -> None:
        self.send({"type": "answer", "to": content.get("seq"), "text": self.code()})

    @property
    def _short_id(self) -> str:
        return str(self.model_id)[:8]

    def _said(self, *arguments: tuple[str, object]) -> tuple[str, str]:
        """Imports, and an expression that is this widget: its variable, its constructor's call, or its number."""
        if (name := expression_of(self)) is not None:
            return "", name
        said = [(key, written(value)) for key, value in arguments if value is not None]
        if arguments and all(words is not None for _, words in said):
            words = ", ".join(f"{key}={text}" if key else str(text) for key, text in said)
            return "import latentfit as lf\n\n", f"lf.{type(self).__name__}({words})"
        return "from latentfit.compare.widgets import living\n\n", f"living({self._short_id!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, and a still picture of it for whatever shows no widgets."""
        bundle, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        picture = base64.b64encode(self.still()._repr_png_()).decode("ascii")
        return {**bundle, "image/png": picture, "text/plain": repr(self)}, metadata


def living(number: str) -> Widget:
    """The widget of this number, while it lives: for code that a widget without a variable prints.

    Raises
    ------
    WidgetError
        When there is none in this session.
    """
    if number not in _LIVING:
        raise WidgetError(f"no widget {number!r} lives in this session", remedy="run the cell that makes it again")
    return _LIVING[number]


def _placed(value: Any, buffers: list[bytes]) -> Any:
    """Bytes go into `buffers`; ``["$", n]`` stands where the n-th was."""
    if isinstance(value, Mapping):
        return {key: _placed(each, buffers) for key, each in value.items()}
    if isinstance(value, bytes):
        buffers.append(value)
        return ["$", len(buffers) - 1]
    return [_placed(each, buffers) for each in value] if isinstance(value, list | tuple) else value
