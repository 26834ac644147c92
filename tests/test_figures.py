"""Figures: they draw what they are given, save equal bytes, and keep no state."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

import latentfit as lf
from latentfit.compare import figures
from latentfit.compare.pareto import front, pareto


def table() -> lf.Approximation:
    return (
        lf.ChannelMap("affine").fit_arrays(torch.randn(4, 4, 8, 8), torch.rand(4, 3, 8, 8), space="sd1").approximation()
    )


FRAME = pd.DataFrame(
    {
        "approximation": ["a", "b", "c"],
        "origin": ["published", "ours", "oracle"],
        "psnr": [18.0, 21.0, 21.5],
        "n_pictures": [1, 2, 4],
        "form": ["affine", "affine", "3"],
        "family": ["published table", "closed form", "autoencoder"],
        "ms": [0.02, 0.01, 1600.0],
        "parameters": [12, 15, 1222531],
        "ms_ssim": [0.5, 0.6, 0.9],
        "delta_e": [9.0, 8.0, 3.0],
    }
)
DRAWN = {
    "contact_sheet": lambda **k: figures.contact_sheet(
        {"big": torch.rand(3, 16, 24), "small": torch.rand(3, 2, 3)}, {"big": "x"}, **k
    ),
    "coefficient_heatmap": lambda **k: figures.coefficient_heatmap(table(), **k),
    "curves": lambda **k: figures.curves(FRAME, "n_pictures", "psnr", "form", title="t", **k),
    "ranking": lambda **k: figures.ranking(FRAME, title="t", **k),
    "latent_channels": lambda **k: figures.latent_channels(torch.randn(16, 8, 8), **k),
    "error_map": lambda **k: figures.error_map(torch.rand(3, 8, 8), torch.rand(3, 8, 8), **k),
    "clipping": lambda **k: figures.clipping(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), **k),
    "pareto": lambda **k: pareto(FRAME, title="t", **k),
    "bars": lambda **k: figures.bars({"one": 1.0, "two": 2.0}, title="t", **k),
}


@pytest.mark.parametrize("name", DRAWN)
def test_each_figure_is_drawn_and_saved_the_same_each_time(name: str, tmp_path: Path) -> None:
    saved = []
    for copy in ("a.png", "b.png"):
        torch.manual_seed(1)
        assert isinstance(DRAWN[name](path=tmp_path / copy), Figure)
        saved.append((tmp_path / copy).read_bytes())
    assert saved[0] == saved[1]
    assert saved[0].startswith(b"\x89PNG")


def test_the_front_holds_what_nothing_beats() -> None:
    cost, score = pd.Series([1.0, 1.0, 5.0, 2.0, 9.0]), pd.Series([10.0, 12.0, 11.0, 15.0, 15.0])
    assert front(cost, score) == [1, 3]
    assert front(cost, -score, more_is_better=False) == [1, 3]


def test_pictures_of_a_sheet_share_one_size() -> None:
    sheet = DRAWN["contact_sheet"]()
    assert {axis.images[0].get_array().shape for axis in sheet.axes} == {(16, 24, 3)}


def test_heatmap_of_a_network_is_refused() -> None:
    with pytest.raises(TypeError, match="ChannelMap"):
        figures.coefficient_heatmap(lf.Approximation(torch.nn.Conv2d(4, 3, 1), "sd1"))
