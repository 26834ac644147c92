"""Every program and format of `PROGRAMS` keeps its contract: what is registered is tried here without a line more."""

import ast
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import torch

import latentfit as lf
from latentfit.autofit import export_all
from latentfit.errors import BadFileError, ExportError
from latentfit.formats import NAMES, export_encoder, read
from latentfit.formats.programs import PROGRAMS, SHARED, Program
from latentfit.nets import CellDecoder, TinyEncoder
from recipes.cards import programs as page
from tests.support.paths import ROOT

FOLDER = ROOT / "latentfit" / "formats" / "programs"
FILES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in {*SHARED, "__init__"})
KERNEL = ((0.1, 0.1, 0.1), (0.1, 0.2, 0.1), (0.1, 0.1, 0.1))
NAME, REFERENCE = "a-marked-map", "a-marked-reference"


def fitted(kernels: str, space: str = "sd1", scale: int = 1, *, smooths: bool = False) -> lf.Approximation:
    """A map of that form, fitted to noise."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(6, lf.get_space(space).channels, 10, 10, generator=generator)
    rgb = torch.rand(6, 3, 10 * scale, 10 * scale, generator=generator)
    channel_map = lf.ChannelMap(kernels, scale, censored=False, smoothing=KERNEL if smooths else None)
    return channel_map.fit_arrays(latents, rgb, space=space).approximation()


def network() -> lf.Approximation:
    """A small decoder that no closed form is."""
    torch.manual_seed(0)
    module = CellDecoder(4, 8, 2).eval().requires_grad_(False)
    for parameter in module.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape))
    return lf.Approximation(module, "sd1", 8)


MAKERS: dict[str, Callable[[], lf.Approximation]] = {
    "linear": lambda: fitted("linear"),
    "affine": lambda: fitted("affine"),
    "quadratic": lambda: fitted("quadratic"),
    "3": lambda: fitted("3"),
    "3,1": lambda: fitted("3,1"),
    "9": lambda: fitted("9"),
    "1,3": lambda: fitted("1,3"),
    "decoder": lambda: fitted("1", scale=2),
    "smoothed": lambda: fitted("linear", smooths=True),
    "sdxl": lambda: fitted("linear", "sdxl"),
    "packed": lambda: fitted("affine", "flux2"),
    "video": lambda: fitted("linear", "wan21"),
    "network": network,
}
SLOW = ("linear", "smoothed", "network")  # for formats that compile a graph; tests/formats/test_graphs.py has the rest
CASES = [(name, form) for name in PROGRAMS for form in (SLOW if PROGRAMS[name].extra else MAKERS)]


@cache
def form_of(form: str) -> lf.Approximation:
    """A map by its form, with a name and a card that can be found again."""
    made = MAKERS[form]()
    made.name = NAME
    made.card["reference"] = REFERENCE
    return made


def content(path: Path) -> bytes:
    """All bytes of a file, unpacked where it is an archive; characters of any width as one byte."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as parts:
        return b"".join(parts.read(name) for name in parts.namelist()).replace(b"\0", b"")


def refused_by_name(program: Program, message: str) -> bool:
    """Whether an error names the program, as people call it or as it is registered, or the map."""
    return any(one in message for one in (NAME, program.name, program.title, program.title.split()[-1]))


def test_every_file_of_the_folder_is_a_program_under_its_name() -> None:
    assert len(FILES) == len(PROGRAMS) >= 15
    assert tuple(PROGRAMS) == NAMES
    assert {PROGRAMS[name].name for name in PROGRAMS} == {stem.partition("_")[0] for stem in FILES}
    assert all(PROGRAMS[name].name == name for name in PROGRAMS)


@pytest.mark.parametrize("stem", FILES)
def test_a_program_imports_no_other(stem: str) -> None:
    own = "latentfit.formats.programs"
    for node in ast.walk(ast.parse((FOLDER / f"{stem}.py").read_text("utf-8"))):
        named = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            named = [f"{node.module}.{one.name}" for one in node.names]
        for one in (one.removeprefix(f"{own}.") for one in named if one.startswith(f"{own}.")):
            assert one.partition(".")[0] in SHARED - {"registry"}, one


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_said_of_it_is_one_line(name: str) -> None:
    one = PROGRAMS[name]
    for text in (one.name, one.title, one.how_to_use, one.runs, one.bias):
        assert text.strip() == text
        assert text.isprintable()
        assert text
    assert one.notes.isprintable()
    assert "|" not in one.title + one.how_to_use + one.runs + one.bias + one.notes  # they are cells of a table
    assert one.name.isidentifier()
    assert one.ending.startswith(".")
    assert one.ending[1:].isalnum()
    assert one.output_range in ("[-1, 1]", "[0, 1]", "[0, 255]")
    assert one.read is None or one.read_alone is None
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert one.extra is None or one.extra in extras


