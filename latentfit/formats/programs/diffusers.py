"""diffusers: a function for a pipeline's callback, latents as they are there to a picture."""

from pathlib import Path

import torch

from latentfit.formats.programs.common import comments, from_table, linear_table, number, rows
from latentfit.formats.programs.program import Program
from latentfit.formats.programs.python_literals import read_python
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation

_DIFFUSERS = '''

def canonical(latents, height=None, width=None):
    """What a callback holds -> (channels, h, w): of a batch its first picture, of a video its first frame."""
    shape, counts = tuple(latents.shape), (channels, 4 * channels) if packs_channels else (channels,)
    heights = (None, shape[1] * cell_px, shape[1] * cell_px * 2)
    is_picture = latents.ndim == 3 and shape[0] in counts and height in heights
    if latents.ndim == 2 or (latents.ndim == 3 and not is_picture and shape[-1] in (channels, 4 * channels)):
        return unpacked(latents if latents.ndim == 2 else latents[0], height, width)
    if latents.ndim == 5:  # channels first, after the frames, or last
        latents = latents[0, :, 0] if shape[1] in counts else latents[0, 0]
    elif latents.ndim == 4:
        is_video = shape[0] in counts and (shape[1] not in counts or is_video_space)
        latents = latents[:, 0] if is_video else latents[0]
    if latents.ndim == 3 and latents.shape[0] not in counts and latents.shape[-1] in counts:
        latents = latents.movedim(-1, 0)
    if latents.ndim != 3 or latents.shape[0] not in counts:
        raise ValueError(f"expected latents of {channels} channels, or packed tokens, got {shape}")
    return latents if latents.shape[0] == channels else torch.nn.functional.pixel_shuffle(latents, 2)


def unpacked(tokens, height, width):
    """Tokens (L, channels * patch * patch), rows first, of a picture of so many pixels -> (channels, h, w)."""
    if height is None or width is None:
        raise ValueError(f"packed tokens {tuple(tokens.shape)} do not tell their sides: pass height= and width= in px")
    patch = 1 if tokens.shape[-1] == channels else 2
    rows, columns = height // (cell_px * patch), width // (cell_px * patch)
    if tokens.shape[-1] != channels * patch**2 or not rows * columns or tokens.shape[0] % (rows * columns):
        raise ValueError(f"tokens {tuple(tokens.shape)} are not those of {width}x{height} px at {cell_px} px a cell")
    grid = tokens[: rows * columns].reshape(rows, columns, -1).movedim(-1, 0)
    return torch.nn.functional.pixel_shuffle(grid, patch)


def latents_to_rgb(latents, height=None, width=None):
    """A picture of callback_kwargs["latents"]; pipelines that pack them into tokens need its sides in pixels."""
    cells = canonical(latents, height, width).float()
    factors = torch.tensor(weights, device=cells.device)
    offset = torch.tensor(biases, device=cells.device)
    rgb = torch.einsum("rc,chw->hwr", factors, cells) + offset[None, None]
    return Image.fromarray(rgb.clamp(0, 255).byte().cpu().numpy())
'''


def write(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """A function for a pipeline's ``callback_on_step_end``: its latents as they are there -> PIL image.

    Pictures and videos, with batch axis or without, channels first or last; FLUX.2's packed channels; and packed tokens
    ``(B, L, C * p * p)`` (FLUX.1, FLUX.2, Qwen-Image: p = 2; LTX: 1), which need ``height`` and ``width``.
    """
    table, space = linear_table(approximation, "the diffusers callback").in_byte_range(), approximation.space
    bias = ", ".join(number(v) for v in (table.bias if table.bias is not None else torch.zeros(3)).tolist())
    head = f"""{comments(approximation, "#")}
# def callback(pipe, step, timestep, callback_kwargs):
#     latents_to_rgb(callback_kwargs["latents"], height, width).save(f"{{step}}.png")
#     return callback_kwargs
import torch
from PIL import Image

channels = {space.channels}
cell_px = {space.cell_px}
packs_channels = {space.packing == "flux2"}
is_video_space = {space.dims == 3}
weights = (
{rows(table.weights.T, "(", ")", "    ")}
)
biases = ({bias})
"""
    return head + _DIFFUSERS


def read(path: Path, space: LatentSpace) -> Approximation:
    """Read what `write` wrote."""
    return from_table(read_python(path, space, transposed=True).from_byte_range(), space, path.stem)


PROGRAM = Program(
    name="diffusers",
    title="diffusers",
    ending=".py",
    how_to_use="Paste beside your pipeline; the file begins with the callback to pass as callback_on_step_end.",
    runs="linear, affine",
    write=write,
    output_range="[0, 255]",
    notes="A whole function, for latents of every layout that pipelines have.",
    read=read,
)
