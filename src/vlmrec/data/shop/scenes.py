"""The five backdrops products are photographed against; quiet, so that the product speaks."""

from collections.abc import Callable

import numpy as np

from vlmrec.data.shop.canvas import Canvas, FloatArray, colour

WHITE = colour(255, 255, 255)


def _wall_and_table(
    canvas: Canvas, wall: FloatArray, table: FloatArray, horizon: float = 0.74
) -> FloatArray:
    """Paints both with soft light from the left; returns the mask of the wall."""
    light = 1.04 - 0.14 * canvas.x - 0.06 * canvas.y
    canvas.pixels[:] = wall * light[..., None]
    top = canvas.soft(canvas.y - horizon)
    depth = (canvas.y - horizon) / (1 - horizon)
    canvas.blend(top, table * (1.02 - 0.12 * canvas.x + 0.05 * depth)[..., None])
    edge = np.exp(-(((canvas.y - horizon) / 0.012) ** 2)) * 0.16
    canvas.blend(edge.astype(np.float32), 0.4 * table)
    return 1.0 - top


def plaster(canvas: Canvas) -> None:
    """Paints a cream wall over an oak table with grain."""
    wall = _wall_and_table(canvas, colour(241, 230, 211), colour(196, 150, 102))
    grain = np.sin(140 * canvas.y + 5 * np.sin(4 * canvas.x + 6 * canvas.y)) * 0.5 + 0.5
    canvas.blend((0.16 * grain * (1 - wall)).astype(np.float32), colour(140, 96, 58))


def arches(canvas: Canvas) -> None:
    """Paints a blush wall with a pale round arch."""
    wall = _wall_and_table(canvas, colour(226, 180, 164), colour(240, 224, 212))
    circle = canvas.ellipse((0.5, 0.44), (0.36, 0.36))
    below = canvas.soft(0.36 - np.abs(canvas.x - 0.5)) * canvas.soft(canvas.y - 0.44)
    canvas.blend(np.maximum(circle, below) * wall, colour(245, 218, 204))


def tiles(canvas: Canvas) -> None:
    """Paints white kitchen tiles over a grey stone worktop."""
    wall = _wall_and_table(canvas, colour(236, 240, 240), colour(150, 156, 160))
    row = np.floor(canvas.y / 0.105)
    across = np.abs(((canvas.x + 0.1 * (row % 2)) % 0.2) - 0.1)
    joint = np.minimum(0.1 - across, 0.0525 - np.abs((canvas.y % 0.105) - 0.0525))
    canvas.blend(canvas.soft(0.0045 - joint) * wall * 0.8, colour(178, 190, 192))
    speckle = np.sin(91 * canvas.x + 33 * np.sin(57 * canvas.y)) > 0.93
    canvas.blend((0.25 * speckle * (1 - wall)).astype(np.float32), colour(70, 74, 80))


def dusk(canvas: Canvas) -> None:
    """Paints a midnight wall with a moon over a dark table."""
    wall = _wall_and_table(canvas, colour(38, 48, 78), colour(66, 56, 66))
    canvas.blend(canvas.glow((0.76, 0.22), (0.34, 0.34), 0.40) * wall, colour(150, 160, 200))
    canvas.blend(canvas.ellipse((0.78, 0.2), (0.1, 0.1)) * wall, colour(238, 226, 196))


def window(canvas: Canvas) -> None:
    """Paints a sage wall with the slanted light of a window."""
    wall = _wall_and_table(canvas, colour(150, 170, 142), colour(226, 224, 210))
    slanted = canvas.x + 0.35 * canvas.y
    for left in (0.16, 0.43):
        for upper in (0.08, 0.36):
            pane = canvas.soft(0.115 - np.abs(slanted - left - 0.115)) * canvas.soft(
                0.125 - np.abs(canvas.y - 0.12 * canvas.x - upper - 0.1)
            )
            canvas.blend(0.55 * pane * wall, colour(250, 246, 214))


SCENES: dict[str, Callable[[Canvas], None]] = {
    "plaster": plaster,
    "arches": arches,
    "tiles": tiles,
    "dusk": dusk,
    "window": window,
}
