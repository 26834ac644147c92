"""Links that are right in the repository, made right in the site.

A page keeps the links that a reader of the repository follows. Here a link to another page of the site leads there, a
picture is copied beside the pages, and a file that the site does not show is named without a link. A link to nothing is
an error.
"""

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from recipes.site.sources import PICTURES, ROOT

LINK = re.compile(
    r"(?<!\\)(?P<mark>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\]\([^()]*\)|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)\)"
)
TAG = re.compile(r"""(?P<head><(?:img|a|source)\b[^>]*?\s(?:src|href|srcset)=["'])(?P<target>[^"']+)(?P<tail>["'])""")
FENCE = re.compile(r"(?ms)^(?P<indent>[ ]*)(?P<fence>`{3,}|~{3,}).*?^(?P=indent)(?P=fence)[ ]*$|`[^`\n]+`")
ELSEWHERE = ("http://", "https://", "mailto:", "data:", "#")


@dataclass
class Rewriter:
    """Rewrites the links of one page.

    Attributes
    ----------
    source : str
        The page's file in the repository, by which its links are read.
    address : str
        The page's address in the site, from which they are written.
    pages : dict of str to str
        Path in the repository -> address in the site.
    pictures : dict of str to str
        Path in the repository -> address in the site, of pictures; those that are found are added.
    broken : list of str
        Targets that are not in the repository.
    """

    source: str
    address: str
    pages: dict[str, str]
    pictures: dict[str, str]
    broken: list[str] = field(default_factory=list)

    def text(self, markdown: str) -> str:
        """A page's text with its links rewritten; code stays as it is."""
        return outside_of(FENCE, markdown, self._links)

    def _links(self, prose: str) -> str:
        return TAG.sub(self._tag, LINK.sub(self._link, prose))

    def _link(self, match: re.Match[str]) -> str:
        mark, text, target = match["mark"], match["text"], match["target"]
        if not mark:
            text = LINK.sub(self._link, text)
        address = self.resolved(target)
        if address is None:
            return text if not mark else match[0]
        return f"{mark}[{text}]({address})"

    def _tag(self, match: re.Match[str]) -> str:
        address = self.resolved(match["target"])
        if address is None:
            return f"{match['head']}#{match['tail']}"
        # MkDocs rewrites links of Markdown; raw HTML it leaves alone, so a page's ending is set here
        return f"{match['head']}{re.sub(r'[.]md(?=#|$)', '.html', address)}{match['tail']}"

    def resolved(self, target: str) -> str | None:
        """A target as the site has it; None for what the repository has and the site does not show."""
        if target.startswith(ELSEWHERE):
            return target
        path, _, anchor = target.partition("#")
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(self.source), unquote(path)))
        if inside in self.pages:
            return self._from_here(self.pages[inside]) + (f"#{anchor}" if anchor else "")
        if (ROOT / inside / "README.md").is_file() and f"{inside}/README.md" in self.pages:
            return self._from_here(self.pages[f"{inside}/README.md"])
        if inside.startswith("..") or not (ROOT / inside).exists():
            self.broken.append(target)
            return target
        if inside.endswith(PICTURES):
            self.pictures.setdefault(
                inside, inside if inside.startswith("figures/") else f"figures/{inside.replace('/', '-')}"
            )
            return self._from_here(self.pictures[inside])
        return None

    def _from_here(self, address: str) -> str:
        return posixpath.relpath(address, posixpath.dirname(self.address) or ".")


def outside_of(kept: re.Pattern[str], text: str, change: Callable[[str], str]) -> str:
    """A text changed everywhere but in what matches a pattern; a match inside of a link's text stays a part of it."""
    found: list[str] = []

    def put_away(match: re.Match[str]) -> str:
        found.append(match[0])
        return f"\x02{len(found) - 1}\x03"

    changed = change(kept.sub(put_away, text))
    return re.sub("\x02(\\d+)\x03", lambda match: found[int(match[1])], changed)
