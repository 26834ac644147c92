"""Numbers as people write them: 1,120 and 0.00064, never 1.12e+03; with a true minus in pages, and sizes of files."""

import math

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MINUS = "\u2212"
_SMALLEST = 1e-6
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


def quantity(value: float, digits: int = 3) -> str:
    """A number with about so many significant digits, thousands parted by commas, never with an exponent.

    Parameters
    ----------
    value : float
        NaN, and None as tables have it, become a dash.
    digits : int
        Significant digits of what is below a thousand; whole parts are never rounded to fewer than they have.

    Examples
    --------
    >>> quantity(1119.7), quantity(45.21), quantity(0.0451), quantity(0.5), quantity(-3.0)
    ('1,120', '45.2', '0.0451', '0.5', '−3')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if value and abs(value) < _SMALLEST:
        return "about 0"
    before = 1 + math.floor(math.log10(abs(value))) if value else 1
    text = f"{value:,.{max(0, min(9, digits - before))}f}"
    return _without_zeros(text).replace("-", MINUS)


def signed(value: float, decimals: int = 1) -> str:
    """A difference with its sign; what rounds to zero has none.

    Examples
    --------
    >>> signed(5.06), signed(-0.26), signed(-0.04)
    ('+5.1', '−0.3', '0.0')
    """
    text = f"{value:+,.{decimals}f}"
    return text[1:] if not float(text.replace(",", "")) else text.replace("-", MINUS)


def file_size(n_bytes: int) -> str:
    """Size of a file.

    Examples
    --------
    >>> file_size(2239), file_size(93_000), file_size(3_500_000)
    ('2,239 B', '91 KiB', '3.3 MiB')
    """
    if n_bytes < 10_000:
        return f"{n_bytes:,} B"
    return f"{n_bytes / 2**10:,.0f} KiB" if n_bytes < 2**20 else f"{n_bytes / 2**20:,.1f} MiB"


def _without_zeros(text: str) -> str:
    """A fraction without the zeros at its end."""
    return text.rstrip("0").rstrip(".") if "." in text else text
