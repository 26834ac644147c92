"""Keras 3: approximations and encoders as models of any input size, channels last, of plain layers only.

No Lambda layers, which Keras refuses to load in safe mode; what has no layer is a convolution with ones and zeros: a
pixel shuffle is a transposed one, choosing channels or neighbours a plain one.
"""

import io
import json
import os
import tempfile
import zipfile
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from latentfit.errors import ExportError
from latentfit.fit.polynomial_map import PolynomialMap
from latentfit.formats.programs.common import provenance
from latentfit.formats.programs.program import Program
from latentfit.maps.contracts import Approximation
from latentfit.nets.approx_cnn import MARGIN, ApproxCnn
from latentfit.nets.cell import CellDecoder, ResidualBlock
from latentfit.nets.pixel_mlp import PixelMlp
from latentfit.nets.tiny import Block, SoftClamp, TinyEncoder, TinyEncoder32
from latentfit.runtime.escaping import identifier, one_line

Floats = NDArray[np.float32]
KEPT = ("input", "clamped")  # names of layers by which a model is used


def write(approximation: Approximation, bias_free: Approximation | None = None) -> bytes:
    """A ``.keras`` file: input (N, h, w, C), model domain; output (N, H, W, 3) in [0, 1]; float32.

    Raises
    ------
    ExportError
        When the extra is not installed, or the module has no counterpart.
    """
    module = approximation.module
    model = keras_of(module, approximation.space.channels, clamp=True, name=approximation.space.name)
    return saved(model, "\n".join(provenance(approximation)))


def write_encoder(encoder: TinyEncoder | TinyEncoder32, space: str) -> bytes:
    """A ``.keras`` file: input (N, H, W, 3) in [0, 1]; output (N, h, w, C), model domain; float32."""
    return saved(keras_of(encoder, 3, name=space or "encoder"), one_line(space))


def saved(model: Any, about: str) -> bytes:
    """A Keras model of `keras_of` as a ``.keras`` file, the same each time: it holds no date.

    Parameters
    ----------
    model : keras.Model
    about : str
        How it was made, for the file's metadata.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        with zipfile.ZipFile(path) as parts:
            contents = {name: parts.read(name) for name in sorted(parts.namelist())}
    metadata = json.loads(contents["metadata.json"])
    contents["metadata.json"] = json.dumps({**metadata, "date_saved": "", "latentfit": about}).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as parts:
        for name, content in contents.items():
            parts.writestr(zipfile.ZipInfo(name), content)  # dated 1980
    return buffer.getvalue()


def keras_of(module: nn.Module, n_inputs: int, *, clamp: bool = False, name: str = "latentfit") -> Any:
    """A Keras model that computes what the module does, channels last.

    Parameters
    ----------
    module : nn.Module
        A fitted map, a decoder or an encoder of `latentfit.nets`.
    n_inputs : int
        Channels in.
    clamp : bool
        Put the output into [0, 1].
    name : str
        Name of the model.
    """
    layers = _layers()
    source = layers.Input((None, None, n_inputs), name="input")
    target = _applied(module, source)
    if clamp:
        target = layers.ReLU(max_value=1.0, name="clamped")(target)
    import keras as library

    model = library.Model(source, target, name=identifier(name))
    for index, operation in enumerate(model.operations):  # Keras counts on from the models that were made before
        if operation.name not in KEPT:
            operation.name = f"{type(operation).__name__.lower()}_{index}"
    return model


def _layers() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        from keras import layers
    except ImportError as error:
        raise ExportError("keras: needs the extra", remedy="pip install 'latentfit[keras]'") from error
    return layers


def _applied(module: nn.Module, x: Any) -> Any:
    layers = _layers()
    if isinstance(module, PolynomialMap):
        return _polynomial(module, x)
    if isinstance(module, CellDecoder):
        skip = _shuffled(_convolved(module.skip, _edges(x, 1)), module.cell_px)
        picture = layers.Add()([skip, _applied(module.body, x)])
        sharp = module.sharp
        return picture if sharp is None else _convolved(sharp, _edges(picture, module.sharp_side // 2))
    if isinstance(module, PixelMlp):
        return _pixel_mlp(module, x)
    if isinstance(module, ApproxCnn):
        x = layers.ZeroPadding2D(MARGIN)(layers.UpSampling2D(2, interpolation="nearest")(x))
        for convolution in module.children():
            x = layers.LeakyReLU(negative_slope=0.1)(_convolved(convolution, x))
        return layers.Rescaling(0.5, 0.5)(x)
    if isinstance(module, nn.Sequential):
        for part in module:
            x = _applied(part, x)
        return x
    if isinstance(module, ResidualBlock):
        return layers.Add()([x, _applied(module.conv, x)])
    if isinstance(module, Block) and module.pool is None:
        return layers.ReLU()(layers.Add()([_applied(module.conv, x), x]))
    if isinstance(module, SoftClamp):
        return layers.Rescaling(3.0)(layers.Activation("tanh")(layers.Rescaling(1 / 3)(x)))
    if isinstance(module, nn.ReLU):
        return layers.ReLU()(x)
    if isinstance(module, nn.PixelShuffle):
        return _shuffled(x, module.upscale_factor)
    if isinstance(module, nn.Upsample):
        return layers.UpSampling2D(2, interpolation="nearest")(x)
    if isinstance(module, nn.Conv2d):
        margin = int(module.padding[0])
        return _convolved(module, layers.ZeroPadding2D(margin)(x) if margin else x)
    raise ExportError(
        f"keras: {type(module).__name__} has no counterpart here (flux2's pooling is one such)", remedy="export to onnx"
    )


def _convolved(module: Any, x: Any) -> Any:
    """The convolution alone, its padding done before."""
    weight = module.weight.detach().permute(2, 3, 1, 0).numpy()
    bias = None if module.bias is None else module.bias.detach().numpy()
    return _fixed(x, weight, bias, stride=int(module.stride[0]))


def _fixed(x: Any, weight: Floats, bias: Floats | None = None, stride: int = 1) -> Any:
    """Convolution, valid, with these weights: (rows, columns, in, out)."""
    side = weight.shape[0]
    layer = _layers().Conv2D(weight.shape[3], side, strides=stride, padding="valid", use_bias=bias is not None)
    mapped = layer(x)
    layer.set_weights([np.ascontiguousarray(weight, dtype=np.float32), *([] if bias is None else [bias])])
    return mapped


def _shuffled(x: Any, scale: int) -> Any:
    """torch's pixel_shuffle: a transposed convolution with ones in their places."""
    if scale == 1:
        return x
    n_out = int(x.shape[-1]) // scale**2
    kernel = np.zeros((scale, scale, n_out, n_out * scale**2), dtype=np.float32)
    for channel in range(n_out):
        for row in range(scale):
            for column in range(scale):
                kernel[row, column, channel, (channel * scale + row) * scale + column] = 1
    layer = _layers().Conv2DTranspose(n_out, scale, strides=scale, padding="valid", use_bias=False)
    shuffled = layer(x)
    layer.set_weights([kernel])
    return shuffled


