"""Where is X? Twelve things that a newcomer asks for stand in one folder, whose docstring says so, and nowhere else."""

import re

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "latentfit"


@pytest.mark.parametrize(
    ("what", "defined", "room", "word"),
    [
        ("the clamp of TAESD's latents", r"tanh\(latents / 3\)", "nets", "Networks"),
        ("the k-centroid rule", r"^def _settled\(", "palettes", "pictures reduced"),
        ("what ComfyUI's .latent means", r"^_MARKER = \"latent_format_version_0\"", "latents", "files"),
        ("the Wiener estimate", r"    def wiener\(", "scores", "spectra"),
        ("the ridge's choice", r"^def solve\(|    def solve\(.*ridge", "fit", "solver"),
        ("the table of presets", r"^PRESETS\b", "train", "presets"),
        ("the ComfyUI hook", r"^def watched\(original", "comfyui", "nodes"),
        ("the atomic write", r"^def write_atomic\(", "runtime", "whole-file writes"),
        ("the held-out rule", r"^def samples_to_score\(", "scores", "held-out rules"),
        ("the widget's messages", r"    def _on_message\(", "compare/widgets", "messages"),
        ("FLUX.2's packing", r"^def unpack_flux2\(", "latents", "latents"),
        ("the page of a report", r"^class Page:", "compare/reports", "page"),
    ],
)
def test_a_newcomer_finds(what: str, defined: str, room: str, word: str) -> None:
    rooms = {
        path.parent.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(defined, path.read_text("utf-8"), re.M)
    }
    assert rooms == {room}, what
    text = (PACKAGE / room / "__init__.py").read_text("utf-8")
    assert word.lower() in text.lower(), f"{what}: the room does not say {word!r}"
