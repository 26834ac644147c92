"""What is said of maps: cards and README are what the numbers say, drawn pictures among them, sets apart."""

import hashlib
import io
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from recipes import score_sets, scored_sets
from recipes.cards import pages, readme, results, results_tables
from tests.support.paths import ROOT

DATA = ROOT / "data"
CARDS = sorted([*DATA.glob("models/*.md"), DATA / "tables/README.md", *DATA.glob("vaes/mini-*/README.md")])


def test_every_page_says_what_the_numbers_say() -> None:
    make_results = results
    wanted = {**make_results.page(), **pages.filled(), **make_results.cards(), **readme.filled()}
    stale = [path.relative_to(ROOT).as_posix() for path, text in wanted.items() if path.read_text("utf-8") != text]
    assert not stale, f"{stale}: run `make results`"


@pytest.mark.parametrize("path", CARDS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_card_without_figures_of_drawings_is_none(path: Path) -> None:
    text = path.read_text("utf-8")
    block = text.split("<!-- kinds -->")[1].split("<!-- /kinds -->")[0]
    head = next(line for line in block.splitlines() if line.startswith("| ") and "clip art" in line)
    column = [cell.split(" (")[0] for cell in head.strip("| ").split(" | ")].index("clip art")
    rows = [line.strip("| ").split(" | ") for line in block.splitlines() if line.startswith("| ") and line != head]
    numbers = [row[column] for row in rows if len(row) > column and row[column][:1].isdigit()]
    assert len(numbers) >= 3, "figures of clip art stand in the card"


def test_pages_name_each_kind_and_where_ours_is_weak() -> None:
    text = (ROOT / "docs/results.md").read_text("utf-8")
    weak = text.split("<!-- weak -->")[1].split("<!-- /weak -->")[0]
    assert "sd1-cell-large − TAESD" in weak
    assert "clip art" in weak
    for kind in ("ink and watercolour", "clip art", "pixel art", "photographs (CID22)"):
        assert kind in text.split("<!-- kinds -->")[1].split("<!-- /kinds -->")[0]
    readme_says = (ROOT / "README.md").read_text("utf-8").split("<!-- weak -->")[1].split("<!-- /weak -->")[0]
    assert re.search(r"\d\.\d dB below TAESD \(\d\.\d to \d\.\d\) on clip art", readme_says)
    audit = (ROOT / "docs/tables.md").read_text("utf-8").split("<!-- audit -->")[1].split("<!-- /audit -->")[0]
    row = next(line for line in audit.splitlines() if line.startswith("| comfyui/SD15 |"))
    assert row.endswith("| unsuited to photographs |"), "it is not wrong: drawings suit it"


def test_nothing_held_out_was_trained_or_fitted_on() -> None:
    hashes = scored_sets.held_out_hashes()
    assert len(hashes) > 400
    listed = json.loads((ROOT / "data/training_pictures.json").read_text("utf-8"))["pictures"]
    assert not hashes & {one["sha256"] for one in listed}
    files = [*(ROOT / "data/models").glob("*.safetensors"), *(ROOT / "data/tables").rglob("*.safetensors")]
    assert len(files) > 40
    for path in files:
        with safe_open(path, framework="pt") as file:
            told = json.dumps(file.metadata())
        assert not any(one in told for one in hashes), path.name


def test_sets_are_chosen_by_hash_and_training_gets_the_rest(assets: Path) -> None:
    sets = scored_sets
    held_out = sets.held_out()
    assert {key: held_out[key] for key in ("report", "development", "styles")} == sets.chosen(assets)
    report, development = (set(held_out[role]["drawings"]) for role in ("report", "development"))
    assert len(report) == 40
    assert not report & development
    left = {f"drawings/{path.name}" for path in sets.left_to_train(assets / "images" / "drawings")}
    assert left | report | development == {f"drawings/{path.name}" for path in (assets / "images/drawings").iterdir()}
    assert not left & (report | development)
    assert not set(held_out["report"]["pixel art"]) & set(held_out["development"]["pixel art"])


def test_pixel_art_is_drawn_eight_pixels_wide(assets: Path) -> None:
    sets = scored_sets
    scenes = sets.pictures_of("pixel art", assets)
    assert len({hashlib.sha256(one.read()).hexdigest() for one in scenes[:6]}) == 6
    for scene in scenes[:6]:
        pixels = np.asarray(Image.open(io.BytesIO(scene.read())))
        assert pixels.shape == (320, 320, 3)
        assert (pixels == pixels[::8, ::8].repeat(8, 0).repeat(8, 1)).all()


def frame() -> pd.DataFrame:
    rows = [
        {
            "space": "sd1",
            "set": "eval",
            "image": str(i),
            "map": name,
            "pixels": 100 * (i + 1),
            "mse_photo": mse / (i + 1),
        }
        for name, mse in (("a", 0.01), ("b", 0.02))
        for i in range(4)
    ]
    return pd.DataFrame(rows)


def test_decibels_are_pooled_over_pixels_and_differences_over_pictures() -> None:
    tables = results_tables
    errors = [0.01 / (i + 1) for i in range(4)]
    mse = np.average(errors, weights=[100, 200, 300, 400])
    assert tables.pooled(frame(), "a", "eval") == pytest.approx(-10 * math.log10(mse))
    found = tables.difference(frame(), "a", "b", "eval", "mse_photo")
    assert found.mean == pytest.approx(10 * math.log10(2))
    assert (found.won, found.n) == (1, 4)
    assert tables.difference(frame(), "a", "c", "eval", "mse_photo") is None
    assert math.isnan(tables.pooled(frame(), "a", "drawings"))


def test_a_killed_run_goes_on_with_whole_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scoring = score_sets
    monkeypatch.setattr(scoring, "ROWS", tmp_path)
    samples = [SimpleNamespace(name=f"picture {i}") for i in range(4)]
    seen: list[str] = []

    def score(sample: SimpleNamespace) -> "list[dict[str, object]]":
        if len(seen) == 2:
            seen.append("killed")
            raise KeyboardInterrupt
        seen.append(sample.name)
        return [{"map": name, "mse_photo": 0.5} for name in ("a", "b")]

    with pytest.raises(KeyboardInterrupt):
        scoring.scored("job", "sd1", "pixel art", samples, score)
    scoring.scored("job", "sd1", "pixel art", samples, score)
    rows = pd.read_csv(tmp_path / "job-sd1-pixel_art.csv")
    assert seen == ["picture 0", "picture 1", "killed", "picture 2", "picture 3"]
    assert rows["image"].tolist() == [f"picture {i}" for i in range(4) for _ in range(2)]
    assert set(rows["set"]) == {"pixel art"}


def test_a_card_written_anew_keeps_its_block(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("# Old\n\n<!-- kinds -->\nfigures\n<!-- /kinds -->\n", encoding="utf-8")
    keep = results_tables.keeping_kinds
    assert keep(card, "# New\n") == "# New\n\n<!-- kinds -->\nfigures\n<!-- /kinds -->\n"
    assert keep(tmp_path / "none.md", "# New\n") == "# New\n"


def test_scores_seen_are_of_the_picture_and_of_the_teacher() -> None:
    from latentfit.scores import PictureFeatures

    truth, teacher = torch.rand(1, 3, 200, 210), torch.rand(1, 3, 200, 210)
    row = score_sets.seen_scores(truth, PictureFeatures(truth), teacher)
    assert row["mse_photo"] == 0
    assert row["ms_ssim"] == pytest.approx(1)
    assert row["mse_vae"] == pytest.approx(float((truth.double() - teacher.double()).square().mean()))
    assert row["pixels"] == 200 * 210
