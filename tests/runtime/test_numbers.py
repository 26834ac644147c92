"""Numbers as people write them."""

import math

import pytest

from latentfit.runtime import significant, table_cell


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1123.4, "1,120"), (1_229_443, "1,230,000"), (104.2, "104"), (37.59, "37.6"), (9.996, "10"), (0.1, "0.1"),
        (0.00064, "0.00064"), (-0.27, "-0.27"), (0.0, "0"), (1e-9, "1·10⁻⁹"), (2.53e12, "2.53·10¹²"), (999.9, "1,000"),
    ],
)  # fmt: skip
def test_three_significant_digits_are_written_out(value: float, text: str) -> None:
    assert significant(value) == text


def test_digits_are_chosen_and_what_is_no_number_is_said() -> None:
    assert significant(1.2345, 2) == "1.2"
    assert significant(1.2345, 1) == "1"
    assert significant(math.nan) == "nan"
    assert significant(-math.inf) == "-inf"


def test_a_tables_cells_have_the_decimals_that_their_size_wants() -> None:
    cells = [table_cell(value) for value in (0.00064, 0.184, 24.301, 111.0, 111.5, 1399.96, 1222531.0)]
    assert cells == ["0.00064", "0.184", "24.30", "111", "111.50", "1,400", "1,222,531"]
