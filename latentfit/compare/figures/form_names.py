"""Forms of fitted maps in words: "3×3 linear + 1×1 quadratic" where the short name is "(3, 1)"."""

import re

_DEGREES = ("linear", "quadratic", "cubic")
_KERNELS = "[1357](?:[,_][1357])*"  # sides of the neighbourhoods by degree


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
    >>> form_in_words("closed form 3")
    'closed form 3×3 affine'
    >>> form_in_words("comfyui/SD15")
    'comfyui/SD15'
    """
    if re.fullmatch(_KERNELS, name):
        return _of_kernels(name)
    name = re.sub(rf"\b(closed form|table) ({_KERNELS})\b", lambda found: f"{found[1]} {_of_kernels(found[2])}", name)
    return re.sub(r"\(([1357](?:, [1357])+)\)", lambda found: _words(found[1].split(", ")), name)


def _of_kernels(kernels: str) -> str:
    """As `latentfit.ChannelMap` is told them, or as a file is named: "3", "5,3", "5_3"."""
    sides = re.split("[,_]", kernels)
    return _words(sides) if len(sides) > 1 else f"{kernels}×{kernels} affine"


def _words(sides: list[str]) -> str:
    """Neighbourhoods by degree -> "5×5 linear + 3×3 quadratic"."""
    return " + ".join(f"{side}×{side} {degree}" for side, degree in zip(sides, _DEGREES, strict=False))
