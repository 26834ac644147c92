"""Programs written in Python that paste their tables: ComfyUI, InvokeAI, A1111, SD.Next, the diffusers callback."""

import ast
from pathlib import Path
from typing import Any

import torch

from latentfit.errors import BadTableError, ExportError
from latentfit.formats.programs.common import (
    Table,
    comments,
    from_table,
    identifier,
    linear_table,
    number,
    pictures_only,
    polynomial,
    rows,
    without_bias,
)
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.runtime.escaping import python_comment

_SDNEXT_CLAMP = (
    "# SD.Next (058a7f0cf3) casts to 8 bit without a clamp, so that colours past black and white wrap around; in",
    "# modules/sd_samplers_common.py make it: x_sample = (255.0 * x_sample.clamp(0, 1)).to(torch.uint8)",
)
_INVOKEAI_SMOOTHS = (
    "# InvokeAI smooths SDXL previews afterwards: `latentfit fit … --kernels linear --smoothing invokeai` fits a table",
    "# to what it then shows",
)
LARGEST_SIDE = 7  # of the kernels that ComfyUI's hook can unfold; larger ones gain nothing (docs/log.md)


def comfyui(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """Lines for a latent format's ``__init__`` in ``comfy/latent_formats.py``.

    A neighbourhood runs in ComfyUI's stock code: its hook ``latent_rgb_factors_reshape`` comes before the linear step
    and can unfold. It came with pull request 10907 on 2025-11-26, a day after 0.3.72: 0.3.76 has it for sure.
    tests/golden/comfyui_preview.json holds what the previewer of commit 2d619ed9 made of such tables.
    """
    table = linear_table(approximation, "ComfyUI", largest_side=LARGEST_SIDE)
    space, side = approximation.space, table.side
    where = python_comment(space.comfy_class) if space.comfy_class else "your latent format"
    lines = [comments(approximation, "#"), f"# comfy/latent_formats.py, at the end of {where}.__init__"]
    hook = _comfy_hook(space, side)
    if hook:
        lines.append(
            "# needs ComfyUI 0.3.76 or newer: its hook latent_rgb_factors_reshape came with pull request 10907"
        )
    lines += [
        "self.latent_rgb_factors = [",
        "    #   R           G           B",
        rows(table.weights, "[", "]", "    "),
        "]",
    ]
    bias = "None" if table.bias is None else f"[{', '.join(number(v) for v in table.bias.tolist())}]"
    lines.append(f"self.latent_rgb_factors_bias = {bias}")
    if hook:
        lines.append(f"self.latent_rgb_factors_reshape = {hook}")
    return "\n".join(lines) + "\n"


def _comfy_hook(space: LatentSpace, side: int) -> str:
    """The expression that unpacks, takes the first frame, and unfolds, as far as it is needed."""
    expression = "t"
    if space.packing == "flux2":
        expression = "torch.nn.functional.pixel_shuffle(t, 2)"
    elif space.dims == 3 and side > 1:
        expression = "(t[:, :, 0] if t.ndim == 5 else t)"
    if side == 1:
        return "" if expression == "t" else f"lambda t: {expression}"
    margin = side // 2
    padded = f"torch.nn.functional.pad(u, ({margin}, {margin}, {margin}, {margin}), mode='replicate')"
    unfold = f"torch.nn.functional.unfold({padded}, {side}).reshape(u.shape[0], -1, u.shape[2], u.shape[3])"
    return f"lambda t: (lambda u: {unfold})({expression})"


def invokeai(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """A constant for ``invokeai/app/util/step_callback.py``; only FLUX.2 has a bias there, only SDXL is smoothed."""
    keeps_bias, smooths = approximation.space.name == "flux2", approximation.space.name == "sdxl"
    chosen = approximation if keeps_bias else without_bias(approximation, bias_free, "InvokeAI", smooths=smooths)
    table = linear_table(chosen, "InvokeAI", smooths=smooths)
    name = f"{identifier(approximation.space).upper()}_LATENT_RGB_FACTORS"
    lines = [
        comments(chosen, "#"),
        *(_INVOKEAI_SMOOTHS if smooths and polynomial(chosen, "InvokeAI", smooths=True).smoothing is None else ()),
        f"{name} = [",
        "    #   R           G           B",
        rows(table.weights, "[", "]", "    "),
        "]",
    ]
    if keeps_bias and table.bias is not None:
        lines.append(f"{name.replace('FACTORS', 'BIAS')} = [{', '.join(number(v) for v in table.bias.tolist())}]")
    return "\n".join(lines) + "\n"


def a1111(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """The coefficients of ``cheap_approximation`` in ``modules/sd_vae_approx.py``, which has no bias."""
    chosen = without_bias(approximation, bias_free, "A1111")
    table = linear_table(chosen, "A1111")
    if approximation.space.channels != 4:
        raise ExportError(
            "A1111",
            expected="latents of 4 channels",
            got=f"{approximation.space.channels} of {approximation.space.name!r}",
        )
    return "\n".join([comments(chosen, "#"), "coeffs = [", rows(table.weights, "[", "]", "    "), "]"]) + "\n"


def sdnext(approximation: Approximation, bias_free: Approximation | None = None) -> str:
    """Weight and bias of the 1×1 convolution in ``modules/vae/sd_vae_approx.py``.

    SD.Next casts to 8 bit without a clamp: a colour a little over white turns black. One line there mends it.
    """
    table = linear_table(approximation, "SD.Next")
    pictures_only(approximation, "SD.Next")
    zeros = torch.zeros(3, dtype=torch.float64)
    bias = (zeros if table.bias is None else table.bias).tolist()
    lines = [comments(approximation, "#"), *_SDNEXT_CLAMP, "weight = torch.tensor(["]
    lines.append(rows(table.weights.T, "[", "]", "    "))
    lines.append(f"]).reshape(3, {table.weights.shape[0]}, 1, 1)")
    lines.append(f"bias = torch.tensor([{', '.join(number(v) for v in bias)}])")
    return "\n".join(lines) + "\n"


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


def diffusers(approximation: Approximation, bias_free: Approximation | None = None) -> str:
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


def read_python(path: Path, space: LatentSpace, dialect: str) -> Approximation:
    """Read back what one of these functions wrote, without running it."""
    try:
        found = _literals(ast.parse(path.read_text("utf-8")))
    except (SyntaxError, ValueError) as error:
        raise BadTableError(
            f"not Python of an exported table ({error})", place=path, remedy="export the table again"
        ) from error
    factors = next(
        (v for k, v in found.items() if k.endswith(("factors", "FACTORS")) or k in ("coeffs", "weight", "weights")),
        None,
    )
    bias = next((v for k, v in found.items() if k.endswith(("factors_bias", "BIAS")) or k in ("bias", "biases")), None)
    if factors is None:
        raise BadTableError("holds no table", place=path, expected=f"one of {dialect}'s names")
    weights = torch.tensor(factors, dtype=torch.float64)
    offset = None if bias is None else torch.tensor(bias, dtype=torch.float64)
    if dialect in ("sdnext", "diffusers"):
        weights = weights.T
    if dialect == "diffusers" and offset is not None:
        weights, offset = weights / 127.5, offset / 127.5 - 1
    side = round((weights.shape[0] / space.channels) ** 0.5)
    return from_table(Table(weights, offset, side), space, path.stem)


def _literals(tree: ast.Module) -> dict[str, Any]:
    """Assigned names -> their literal values; ``torch.tensor([...])`` counts as its argument."""
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            while isinstance(value, ast.Call):
                inner = value.func.value if isinstance(value.func, ast.Attribute) else value.func
                value = value.args[0] if getattr(value.func, "attr", "") == "tensor" else inner
            if isinstance(value, ast.List | ast.Tuple):
                found[name] = ast.literal_eval(value)
    return found
