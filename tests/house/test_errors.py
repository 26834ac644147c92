"""Errors and warnings are data: the library names no flag, each front words its own, and no one edits their text."""

import ast
import pickle
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import save_file

import latentfit as lf
from latentfit import errors
from latentfit.cli import main
from latentfit.comfyui.inputs import told_of_widgets
from latentfit.errors import (
    BadFileError,
    LatentfitError,
    LatentfitWarning,
    Place,
    Remedy,
    StoreError,
    TrainError,
    as_argument,
    as_choice,
    as_flag,
    part_of,
)
from latentfit.nets import ApproxCnn

PACKAGE = Path(lf.__file__).parent
COMMANDS = (
    "fit|collect|train|export|decode|convert|evaluate|info|autofit|report|audit|upscale|same-space|comfyui|calibrations"
)
FLAG = re.compile(rf"(^|[\s(`'])--[a-z]|\blatentfit ({COMMANDS})\b")
MAY_NAME_FLAGS = {
    "errors.py",  # the three wordings
    "autofit/config.py",  # the flags of a command
    "compare/reports/builder.py",  # a report says by which command it is made again,
    "compare/reports/sections.py",
    "formats/programs/invokeai.py",  # a comment in an exported file
    "formats/programs/safetensors_file.py",  # how to use an exported file
}
WITHOUT_ADVICE = {
    "comfyui/map_files.py": 2,  # why a file is not listed: logged, for no one to act on
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text("utf-8"))


def kinds() -> set[str]:
    every, found = [LatentfitError], {"LatentfitError"}
    while every:
        below = every.pop().__subclasses__()
        every += below
        found |= {kind.__name__ for kind in below}
    return found


def raised() -> Iterator[tuple[str, ast.Call]]:
    named = kinds() | {"_NoMapError", "LatentfitWarning"}
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in named:
                yield name, node


def test_the_library_names_no_flag_and_no_command() -> None:
    fronts = ("cli/", "comfyui/")
    found = {
        f"{name}:{node.lineno}: {node.value}"
        for name, tree in modules()
        if not name.startswith(fronts) and name not in MAY_NAME_FLAGS
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and FLAG.search(node.value)
    }
    assert not found
    assert FLAG.search("collect it with --keep rgb")
    assert FLAG.search("fit one with `latentfit fit`")
    texts = {name: ast.unparse(tree) for name, tree in modules()}
    assert all(FLAG.search(texts[name]) for name in MAY_NAME_FLAGS), "an exception that is none any more"


def test_raised_errors_name_no_flag_even_where_texts_may() -> None:
    for name, call in raised():
        if not name.startswith(("cli/", "comfyui/")):
            assert not FLAG.search(ast.unparse(call)), f"{name}:{call.lineno}"


def test_every_error_says_what_was_expected_or_what_to_do() -> None:
    counted: dict[str, int] = {}
    n_raised = 0
    for name, call in raised():
        n_raised += 1
        if not {keyword.arg for keyword in call.keywords} & {"expected", "remedy"}:
            counted[name] = counted.get(name, 0) + 1
    assert n_raised > 400
    assert counted == WITHOUT_ADVICE


def test_facts_do_not_stand_in_remedies() -> None:
    for name, call in raised():
        for keyword in call.keywords:
            if keyword.arg == "remedy":
                said = ast.unparse(keyword.value).lstrip("f(")
                assert not re.match(r"""(Remedy\()?f?['"]expected """, said), f"{name}:{call.lineno}"


def test_nobody_searches_or_patches_an_errors_text() -> None:
    patched = re.compile(r"str\((error|reason)\)\.(replace|removeprefix|removesuffix|partition|index|find)\(")
    searched = re.compile(r"\bin str\((error|reason)\)$")
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                assert not patched.match(ast.unparse(node)), f"{name}:{node.lineno}"
            if isinstance(node, ast.Compare):
                assert not searched.search(ast.unparse(node)), f"{name}:{node.lineno}"


def pickled(error: LatentfitError) -> LatentfitError:
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, of a moment ago
    assert isinstance(back, LatentfitError)
    return back


