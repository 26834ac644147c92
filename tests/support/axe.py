"""axe-core over a page: what it holds against it, in words."""

from typing import TYPE_CHECKING

import pytest

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

SOURCE = ROOT / "node_modules" / "axe-core" / "axe.min.js"


def violations(page: "Page", within: str = "", without: str = "") -> list[str]:
    """Every violation of axe-core's rules, those of best practice and of the size of targets too.

    Parameters
    ----------
    page : Page
    within, without : str
        Selectors of the part that is looked at, and of what is left out of it; "" for all and for nothing.
    """
    if not SOURCE.is_file():
        pytest.skip("axe-core is not installed: npm ci")
    page.evaluate(SOURCE.read_text("utf-8"))  # not a script element, which the page's policy would not let run
    found = page.evaluate(
        "async ([within, without]) => { const context = { ...(within && { include: [within] }),"
        " ...(without && { exclude: [without] }) };"
        " return axe.run(Object.keys(context).length ? context : document,"
        " { rules: { 'target-size': { enabled: true } } }); }",
        [within, without],
    )
    assert found["passes"], "axe-core looked at nothing"
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]}: {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
