"""Cards of a verdict: what to take for which program, how much that gains, how sure it is, and the text to paste."""

from collections.abc import Sequence
from dataclasses import dataclass

from latentfit.compare.reports.tables import Link
from latentfit.runtime import escaping


@dataclass(frozen=True)
class Card:
    """What one program should be given.

    Attributes
    ----------
    title : str
        The program.
    eyebrow : str
        What is said of what follows: "take this", or "keep what it ships".
    choice : str
        What to take, in words.
    gain, comparison : str
        How much, and over what: "+5.1 dB", "over what it ships today"; `gain` may be "".
    doubt : str
        The interval, over which pictures.
    link : Link
        The file.
    size : str
        Size of the file.
    how : str
        What to do with it.
    code_mark : str
        Id of the file's text on the page, to copy; "" where it is none, or too long to paste.
    n_lines : int
        Lines of that text.
    is_advised : bool
        Whether it is worth the change.
    """

    title: str
    eyebrow: str
    choice: str
    gain: str
    comparison: str
    doubt: str
    link: Link
    size: str
    how: str
    code_mark: str = ""
    n_lines: int = 0
    is_advised: bool = True


def cards_html(cards: Sequence[Card]) -> str:
    """A grid of cards."""
    return f'<div class="cards">{"".join(map(_card, cards))}</div>'


def _card(card: Card) -> str:
    eyebrow = f'<span class="eyebrow">For {escaping.html(card.title)} {escaping.html(card.eyebrow)}</span>'
    gain = f"<b>{escaping.html(card.gain)}</b> " if card.gain else ""
    kind = "card advised" if card.is_advised else "card"
    size = f'<span class="soft">{escaping.html(card.size)}</span>'
    copy, lines = "", ""
    if card.code_mark:
        copy = copy_button(card.code_mark, card.title)
        lines = f' · <a href="#{escaping.html(card.code_mark)}">see its {card.n_lines} lines</a>'
    return (
        f'<article class="{kind}"><h3>{eyebrow} {escaping.html(card.choice)}</h3>'
        f'<p class="gain">{gain}{escaping.html(card.comparison)}</p>'
        f'<p class="soft">{escaping.html(card.doubt)}</p>'
        f'<div class="file"><p>{card.link.html()} {size}<span class="soft screen">{lines}</span></p>{copy}</div>'
        f'<p class="how">{escaping.html(card.how)}</p></article>'
    )


def copy_button(mark: str, of: str) -> str:
    """Copies the text of the element `mark`; hidden until the page's script runs."""
    unseen = f'<span class="unseen"> the text for {escaping.html(of)}</span>'
    return f'<button type="button" class="copy" data-copies="{escaping.html(mark)}" hidden>Copy{unseen}</button>'


def code_html(mark: str, summary: str, code: str, is_open: bool) -> str:
    """Code folded under its summary; a link to `mark` unfolds it."""
    state = " open" if is_open else ""
    return (
        f'<details{state}><summary>{escaping.html(summary)}</summary><pre id="{escaping.html(mark)}" tabindex="0">'
        f"{escaping.html(code)}</pre></details>"
    )
