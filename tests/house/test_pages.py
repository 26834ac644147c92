"""The README and docs/: one page, links that lead somewhere, code that fits, numbers and forms in words."""

import json
import re
from pathlib import Path

import pytest

from latentfit.scores import paired_bootstrap
from recipes.cards import wording
from recipes.cards.readme import below_or_above
from tests.support.paths import ROOT

README = ROOT / "README.md"
PAGES = [README, *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name != "index.md")]
"""docs/index.md is the front page of the site, whose links are of the site."""
CARDS = [*sorted((ROOT / "data").rglob("*.md"))]
COLUMNS = 100
EXPLAINED = {"design.md", "log.md", "extending.md"}
"""Pages for those who build: kernels stand there as the code writes them."""


def without_code(text: str) -> str:
    """A page's prose and tables."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^```.*?^```", "", text))


def anchor_of(heading: str) -> str:
    """As GitHub makes it: lower case, words joined by hyphens, without punctuation."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken_links(path: Path) -> list[str]:
    """Relative links of a page to what is not there, and to headings that are none."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists():
            found.append(target)
        elif anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", file.read_text("utf-8"))
            if anchor not in map(anchor_of, headings):
                found.append(target)
    return found


def test_the_readme_is_one_page_and_installs_before_it_is_used() -> None:
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 180
    order = ["figures/hero.webp", "make notebooks", "make test", "autofit --vae", "10_workbench.webp", "I have …"]
    order += [
        "## What each decoder costs",
        "## Install",
        "pip install",
        "conda env",
        "comfyui install",
        "import latent",
    ]
    order += ["<details>", "## What lies where", "## Where to read on"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    decoders = text.split("<!-- decoders -->")[1].split("<!-- /decoders -->")[0]
    assert len(decoders.strip().splitlines()) - 2 <= 6


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    assert broken_links(path) == []


def test_a_broken_link_and_a_missing_heading_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One, two!\n[x](#one-two) [y](#three) [z](b.md) [w](https://example.org)\n")
    assert broken_links(tmp_path / "a.md") == ["#three", "b.md"]


def test_every_page_is_reached_from_the_readme() -> None:
    text = README.read_text("utf-8")
    assert [path.name for path in PAGES[1:] if f"(docs/{path.name})" not in text] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_code_fits_its_columns(path: Path) -> None:
    if path.name in EXPLAINED:
        pytest.skip("shows the package's own code, which has 120 columns")
    blocks = re.findall(r"(?ms)^```[^\n]*\n(.*?)^```", path.read_text("utf-8"))
    assert [line for block in blocks for line in block.splitlines() if len(line) > COLUMNS] == []


@pytest.mark.parametrize("path", [*PAGES, *CARDS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_numbers_and_forms_read_as_people_write_them(path: Path) -> None:
    if path.name in EXPLAINED:
        pytest.skip("written for those who build")
    text = without_code(path.read_text("utf-8"))
    assert re.findall(r"\d\.\d+e[+-]\d+|\de\+\d+", text) == []
    assert re.findall(r"\([1357](?:, [135])+\)|closed form \d|table [\d_]+, nearest", text) == []


@pytest.mark.parametrize("path", [README, ROOT / "docs" / "commands.md"], ids=lambda path: path.name)
def test_make_and_latentfit_know_what_pages_tell_to_run(path: Path) -> None:
    from latentfit.cli import COMMANDS

    blocks = "\n".join(re.findall(r"(?ms)^```sh\n(.*?)^```", path.read_text("utf-8")))
    targets = set(re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text("utf-8")))
    made = re.findall(r"(?m)^make ([\w-]+)", blocks)
    run = re.findall(r"(?m)^(?:\.venv/bin/)?latentfit +([\w-]+)", blocks)
    assert set(made) <= targets
    assert run
    assert set(run) <= set(COMMANDS)


def test_maps_are_named_in_words() -> None:
    names = ["closed form 3,1", "closed form affine", "table 5_3, nearest (ega16)", "ours: (5, 3)", "bicubic"]
    assert [wording.in_words(name) for name in names] == [
        "closed form, 3×3 linear + 1×1 quadratic", "closed form, affine",
        "5×5 linear + 3×3 quadratic table, nearest colour (ega16)", "ours: 5×5 linear + 3×3 quadratic", "bicubic",
    ]  # fmt: skip


def test_a_block_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- a -->\nold\n<!-- /a -->\n")
    assert wording.with_blocks(page, {"a": "new"}) == {page: "<!-- a -->\nnew\n<!-- /a -->\n"}
    with pytest.raises(ValueError, match="expected one block <!-- b -->, found 0"):
        wording.with_blocks(page, {"b": "new"})


def test_differences_say_which_side_they_are_on() -> None:
    low, high, same = [20.0, 21.0, 22.0], [25.0, 26.0, 27.0], [21.0, 20.0, 22.5]
    assert below_or_above(paired_bootstrap(low, high), "TAESD") == "5.0 dB below TAESD (5.0 to 5.0)"
    assert below_or_above(paired_bootstrap(high, low), "TAESD") == "5.0 dB above TAESD (5.0 to 5.0)"
    assert below_or_above(paired_bootstrap(low, same), "it").startswith("no better and no worse than it (−")
    with pytest.raises(ValueError, match="make results"):
        below_or_above(None, "TAESD")


def test_the_first_picture_is_held_out_and_its_milliseconds_are_the_tables() -> None:
    said = json.loads((ROOT / "figures" / "hero.json").read_text("utf-8"))
    kept_back = json.loads((ROOT / "data" / "held_out.json").read_text("utf-8"))
    assert said["picture"] in kept_back["development"]["photographs"]
    table = README.read_text("utf-8").split("<!-- decoders -->")[1].split("<!-- /decoders -->")[0]
    shown = {line.split("in ")[1].removesuffix(" ms") for line in said["lines"].values()}
    assert shown <= {row.split(" | ")[2] for row in table.splitlines() if " | " in row}
    assert len(shown) == 4
