"""What every bundled palette keeps; the names come from the folder, so that none escapes."""

import re

import pytest

from latentfit.palettes import Palette, bundled_palettes
from latentfit.runtime import data_path
from recipes.cards.palettes import FOLDER, readme


@pytest.mark.parametrize("name", bundled_palettes())
def test_it_reads_has_a_source_and_is_written_back(name: str, tmp_path) -> None:
    palette = Palette.load(name)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert 2 <= len(palette) == len(set(palette.hex)) <= 256
    assert palette.source
    text = data_path(f"palettes/{name}.hex").read_text("utf-8")
    assert all(re.search(rf"^; {fact}: \S", text, re.MULTILINE) for fact in ("name", "source", "licence"))
    for ending in (".hex", ".txt", ".gpl", ".png"):
        again = Palette.load(palette.save(tmp_path / f"{name}{ending}"))
        assert again.hex == palette.hex
        assert ending == ".png" or again.source == palette.source
    assert Palette.from_dict(palette.to_dict()).hex == palette.hex
    nearest = palette.nearest(palette.rgb.T[None, :, :, None])
    assert nearest.flatten().tolist() == list(range(len(palette)))


def test_the_readme_lists_them_all() -> None:
    """Its table is made from the files: run `python -m recipes.cards.palettes` after one is added."""
    assert (FOLDER / "README.md").read_text("utf-8") == readme()
