"""ComfyUI: lines for a latent format; neighbourhoods run in a hook of its stock code."""

from pathlib import Path

from latentfit.formats.programs.common import comments, from_table, linear_table, number, rows
from latentfit.formats.programs.program import Program
from latentfit.formats.programs.python_literals import read_python
from latentfit.latents.spaces import LatentSpace
from latentfit.maps.contracts import Approximation
from latentfit.runtime.escaping import python_comment

LARGEST_SIDE = 7  # of the kernels that ComfyUI's hook can unfold; larger ones gain nothing (docs/log.md)


def write(approximation: Approximation, bias_free: Approximation | None = None) -> str:
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
    return f"""lambda t: (
    lambda u: torch.nn.functional.unfold(
        torch.nn.functional.pad(u, ({margin}, {margin}, {margin}, {margin}), mode='replicate'), {side}
    ).reshape(u.shape[0], -1, u.shape[2], u.shape[3])
)({expression})"""


def read(path: Path, space: LatentSpace) -> Approximation:
    """Read what `write` wrote."""
    return from_table(read_python(path, space), space, path.stem)


PROGRAM = Program(
    name="comfyui",
    title="ComfyUI",
    ending=".py",
    how_to_use="Paste at the end of your latent format's __init__ in comfy/latent_formats.py.",
    runs="linear, affine; 3×3, 5×5, 7×7",
    write=write,
    notes="Kernels unfold in the hook latent_rgb_factors_reshape, which 0.3.76 and newer have (pull request 10907, "
    "26 November 2025). FLUX.2 is unpacked first. Of a video the first frame is shown.",
    read=read,
)
