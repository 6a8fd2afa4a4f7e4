"""The six products of the demo shop, each a few turned bodies, strokes and ellipses."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vlmrec.data.shop.canvas import (
    RIM_RATIO,
    Canvas,
    FloatArray,
    Point,
    Surface,
    arc,
    bezier,
    colour,
)
from vlmrec.data.shop.patterns import painted

BRASS = colour(201, 162, 92)
INK = colour(48, 44, 46)
LEAF = colour(92, 140, 98)
IVORY = colour(250, 246, 238)


@dataclass(frozen=True)
class Pose:
    """Where and how a product is painted.

    Attributes:
        x: The axis of the product.
        floor: The y of the table under it.
        scale: Size factor around 1.
        base: ``[3]`` colour.
        pattern: Name of the pattern.
        turn: 0..1, varies what is free to vary (clock hands, leaves).
    """

    x: float
    floor: float
    scale: float
    base: FloatArray
    pattern: str
    turn: float

    def at(self, dx: float, up: float) -> Point:
        """Returns the point `dx` beside the axis and `up` above the table."""
        return self.x + dx * self.scale, self.floor - up * self.scale

    def profile(self, *points: Point) -> list[Point]:
        """Returns (y, half width) from (height above the table, half width) pairs."""
        return [(self.floor - up * self.scale, half * self.scale) for up, half in points]


def lit(canvas: Canvas, surface: Surface, paint: FloatArray) -> None:
    """Blends a body onto the canvas under soft light from the left."""
    across = surface.across
    shade = 1.0 - 0.40 * np.clip((across + 0.25) / 1.25, 0, 1) ** 2
    shade -= 0.16 * np.clip((-across - 0.55) / 0.45, 0, 1) ** 2
    shine = 0.30 * np.exp(-(((across + 0.46) / 0.13) ** 2))
    light = paint * shade[..., None]
    light += shine[..., None] * (1.0 - light)
    canvas.blend(surface.mask, light.astype(np.float32))


def _shadow(canvas: Canvas, pose: Pose, half: float) -> None:
    x, y = pose.at(0.35 * half, 0.0)
    spread = (1.35 * half * pose.scale, 0.30 * half * pose.scale)
    canvas.blend(canvas.glow((x, y + 0.4 * spread[1]), spread, 0.42), INK)


def _rim(canvas: Canvas, pose: Pose, up: float, half: float, base: FloatArray) -> None:
    """Draws the opening: a lit lip around a dark inside."""
    centre, radius = pose.at(0.0, up), half * pose.scale
    canvas.blend(canvas.ellipse(centre, (radius, radius * RIM_RATIO)), base + 0.45 * (1 - base))
    inner = 0.88 * radius
    canvas.blend(canvas.ellipse(centre, (inner, inner * RIM_RATIO)), 0.42 * base)


def _body(canvas: Canvas, pose: Pose, *points: Point) -> None:
    surface = canvas.turned(pose.x, pose.profile(*points))
    lit(canvas, surface, painted(surface, pose.base, pose.pattern, canvas.size))


def _plain(canvas: Canvas, pose: Pose, paint: FloatArray, *points: Point) -> None:
    surface = canvas.turned(pose.x, pose.profile(*points))
    lit(canvas, surface, np.broadcast_to(paint, canvas.pixels.shape))


def _tube(canvas: Canvas, points: list[Point], widths: list[float], paint: FloatArray) -> None:
    """Draws a handle or spout: a dark stroke with a lighter core that reads as round."""
    canvas.blend(canvas.stroke(points, widths), 0.68 * paint)
    inner = [0.62 * width for width in widths]
    canvas.blend(canvas.stroke(points, inner), paint)
    shine = [0.18 * width for width in widths]
    canvas.blend(0.5 * canvas.stroke(points, shine), IVORY)


def vase(canvas: Canvas, pose: Pose) -> None:
    """Draws a bellied vase with a narrow neck."""
    _shadow(canvas, pose, 0.17)
    _body(
        canvas, pose,
        (0.58, 0.088), (0.54, 0.064), (0.46, 0.060), (0.36, 0.135), (0.24, 0.188),
        (0.12, 0.160), (0.03, 0.108), (0.0, 0.105),
    )  # fmt: skip
    _rim(canvas, pose, 0.58, 0.088, pose.base)


def mug(canvas: Canvas, pose: Pose) -> None:
    """Draws a mug with its handle to the right."""
    _shadow(canvas, pose, 0.21)
    handle = arc(pose.at(0.185, 0.185), (0.115 * pose.scale, 0.118 * pose.scale), (-100, 100))
    _tube(canvas, handle, [0.046 * pose.scale], pose.base)
    _body(canvas, pose, (0.37, 0.198), (0.2, 0.196), (0.06, 0.186), (0.015, 0.165), (0.0, 0.15))
    _rim(canvas, pose, 0.37, 0.198, pose.base)


def teapot(canvas: Canvas, pose: Pose) -> None:
    """Draws a round teapot with spout, handle and lid."""
    _shadow(canvas, pose, 0.22)
    s = pose.scale
    spout = bezier(pose.at(-0.14, 0.13), pose.at(-0.29, 0.13), pose.at(-0.335, 0.32))
    _tube(canvas, spout, [0.10 * s, 0.06 * s, 0.045 * s], pose.base)
    handle = arc(pose.at(0.19, 0.20), (0.13 * s, 0.115 * s), (-115, 105))
    _tube(canvas, handle, [0.040 * s], pose.base)
    _body(
        canvas, pose,
        (0.335, 0.085), (0.32, 0.118), (0.26, 0.188), (0.18, 0.213), (0.09, 0.185),
        (0.02, 0.12), (0.0, 0.105),
    )  # fmt: skip
    _plain(canvas, pose, pose.base, (0.385, 0.02), (0.37, 0.06), (0.345, 0.092), (0.338, 0.096))
    knob = pose.at(0.0, 0.408)
    canvas.blend(canvas.ellipse(knob, (0.03 * s, 0.028 * s)), BRASS)
    canvas.blend(
        0.6 * canvas.ellipse((knob[0] - 0.01 * s, knob[1] - 0.01 * s), (0.009 * s, 0.009 * s)),
        IVORY,
    )


def lamp(canvas: Canvas, pose: Pose) -> None:
    """Draws a table lamp: brass foot and stem under a patterned shade."""
    canvas.blend(canvas.glow(pose.at(0.0, 0.38), (0.40, 0.34), 0.42), colour(255, 232, 178))
    _shadow(canvas, pose, 0.14)
    _plain(canvas, pose, BRASS, (0.036, 0.03), (0.026, 0.105), (0.0, 0.12))
    _plain(canvas, pose, BRASS, (0.36, 0.013), (0.07, 0.013), (0.035, 0.03))
    canvas.blend(
        canvas.ellipse(pose.at(0.0, 0.315), (0.225 * pose.scale, 0.045 * pose.scale)),
        colour(255, 226, 160),
    )
    _body(canvas, pose, (0.61, 0.112), (0.315, 0.225))
    _rim(canvas, pose, 0.61, 0.112, pose.base)


def clock(canvas: Canvas, pose: Pose) -> None:
    """Draws a wall clock: coloured rim, patterned ring, ivory face."""
    centre, radius = (pose.x, pose.floor - 0.42), 0.27 * pose.scale
    offset = (centre[0] + 0.03, centre[1] + 0.04)
    canvas.blend(canvas.glow(offset, (1.06 * radius, 1.06 * radius), 0.55), INK)
    rim = canvas.disc(centre, radius)
    lit(canvas, rim, np.broadcast_to(0.72 * pose.base, canvas.pixels.shape))
    ring = canvas.disc(centre, 0.94 * radius)
    canvas.blend(ring.mask, painted(ring, pose.base, pose.pattern, canvas.size))
    face = 0.56 * radius
    canvas.blend(canvas.ellipse(centre, (1.05 * face, 1.05 * face)), 0.6 * pose.base)
    canvas.blend(canvas.ellipse(centre, (face, face)), IVORY)
    for hour in range(12):
        angle = np.pi * hour / 6
        direction = np.array([np.sin(angle), -np.cos(angle)])
        inner = 0.74 if hour % 3 == 0 else 0.82
        ends = [tuple(centre + direction * face * reach) for reach in (inner, 0.92)]
        canvas.blend(canvas.stroke(ends, [0.011 * pose.scale]), INK)
    for turns, reach, width in ((pose.turn, 0.5, 0.022), (12 * pose.turn % 1, 0.74, 0.014)):
        angle = 2 * np.pi * turns
        tip = centre + np.array([np.sin(angle), -np.cos(angle)]) * face * reach
        canvas.blend(canvas.stroke([centre, tuple(tip)], [width * pose.scale]), INK)
    canvas.blend(canvas.ellipse(centre, (0.016 * pose.scale, 0.016 * pose.scale)), BRASS)


def planter(canvas: Canvas, pose: Pose) -> None:
    """Draws a tapered pot with a leafy plant."""
    _shadow(canvas, pose, 0.16)
    root = pose.at(0.0, 0.31)
    for number in range(7):
        lean = (number - 3) / 3
        sway = lean * (0.20 + 0.05 * np.sin(7 * pose.turn + number))
        reach = 0.27 - 0.11 * abs(lean) + 0.03 * np.cos(5 * pose.turn + 2 * number)
        tip = pose.at(sway, 0.33 + reach)
        leaf = bezier(root, pose.at(0.25 * sway, 0.33 + 0.75 * reach), tip)
        tone = LEAF * (0.78 + 0.13 * (number % 3))
        canvas.blend(
            canvas.stroke(leaf, [0.012, 0.07 * pose.scale, 0.045 * pose.scale, 0.002]), tone
        )
        canvas.blend(0.55 * canvas.stroke(leaf, [0.006, 0.005, 0.001]), 0.6 * tone)
    _body(canvas, pose, (0.33, 0.205), (0.16, 0.175), (0.02, 0.142), (0.0, 0.136))
    _plain(canvas, pose, pose.base, (0.35, 0.216), (0.30, 0.214))


PRODUCTS: dict[str, Callable[[Canvas, Pose], None]] = {
    "vase": vase,
    "mug": mug,
    "teapot": teapot,
    "lamp": lamp,
    "clock": clock,
    "planter": planter,
}
