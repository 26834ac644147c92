"""Pictures the project draws itself: saturated colours, ramps, flat patches and line art, where photographs are thin.

Every chart is deterministic, 512 px square by default, sRGB. Photographs leave most of the RGB cube empty, so a map
that is fitted on them alone is free to be wrong there.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Floats = NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], Floats]


def chart_names() -> list[str]:
    """Names of all charts, sorted by kind of content."""
    return list(_CHARTS)


def draw_chart(name: str, side_px: int = 512) -> NDArray[np.uint8]:
    """Draw one test chart.

    Parameters
    ----------
    name : str
        One of `chart_names`.
    side_px : int
        Side of the square, pixels.

    Returns
    -------
    ndarray of uint8, (side_px, side_px, 3)
        sRGB; the same bytes on every run.

    Examples
    --------
    >>> draw_chart("ramps", 64).shape
    (64, 64, 3)
    """
    seed = sum(map(ord, name))
    rgb = _CHARTS[name](side_px, np.random.default_rng(seed))
    return np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def chart_kind(name: str) -> str:
    """``"drawing"`` for line art and lettering, ``"chart"`` for the rest."""
    return "drawing" if name.startswith(("cartoon", "hatching", "lettering")) else "chart"


def hsv_to_rgb(hue: Floats, saturation: Floats, value: Floats) -> Floats:
    """Hue (turns), saturation, value in [0, 1], broadcast -> rgb ``(..., 3)`` in [0, 1]."""
    hue, saturation, value = np.broadcast_arrays(hue, saturation, value)
    offsets = (np.stack([hue, hue + 2 / 3, hue + 1 / 3], -1) % 1) * 6
    tone = np.clip(np.abs(offsets - 3) - 1, 0, 1)
    rgb: Floats = value[..., None] * (1 + saturation[..., None] * (tone - 1))
    return rgb


def _axes(side: int) -> tuple[Floats, Floats]:
    line = (np.arange(side) + 0.5) / side
    return line[:, None] + 0 * line, line + 0 * line[:, None]


def _hue_saturation(value: float) -> Draw:
    def draw(side: int, _: np.random.Generator) -> Floats:
        down, right = _axes(side)
        return hsv_to_rgb(right, 1 - down, np.asarray(value))

    return draw


def _hue_value(saturation: float) -> Draw:
    def draw(side: int, _: np.random.Generator) -> Floats:
        down, right = _axes(side)
        return hsv_to_rgb(right, np.asarray(saturation), 1 - down)

    return draw


def _hue_wheel(side: int, _: np.random.Generator) -> Floats:
    """Hue around, saturation outwards, on mid grey."""
    down, right = _axes(side)
    y, x = down * 2 - 1, right * 2 - 1
    radius = np.hypot(x, y)
    wheel = hsv_to_rgb(np.arctan2(y, x) / (2 * np.pi) % 1, np.clip(radius / 0.95, 0, 1), np.asarray(0.95))
    return np.where((radius < 0.95)[..., None], wheel, 0.5)


def _ramps(side: int, _: np.random.Generator) -> Floats:
    """Black to full in grey, red, green, blue, cyan, magenta, yellow, and back."""
    down, right = _axes(side)
    tints = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 0.5, 0]])
    row = np.minimum((down * len(tints)).astype(int), len(tints) - 1)
    level = np.where(row % 2 == 0, right, 1 - right)
    ramps: Floats = tints[row] * level[..., None]
    return ramps


def _tints(side: int, _: np.random.Generator) -> Floats:
    """From each pure colour to white."""
    return 1 - _ramps(side, np.random.default_rng(0))[::-1]


def _patches(n_patches: int) -> Draw:
    """Flat patches; colours drawn evenly from the RGB cube, its corners included."""

    def draw(side: int, rng: np.random.Generator) -> Floats:
        colours = rng.random((n_patches * n_patches, 3))
        corners = np.array([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)], float)
        colours[: min(8, len(colours))] = corners[: len(colours)]
        rng.shuffle(colours)
        index = np.minimum(np.arange(side) * n_patches // side, n_patches - 1)
        return colours.reshape(n_patches, n_patches, 3)[index[:, None], index]

    return draw


def _cube_slices(side: int, _: np.random.Generator) -> Floats:
    """16 slices of the RGB cube: red and green inside a tile, blue from tile to tile."""
    index = np.arange(side)
    tile, inside = index * 4 // side, (index * 4 / side) % 1
    blue = (tile[:, None] * 4 + tile) / 15
    return np.stack([np.broadcast_to(inside, blue.shape), np.broadcast_to(inside[:, None], blue.shape), blue], -1)


def _dead_leaves(saturation: float) -> Draw:
    """Occluding discs whose radii follow a power law: the edges and scales of natural images, in any colour."""

    def draw(side: int, rng: np.random.Generator) -> Floats:
        canvas = Image.new("RGB", (side, side), (128, 128, 128))
        pen = ImageDraw.Draw(canvas)
        smallest, largest = 2.0, side / 3
        for uniform in rng.random(3000)[::-1]:
            radius = ((1 - uniform) / smallest**2 + uniform / largest**2) ** -0.5
            x, y = rng.random(2) * side
            colour = hsv_to_rgb(
                *(np.asarray(v) for v in (rng.random(), saturation * rng.random() ** 0.5, rng.random()))
            )
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_as_bytes(colour))
        return np.asarray(canvas) / 255

    return draw


def _smooth_noise(exponent: float) -> Draw:
    """Colour noise whose amplitude falls as 1/f**exponent, spread evenly over the range by rank."""

    def draw(side: int, rng: np.random.Generator) -> Floats:
        frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
        frequency[0, 0] = 1
        spectrum = np.fft.rfft2(rng.standard_normal((3, side, side))) / frequency**exponent
        field = np.fft.irfft2(spectrum, (side, side)).reshape(3, -1)
        ranks = field.argsort(1).argsort(1) / (side * side - 1)
        return ranks.reshape(3, side, side).transpose(1, 2, 0)

    return draw


def _zone_plate(side: int, _: np.random.Generator) -> Floats:
    """All frequencies up to a quarter wave a pixel along each axis, red, green and blue out of phase."""
    down, right = _axes(side)
    phase = np.pi * side / 2 * (down**2 + right**2) / 2
    return np.stack([0.5 + 0.5 * np.cos(phase + turn) for turn in (0, 2.1, 4.2)], -1)


def _checkers(side: int, rng: np.random.Generator) -> Floats:
    """Checkerboards of falling size, each quarter in two opposite colours."""
    index = np.arange(side)
    out = np.zeros((side, side, 3))
    for quarter, cell in enumerate((32, 16, 8, 4)):
        rows = slice(quarter // 2 * side // 2, (quarter // 2 + 1) * side // 2)
        columns = slice(quarter % 2 * side // 2, (quarter % 2 + 1) * side // 2)
        board = (index[:, None] // cell + index // cell) % 2
        colour = hsv_to_rgb(*(np.asarray(v) for v in (rng.random(), 1.0, 1.0)))
        out[rows, columns] = np.where(board[..., None] == 1, colour, 1 - colour)[rows, columns]
    return out


def _cartoon(side: int, rng: np.random.Generator) -> Floats:
    """Flat shapes with dark outlines, as drawn pictures have them."""
    canvas = Image.new("RGB", (side, side), _as_bytes(hsv_to_rgb(*(np.asarray(v) for v in (rng.random(), 0.25, 0.95)))))
    pen = ImageDraw.Draw(canvas)
    for _ in range(36):
        x, y = rng.random(2) * side
        radius = side * (0.04 + 0.14 * rng.random())
        fill = _as_bytes(
            hsv_to_rgb(*(np.asarray(v) for v in (rng.random(), 0.3 + 0.7 * rng.random(), 0.4 + 0.6 * rng.random())))
        )
        angles = np.sort(rng.random(int(rng.integers(3, 9)))) * 2 * np.pi
        points = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]
        pen.polygon(points, fill=fill, outline=(20, 18, 24), width=max(1, side // 128))
    return np.asarray(canvas) / 255


def _hatching(side: int, rng: np.random.Generator) -> Floats:
    """Ink lines on paper at several angles and spacings."""
    down, right = _axes(side)
    paper = np.ones((side, side))
    for quarter in range(4):
        angle, period = rng.random() * np.pi, (4, 6, 10, 16)[quarter]
        wave = (right * np.cos(angle) + down * np.sin(angle)) * side % period
        where = ((down > 0.5) == bool(quarter // 2)) & ((right > 0.5) == bool(quarter % 2))
        paper[where & (wave < period * 0.3)] = 0.08
    sheet: Floats = paper[..., None] * np.array([1.0, 0.98, 0.93])
    return sheet


def _lettering(side: int, rng: np.random.Generator) -> Floats:
    """Rows of glyph-like strokes, dark on light and light on dark."""
    canvas = Image.new("RGB", (side, side), (250, 250, 248))
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((0, side // 2, side, side), fill=(16, 24, 40))
    y, height = 8, 10
    while y + height < side:
        ink = (
            (20, 20, 28)
            if y + height < side / 2
            else _as_bytes(hsv_to_rgb(*(np.asarray(v) for v in (rng.random(), 0.4, 1.0))))
        )
        for x in range(8, side - height, height):
            points = [(x + rng.random() * height * 0.7, y + rng.random() * height) for _ in range(4)]
            pen.line(points, fill=ink, width=max(1, height // 8))
        y += int(height * 1.6)
        height = height + 2 if height < 40 else 10
    return np.asarray(canvas) / 255


def _as_bytes(rgb: Floats) -> tuple[int, int, int]:
    red, green, blue = (round(float(v) * 255) for v in rgb)
    return red, green, blue


_CHARTS: dict[str, Draw] = {
    "hue_saturation_bright": _hue_saturation(1.0),
    "hue_saturation_dark": _hue_saturation(0.55),
    "hue_value_full": _hue_value(1.0),
    "hue_value_half": _hue_value(0.5),
    "hue_wheel": _hue_wheel,
    "ramps": _ramps,
    "tints": _tints,
    "patches_4": _patches(4),
    "patches_8": _patches(8),
    "patches_16": _patches(16),
    "patches_32": _patches(32),
    "cube_slices": _cube_slices,
    "dead_leaves_vivid": _dead_leaves(1.0),
    "dead_leaves_muted": _dead_leaves(0.4),
    "dead_leaves_grey": _dead_leaves(0.0),
    "smooth_noise_steep": _smooth_noise(2.0),
    "smooth_noise_natural": _smooth_noise(1.3),
    "zone_plate": _zone_plate,
    "checkers": _checkers,
    "cartoon_1": _cartoon,
    "cartoon_2": _cartoon,
    "hatching": _hatching,
    "lettering": _lettering,
}
