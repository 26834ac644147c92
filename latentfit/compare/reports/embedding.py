"""The parts of a page that answer the hand: data as JSON, and the ES module that shows it, both inside the page."""

import json
from collections.abc import Mapping
from importlib.resources import files

from latentfit.runtime import escaping

_MOUNT = """
const ofPicture = (key, value) =>
  key === "src" && value[0] === "#" ? document.getElementById(value.slice(1)).src : value;
const block = (id) => JSON.parse(document.getElementById(id).textContent, ofPicture);
for (const slot of document.querySelectorAll("[data-widget]")) {
  const show = () => {
    try {
      const data = block(slot.dataset.block);
      for (const [key, id] of Object.entries(JSON.parse(slot.dataset.shared))) data[key] = block(id);
      mount(slot, slot.dataset.widget, data);
    } catch (error) {
      slot.textContent = `This part could not be drawn: ${error}`;
      console.error(error);
    }
  };
  const fold = slot.closest("details:not([open])");
  if (fold) fold.addEventListener("toggle", show, { once: true });
  else show();
}
"""


def data_block(name: str, value: object) -> str:
    """JSON in a script element that no browser runs; nothing in it can end the element.

    Parameters
    ----------
    name : str
        Identifier in the page.
    value : JSON-able
        Finite numbers only.

    Raises
    ------
    ValueError
        When a number is NaN or infinite, which JSON cannot say.
    """
    return f'<script type="application/json" id="{escaping.html(name)}">{escaping.json_in_html(value)}</script>'


def slot(kind: str, block: str, shared: Mapping[str, str]) -> str:
    """Return the element of a widget of `kind` over the data of `block`; folded ones are drawn when opened.

    Parameters
    ----------
    kind : str
        Kind of the widget, as ``mount`` of ``compare/widgets.js`` takes it.
    block : str
        Name of its `data_block`.
    shared : mapping of str to str
        Key of the data -> name of the block that holds its value, for values that several widgets show.
    """
    attributes = {"data-widget": kind, "data-block": block, "data-shared": json.dumps(dict(shared))}
    said = " ".join(f'{name}="{escaping.html(value)}"' for name, value in attributes.items())
    return (
        f'<div class="widget" {said}>'
        "This part needs JavaScript of this decade; everything else on the page stands without it.</div>"
    )


def widget_style() -> str:
    """Return the style sheet of the widgets."""
    return (files("latentfit.compare.widgets") / "widgets.css").read_text("utf-8")


def widget_code() -> str:
    """The text of the widgets' module, and the lines that mount it on every slot."""
    module = (files("latentfit.compare.widgets") / "widgets.js").read_text("utf-8")
    return f"\n{module}\n{_MOUNT}"


def widget_script() -> str:
    """The widgets' module as the element of a page, with the lines that mount it on every slot."""
    return f'<script type="module">{widget_code()}</script>'