def _edges(x: Any, margin: int) -> Any:
    """Borders replicated, one cell at a time: there "symmetric" is that."""
    from keras import ops

    for _ in range(margin):
        x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    return x


def _pixel_mlp(module: PixelMlp, x: Any) -> Any:
    layers = _layers()
    linear = [module.in_proj, *module.hidden_layers, module.out_proj]
    x = layers.Rescaling(2.0, -1.0)(x) if module.encodes else x
    for index, part in enumerate(linear):
        x = _fixed(x, part.weight.detach().T.numpy()[None, None], part.bias.detach().numpy())
        x = layers.Activation("silu")(x) if index + 1 < len(linear) else x
    return x if module.encodes else layers.Rescaling(0.5, 0.5)(x)


def _polynomial(module: PolynomialMap, x: Any) -> Any:
    if module.smoothing is not None:
        raise ExportError("keras: fitted for a program that smooths afterwards", remedy="export it to that program")
    layers = _layers()
    constant, linear, higher = module._in_range_of(torch.zeros(1, module.n_channels, 1, 1))
    margin = module.kernels[0] // 2
    parts = [_fixed(_edges(x, margin), linear.permute(2, 3, 1, 0).numpy(), constant.numpy())]
    for degree, weights in higher:
        products = _products(_neighbours(x, module.kernels[degree - 1]), degree)
        parts.append(_fixed(products, weights.T.numpy()[None, None]))
    return _shuffled(layers.Add()(parts) if len(parts) > 1 else parts[0], module.scale)


def _neighbours(x: Any, side: int) -> Any:
    """(N, h, w, C) -> (N, h, w, C * side²): channel, row, column."""
    if side == 1:
        return x
    n_channels = int(x.shape[-1])
    kernel = np.zeros((side, side, n_channels, n_channels * side**2), dtype=np.float32)
    for channel in range(n_channels):
        for row in range(side):
            for column in range(side):
                kernel[row, column, channel, (channel * side + row) * side + column] = 1
    return _fixed(_edges(x, side // 2), kernel)


def _products(x: Any, degree: int) -> Any:
    """All monomials of one degree, in the basis's order: a product of chosen channels for each factor."""
    n = int(x.shape[-1])
    table = np.array(list(combinations_with_replacement(range(n), degree)))
    chosen = [_fixed(x, np.eye(n, dtype=np.float32)[:, column][None, None]) for column in table.T]
    return _layers().Multiply()(chosen)


PROGRAM = Program(
    name="keras",
    title="Keras 3",
    ending=".keras",
    how_to_use="keras.saving.load_model(FILE), any backend, channels last.",
    runs="every form, every scale, networks without pooling",
    write=write,
    output_range="[0, 1]",
    notes="Any size; no Lambda layers.",
    write_encoder=write_encoder,
    extra="keras",
    in_autofit=False,
)
