"""The front page: the README's first screen, so that the two can never say different things."""

from collections.abc import Callable

from recipes.site.sources import ROOT, outside_code

PLACE = "<!-- the README's first screen -->"


def first_screen(readme: str) -> str:
    """Everything below a README's title and above its first section.

    Raises
    ------
    ValueError
        When there is no title, or no section below it.
    """
    title, _, rest = readme.partition("\n")
    section = next((line for line in outside_code(rest) if line.startswith("## ")), None)
    if not title.startswith("# ") or section is None:
        raise ValueError("README.md: expected a title, a first screen, and sections below it")
    return rest[: rest.index(f"\n{section}\n")].strip() + "\n"


def filled(page: str, change: Callable[[str], str] = lambda text: text) -> str:
    """docs/index.md with the README's first screen in its place, changed as `change` does."""
    if page.count(PLACE) != 1:
        raise ValueError(f"docs/index.md: expected one line {PLACE}")
    return page.replace(PLACE, change(first_screen((ROOT / "README.md").read_text("utf-8"))))
