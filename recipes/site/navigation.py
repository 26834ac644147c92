"""The menu: mkdocs.yml's `nav`, whose wildcards take in whatever is not named, so that no page is lost."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

WILD = "*"


def expanded(nav: list[Any], addresses: Iterable[str], titles: dict[str, str]) -> list[Any]:
    """A nav with each wildcard replaced by the pages that it matches and that stand nowhere by name.

    A wildcard is an entry with a star, such as "*" (which matches pages of docs/ itself, in no folder) or
    "notebooks/*". A page whose title is known enters under it.
    """
    named = set(_named(nav))
    free = [address for address in addresses if address not in named]
    return [entry for one in nav for entry in _entries(one, free, titles)]


def _named(nav: Any) -> Iterable[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for inside in nav.values():
            yield from _named(inside)
    else:
        for inside in nav:
            yield from _named(inside)


def _entries(entry: Any, free: list[str], titles: dict[str, str]) -> list[Any]:
    if isinstance(entry, dict):
        ((title, inside),) = entry.items()
        if isinstance(inside, str):
            return [entry]
        return [{title: [one for part in inside for one in _entries(part, free, titles)]}]
    if WILD not in entry:
        return [{titles[entry]: entry} if entry in titles else entry]
    matched = [one for one in free if fnmatchcase(one, entry) and one.count("/") == entry.count("/")]
    return [{titles[one]: one} if one in titles else one for one in matched]
