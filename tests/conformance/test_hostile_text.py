"""Text of a map's file stays text: in every exported program, in tables and pages, and on the terminal."""

import ast
import csv
import html.parser
import io
import json
import re
import tokenize
import unicodedata
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

import latentfit as lf
from latentfit import cli
from latentfit import formats as dialects
from latentfit import runtime as escaping
from latentfit.cli import write_csv
from latentfit.compare.reports import FAMILIES, Card, CostPoint, Link, Page, Tile
from latentfit.errors import ExportError
from latentfit.fit import PolynomialMap
from latentfit.formats.programs import PROGRAMS
from latentfit.latents import get_space
from latentfit.maps import Approximation

MARK = "EVIL"  # within every hostile text: where it stands says what became of it
BREAKS = ("\n", "\r", "\r\n", "\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\x1c", "\\\n", "\\ \n")
HOSTILE = {
    **{f"break {one!a}": f"a{one}EVIL = 1{one}" for one in BREAKS},
    "quotes": "' \" ''' \"\"\" EVIL ''' \"\"\" ' \"",
    "comment ends": "*/ EVIL() /* --> EVIL <!-- #} EVIL {# ]]> %> */*/ /*/",
    "backslash at the end": "EVIL\\",
    "trigraph at the end": "EVIL??/",
    "encoding declared": "coding: utf-7 +AAo-EVIL+ADs-",
    "encoding declared as Emacs does": "-*- coding=utf-16 -*- EVIL",
    "directions": "\u202eEVIL\u202c \u2066x\u2069 \u200f \u061c",
    "nothing to see": "E\u200bV\u200dI\ufeffL EVIL \u00ad\u2060",
    "markup": "<script>EVIL()</script><img src=x onerror=EVIL()> ]]> </pre></svg>",
    "links": "[EVIL](javascript:EVIL()) ![](https://x/EVIL) <https://x/EVIL> https://x/EVIL www.EVIL.com",
    "attributes": "\" onmouseover=\"EVIL()\" x='EVIL",
    "Markdown": "| EVIL | `EVIL` **EVIL** # EVIL\n\n# EVIL\n| a |\n|---|",
    "formats": "{0} {EVIL} %s %(EVIL)s %n ${EVIL} $(EVIL) $\\frac{EVIL$",
    "formula": "=HYPERLINK(\"http://EVIL\")",
    "formula behind a comma": "x,=EVIL(),@EVIL;+EVIL,\t-EVIL",
    "terminal": "\x1b[2J\x1b]0;EVIL\x07\x9bEVIL\x08\x7f",
    "NUL": "EVIL\x00EVIL",
    "surrogates": "EVIL\ud800 \udfff",
    "100,000 characters": "EVIL" * 25_000,
    "100,000 breaks": "EVIL" + "\n" * 100_000 + "EVIL",
}  # fmt: skip
LANGUAGES = {".py": "python", ".h": "c", ".swift": "c", ".csv": "csv", ".md": "markdown", ".json": "json"}
BINARY = (".npz", ".onnx", ".keras", ".safetensors")
TEXT = [one.name for one in PROGRAMS.values() if one.ending in LANGUAGES]
PYTHON = [name for name in TEXT if LANGUAGES[PROGRAMS[name].ending] == "python"]
COMPILED = [name for name in TEXT if LANGUAGES[PROGRAMS[name].ending] == "c"]
GRAPHS = [one.name for one in PROGRAMS.values() if one.extra]


def table(text: str, field: str = "everything", intercept: bool = True) -> Approximation:
    """An affine map of a space of its own, with `text` in one of its fields, or in all."""
    said = {name: text if field in (name, "everything") else f"a plain {name}" for name in FIELDS}
    space = replace(
        get_space("sd1"), name=said["space"], scale=(0.2,), comfy_class=said["comfy_class"], source=said["source"],
        notes=said["notes"],
    )  # fmt: skip
    module = PolynomialMap(4, (1,), intercept=intercept)
    values = torch.linspace(-1, 1, 15).reshape(5, 3)
    values[0] = values[0] if intercept else 0
    module.set_coefficients(values)
    scores = [{"kind": "all", "place": "cells", "reference": said["score"], "psnr": 20.0, "delta_e": 5.0}]
    card = {
        "reference": said["reference"], "scored_on": said["scored_on"], "scores": scores, "form": said["form"],
        "vae": said["vae"], "n_images": 6, "n_cells": 7, said["key"]: said["key"],
    }  # fmt: skip
    return Approximation(module, space, 1, name=said["name"], card=card)


FIELDS = (
    "name", "space", "comfy_class", "source", "notes", "reference", "scored_on", "score", "form", "vae", "key"
)  # fmt: skip