def example() -> StoreError:
    remedy = Remedy("collect it with {} and {}", keep="rgb", random_scales=...)
    return StoreError("lacks rgb", place="a/store", expected="rgb", got="cells", remedy=remedy)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (as_argument, "keep='rgb' and random_scales"),
        (as_flag, "--keep rgb and --random-scales"),
        (as_choice, "'keep': rgb and 'random_scales'"),
    ],
)
def test_each_front_words_a_remedy(word: errors.Wording, said: str) -> None:
    whole = f"a/store: lacks rgb: expected rgb, got cells; collect it with {said}"
    assert example().worded(word) == whole
    assert str(example().told_as(word)) == whole
    assert example().reason(word) == whole.removeprefix("a/store: ")
    assert str(pickled(example().told_as(word))) == whole


def test_flags_of_lists_and_of_yes_and_no() -> None:
    assert as_flag("scales", (1, 2)) == "--scales 1 2"
    assert as_flag("intercept", False) == "--no-intercept"
    assert as_flag("half_size", True) == "--half-size"
    assert as_argument("intercept", False) == "intercept=False"


@pytest.mark.parametrize("name", sorted(kinds() & set(vars(errors))))
def test_errors_pickle_with_their_fields(name: str) -> None:
    kind = vars(errors)[name]
    error = example().as_(kind, place=part_of(part_of("f.json", ".domain"), "[2]"))
    back = pickled(error)
    assert type(back) is kind
    assert isinstance(back, ValueError)
    fields = ("what", "expected", "got", "remedy", "place")
    assert [getattr(back, field) for field in fields] == [getattr(error, field) for field in fields]
    assert back.place is not None
    assert (back.place.whole, back.place.part) == ("f.json", ".domain[2]")
    assert str(back) == str(error)


def test_a_place_is_told_anew_and_its_part_stays() -> None:
    assert str(StoreError("cut short").at("x")) == "x: cut short"
    assert str(StoreError("cut short", place="/home/x").at("label")) == "label: cut short"
    assert str(StoreError(place="x", expected="1", got="2")) == "x: expected 1, got 2"
    in_part = BadFileError(place=part_of(Place("/home/x.json"), ".space"), expected="text", got="3")
    assert str(in_part) == "/home/x.json.space: expected text, got 3"
    assert str(in_part.at("label")) == "label.space: expected text, got 3"


def test_an_error_becomes_another_kind_and_its_settings_are_renamed() -> None:
    other = example().as_(TrainError, remedy=Remedy("name it with {}", out=...)).renamed(out="store", keep="none")
    assert type(other) is TrainError
    assert other.worded(as_flag) == "a/store: lacks rgb: expected rgb, got cells; name it with --store"
    assert example().renamed(keep="columns").remedy == Remedy(
        "collect it with {} and {}", columns="rgb", random_scales=...
    )


def test_a_remedy_has_a_place_for_each_setting() -> None:
    with pytest.raises(TypeError, match="a place for each of 1 settings"):
        Remedy("collect it", keep="rgb")


def test_warnings_carry_the_same_fields() -> None:
    told = LatentfitWarning("likelier raw", place="x.npy", remedy=Remedy("if so, pass {}", domain="raw"))
    with pytest.warns(UserWarning, match=r"^x\.npy: likelier raw; if so, pass domain='raw'$"):
        warnings.warn(told, stacklevel=1)
    assert told.worded(as_flag) == "x.npy: likelier raw; if so, pass --domain raw"
    assert not isinstance(told, LatentfitError)


def test_each_front_words_what_the_library_raises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cnn.safetensors"
    save_file(ApproxCnn(4).state_dict(), path)
    with pytest.raises(BadFileError, match=r"does not say which latent space; name it with space$") as caught:
        lf.load(path)
    assert caught.value.place == str(path)
    assert main(["info", str(path)]) == 2
    assert capsys.readouterr().err.rstrip().endswith("does not say which latent space; name it with --space")
    node = told_of_widgets(lf.load)
    with pytest.raises(BadFileError, match=r"name it with 'space'$"):
        node(path)


def test_nodes_word_errors_as_widgets() -> None:
    @told_of_widgets
    def run() -> None:
        raise example()

    with pytest.raises(StoreError, match=r"collect it with 'keep': rgb and 'random_scales'$"):
        run()
