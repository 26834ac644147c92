"""enlarge(): latents by any factor that a map gives, at once or in several steps, big ones in tiles."""

from fractions import Fraction

from torch import Tensor

from latentfit.errors import ScaleError, SpaceMismatchError
from latentfit.maps.contracts import LatentMap
from latentfit.maps.scales import Scale, as_scale
from latentfit.maps.tiled import map_latents_in_tiles

MOST_STEPS = 4


def enlarge(latent_map: LatentMap, latents: Tensor, factor: Scale | None = None) -> Tensor:
    """Latents ``(N, C, [T,] h, w)``, model domain -> the same space, `factor` times the sides.

    Beyond what the map gives at once it is applied again to what it made: 4 is 2 × 2, 3 is 2 × 3/2 where the map gives
    any factor.

    Parameters
    ----------
    latent_map : LatentMap
        Within one space.
    latents : Tensor
    factor : int, float, Fraction or str, optional
        None: the map's own.

    Raises
    ------
    SpaceMismatchError
        When the map leads to another space, or the latents are of another number of channels.
    ScaleError
        When no number of steps gives the factor.
    """
    if latent_map.source != latent_map.target:
        raise SpaceMismatchError(
            f"{latent_map.name!r}: leads from {latent_map.source.name!r} to "
            f"{latent_map.target.name!r}, so it is no upscaler",
            remedy="call it on the latents themselves, as convert does",
        )
    for step in steps_to(latent_map, latent_map.scale if factor is None else factor):
        latents = map_latents_in_tiles(latent_map.at_scale(step), latents)
    return latents


def steps_to(latent_map: LatentMap, factor: Scale) -> list[Fraction]:
    """The factors that the map is applied at, one after another."""
    wanted, largest = as_scale(factor), latent_map.scale
    least = largest
    if latent_map.is_any_factor:
        low, high = latent_map.factors
        if low < wanted < high:
            return [wanted]
        least, largest = as_scale(low), as_scale(high)
    steps: list[Fraction] = []
    left = wanted
    while left > largest > 1:
        steps.append(largest)
        left /= largest
    if not least <= left <= largest or len(steps) >= MOST_STEPS:
        given = f"{largest}" if least == largest else f"{least} to {largest}"
        raise ScaleError(
            f"factor: {latent_map.name!r} gives {given} at once, so it gives {given} and "
            f"products of such, up to {MOST_STEPS} of them",
            remedy=f"got {wanted}: take one of those, or an upscaler of any factor",
        )
    return [*steps, left] if left != 1 or not steps else steps
