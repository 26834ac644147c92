"""Forms of fitted maps in words: "3×3 linear + 1×1 quadratic" where the short name is "(3, 1)"."""

import re

_DEGREES = ("linear", "quadratic", "cubic")


def form_in_words(name: str) -> str:
    """A form's short name as people read it; any other name as it is.

    Parameters
    ----------
    name : str
        Such as a form for `latentfit.ChannelMap` ("3", "5,3"), its approximation's name ("(3, 1)"), or a name that
        holds one ("ours: (3, 1)").

    Examples
    --------
    >>> form_in_words("ours: (3, 1)")
    'ours: 3×3 linear + 1×1 quadratic'
    >>> form_in_words("3")
    '3×3 affine'
    >>> form_in_words("comfyui/SD15")
    'comfyui/SD15'
    """
    if re.fullmatch(r"[1357](,[1357])*", name):
        sides = name.split(",")
        return _words(sides) if len(sides) > 1 else f"{name}×{name} affine"
    return re.sub(r"\(([1357](?:, [1357])+)\)", lambda found: _words(found[1].split(", ")), name)


def _words(sides: list[str]) -> str:
    """Neighbourhoods by degree -> "5×5 linear + 3×3 quadratic"."""
    return " + ".join(f"{side}×{side} {degree}" for side, degree in zip(sides, _DEGREES, strict=False))
