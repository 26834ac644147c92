"""Which files of the repository the site shows, and the address that each has there."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FRONT_PAGE = "index.md"
NOT_PAGES = ("docs/index.md",)
PICTURES = (".png", ".webp", ".jpg", ".jpeg", ".gif", ".svg")


def cards() -> list[Path]:
    """The cards of data/: every Markdown file there."""
    return sorted((ROOT / "data").rglob("*.md"))


def notebooks() -> list[Path]:
    """The committed notebooks, in their order."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def pages() -> dict[str, str]:
    """Path in the repository -> address of its page in the site, of every file that is shown as a page."""
    found = {"README.md": FRONT_PAGE}
    found |= {path.relative_to(ROOT).as_posix(): path.relative_to(DOCS).as_posix() for path in written_pages()}
    found |= {path.relative_to(ROOT).as_posix(): f"notebooks/{path.stem}.md" for path in notebooks()}
    found |= {path.relative_to(ROOT).as_posix(): card_address(path) for path in cards()}
    found |= {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
    return found


def written_pages() -> list[Path]:
    """The pages of docs/ that people write, wherever in it, but for the front page."""
    return sorted(path for path in DOCS.rglob("*.md") if path.relative_to(ROOT).as_posix() not in NOT_PAGES)


def card_address(path: Path) -> str:
    """data/models/UPSCALERS.md -> cards/models-upscalers.md; a README is named by its folder alone."""
    parts = path.relative_to(ROOT / "data").with_suffix("").parts
    kept = parts[:-1] if parts[-1] == "README" else parts
    return f"cards/{'-'.join(kept).lower()}.md"


def title_of(text: str) -> str:
    """The first heading of a page, outside of code."""
    for line in outside_code(text):
        if line.startswith("# "):
            return re.sub(r"[`*]", "", line[2:]).strip()
    raise ValueError("a page of the site begins with a heading")


def outside_code(text: str) -> Iterator[str]:
    """The lines of a Markdown text that no fence holds."""
    fence = ""
    for line in text.splitlines():
        mark = re.match(r"\s*(`{3,}|~{3,})", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip() == fence:
            fence = ""
        elif not fence:
            yield line
