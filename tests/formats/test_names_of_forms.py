"""Files that name a form by its kernels are read with the form in words; names that owners gave stay."""

from pathlib import Path

import pytest

import latentfit as lf
from latentfit.fit import PolynomialMap
from latentfit.formats import read


@pytest.mark.parametrize(
    ("name", "form", "read_name"),
    [
        ("(3, 1)", "(3, 1)", "3×3 linear + 1×1 quadratic"),
        ("(3, 1), smoothed", "(3, 1), smoothed", "3×3 linear + 1×1 quadratic, smoothed"),
        ("mine (3, 1)", "(3, 1)", "mine (3, 1)"),
        ("3×3 linear + 1×1 quadratic", "3×3 linear + 1×1 quadratic", "3×3 linear + 1×1 quadratic"),
    ],
)
def test_an_older_files_form_is_read_in_words(tmp_path: Path, name: str, form: str, read_name: str) -> None:
    module = PolynomialMap(4, (3, 1))
    module.set_coefficients(module.coefficients.zero_().numpy())
    table = lf.Approximation(module, "sd1", name=name, card={"form": form})
    saved, exported = lf.save(table, tmp_path / "a.safetensors"), lf.export(table, "json", tmp_path / "a.json")
    for again in (lf.load(saved), read(exported, "json")):
        assert again.name == read_name
        assert "(3, 1)" not in str(again.card["form"])
