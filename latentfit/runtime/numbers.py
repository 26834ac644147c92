"""Numbers as people write them: 1,120 and 0.00064, never 1.12e+03."""

import math

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN = range(-6, 9)
"""Exponents of ten of what is written out; beyond, as a power of ten."""


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, written out, with commas between thousands.

    Zeros at the end of a fraction are left away. What is too large or too small to be read that way is a power of ten.

    Parameters
    ----------
    value : float
    digits : int
        1 or more.

    Examples
    --------
    >>> significant(1123.4), significant(37.59), significant(0.00064), significant(2.5e12)
    ('1,120', '37.6', '0.00064', '2.5·10¹²')
    """
    if not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.{digits - 1}e}")
    exponent = math.floor(math.log10(abs(rounded))) if rounded else 0
    if exponent not in _PLAIN:
        mantissa, power = f"{rounded:.{digits - 1}e}".split("e")
        return f"{_without_zeros(mantissa)}·10{str(int(power)).translate(_RAISED)}"
    return _without_zeros(f"{rounded:,.{max(0, digits - 1 - exponent)}f}")


def table_cell(value: float) -> str:
    """A number in a table: three significant digits below 10, then two decimals, none from 1,000 on.

    Whole numbers of 100 or more, such as numbers of parameters, have no decimals.

    Examples
    --------
    >>> table_cell(0.0638), table_cell(24.301), table_cell(111.0), table_cell(1123.4)
    ('0.0638', '24.30', '111', '1,123')
    """
    size = abs(value)
    if size < 10:
        return significant(value)
    return f"{value:,.0f}" if size >= 1000 or (size >= 100 and value == round(value)) else f"{value:.2f}"


def _without_zeros(text: str) -> str:
    """A fraction without the zeros at its end."""
    return text.rstrip("0").rstrip(".") if "." in text else text
