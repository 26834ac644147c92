"""Equations as MathML, which browsers draw themselves: no script, no font and no network."""

import re

from latex2mathml.converter import convert

from recipes.site.links import FENCE, outside_of

BLOCK = re.compile(r"(?s)(?<!\\)\$\$(.+?)\$\$")
INLINE = re.compile(r"(?<![\\$\w])\$(?! )([^$\n]+?)(?<! )\$(?![\w$])")


def with_equations(markdown: str) -> str:
    """A text with `$…$` and `$$…$$` outside of code replaced by MathML."""
    return outside_of(FENCE, markdown, _equations)


def _equations(prose: str) -> str:
    prose = BLOCK.sub(lambda match: f"\n{_line(convert(match[1].strip(), display='block'))}\n", prose)
    return INLINE.sub(lambda match: _line(convert(match[1])), prose)


def _line(mathml: str) -> str:
    return re.sub(r"\s*\n\s*", "", mathml)