def exported(approximation: Approximation, to: str, path: Path) -> str | None:
    """What a dialect writes, as text; None for those of bytes."""
    bias_free = table("plain", "name", intercept=False)
    bias_free.space = approximation.space
    bias_free.name, bias_free.card = approximation.name, approximation.card
    written = dialects.export(approximation, to, path, bias_free=bias_free).read_bytes()
    return written.decode("utf-8") if to in TEXT else None


def is_printable(text: str) -> bool:
    return all(c == "\n" or c.isprintable() for c in text)


def test_every_program_writes_a_language_whose_text_is_tried_here():
    """A program of another language: say in `LANGUAGES` whose comments it has, or in `BINARY` that it has none."""
    assert [one.name for one in PROGRAMS.values() if one.ending not in (*LANGUAGES, *BINARY)] == []
    for one in PROGRAMS.values():
        if one.name not in GRAPHS:
            written = one.write(table("plain", intercept=False), None)
            assert isinstance(written, str) == (one.ending in LANGUAGES), one.name


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("to", PYTHON)
def test_python_has_the_syntax_tree_of_a_harmless_name(to, name, tmp_path):
    plain = exported(table("plain"), to, tmp_path / "plain.py")
    text = exported(table(HOSTILE[name]), to, tmp_path / "evil.py")
    assert plain is not None
    assert text is not None
    own = escaping.identifier(table(HOSTILE[name]).space.name).upper()
    here = escaping.identifier(table("plain").space.name).upper()
    assert ast.dump(ast.parse(text)).replace(own, here) == ast.dump(ast.parse(plain))
    # the file's bytes are read as UTF-8, whatever a comment says, and all text is in comments
    assert tokenize.detect_encoding(io.BytesIO(text.encode()).readline)[0] == "utf-8"
    tokens = tokenize.tokenize(io.BytesIO(text.encode()).readline)
    assert not any(MARK in t.string for t in tokens if t.type not in (tokenize.COMMENT, tokenize.NAME))
    assert is_printable(text)
    assert len(text) < 20_000


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("to", COMPILED)
def test_compiled_programs_hold_it_in_comments_alone(to, name, tmp_path):
    plain = exported(table("plain"), to, tmp_path / "plain.h")
    text = exported(table(HOSTILE[name]), to, tmp_path / "evil.h")
    assert plain is not None
    assert text is not None
    assert is_printable(text)
    comments = [line for line in text.splitlines() if line.startswith("//")]
    assert all("/*" not in line and "*/" not in line and "\\" not in line and "??/" not in line for line in comments)
    own = escaping.identifier(table(HOSTILE[name]).space.name)
    code = "\n".join(line for line in text.splitlines() if not line.startswith("//")).replace(own, "plain")
    assert code == "\n".join(line for line in plain.splitlines() if not line.startswith("//"))


@pytest.mark.parametrize("name", HOSTILE)
def test_every_format_writes_it_and_its_readers_read_it(name, tmp_path):
    """Over all formats, so that a new one is tried too; those of programs are tried further above."""
    approximation = table(HOSTILE[name])
    for to, program in PROGRAMS.items():
        if to in GRAPHS:
            continue  # their own tests: each takes seconds
        path = tmp_path / f"evil-{to}{program.ending}"
        text = exported(approximation, to, path)
        if text is not None:
            assert is_printable(text), to
        if program.read is None and program.read_alone is None:
            continue
        back = dialects.read(path, to, approximation.space)
        latents = torch.linspace(-1, 1, 4 * 9).reshape(1, 4, 3, 3)
        expected = table("plain", "name", intercept=program.bias == "yes")
        assert torch.allclose(back.unclamped(latents), expected.unclamped(latents), atol=2e-6), to


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_alone_is_one_line(field, tmp_path):
    for to in TEXT:
        n_lines = [
            (exported(table(text, field), to, tmp_path / f"x.{to}") or "").count("\n")
            for text in ("plain", "a\nEVIL = 1\r\nEVIL\x85EVIL\u2028EVIL")
        ]
        assert n_lines[0] == n_lines[1], (to, field)


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_and_csv_show_it_as_text(name, tmp_path):
    text = exported(table(HOSTILE[name]), "markdown", tmp_path / "x.md") or ""
    said = "\n".join(line for line in text.splitlines() if MARK in line)
    assert not re.search(r"(?<!\\)[<>|`\[\]]", said)  # no tag, column, code or link
    assert not re.search(r"https?://|www\.(?=E)", said)  # nor one that needs no brackets
    rows = list(csv.reader((exported(table(HOSTILE[name]), "csv", tmp_path / "x.csv") or "").splitlines()))
    cells = [cell.strip() for row in rows if row[0].startswith("#") for cell in row if "shift" not in row[0]]
    cells = [cell for cell in cells if MARK in cell]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_a_spreadsheet_computes_nothing(tmp_path):
    texts = [
        *HOSTILE.values(),
        "=1+1",
        " =1",
        "+1",
        "-1+cmd|' /C calc'!A0",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\uff1d1",
        "'=1",
    ]
    frame = pd.DataFrame({"approximation": texts, "psnr": -1.5, "n": 3})
    blob = write_csv(frame, tmp_path / "x.csv").read_text("utf-8")
    back = list(csv.reader(io.StringIO(blob)))
    assert len(back) == len(texts) + 1
    for row in back[1:]:
        assert row[1:] == ["-1.5", "3"]  # numbers stay numbers
        assert row[0].lstrip("'\" ")[:1] not in tuple("=+-@\uff1d") or row[0].startswith("'")
        assert row[0].isprintable()


