"""What an audit calls published tables: judged kind by kind, wrong only where photographs and drawings agree."""

from pathlib import Path

import pandas as pd
import pytest
import torch

import latentfit as lf
from latentfit.pairs import Origin, PairStore, Sample, columns_of, sample_key, write_shard
from latentfit.scores import audit, audit_summary, table, unsuited, verdict

PX, N = 8, 12


def store_of(folder: Path, n_drawings: int = N) -> PairStore:
    """Photographs whose colours no published table gives; drawings that ComfyUI's table paints exactly."""
    generator = torch.Generator().manual_seed(5)
    origin = Origin("Fake VAE", "a fake VAE", "0" * 64, lf.get_space("sd1"), 64)
    turned = torch.tensor([[-0.1, 0.0, 0.1, 0.0], [0.1, -0.1, 0.0, 0.1], [0.0, 0.1, -0.1, -0.1]])
    for kind, count in (("photograph", N), ("drawing", n_drawings)):
        latents = 0.7 * torch.randn(count, 4, 6, 6, generator=generator)
        if kind == "drawing":
            cells = table("comfyui/SD15").approximation()(latents)
        else:
            cells = (0.5 + torch.einsum("rc,nchw->nrhw", turned, latents)).clamp(0, 1)
        rgb = cells.repeat_interleave(PX, 2).repeat_interleave(PX, 3)
        samples = []
        for row in range(count):
            sha256, box = f"{kind[0].encode().hex()}{row:02x}" * 16, (0, 0, 6 * PX, 6 * PX)
            samples.append(Sample(sample_key(sha256, box), f"{kind} {row}", sha256, kind, box, (6, 6)))  # type: ignore[arg-type]
        columns = columns_of(latents, rgb) | {"photo": rgb.mul(255).round().to(torch.uint8)}
        write_shard(folder, origin, samples, columns)
    return PairStore(folder)


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return audit(store_of(tmp_path_factory.mktemp("store")), with_pictures=True)


def test_a_table_good_on_drawings_is_unsuited_and_not_wrong(frame: pd.DataFrame) -> None:
    verdicts = frame[frame["image"] == "all"].groupby("approximation")["verdict"].first()
    assert verdicts["comfyui/SD15"] == "unsuited to Fake VAE latents of photographs"
    assert verdicts["apple/sd1"] == "wrong: unsuited to Fake VAE latents of photographs and of drawings"
    assert set(verdicts[frame.set_index("approximation")["origin"].eq("oracle").groupby(level=0).first()]) == {""}


def test_the_rows_of_pictures_stand_beside_the_pooled_ones(frame: pd.DataFrame) -> None:
    single = frame[(frame["approximation"] == "comfyui/SD15") & (frame["image"] != "all")]
    assert len(single) == 2 * N * 2 * 2  # kinds, references, places
    assert "drawing 3" not in audit_summary(frame)
    assert "called unsuited" not in audit_summary(frame)


def test_too_few_pictures_of_a_kind_are_not_judged(tmp_path: Path) -> None:
    frame = audit(store_of(tmp_path / "store", n_drawings=4), places=("cells",))
    verdicts = frame.groupby("approximation")["verdict"].first()
    assert set(frame["image"]) == {"all"}
    assert verdicts["apple/sd1"] == "unsuited to Fake VAE latents of photographs", "four drawings say nothing"
    assert unsuited(frame, "drawing") is None
    assert unsuited(frame[frame["reference"] == "vae"], "photograph") is None
    assert "apple/sd1" in (unsuited(frame, "photograph") or ())


def test_verdicts_in_words() -> None:
    assert verdict("x", {"photograph": frozenset(), "drawing": None}, "TAESD") == ""
    assert verdict("x", {"photograph": {"x"}, "drawing": None}, "TAESD") == "unsuited to TAESD latents of photographs"
    assert verdict("x", {"photograph": None, "drawing": {"x"}}, "TAESD") == "unsuited to TAESD latents of drawings"
