"""The committed notebooks as a reader meets them: pictures first, sharp and described, nothing stale, no dead link."""

import ast
import base64
import importlib.util
import io
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from latentfit.images import to_pil
from tests.support.paths import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
PICTURES = ("image/png", "image/jpeg")
LEAST_IN = 1.8  # of a picture that is compared


def runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_notebooks", ROOT / "notebooks" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_notebooks"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    notebook = json.loads(path.read_text("utf-8"))
    return notebook["metadata"], notebook["cells"]


def text_of(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    return "".join(output.get("text", "")) + "".join(data.get("text/markdown", ""))


def by_stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_outputs_are_of_this_code_and_these_figures(path: Path) -> None:
    metadata, cells = read(path)
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    made_by = metadata.get("latentfit", {}).get("made_by")
    assert made_by == runner().recipe_of(code), f"stale: make refresh-notebooks ONLY={path.name[:2]}"


def test_a_changed_cell_or_figure_makes_outputs_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = runner()
    drawn = tmp_path / "latentfit" / "compare" / "figures"
    drawn.mkdir(parents=True)
    (drawn / "__init__.pyi").write_text("from .plots import curves as curves\nfrom .sheets import sheet as sheet\n")
    for name in ("canvas", "labels", "plots", "sheets"):
        (drawn / f"{name}.py").write_text('"""Words."""\nsize = 1\n')
    monkeypatch.setattr(module, "ROOT", tmp_path)
    before = module.recipe_of(["figures.curves(frame)"])
    assert module.recipe_of(["figures.curves(  frame)  # the same"]) == before
    assert module.recipe_of(["figures.curves(other)"]) != before
    (drawn / "sheets.py").write_text("size = 2\n")  # not drawn with
    (drawn / "plots.py").write_text('"""Other words."""\n\nsize = 1  # the same\n')
    assert module.recipe_of(["figures.curves(frame)"]) == before
    (drawn / "plots.py").write_text("size = 2\n")
    assert module.recipe_of(["figures.curves(frame)"]) != before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_a_picture_comes_within_the_first_two_outputs_and_set_up_is_collapsed(path: Path) -> None:
    _, cells = read(path)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    with_output = [cell for cell in code if cell["outputs"]]
    first = [kind for cell in with_output[:2] for one in cell["outputs"] for kind in one.get("data", {})]
    assert set(first) & set(PICTURES)
    hidden = [cell["metadata"].get("jupyter", {}).get("source_hidden", False) for cell in code]
    place = next(index for index, cell in enumerate(code) if "parameters" in cell["metadata"].get("tags", []))
    assert all(hidden[: place + 2])  # imports, parameters, and the pairs
    assert hidden[next(index for index, cell in enumerate(code) if "**Next:**" in "".join(cell["source"]))]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_every_picture_has_a_text_and_figures_are_sharp(path: Path) -> None:
    _, cells = read(path)
    for output in [one for cell in cells if cell["cell_type"] == "code" for one in cell["outputs"]]:
        for kind in set(output.get("data", {})) & set(PICTURES):
            told = output["metadata"].get(kind, {})
            assert len(told.get("alt", "")) > 10
            assert not told["alt"].startswith("<")
            if "width" in told:  # a figure, not a widget's still
                with Image.open(io.BytesIO(base64.b64decode(output["data"][kind]))) as image:
                    assert image.width == pytest.approx(2 * told["width"], abs=2)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_it_ends_in_three_findings_with_numbers_of_this_run_and_the_next_notebook(path: Path) -> None:
    _, cells = read(path)
    (cell,) = [cell for cell in cells if cell["cell_type"] == "code" and "**Next:**" in "".join(cell["source"])]
    told = "".join(text_of(output) for output in cell["outputs"])
    bullets = [line for line in told.splitlines() if line.startswith("- ")]
    assert len(bullets) == 3
    assert all(re.search(r"\d", bullet) for bullet in bullets)
    assert not re.search(r"\d\.\d{5,}|\bnan\b|NaN|None", told)
    number = int(path.name[:2])
    next_one = f"{(number + 1) % len(NOTEBOOKS):02d}_"
    assert re.search(rf"\*\*Next:\*\*[^\n]*\({next_one}\w+\.ipynb\)", told)
    sentences = [
        str(part.value)
        for node in ast.walk(ast.parse("".join(cell["source"])))
        if isinstance(node, ast.JoinedStr)
        for part in node.values
        if isinstance(part, ast.Constant)
    ]
    measured = re.compile(r"\d+\.\d|\d+ (dB|ms)|ΔE \d")  # what has to come from a variable
    assert sentences
    assert not [one for one in sentences if measured.search(one)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_tables_are_read_at_once(path: Path) -> None:
    _, cells = read(path)
    outputs = [one for cell in cells if cell["cell_type"] == "code" for one in cell["outputs"]]
    assert not [one for one in outputs if "text/html" in one.get("data", {})]  # frames as pandas shows them
    told = "\n".join("".join(one.get("data", {}).get("text/markdown", "")) for one in outputs)
    assert not re.search(r"\d\.\d{5,}|\bnan\b|NaN|\de[+-]\d\d", told)
    assert not re.search(
        r"\([1357](, [1357])+\)|^\| [1357](,[1357])* \|", told, re.MULTILINE
    )  # no form without its words


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_links_lead_somewhere(path: Path) -> None:
    _, cells = read(path)
    told = "\n".join("".join(cell["source"]) for cell in cells)
    links = re.findall(r"\]\(([^)\s]+[./][^)\s]*)\)", told)
    links = [link for link in links if "://" in link or re.search(r"^\.\./|\.ipynb$", link)]
    missing = [link for link in links if "://" not in link and not (path.parent / link.split("#")[0]).exists()]
    assert not missing
    assert any(link.startswith("../latentfit/") for link in links)  # the interface


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_comparisons_show_pictures_large_enough_to_compare(path: Path) -> None:
    _, cells = read(path)
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    calls = [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    sheets = [
        call for call in calls if getattr(call.func, "attr", "") in ("score_sheet", "contact_sheet", "sweep_strip")
    ]
    assert sheets
    for call in sheets:
        sizes = [one.value for one in call.keywords if one.arg in ("width_in", "height_in")]
        assert all(isinstance(size, ast.Constant) and size.value >= LEAST_IN for size in sizes)


def still(noise: bool) -> dict[str, Any]:
    """An output as a widget leaves it: a picture of noise, or of one colour."""
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 100, 100, generator=generator), 500, mode="bilinear")[0]
    image, buffer = to_pil(smooth if noise else torch.zeros(3, 500, 500)), io.BytesIO()
    image.save(buffer, "PNG")
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": "Workbench(3 pictures of sd1)"}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def test_a_still_says_what_it_is_of_and_a_large_one_is_kept_as_jpeg() -> None:
    module = runner()
    large, small = module._kept([still(noise=True), still(noise=False)])
    for output in (large, small):
        module._lighten(output)
    assert set(large["data"]) == {"image/jpeg", "text/plain"}
    assert large["metadata"] == {"image/jpeg": {"alt": "Workbench(3 pictures of sd1)"}}
    with Image.open(io.BytesIO(base64.b64decode(large["data"]["image/jpeg"]))) as image:
        assert (image.format, image.size) == ("JPEG", (500, 500))
    assert set(small["data"]) == {"image/png", "text/plain"}
    assert small["metadata"] == {"image/png": {"alt": "Workbench(3 pictures of sd1)"}}


def test_every_figure_is_drawn_by_a_notebook_or_a_recipe_and_is_there() -> None:
    sources = [path.read_text("utf-8") for path in [*NOTEBOOKS, *(ROOT / "recipes").rglob("*.py")]]
    drawn = set(re.findall(r"(?:figures/|\"figures\" / f?\")([a-z\d_{}]+\.(?:png|webp))", "\n".join(sources)))
    patterns = [re.compile(re.sub(r"\\\{\w+\\\}", r"\\w+", re.escape(name))) for name in drawn]
    there = {path.name for path in (ROOT / "figures").iterdir() if path.suffix in (".png", ".webp")}
    assert not [name for name in there if not any(pattern.fullmatch(name) for pattern in patterns)]
    assert not [name for name in drawn if "{" not in name and name not in there]
