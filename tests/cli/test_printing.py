"""What commands print: in any encoding, to any stream, after their files are written; and errors of one line."""

import ast
import io
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import latentfit as lf
from latentfit import cli
from latentfit.latents import write_latents
from tests.support.fake_vae import FakeVae
from tests.support.paths import ROOT

ENCODINGS = ("cp1252", "ascii", "latin-1", "utf-8")
COMMANDS = [[name] for name in cli.COMMANDS if name != "train"]
KINDS = [["train", kind] for kind in ("decoder", "encoder", "palette", "interposer", "upscaler", "vae")]


@contextmanager
def streams(encoding: str):
    """Standard streams of an encoding, strict as Python makes them; gives what calls for the bytes written."""
    kept = sys.stdout, sys.stderr
    raw = io.BytesIO(), io.BytesIO()
    sys.stdout, sys.stderr = (io.TextIOWrapper(one, encoding, errors="strict", newline="\n") for one in raw)
    try:
        yield lambda: tuple(one.getvalue() for one in raw)
    finally:
        for one in (sys.stdout, sys.stderr):
            if one is not None:
                one.flush()
        sys.stdout, sys.stderr = kept


def ran(arguments: list[str], encoding: str) -> tuple[int, str, str]:
    """A command in this process: its exit code and what it printed."""
    with streams(encoding) as written:
        try:
            code = cli.main(arguments)
        except SystemExit as error:
            code = int(error.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = (one.decode(encoding) for one in written())
    return code, out, err


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    lf.collect(FakeVae(), "charts", folder / "s", size=64, keep="photo", limit=12, progress=False)
    return folder / "s"


@pytest.fixture(scope="module")
def table(store: Path) -> Path:
    path = store.parent / "affine.safetensors"
    made = lf.ChannelMap("affine").fit(lf.PairStore(store)).approximation()
    made.name = "3×3 → ΔE 日本"
    made.card["form"] = "größer → 日本"
    return lf.save(made, path)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", [[], *COMMANDS, ["train"], *KINDS], ids=" ".join)
def test_every_help_prints(command: list[str], encoding: str) -> None:
    code, out, err = ran([*command, "--help"], encoding)
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: {' '.join(['latentfit', *command])} [-h]")
    assert "-h, --help" in out


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_command_of_each_family_runs(encoding: str, store: Path, table: Path, tmp_path: Path) -> None:
    space = lf.load(table).space
    latent = write_latents(tmp_path / "x.latent", torch.zeros(1, space.channels, 8, 8), space)
    lines = [
        ["info", str(table)],
        ["info", str(store)],
        ["fit", str(store), "--kernels", "linear", "--out", str(tmp_path / "größer → 3.safetensors")],
        ["evaluate", str(table), "--store", str(store), "--csv", str(tmp_path / "e.csv")],
        ["audit", str(table), "--store", str(store), "--csv", str(tmp_path / "a.csv")],
        ["export", str(table), "--to", "diffusers", "--out", str(tmp_path / "日本.py")],
        ["decode", str(table), "--latents", str(latent), "--out", str(tmp_path / "→.png")],
    ]
    for arguments in lines:
        code, out, err = ran(arguments, encoding)
        assert code == 0, (arguments, err)
        assert out, arguments
        assert "Traceback" not in err
    assert "3×3 → ΔE 日本" in (tmp_path / "a.csv").read_text("utf-8")
    assert (tmp_path / "→.png").is_file()


def test_small_encodings_get_plain_signs(table: Path) -> None:
    _, out, _ = ran(["info", str(table)], "ascii")
    assert out.startswith("3x3 -> dE ??: ")
    _, out, _ = ran(["info", str(table)], "cp1252")
    assert out.startswith("3×3 -> dE ??: ")
    _, out, _ = ran(["info", str(table)], "utf-8")
    assert out.startswith("3×3 → ΔE 日本: ")


class Failing(io.TextIOWrapper):
    """A stream that fails as soon as anything is shown."""

    def write(self, text: str) -> int:
        raise OSError(5, "cannot show that")


def test_files_are_written_before_anything_is_shown(store: Path, table: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(io.BytesIO(), "utf-8"))
    for command in (["audit", str(table), "--store", str(store)], ["evaluate", str(table), "--store", str(store)]):
        path = tmp_path / f"{command[0]}.csv"
        assert cli.main([*command, "--csv", str(path)]) == 2
        assert path.read_text("utf-8").count("\n") > 5


def test_without_standard_streams(table: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["export", str(table), "--to", "json", "--out", str(tmp_path / "x.json")]) == 0
    assert cli.main(["info", str(tmp_path / "missing.safetensors")]) == 2
    with pytest.raises(SystemExit, match="2"):
        cli.main(["fit", "--form", "nonsense"])
    assert (tmp_path / "x.json").is_file()
    sys.stdout.close()
    sys.stderr.close()


@pytest.mark.skipif(os.name == "nt", reason="file names there are text")
def test_a_file_name_that_is_no_text(table: Path, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\x1b[31m.safetensors"))
    path.write_bytes(table.read_bytes())
    for encoding in ENCODINGS:
        code, out, err = ran(["export", str(table), "--to", "json", "--out", f"{path}.json"], encoding)
        assert (code, err) == (0, "")
        assert out.endswith("[U+DCE9][U+001B][31m.safetensors.json\n")
        for name, said in ((str(path), "rename it"), (f"{path}.none.safetensors", "no such file")):
            code, _, err = ran(["info", name], encoding)
            assert code == 2
            assert err.count("\n") == 1
            assert said in err
            assert "\x1b" not in err


def test_a_closed_pipe_and_closed_streams(table: Path) -> None:
    run = f'"{sys.executable}" -m latentfit'
    for line in (f'{run} info "{table}" | head -c 1 > /dev/null', f"{run} --help | true", f'{run} info "{table}" >&-'):
        done = subprocess.run(["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), line


USAGE = {
    ("fit", "--form", "nonsense"): "fit: there is no option '--form'; expected one of --kernels, --out,",
    ("fit", "s", "--kernel", "3"): "fit: there is no option '--kernel'; did you mean --kernels?",
    ("fit",): "fit: expected --kernels FORM and --out FILE, got neither",
    ("info",): "info: expected FILE, got none",
    ("fit", "s", "--kernels"): "fit: --kernels: expected a value, got none",
    ("fit", "s", "--kernels", "3", "--out", "x", "--split", "tain"): "expected one of train, all, got 'tain'; did you",
    ("fit", "s", "--kernels", "3", "--out", "x", "--scale", "1.5"): "--scale: expected a whole number, got '1.5'",
    ("collect", "--vae", "x", "--out", "y", "--size", "abc"): "collect: --size: expected a whole number, got 'abc'",
    ("collect", "--vae", "x", "--out", "y", "--size=a\nb"): "collect: --size: expected a whole number, got 'a b'",
    ("train", "decoder", "--store", "s", "--preset", "p", "--out", "o", "--lr", "fast"): "--lr: expected a number",
    (
        "train",
        "decodr",
    ): "train: expected one of decoder, encoder, palette, interposer, upscaler, vae, got 'decodr'; did",
    ("train",): "train: expected a command, one of decoder,",
    ("collec",): "got 'collec'; did you mean 'collect'?",
    (): "expected a command, one of autofit, collect,",
    ("info", "a", "b"): "info: expected no more arguments, got 'b'",
    ("comfyui", "instal", "x"): "expected one of install, uninstall, got 'instal'; did you mean 'install'?",
    ("--nonsense",): "there is no option '--nonsense'",
}


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_a_wrong_command_line_is_one_line(arguments: tuple[str, ...], encoding: str) -> None:
    code, out, err = ran(list(arguments), encoding)
    assert (code, out) == (2, "")
    assert err.startswith("latentfit: ")
    assert err.count("\n") == 1
    assert USAGE[arguments] in err
    assert "--help`" in err


def test_notes_of_a_command_that_runs_are_not_held_back(table: Path) -> None:
    _, _, err = ran(["info", str(table.with_name("none.safetensors"))], "utf-8")
    assert err.startswith(f"latentfit: {table.with_name('none.safetensors')}: no such file")


def lacks_encoding(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes text without saying its encoding."""
    function, named = call.func, {one.arg for one in call.keywords}
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    owner = getattr(function.value, "id", "?") if isinstance(function, ast.Attribute) else ""
    modes = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    if "encoding" in named or (
        owner in ("Image", "image", "hook", "archive", "Calibration", "learning", "?") and name == "open"
    ):
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    is_open = name == "fdopen" or (name == "open" and owner != "os")
    return is_open and not any("b" in mode and len(mode) < 4 for mode in modes)


def opened_as_text(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and lacks_encoding(node)]


def test_every_file_of_text_names_its_encoding() -> None:
    paths = [
        path for folder in ("latentfit", "benchmarks", "recipes") for path in sorted((ROOT / folder).rglob("*.py"))
    ]
    assert len(paths) > 150
    for path in paths:
        found = opened_as_text(ast.parse(path.read_text("utf-8")))
        assert [f"{path.name}:{call.lineno}" for call in found] == []
    spoilt = "open('x'); path.read_text(); path.write_text('x'); open(a, 'w'); os.fdopen(h, 'w'); path.open('r')"
    assert len(opened_as_text(ast.parse(spoilt))) == 6
    sound = "open('x', 'rb'); p.read_text('utf-8'); p.write_text('x', 'utf-8'); Image.open(a); path.open('wb')"
    assert not opened_as_text(ast.parse(sound))
