"""What is painted on a product: plain glaze, stripes, dots, checks or zigzag."""

import numpy as np

from vlmrec.data.shop.canvas import FloatArray, Surface, colour

COLOURS: dict[str, FloatArray] = {
    "coral": colour(222, 84, 66),
    "mustard": colour(234, 176, 40),
    "green": colour(58, 140, 84),
    "blue": colour(44, 104, 190),
    "plum": colour(140, 78, 156),
    "charcoal": colour(58, 60, 68),
}
PATTERNS = ("plain", "stripes", "dots", "checks", "zigzag")
CREAM = colour(251, 242, 224)


def painted(surface: Surface, base: FloatArray, pattern: str, size: int) -> FloatArray:
    """Returns ``[S, S, 3]`` the glaze of a body before any light falls on it.

    Args:
        surface: The body.
        base: ``[3]`` its colour.
        pattern: One of `PATTERNS`.
        size: Edge length S of the picture in pixels; edges are soft over one pixel.
    """
    cover = _cover(surface, pattern, size)[..., None]
    return base + cover * (CREAM - base)


def _cover(surface: Surface, pattern: str, size: int) -> FloatArray:
    """Returns how much of the second colour covers each pixel, 0..1."""
    u, v = surface.around, surface.down

    def soft(distance: FloatArray) -> FloatArray:
        return np.clip(distance * size + 0.5, 0.0, 1.0).astype(np.float32)

    if pattern == "stripes":
        return soft(_wave(v, 0.085) - 0.021)
    if pattern == "dots":
        row = np.floor(v / 0.066)
        shifted = u + 0.041 * (row % 2)
        return soft(0.0205 - np.hypot(_wave(shifted, 0.082), _wave(v, 0.066)))
    if pattern == "checks":
        columns, rows = _wave(u, 0.15) - 0.0375, _wave(v, 0.15) - 0.0375
        a, b = soft(columns), soft(rows)
        return a + b - 2 * a * b
    if pattern == "zigzag":
        teeth = 2 * _wave(u, 0.11)
        return soft(0.7 * (_wave(v + 0.55 * teeth, 0.1) - 0.026))
    return np.zeros_like(u)


def _wave(values: FloatArray, period: float) -> FloatArray:
    """Returns the distance to the nearest middle of a period, 0..period / 2."""
    return np.abs((values % period) - period / 2).astype(np.float32)
