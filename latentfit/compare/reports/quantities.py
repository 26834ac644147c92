"""Numbers as people write them: 1,120 and 0.045, never 1.12e+03; with a true minus, and sizes of files."""

import math

MINUS = "\u2212"
_SMALLEST = 1e-6


def plain(value: float, digits: int = 3) -> str:
    """A number with about so many significant digits, thousands parted by commas, never with an exponent.

    Parameters
    ----------
    value : float
        NaN, and None as tables have it, become a dash.
    digits : int
        Significant digits of what is below a thousand; whole parts are never rounded to fewer than they have.

    Examples
    --------
    >>> plain(1119.7), plain(45.21), plain(0.0451), plain(0.5), plain(-3.0)
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
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", MINUS)


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
