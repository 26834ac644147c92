"""What a page sees of a widget: anywidget's side of it, or nothing where that is not installed: a still picture."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from latentfit.errors import LatentfitWarning

if TYPE_CHECKING or find_spec("anywidget"):
    import anywidget
    import traitlets

    class PageSide(anywidget.AnyWidget):
        """A widget over ``widgets.js``; ``kind``, ``page`` and ``now`` are the page's, too."""

        _esm = Path(__file__).with_name("widgets.js")
        _css = Path(__file__).with_name("widgets.css")
        kind = traitlets.Unicode().tag(sync=True)
        page = traitlets.Dict().tag(sync=True)
        now = traitlets.Dict().tag(sync=True)

else:
    warnings.warn(
        LatentfitWarning("anywidget is not installed: widgets are still pictures", remedy="pip install anywidget"),
        stacklevel=2,
    )

    class PageSide:
        """Keeps what a page would be told, and tells nobody: `still`, `code` and `data` work."""

        def __init__(self, kind: str, page: dict[str, Any]) -> None:
            self.kind, self.page, self.now, self.model_id = kind, page, {}, uuid4().hex

        def on_msg(self, callback: Callable[..., None]) -> None:
            """Do nothing: without a page there are no messages."""

        def send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
            """Do nothing: there is nobody to send to."""

        def _repr_mimebundle_(self, **kwargs: Any) -> None:
            """No widget to show."""
