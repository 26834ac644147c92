"""Where the files lie that come with the package: tables, decoders, upscalers. Nothing is read here."""

from fractions import Fraction
from pathlib import Path

from latentfit.runtime.storage import data_path


def bundled_tables(space: str) -> list[Path]:
    """The tables of `data/tables` that were fitted for a space of this name."""
    return sorted((data_path("tables") / space).glob("*.safetensors"))


def bundled_decoders(space: str) -> list[Path]:
    """The cell decoders that were trained for a space of this name, the small one first."""
    return sorted(data_path("models").glob(f"{space}-cell*.safetensors"))


def bundled_decoder(space: str, preset: str = "cell") -> Path | None:
    """The decoder of this preset that was trained for a space of this name; None where none is bundled.

    Examples
    --------
    >>> bundled_decoder("sd1").name, bundled_decoder("wan21")
    ('sd1-cell.safetensors', None)
    """
    return _there(data_path("models") / f"{space}-{preset}.safetensors")


def bundled_upscaler(space: str, factor: Fraction | int) -> Path | None:
    """The upscaler that doubles where that is enough, else the one of any factor; None where none is bundled.

    Examples
    --------
    >>> bundled_upscaler("sd1", 4).name, bundled_upscaler("sd1", Fraction(3, 2)).name
    ('sd1-upscaler.safetensors', 'sd1-upscaler-any.safetensors')
    """
    doubles = factor.denominator == 1 and factor.numerator & (factor.numerator - 1) == 0 and factor > 1
    return _there(data_path("models") / f"{space}-upscaler{'' if doubles else '-any'}.safetensors")


def bundled_maps() -> list[Path]:
    """Every saved map that is bundled: models, then tables."""
    return [path for name in ("models", "tables") for path in sorted(data_path(name).rglob("*.safetensors"))]


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None
