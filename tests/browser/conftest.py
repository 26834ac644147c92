"""Fixtures: Debian's Chromium, pages that keep a record of what goes wrong in them, a JupyterLab, and files from disk.

Run with `make test-browser`; `pytest tests` leaves this folder out.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from latentfit.compare.reports import widget_script, widget_style
from tests.support import chromium, jupyter
from tests.support.browser import HEIGHT, PATIENCE_MS, SHOTS_VARIABLE, WIDTH, Watched
from tests.support.jupyter import Lab
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    playwright = pytest.importorskip("playwright.sync_api", reason="install the extra 'browser': make test-browser")
    path = chromium.find()
    if path is None:
        pytest.fail(f"no Chromium found; {chromium.WAYS}")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=["--disable-gpu-sandbox", "--hide-scrollbars"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def new_page(browser: "Browser") -> "Iterator[Callable[..., Watched]]":
    """Open pages; options as Playwright's contexts take them."""
    contexts: list[BrowserContext] = []

    def opened(**options: Any) -> Watched:
        context = browser.new_context(**{"viewport": {"width": WIDTH, "height": HEIGHT}, **options})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        return Watched(context.new_page())

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with jupyter.running(tmp_path_factory.mktemp("lab"), "lab", "--VoilaConfiguration.template=offline") as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def _no_kernel_outlives_its_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "lab" in request.fixturenames:
        request.getfixturevalue("lab").close_kernels()


@pytest.fixture(scope="session")
def open_notebook(lab: Lab, new_page: Callable[..., Watched]) -> Callable[..., Watched]:
    """Write a notebook, open it in JupyterLab, run all cells from its menu, and wait until they are done."""

    def opened(name: str, *cells: str, **options: Any) -> Watched:
        path = lab.write(name, *cells)
        watched = new_page(**options)
        page = watched.page
        page.goto(f"{lab.url}/lab/tree/{path.name}?reset")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        done = page.locator(".jp-CodeCell .jp-InputArea-prompt").filter(has_text=re.compile(r"\[\d+\]:"))
        failed = page.locator(".jp-OutputArea-output", has_text="Traceback (most recent call last)")
        done.nth(len(cells) - 1).or_(failed).first.wait_for(state="attached")
        assert not failed.count(), failed.first.inner_text()
        return watched

    return opened


@pytest.fixture(scope="session")
def open_file(new_page: Callable[..., Watched]) -> Callable[..., Watched]:
    """Open a file from disk with the network cut off."""

    def opened(path: Path, **options: Any) -> Watched:
        watched = new_page(offline=True, **options)
        watched.page.goto(path.resolve().as_uri())
        return watched

    return opened


@pytest.fixture
def open_alone(tmp_path: Path, open_file: Callable[..., Watched]) -> Callable[..., Watched]:
    """The widgets' module in a page, with lines of the test's own after it; options as of Playwright's contexts."""

    def opened(lines: str, **options: Any) -> Watched:
        script = widget_script().removesuffix("</script>") + lines + "</script>"
        path = tmp_path / "alone.html"
        head = '<!doctype html><html lang="en"><title>alone</title><meta name="viewport" content="width=device-width">'
        path.write_text(f"{head}<style>{widget_style()}</style><main></main>{script}", encoding="utf-8")
        return open_file(path, **options)

    return opened


@pytest.fixture(scope="session")
def shots() -> Path:
    """Folder for screenshots: LATENTFIT_SHOTS, else build/browser."""
    folder = Path(os.environ.get(SHOTS_VARIABLE) or ROOT / "build" / "browser")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
