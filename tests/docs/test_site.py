"""The documentation site: whole, strict, of one piece with the repository, and without a request to anywhere."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import latentfit as lf
from tests.support.paths import ROOT, environment

EXTRA = ("properdocs", "material", "mkdocstrings", "mkdocstrings_handlers", "latex2mathml")
for module in EXTRA:
    pytest.importorskip(module, reason="the site is built with the extra 'docs'")

from recipes.cards.gallery import exhibits, stale  # noqa: E402
from recipes.site import front_page, reference  # noqa: E402
from recipes.site.sources import pages  # noqa: E402

pytestmark = pytest.mark.slow
ELSEWHERE = ("http:", "https:", "//")
LOADS = {
    "script": "src",
    "img": "src",
    "source": "srcset",
    "iframe": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}


class Html(HTMLParser):
    """What a page loads, links to and offers as an anchor."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.images: list[dict[str, str | None]] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if told.get("id"):
            self.ids.add(str(told["id"]))
        if tag == "a" and told.get("href"):
            self.links.append(str(told["href"]))
        if tag == "link" and told.get("rel") not in ("canonical", "prev", "next", "alternate"):
            self.loads.append(str(told["href"]))
        if tag in LOADS and told.get(LOADS[tag]):
            self.loads.append(str(told[LOADS[tag]]))
        if tag == "img":
            self.images.append(told)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "properdocs", "build", "--strict", "-f", "mkdocs.yml", "-d", str(folder)]
    settings = environment(NO_MKDOCS_2_WARNING="1")
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@cache
def parsed(path: Path) -> Html:
    return Html(path)


def html_of(site: Path) -> Iterator[Html]:
    return (parsed(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html")


def test_every_page_is_there_and_in_the_menu(site: Path) -> None:
    wanted = {Path(address).with_suffix(".html").as_posix() for address in pages().values()}
    wanted |= {Path(face.address).with_suffix(".html").as_posix() for face in reference.faces()}
    built = {one.path.relative_to(site).as_posix() for one in html_of(site)}
    assert wanted <= built
    menu = re.search(
        r'(?s)<nav class="md-nav md-nav--primary.*?</nav>\s*</div>', (site / "index.html").read_text("utf-8")
    )
    assert menu is not None
    in_menu = {unquote(link) for link in re.findall(r'href="([^"#]+)"', menu[0])} | {"index.html"}
    assert built - in_menu == set()


def test_every_public_name_has_its_entry(site: Path) -> None:
    by_name = {face.name: face for face in reference.faces()}
    assert set(reference.top_names()) == set(lf.__all__) - {"__version__"}
    overview = parsed(site / "api" / "index.html")
    for name, home in reference.top_names().items():
        page = site / Path(by_name[home].address).with_suffix(".html")
        assert f"latentfit.{home}.{name}" in parsed(page).ids
        assert f"{page.name}#latentfit.{home}.{name}" in overview.links
    for face in reference.faces():
        ids = parsed(site / Path(face.address).with_suffix(".html")).ids
        assert {name for name in face.homes if f"latentfit.{face.name}.{name}" not in ids} == set()


def test_a_page_asks_the_network_for_nothing(site: Path) -> None:
    asked = {(one.path.name, load) for one in html_of(site) for load in one.loads if load.startswith(ELSEWHERE)}
    for path in site.rglob("*.css"):
        found = re.findall(r"""(?:url\(|@import\s+)["']?([^"')]+)""", path.read_text("utf-8"))
        asked |= {(path.name, load) for load in found if load.startswith(ELSEWHERE)}
    assert asked == set()


def test_every_file_and_every_anchor_that_is_linked_exists(site: Path) -> None:
    broken = []
    for one in html_of(site):
        for link in [*one.links, *one.loads]:
            if link.startswith((*ELSEWHERE, "mailto:", "data:", "javascript:")):
                continue
            path, _, anchor = unquote(link).partition("#")
            target = (one.path.parent / path.split("?")[0]).resolve() if path else one.path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (
                anchor and target.suffix == ".html" and anchor not in parsed(target).ids | {"__toc"}
            ):
                broken.append((one.path.name, link))
    assert broken == []


def test_every_picture_says_in_words_what_it_shows(site: Path) -> None:
    images = [(one.path.name, image) for one in html_of(site) for image in one.images]
    assert len(images) > 2 * len(exhibits())
    assert [(page, image.get("src")) for page, image in images if not (image.get("alt") or "").strip()] == []


def test_the_front_page_is_the_readmes_first_screen(site: Path) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", (site / "index.html").read_text("utf-8")))
    readme = front_page.first_screen((ROOT / "README.md").read_text("utf-8"))
    first = re.sub(r"[*`]|\[([^]]*)\]\([^)]*\)", r"\1", readme.split("\n\n")[0])
    assert " ".join(first.split()).replace("'", "&#39;") in text.replace("&rsquo;", "'").replace("'", "&#39;")
    shown = {image["src"] for image in parsed(site / "index.html").images}
    assert any(str(source).startswith("figures/") for source in shown)


def test_search_finds_names_and_prose(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text("utf-8")
    assert index.startswith("var __index = ")
    assert "api/fit.html#latentfit.fit.ChannelMap" in index
    assert "notebooks/06_tiny_decoders.html" in index


def test_every_bundled_thing_is_in_the_gallery_with_a_picture_of_its_present_weights(site: Path) -> None:
    assert [one.key for one in stale()] == []
    ids = {found for one in html_of(site) if one.path.parent.name == "gallery" for found in one.ids}
    assert {one.key for one in exhibits()} <= ids


def test_what_builds_the_site_is_pinned() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["docs"]
    pinned = set(re.findall(r"(?m)^([\w.-]+)==", (ROOT / "constraints.txt").read_text("utf-8").lower()))
    assert {re.split(r"[>=<]", name)[0] for name in extra} <= pinned
    assert "make docs" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert "build/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
