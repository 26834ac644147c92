"""The report: one file with the right pictures and numbers in it, whatever it is given."""

import base64
import hashlib
import html
import importlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import latentfit as lf
from latentfit.cli import main
from latentfit.compare.reports import PHOTO, VAE, ShownPicture, editor_pictures, is_editable
from latentfit.compare.reports import pictures as report_pictures
from latentfit.errors import BadFileError, SpaceMismatchError, StoreError
from latentfit.fit import PolynomialMap, smoothed
from latentfit.runtime import signed
from latentfit.scores import difference, smoothing_of
from tests.support.fake_vae import FakeVae

NASTY = '</script><img src=x onerror="alert(1)"> & \'\u2028'


def collected(folder: Path, keep: str, n: int = 6) -> Path:
    rng = np.random.default_rng(1)
    (folder / "photos").mkdir()
    for index in range(n):
        small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        small.resize((96, 64 + 32 * (index % 2)), Image.Resampling.BICUBIC).save(folder / "photos" / f"{index:02}.png")
    lf.collect(FakeVae(), folder / "photos", folder / "store", size=64, keep=keep, progress=False)
    return folder / "store"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collected(tmp_path_factory.mktemp("pairs"), "photo")


def table(name: str = "affine", space: str = "sd1", seed: int = 0) -> lf.Approximation:
    generator = torch.Generator().manual_seed(seed)
    latents, rgb = torch.randn(4, 4, 8, 8, generator=generator), torch.rand(4, 3, 8, 8, generator=generator)
    made = lf.ChannelMap("affine").fit_arrays(latents, rgb, space=space).approximation()
    made.name = name
    return made


class Broken(torch.nn.Module):
    """Raises, or gives what is no number."""

    def __init__(self, gives: float | None) -> None:
        super().__init__()
        self.gives = gives

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        if self.gives is None:
            raise RuntimeError("out of luck <b>")
        return torch.full_like(latents[:, :3], self.gives)