@pytest.mark.parametrize(("name", "form"), CASES)
def test_a_form_is_written_and_read_back_or_refused_by_name(name: str, form: str, tmp_path: Path) -> None:
    program, one = PROGRAMS[name], form_of(form)
    path = tmp_path / f"table{program.ending}"
    refusal = ""
    try:
        lf.export(one, name, path)
    except ExportError as error:
        refusal = str(error)
    if refusal:
        assert refused_by_name(program, refusal), refusal
        assert "\n" not in refusal
        assert form != "linear", refusal  # what every program runs
        assert not list(tmp_path.iterdir())
        return
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == lf.export(one, name, tmp_path / f"again{program.ending}").read_bytes()
    assert NAME.encode() in content(path)
    assert REFERENCE.encode() in content(path)
    if program.read is None and program.read_alone is None:
        return
    again = read(path, name, one.space)
    shape = (1, one.space.channels, *((2,) if one.space.dims == 3 else ()), 6, 5)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    assert again.space == one.space
    torch.testing.assert_close(again(latents), one(latents), atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_dropped_bias_is_never_a_silent_one(name: str, tmp_path: Path) -> None:
    program = PROGRAMS[name]
    if program.extra:
        return  # graphs hold every number
    path, affine, linear = tmp_path / f"table{program.ending}", form_of("affine"), form_of("linear")
    latents = torch.randn(1, 4, 6, 5, generator=torch.Generator().manual_seed(1))
    if program.bias == "yes":
        lf.export(affine, name, path)
        expected = affine(latents)
    else:
        with pytest.raises(ExportError, match="drops the bias"):
            lf.export(affine, name, path)
        lf.export(affine, name, path, bias_free=linear)
        expected = linear(latents)
    if program.read or program.read_alone:
        torch.testing.assert_close(read(path, name, "sd1")(latents), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_cannot_be_read_back_or_hold_an_encoder_says_so(name: str, tmp_path: Path) -> None:
    program = PROGRAMS[name]
    if program.read is None and program.read_alone is None:
        with pytest.raises(ExportError, match=f"format '{name}' cannot be read back"):
            read(tmp_path / "x", name, "sd1")
    if program.write_encoder is None:
        with pytest.raises(ExportError, match="for an encoder"):
            export_encoder(TinyEncoder(4, 8, n_blocks=(0, 1, 0, 1)), "sd1", name, tmp_path / f"x{program.ending}")
        assert not list(tmp_path.iterdir())


def test_an_ending_is_added_where_readers_need_it(tmp_path: Path) -> None:
    needing = [one for one in PROGRAMS.values() if one.needs_ending]
    assert [one.name for one in needing] == ["safetensors"]
    for one in needing:
        path = lf.export(form_of("linear"), one.name, tmp_path / one.name)
        assert path == tmp_path / f"{one.name}{one.ending}"
        with pytest.raises(BadFileError, match=f"a name that ends in {one.ending}"):
            lf.export(form_of("linear"), one.name, tmp_path / "x.other")


def test_autofit_writes_those_that_say_so(tmp_path: Path) -> None:
    row = dict.fromkeys(("psnr", "delta_e", "saturation", "clipped"), 1.0)
    scores = pd.DataFrame(
        [{"approximation": "linear", "image": "all", "kind": "all", "place": "cells", "reference": "vae", **row}]
    )
    exports = export_all({"linear": form_of("linear")}, scores, tmp_path)
    assert set(exports.files) == {one.name for one in PROGRAMS.values() if one.in_autofit}
    assert not exports.refused
    paths = [files["linear"] for files in exports.files.values()]
    assert len({*paths}) == len(paths)
    assert all(path.suffix == PROGRAMS[name].ending for name, path in zip(exports.files, paths, strict=True))


def test_names_are_known_without_importing_a_program() -> None:
    code = (
        "import sys; from latentfit.formats.programs.registry import PROGRAMS, is_format, names; "
        "assert [*names(False), *names(True)] == list(PROGRAMS) and 'json' in PROGRAMS and is_format('json'); "
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_page_and_the_readme_list_every_program() -> None:
    stale = [path.name for path, text in page.filled().items() if path.read_text("utf-8") != text]
    assert not stale, f"{stale}: run `python -m recipes.cards.programs`"
    text = page.page()
    for one in PROGRAMS.values():
        assert text.count(f"\n| `{one.name}` (`{one.ending}`) | {one.title} |") == 1
