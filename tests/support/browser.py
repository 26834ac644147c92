"""What browser tests share: a page that keeps a record of what goes wrong in it, its size, and its patience."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHOTS_VARIABLE = "LATENTFIT_SHOTS"
WIDTH, HEIGHT = 1280, 1000
PATIENCE_MS = 120_000  # for what takes a second on a machine that does nothing else
SETUP = """
import torch
torch.set_num_threads(1)
import latentfit as lf
"""


@dataclass
class Watched:
    """A page with what went wrong in it."""

    page: "Page"
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, kind: str, text: str) -> None:
        if kind == "error":
            self.errors.append(text)

    @property
    def from_elsewhere(self) -> list[str]:
        """What was asked of any network but this machine's own server."""
        return [url for url in self.asked if not re.match(r"(file|data|blob|about):|\w+://127\.0\.0\.1[:/]", url)]