class Elements(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def blocks(path: Path) -> dict[str, Any]:
    """The page's data, by the name of its block; what refers to a picture of the page with that picture's address."""
    text = path.read_text("utf-8")
    found = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', text, re.S)
    pictures = dict(re.findall(r'<img id="([^"]+)"[^>]* src="([^"]+)"', text))

    def resolved(part: dict[str, Any]) -> dict[str, Any]:
        if str(part.get("src", "")).startswith("#"):
            part["src"] = pictures[part["src"].removeprefix("#")]
        return part

    return {name: json.loads(one, object_hook=resolved) for name, one in found}


def workbench(path: Path) -> Any:
    return next(value for value in blocks(path).values() if isinstance(value, dict) and "sides" in value)


def editors(path: Path) -> list[Any]:
    return [value for value in blocks(path).values() if isinstance(value, dict) and "factors" in value]


def pixels(picture: dict[str, Any]) -> np.ndarray:
    blob = base64.b64decode(picture["src"].split(",", 1)[1])
    return np.asarray(Image.open(io.BytesIO(blob)).convert("RGB"))


def text_of(path: Path) -> str:
    """The page without its styles, scripts and data."""
    return re.sub(r"<(style|script).*?</\1>", "", path.read_text("utf-8"), flags=re.S)


@pytest.fixture(scope="module")
def whole(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of one table on all pictures."""
    return lf.report(store, [table()], tmp_path_factory.mktemp("report") / "whole.html")


def test_every_picture_is_what_the_map_makes_of_the_latents(store: Path, whole: Path) -> None:
    one, data = table(), workbench(whole)
    opened = lf.PairStore(store)
    assert data["sides"] == [VAE, PHOTO, "affine"]
    assert (data["reference"], data["left"], data["right"]) == (VAE, "affine", VAE)
    assert len(data["pictures"]) == 6
    for picture in data["pictures"]:
        batch = opened.sample(picture["name"])
        (view,) = picture["views"]
        expected = {VAE: batch.rgb[0], PHOTO: batch.photo[0], "affine": one(batch.latents)[0]}
        for name, rgb in expected.items():
            shown = pixels(view["sides"][name])
            assert np.array_equal(shown, (255 * rgb).round().byte().permute(1, 2, 0).numpy()), name


def test_scores_beside_a_picture_are_evaluates(store: Path, whole: Path) -> None:
    rows = lf.evaluate([table()], lf.PairStore(store)).query("reference == 'vae' and place == 'seen'")
    single = rows[rows["image"] != "all"].set_index("image")
    pictures = workbench(whole)["pictures"]
    assert len(pictures) == len(single)
    for picture in pictures:
        scores = picture["views"][0]["sides"]["affine"]["scores"]
        assert scores["psnr"] == pytest.approx(single["psnr"][picture["name"]])
        assert scores["delta_e"] == pytest.approx(single["delta_e"][picture["name"]])
    hardest, easiest = single["psnr"].idxmin(), single["psnr"].idxmax()
    notes = {picture["name"]: picture["note"] for picture in pictures}
    assert (notes[hardest], notes[easiest]) == ("the hardest scored", "the easiest scored")
    pooled = rows[(rows["image"] == "all") & (rows["kind"] == "all")]
    assert f"{float(pooled['psnr'].iloc[0]):.2f}</td>" in text_of(whole)


def test_a_table_editor_has_the_maps_numbers_and_the_least_squares_of_the_scored_pictures(
    store: Path, whole: Path, tmp_path: Path
) -> None:
    (data,) = editors(whole)
    module = table().module
    assert data["coefficients"] == module.coefficients.tolist()
    assert data["terms"] == ["1", "x0", "x1", "x2", "x3"]
    oracle = lf.ChannelMap("affine").fit(lf.PairStore(store), split="all").module_.coefficients
    assert np.allclose(data["solution"], oracle, atol=1e-5)
    (tmp_path / "table.json").write_text(json.dumps(data["document"]))
    from latentfit.formats import read

    assert torch.allclose(read(tmp_path / "table.json", "json").module.coefficients, module.coefficients, atol=1e-6)
    for picture in blocks(whole)["pictures"]:
        batch = lf.PairStore(store).sample(picture["name"])
        raw = np.frombuffer(base64.b64decode(picture["latents"]["data"]), np.float16)
        assert np.array_equal(raw.reshape(picture["latents"]["shape"]), batch.latents[0].half().numpy())
        cells = np.frombuffer(base64.b64decode(picture["cells"]["data"]), np.uint8).reshape(picture["cells"]["shape"])
        assert np.abs(cells / 255 - batch.cells[0].numpy()).max() <= 0.5 / 255 + 1e-6


def test_only_what_a_hand_can_move_gets_sliders() -> None:
    assert is_editable(table())
    arrays = (torch.randn(8, 4, 8, 8), torch.rand(8, 3, 64, 64))
    decoder = lf.ChannelMap("affine", scale=8).fit_arrays(*arrays, space="sd1").approximation()
    assert not is_editable(decoder)
    assert not is_editable(lf.Approximation(torch.nn.Conv2d(4, 3, 1), "sd1"))


def test_the_reason_stands_where_the_picture_would_be(store: Path, tmp_path: Path) -> None:
    given = [
        table(),
        table("affine", "sdxl"),
        lf.Approximation(Broken(None), "sd1", name="raises"),
        lf.Approximation(Broken(float("nan")), "sd1", name="nan"),
    ]
    path = lf.report(store, given, tmp_path / "r.html", n_pictures=1)
    sides = workbench(path)["pictures"][0]["views"][0]["sides"]
    assert "src" in sides["affine"]
    assert "of space 'sdxl'" in sides["affine, sdxl"]["reason"]
    assert sides["raises"]["reason"] == "raised RuntimeError: out of luck <b>"
    assert "NaN" in sides["nan"]["reason"]
    said = text_of(path)
    assert "raised RuntimeError: out of luck &lt;b&gt;" in said
    assert len(editors(path)) == 1
    with pytest.raises(SpaceMismatchError, match="none of 3 maps can be scored"):
        lf.report(store, given[1:], tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


def test_nothing_that_is_told_becomes_markup(store: Path, tmp_path: Path) -> None:
    path = lf.report(store, [table(NASTY), table("other")], tmp_path / "r.html", n_pictures=1)
    assert NASTY in workbench(path)["sides"]
    seen = Elements()
    seen.feed(path.read_text("utf-8"))
    assert {"table", "script", "style", "img"} <= {tag for tag, _ in seen.found}
    assert not [tag for tag, attributes in seen.found if any(name.startswith("on") for name in attributes)]
    addresses = [value for _, attributes in seen.found for name, value in attributes.items() if name in ("src", "href")]
    assert addresses
    assert all(value.startswith("data:image/webp;base64,") for value in addresses)
    kinds = [attributes.get("type", "") for tag, attributes in seen.found if tag == "script"]
    assert sorted(kinds) == ["", *["application/json"] * (len(kinds) - 2), "module"]
    assert not re.search(r"@import|url\(|\bimport\b[^;]*https?:|fetch\(", path.read_text("utf-8"))


def test_every_section_stands_there_with_its_numbers(store: Path, tmp_path: Path) -> None:
    opened = lf.PairStore(store)
    better = lf.ChannelMap("affine").fit(opened, samples=opened.samples[:2]).approximation()
    better.name = "better"
    files = [lf.save(table("worse"), tmp_path / "worse.safetensors"), lf.save(better, tmp_path / "better.safetensors")]
    path = lf.report(store, files, tmp_path / "r.html")
    said = text_of(path)
    headings = [
        "Compare",
        "Side by side",
        "Scores",
        "What each costs, and how near it comes",
        "Move the numbers",
        "Where it comes from",
    ]
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", said) == headings
    assert re.findall(r"<h3>(.*?)(?: <span>.*?)?</h3>", said) == [one["name"] for one in workbench(path)["pictures"]]
    charts = re.findall(r'<svg class="chart (wide|narrow)".*?aria-label="([^.]*)', said)
    assert [kind for kind, _ in charts] == ["wide", "narrow", "narrow", *["narrow"] * (len(charts) - 3)]
    assert [words for _, words in charts][:3] == [
        "mean ΔE (CIEDE2000) against milliseconds", "mean ΔE (CIEDE2000) against milliseconds",
        "dB to the VAE against milliseconds",
    ]  # fmt: skip
    rows_of = lf.evaluate([lf.load(one) for one in files], opened)
    pooled = rows_of.query("image == 'all' and kind == 'all' and place == 'seen'")
    seen = pooled[pooled["reference"] == "vae"].sort_values("psnr", ascending=False)
    photo = pooled[pooled["reference"] == "photo"].set_index("approximation")["psnr"]
    section = said[said.index(">Scores<") : said.index(">What each costs")]
    rows = re.findall(r'<tr>(<th scope="row".*?)</tr>', section, re.S)
    first = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows][: len(seen)]
    assert [row[0] for row in first] == list(seen["approximation"]) == ["better", "worse"]
    for row in first:
        assert row[1].endswith(f"{float(seen.set_index('approximation')['psnr'][row[0]]):.2f}")
        assert row[3] == f"{photo[row[0]]:.2f}"
    gain = difference(rows_of, "worse", "better", reference="vae")
    assert [row[2] for row in first] == ["the best", f"{signed(gain.mean)} ({signed(gain.low)} to {signed(gain.high)})"]
    provenance = said[said.index(">Where it comes from<") :]
    for fact in (opened.fingerprint, opened.reference, f"{len(opened)} samples of 6 pictures"):
        assert html.escape(fact) in provenance
    for file in files:
        assert file.name in provenance
        assert hashlib.sha256(file.read_bytes()).hexdigest()[:16] in provenance
    n_fitted = len(better.card["train_hashes"])
    assert f'<td class="left">{n_fitted} pictures</td>' in provenance
    assert f"{6 - n_fitted} pictures; {n_fitted} left out because a map was fitted on them" in provenance


def test_pictures_are_shown_from_a_typical_one_to_the_extremes_and_between(store: Path, whole: Path) -> None:
    rows = lf.evaluate([table()], lf.PairStore(store)).query(
        "reference == 'vae' and place == 'seen' and image != 'all'"
    )
    order = list(rows.sort_values("psnr", kind="stable")["image"])
    names = [picture["name"] for picture in workbench(whole)["pictures"]]
    assert names[:3] == [order[2], order[0], order[-1]]
    assert sorted(names) == sorted(order)
    assert workbench(whole)["pictures"][0]["note"] == "a typical one"


def test_the_page_stays_within_its_bytes_and_says_what_it_left_out(store: Path, whole: Path, tmp_path: Path) -> None:
    path = lf.report(store, [table()], tmp_path / "r.html", most_mib=0.001)
    assert len(workbench(path)["pictures"]) == 1
    assert "1 of 6 scored pictures are on this page" in text_of(path)
    assert len(workbench(whole)["pictures"]) == 6
    assert "scored pictures are on this page" not in text_of(whole)


def test_every_step_that_was_recorded_of_a_picture_counts(tmp_path: Path) -> None:
    from latentfit.latents import Estimate, write_latents

    space, one = lf.get_space("sd1"), table()
    for step in range(3):
        says = Estimate("ab" * 32, 1, step, 3, 900.0 - step, 9.0 - step, "ve").to_metadata()
        write_latents(tmp_path / "latents" / f"{step}.latent", torch.randn(1, 4, 4, 4), space, says)
    store = lf.collect(FakeVae(), tmp_path / "latents", tmp_path / "store", progress=False)
    path = lf.report(store, [one], tmp_path / "r.html", n_pictures=2)
    assert len(workbench(path)["pictures"]) == 2
    assert "2 of 3 scored pictures are on this page" in text_of(path)


def test_of_a_large_picture_the_middle_is_shown(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_pictures, "MOST_SIDE_PX", 32)
    one = table()
    path = lf.report(store, [one], tmp_path / "r.html", n_pictures=1)
    (picture,) = workbench(path)["pictures"]
    batch = lf.PairStore(store).sample(picture["name"])
    high, wide = batch.latents.shape[-2:]
    top, left = (high - 4) // 2, (wide - 4) // 2
    shown = one(batch.latents)[0, :, top : top + 4, left : left + 4]
    sides = picture["views"][0]["sides"]
    assert np.array_equal(pixels(sides["affine"]), (255 * shown).round().byte().permute(1, 2, 0).numpy())
    full = batch.rgb[0, :, 8 * top : 8 * top + 32, 8 * left : 8 * left + 32]
    assert np.array_equal(pixels(sides[VAE]), (255 * full).round().byte().permute(1, 2, 0).numpy())
    assert f"the middle 32×32 of {8 * wide}×{8 * high} px" in picture["note"]
    assert blocks(path)["pictures"][0]["latents"]["shape"] == [4, 4, 4]


def test_a_store_of_cells_is_reported_at_the_cells(tmp_path: Path) -> None:
    path = lf.report(collected(tmp_path, "cells"), [table()], tmp_path / "r.html", n_pictures=2)
    data = workbench(path)
    assert data["sides"] == [VAE, "affine"]
    batch = lf.PairStore(tmp_path / "store").sample(data["pictures"][0]["name"])
    assert pixels(data["pictures"][0]["views"][0]["sides"][VAE]).shape[:2] == tuple(batch.latents.shape[-2:])
    assert "At one pixel a latent cell" in text_of(path)


def test_a_page_that_cannot_be_written_is_found_before_scoring(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        importlib.import_module("latentfit.compare.reports.builder"),
        "evaluate",
        lambda *given, **named: pytest.fail("it scored"),
    )
    (tmp_path / "report.html").mkdir()
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(IsADirectoryError):
        lf.report(store, [table()], tmp_path / "report.html")
    with pytest.raises(OSError, match="file"):
        lf.report(store, [table()], tmp_path / "file" / "report.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "report.html"]


def test_a_smoothed_map_has_the_latents_that_it_sees_in_its_editor(store: Path) -> None:
    """What the sliders multiply is smoothed already: a page cannot know InvokeAI's kernel."""
    kernel = smoothing_of("invokeai", lf.get_space("sdxl"))
    opened = lf.PairStore(store)
    made = lf.ChannelMap("linear", smoothing=kernel).fit(opened, "all").approximation("smoothed")
    shown = [ShownPicture("p", "", {}, [], (48, 56), torch.randn(4, 6, 7), torch.rand(3, 6, 7), 0)]
    plain, smooth = (editor_pictures(shown, module)[0]["latents"] for module in (None, made.module))
    assert isinstance(made.module, PolynomialMap)
    expected = smoothed(shown[0].latents[None], kernel)[0].half().numpy()
    assert base64.b64decode(smooth["data"]) == expected.tobytes()
    assert plain["data"] != smooth["data"]


def test_bad_input_is_refused_before_anything_is_written(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    with pytest.raises(StoreError, match="at least one"):
        lf.report(store, [], out)
    with pytest.raises(StoreError, match="no pair store there"):
        lf.report(tmp_path, [table()], out)
    with pytest.raises(BadFileError, match="no such file"):
        lf.report(store, [table(), tmp_path / "gone.safetensors"], out)
    with pytest.raises(StoreError, match="n_pictures"):
        lf.report(store, [table()], out, n_pictures=0)
    everywhere = table()
    everywhere.card["train_hashes"] = [sample.sha256 for sample in lf.PairStore(store).samples]
    with pytest.raises(StoreError, match="none of 6 pictures is left to score"):
        lf.report(store, [everywhere], out)
    one = lf.collect(FakeVae(), store.parent / "photos", tmp_path / "one", size=64, limit=1, progress=False)
    with pytest.raises(StoreError, match="no picture is in the split that was asked for"):
        lf.report(one, [table()], out, split="train" if one.split("test") else "test")
    assert not out.exists()


def test_the_command_writes_a_page_that_says_how_to_make_it_again(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = lf.save(table("mine"), tmp_path / "my map.safetensors")
    other = lf.save(table("mine", "sdxl"), tmp_path / "other.safetensors")
    out = tmp_path / "report.html"
    command = ["report", str(mine), str(other), "--store", str(store), "--out", str(out), "--pictures", "2"]
    assert main(command) == 0
    assert "open it in any browser" in capsys.readouterr().out
    assert len(workbench(out)["pictures"]) == 2
    said = text_of(out)
    given = f"&#x27;{mine}&#x27; {other} --store {store} --pictures 2 --split all --out report.html"
    assert f"latentfit report {given}" in said
    assert "1 map of SD1 latents" in said
    assert "mine, sdxl" in said
    assert main(["report", str(mine), "--store", str(store), "--out", str(tmp_path / "report.pdf")]) == 2
    assert main(["report", str(tmp_path / "no.json"), "--store", str(store), "--out", str(out)]) == 2
    assert "no such file" in capsys.readouterr().err
