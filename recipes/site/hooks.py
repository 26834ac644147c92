"""MkDocs' events for this site; mkdocs.yml names this file, which is run from the root of the checkout."""

import re

from properdocs.config.defaults import ProperDocsConfig
from properdocs.plugins import get_plugin_logger
from properdocs.structure.files import File, Files
from properdocs.structure.pages import Page

from recipes.site import front_page, gallery, notebooks, reference
from recipes.site.links import Rewriter
from recipes.site.navigation import expanded
from recipes.site.sources import DOCS, FRONT_PAGE, ROOT, pages, title_of, written_pages

LOG = get_plugin_logger("latentfit")
MOST_COLUMNS = 4
"""Of a table whose cells may be as narrow as they like."""
SOURCES = {address: source for source, address in pages().items()}
PICTURES: dict[str, str] = {}
"""Path in the repository -> address in the site, of the pictures that pages show."""
NOTEBOOK_PICTURES: dict[str, bytes] = {}
RAW: dict[str, dict[str, str]] = {}
"""Page -> marks in it -> HTML that Markdown did not see."""


def on_files(files: Files, config: ProperDocsConfig) -> Files:
    """Every page beside those of docs/, the pictures of all, and then the menu."""
    texts = {address: rewritten(text, address) for address, text in generated_pages().items()}
    for path in written_pages():
        rewritten(path.read_text("utf-8"), path.relative_to(DOCS).as_posix(), warn=False)
    rewritten(front_page.first_screen((ROOT / "README.md").read_text("utf-8")), FRONT_PAGE, warn=False)
    for address, content in (texts | NOTEBOOK_PICTURES).items():
        files.append(File.generated(config, address, content=content))
    for source, address in (PICTURES | gallery.pictures()).items():
        files.append(File.generated(config, address, abs_src_path=str(ROOT / source)))
    titles = {address: menu_title(text) for address, text in texts.items()}
    titles |= {face.address: face.name for face in reference.faces()} | {
        "api/index.md": "Overview",
        "gallery/index.md": "Overview",
    }
    config.nav = expanded(config.nav, [file.src_uri for file in files.documentation_pages()], titles)
    return files


def generated_pages() -> dict[str, str]:
    """Address -> Markdown, of everything that does not lie in docs/."""
    texts = reference.pages() | gallery.pages()
    for source, address in pages().items():
        path = ROOT / source
        if path.suffix == ".ipynb":
            made = notebooks.page_of(path)
            RAW[address] = made.raw
            NOTEBOOK_PICTURES.update({f"notebooks/{name}": data for name, data in made.files.items()})
            texts[address] = made.markdown
        elif not source.startswith("docs/") and address != FRONT_PAGE:
            texts[address] = path.read_text("utf-8")
    return texts


def menu_title(text: str) -> str:
    """A page's title as the menu has it."""
    return re.sub(r"^(\d\d) · ", r"\1 ", title_of(text))


def on_page_read_source(page: Page, config: ProperDocsConfig) -> str | None:
    """The front page is filled before its front matter is read."""
    if page.file.src_uri == FRONT_PAGE:
        page_text = (DOCS / FRONT_PAGE).read_text("utf-8")
        return front_page.filled(page_text, lambda text: rewritten(text, FRONT_PAGE))
    return None


def on_page_markdown(markdown: str, page: Page, config: ProperDocsConfig, files: Files) -> str:
    """Pages of docs/ have their links rewritten; the generated ones had them before."""
    address = page.file.src_uri
    if page.file.generated_by is not None or address == FRONT_PAGE:
        return markdown
    return rewritten(markdown, address)


def rewritten(text: str, address: str, *, warn: bool = True) -> str:
    """A page's text with the links that the site needs; what leads nowhere is a warning, so strict builds fail."""
    source = "README.md" if address == FRONT_PAGE else SOURCES.get(address)
    if source is None:
        return text
    rewriter = Rewriter(source, address, pages(), PICTURES)
    text = rewriter.text(text)
    for target in rewriter.broken if warn else ():
        LOG.warning("%s: links to %s, which is not there", source, target)
    return text


def on_page_content(html: str, page: Page, config: ProperDocsConfig, files: Files) -> str:
    """Outputs come back into notebooks; wide tables scroll inside of their own box."""
    html = notebooks.with_raw(html, RAW.get(page.file.src_uri, {}))
    return re.sub(r"(?s)<table\b.*?</table>", in_a_box, html)


def in_a_box(match: re.Match[str]) -> str:
    """A table in the box that it scrolls in; with a class of its own, so that the theme leaves it alone."""
    table = match[0]
    head = table.split("</tr>", 1)[0]
    kind = "lf-wide" if head.count("<th") > MOST_COLUMNS else "lf-table"
    table = re.sub(r"^<table>", f'<table class="{kind}">', table)
    return f'<div class="lf-scroll" tabindex="0" role="region" aria-label="Table">{table}</div>'
