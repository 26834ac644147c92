"""Big latents in bounded memory: a map over overlapping tiles, exact where its receptive field is known."""

import math
import warnings

import torch
from torch import Tensor

from latentfit.errors import LatentfitWarning, SpaceMismatchError
from latentfit.maps.contracts import Approximation, LatentMap, as_blocks, in_dtype_of
from latentfit.maps.tiles import Tiles, map_in_tiles
from latentfit.nets.palette import Palettized
from latentfit.nets.traits import receptive_cells_of

TILE_CELLS = 128
_LEAST_BLOCKS = 4  # of a tile's side: two are its overlap


def decode_in_tiles(approximation: Approximation, latents: Tensor, tile_cells: int = TILE_CELLS) -> Tensor:
    """Latents ``(N, C, h, w)`` -> rgb ``(N, 3, H, W)`` in [0, 1], as the call gives it, in memory for a tile.

    Exact: neighbouring tiles overlap by twice the receptive field and the rim is thrown away. Where the receptive field
    is the whole picture (flux2's TAESD: its group norm), tiles are blended over a quarter of their side, and a warning
    says so.

    Parameters
    ----------
    approximation : Approximation
        A map of a whole number of pixels a cell.
    latents : Tensor
    tile_cells : int
        Side of a tile.

    Raises
    ------
    SpaceMismatchError
        When the scale is a fraction, or the tile no wider than its overlap.
    """
    if max(latents.shape[-2:]) <= tile_cells or latents.ndim != 4:
        return approximation(latents)
    if isinstance(approximation.module, Palettized):
        return approximation.module.picture(indices_in_tiles(approximation, latents, tile_cells)).to(latents.dtype)
    if approximation.scale.denominator != 1:
        raise SpaceMismatchError(
            f"{approximation.name!r}: tiles need a whole number of pixels a cell, got {approximation.scale}",
            remedy="call it on the whole",
        )
    tiles = _tiles(approximation, tile_cells)
    with torch.no_grad():
        rgb = map_in_tiles(approximation.unclamped, latents, tiles, px_in=1, px_out=int(approximation.scale))
    return rgb.clamp_(0, 1).to(latents.dtype)


def indices_in_tiles(approximation: Approximation, latents: Tensor, tile_cells: int = TILE_CELLS) -> Tensor:
    """Latents ``(N, C, h, w)`` -> classes ``(N, h, w)``, as `Approximation.indices` gives them, in memory for a tile.

    Logits are tiled, classes chosen on the whole: an ordered dithering does not begin anew in every tile.
    """
    module = approximation.module
    if max(latents.shape[-2:]) <= tile_cells or latents.ndim != 4 or not isinstance(module, Palettized):
        return approximation.indices(latents)
    approximation.space.check(latents)
    tiles = _tiles(approximation, tile_cells)
    with torch.no_grad():
        logits = map_in_tiles(module.logits, in_dtype_of(module, latents), tiles, px_in=1, px_out=1)
        return module.chosen(logits)


def map_latents_in_tiles(latent_map: LatentMap, latents: Tensor, tile_cells: int = TILE_CELLS) -> Tensor:
    """Latents of the source ``(N, C, [T,] h, w)`` -> latents of the target, as the call gives them, memory for a tile.

    Exact, also at scales such as 1/2 or 3/2: tiles begin where a block of cells begins, and overlap by twice the
    receptive field in whole blocks. But where a map of any factor meets sides that the factor does not make whole, the
    call stretches the picture to whole cells (129 at 3/2 to 193, a factor of 1.496), and tiles keep to the factor.

    Parameters
    ----------
    latent_map : LatentMap
    latents : Tensor
        Model domain of the source.
    tile_cells : int
        Side of a tile, in source cells; rounded up to whole blocks, four or more of them for a map of any factor.

    Raises
    ------
    SpaceMismatchError
        When the tile is no wider than its overlap.
    """
    if latent_map.is_any_factor:  # 1.37 has blocks of 100 cells
        tile_cells = max(tile_cells, _LEAST_BLOCKS * latent_map.scale.denominator)
    if max(latents.shape[-2:]) <= tile_cells:
        return latent_map(latents)
    latent_map.source.check(latents)
    if latents.ndim == 5:
        frames = [map_latents_in_tiles(latent_map, frame, tile_cells) for frame in latents.unbind(2)]
        return torch.stack(frames, 2)
    up, block = latent_map.scale.as_integer_ratio()
    rows, columns = (int(side * latent_map.scale) for side in latents.shape[-2:])
    whole = as_blocks(in_dtype_of(latent_map.module, latents), block)
    tiles = _tiles(latent_map, tile_cells, block)
    with torch.no_grad():
        mapped = map_in_tiles(latent_map.module, whole, tiles, px_in=block, px_out=up)
    return mapped[..., :rows, :columns].to(latents.dtype)


def _tiles(approximation: Approximation | LatentMap, tile_cells: int, block: int = 1) -> Tiles:
    """Overlapping by twice the receptive field, or blended where it is the whole picture; in blocks of cells."""
    margin = receptive_cells_of(approximation.module)
    if margin is None:
        warnings.warn(
            LatentfitWarning(
                f"{approximation.name!r} looks at the whole picture",
                remedy="tiles are blended, and what differs from the whole is low in contrast but not zero",
            ),
            stacklevel=3,
        )
    tiles = Tiles.around(tile_cells, margin, block)
    if tiles is None:
        overlap = 2 * math.ceil((margin or 0) / block) * block
        raise SpaceMismatchError(
            f"{approximation.name!r}",
            expected=f"tiles of more than {overlap} cells, twice its receptive field",
            got=f"{tile_cells}",
        )
    return tiles