class Tags(html.parser.HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, tuple(name for name, _ in attributes)))


@pytest.mark.parametrize("name", HOSTILE)
def test_pages_have_the_tags_of_a_harmless_one(name):
    def page(text):
        made = Page(text, text)
        made.heading(text)
        made.text(text)
        made.callout(text)
        made.pictures([Tile(text, text, b"", mark="m"), Tile(text, text, text, is_truth=True)], (1, 1), text, text)
        made.cards([Card(*[text] * 6, Link(text, f"a/{text.replace('/', '-')}"), text, text, text)])
        made.facts({text: text})
        made.costs([CostPoint(text, 1.0, 2.0), CostPoint(text, 2.0, 3.0, FAMILIES[1])], text)
        made.chart({text: [(1.0, 2.0), (2.0, 3.0)]}, text, text)
        made.table([{text: text, "b": 1.0}], left=(text,), fold=text)
        made.code(text, text)
        made.share("s", {text: text})
        made.widget("curtain", {text: [text]}, {text: "s"}, fold=text)
        return made.html()

    plain, evil = page("plain"), page(HOSTILE[name])
    assert Tags(evil).seen == Tags(plain).seen
    hidden = {c for c in evil if not c.isprintable() and c not in "\n\t"} - set(plain)
    within = re.sub(r'<script type="application/json".*?</script>', "", evil, flags=re.DOTALL)
    assert not [c for c in within if unicodedata.category(c) in ("Cf", "Cc", "Cs") and c not in "\n\t"], hidden
    evil.encode("utf-8")
    for block in re.findall(r'<script type="application/json" id="[^"]*">(.*?)</script>', evil, re.DOTALL):
        assert MARK in json.dumps(json.loads(block), ensure_ascii=False)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_terminal_obeys_none_of_it(name, tmp_path, capsys):
    path = lf.save(table(HOSTILE[name]), tmp_path / "x.safetensors")
    assert cli.main(["info", str(path)]) == 0
    said = capsys.readouterr()
    assert is_printable(said.out)
    assert said.out.splitlines()[1] == "{"  # the name is one line
    assert cli.main(["export", str(path), "--to", "keras " + HOSTILE[name][:50], "--out", str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err
    assert is_printable(error)
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_a_loaded_map_has_one_printable_line_for_a_name(name, tmp_path):
    loaded = lf.load(lf.save(table(HOSTILE[name]), tmp_path / "x.safetensors"))
    assert loaded.name.isprintable()
    assert len(loaded.name) <= escaping.MOST_CHARACTERS
    assert loaded.card["reference"].isprintable()
    assert loaded.space.name.isprintable()
    assert all(key.isprintable() for key in loaded.card)


def test_harmless_text_stays_as_it_is(tmp_path):
    name = "3×3 affine, ΔE — «größer» 日本語 (4 channels) 100 %"
    assert escaping.one_line(name) == name
    assert lf.load(lf.save(table(name, "name"), tmp_path / "x.safetensors")).name == name
    assert f"# latentfit: {name} for a plain space (4 channels)\n" in (
        exported(table(name, "name"), "sdnext", tmp_path / "x.py") or ""
    )


@pytest.mark.parametrize("to", GRAPHS)
def test_models_hold_it_as_metadata(to, tmp_path):
    pytest.importorskip(to)
    for text in ("EVIL\nEVIL\ud800", "EVIL" * 25_000):
        path = dialects.export(table(text), to, tmp_path / f"x.{to}")
        if to == "onnx":
            import onnx

            about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
            assert about["name"].isprintable()
            assert MARK in about["name"]


def test_an_unknown_format_is_refused_in_one_line():
    with pytest.raises(ExportError):
        dialects.export(table("x"), "nonsense\n", "x")
