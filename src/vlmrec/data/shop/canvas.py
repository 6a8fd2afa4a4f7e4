"""A small anti-aliased canvas: soft masks, blending, and bodies turned on a potter's wheel.

Coordinates are fractions of the picture: x to the right, y down, both 0..1. Colours are
``[3] float32`` in 0..1. A mask is ``[S, S] float32`` in 0..1 with soft edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.interpolate import PchipInterpolator  # pyright: ignore[reportMissingTypeStubs]

FloatArray = NDArray[np.floating[Any]]
Point = tuple[float, float]

SUPERSAMPLING = 4
RIM_RATIO = 0.2
"""Height over width of a circle seen slightly from above."""


def colour(red: int, green: int, blue: int) -> FloatArray:
    """Returns an RGB colour given as 0..255."""
    return np.array([red, green, blue], dtype=np.float32) / 255.0


@dataclass(frozen=True)
class Surface:
    """Where each pixel lies on a body: what a pattern and the light need.

    Attributes:
        mask: ``[S, S]`` the silhouette.
        across: ``[S, S]`` -1 at the left edge, 1 at the right edge, as seen.
        around: ``[S, S]`` distance along the surface sideways, in picture widths.
        down: ``[S, S]`` distance along the surface downwards, in picture heights.
    """

    mask: FloatArray
    across: FloatArray
    around: FloatArray
    down: FloatArray


class Canvas:
    """An RGB picture that things are blended onto.

    Args:
        size: Edge length S in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.pixels: FloatArray = np.ones((size, size, 3), dtype=np.float32)
        centres = (np.arange(size, dtype=np.float32) + 0.5) / size
        self.x: FloatArray = np.broadcast_to(centres[None, :], (size, size))
        self.y: FloatArray = np.broadcast_to(centres[:, None], (size, size))

    def blend(self, mask: FloatArray, paint: FloatArray) -> None:
        """Lays `paint` (one colour ``[3]`` or ``[S, S, 3]``) over the picture through `mask`."""
        rows, columns = (np.flatnonzero(mask.max(axis=axis)).tolist() for axis in (1, 0))
        if not rows:
            return
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        pixels = self.pixels[box]
        pixels += mask[box][..., None] * ((paint if paint.ndim == 1 else paint[box]) - pixels)

    def polygon(self, points: Sequence[Point]) -> FloatArray:
        """Returns the mask of a filled polygon."""
        places = np.array(points, dtype=np.float32) * self.size
        low = np.clip(np.floor(places.min(axis=0)), 0, self.size - 1).astype(int)
        high = np.clip(np.ceil(places.max(axis=0)) + 1, low + 1, self.size).astype(int)
        width, height = (high - low).tolist()
        image = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
        corners = ((places - low) * SUPERSAMPLING).ravel().tolist()
        ImageDraw.Draw(image).polygon(corners, fill=255)
        mask = np.zeros((self.size, self.size), dtype=np.float32)
        reduced = np.asarray(image.reduce(SUPERSAMPLING), dtype=np.float32)
        mask[low[1] : high[1], low[0] : high[0]] = reduced / 255.0
        return mask

    def ellipse(self, centre: Point, radii: Point) -> FloatArray:
        """Returns the mask of a filled ellipse."""
        distance = np.hypot((self.x - centre[0]) / radii[0], (self.y - centre[1]) / radii[1])
        return self.soft((1.0 - distance) * min(radii))

    def stroke(self, points: Sequence[Point], widths: Sequence[float]) -> FloatArray:
        """Returns the mask of a line along `points` whose width runs through `widths`."""
        along = np.array(points, dtype=np.float32)
        tangent = np.gradient(along, axis=0)
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
        steps = np.linspace(0, 1, len(along))
        half = np.interp(steps, np.linspace(0, 1, len(widths)), widths)[:, None] / 2
        outline = np.concatenate([along + half * normal, (along - half * normal)[::-1]])
        return self.polygon([(float(x), float(y)) for x, y in outline])

    def glow(self, centre: Point, radii: Point, strength: float) -> FloatArray:
        """Returns a mask that fades out like a bell around `centre`."""
        squared = ((self.x - centre[0]) / radii[0]) ** 2 + ((self.y - centre[1]) / radii[1]) ** 2
        bell = strength * np.exp(-squared)
        return np.where(bell > 0.002, bell, 0.0).astype(np.float32)

    def soft(self, inside: FloatArray) -> FloatArray:
        """Returns a mask from a signed distance (positive inside), one pixel soft."""
        return np.clip(inside * self.size + 0.5, 0.0, 1.0).astype(np.float32)

    def turned(self, centre_x: float, profile: Sequence[Point]) -> Surface:
        """Returns the surface of a body of revolution seen slightly from above.

        Args:
            centre_x: The axis of the body.
            profile: (y, half width) from the rim down to the foot.
        """
        heights, widths = np.array(profile).T
        levels = np.linspace(profile[0][0], profile[-1][0], 48)
        half: FloatArray = np.asarray(PchipInterpolator(heights, widths)(levels))
        angles = np.linspace(0, np.pi, 40)
        foot = (half[-1] * np.cos(angles), levels[-1] + RIM_RATIO * half[-1] * np.sin(angles))
        back = (-half[0] * np.cos(angles), levels[0] - RIM_RATIO * half[0] * np.sin(angles))
        sides = ((half, levels), foot, (-half[::-1], levels[::-1]), back)
        outline = np.concatenate([np.stack(side, axis=1) for side in sides])
        mask = self.polygon([(centre_x + float(x), float(y)) for x, y in outline])
        aside = self.x - centre_x
        down = self.y
        width = np.interp(down, levels, half).astype(np.float32)
        for _ in range(2):  # solve y = level + the circle's bulge towards the eye
            down = self.y - RIM_RATIO * np.sqrt(np.maximum(width**2 - aside**2, 0.0))
            width = np.interp(down, levels, half).astype(np.float32)
        across = np.clip(aside / np.maximum(width, 1e-3), -1.0, 1.0)
        around = np.arcsin(across) * float(half.max())
        return Surface(mask, *(part.astype(np.float32) for part in (across, around, down)))

    def disc(self, centre: Point, radius: float) -> Surface:
        """Returns the surface of a flat disc that faces the viewer."""
        around, down = self.x - centre[0], self.y - centre[1]
        return Surface(self.ellipse(centre, (radius, radius)), around / radius, around, down)

    def copy(self) -> "Canvas":
        """Returns a canvas with the same picture on it."""
        twin = Canvas(self.size)
        twin.pixels = self.pixels.copy()
        return twin

    def image(self) -> Image.Image:
        """Returns the picture as 8-bit RGB."""
        return Image.fromarray((np.clip(self.pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))


def arc(centre: Point, radii: Point, degrees: tuple[float, float]) -> list[Point]:
    """Returns points along an ellipse; 0 degrees is to the right, 90 is down."""
    angles = np.radians(np.linspace(*degrees, 40))
    return [
        (centre[0] + radii[0] * float(np.cos(a)), centre[1] + radii[1] * float(np.sin(a)))
        for a in angles
    ]


def bezier(start: Point, pull: Point, end: Point) -> list[Point]:
    """Returns points along a quadratic curve."""
    t = np.linspace(0, 1, 30)
    return [
        (
            float((1 - s) ** 2 * start[0] + 2 * s * (1 - s) * pull[0] + s**2 * end[0]),
            float((1 - s) ** 2 * start[1] + 2 * s * (1 - s) * pull[1] + s**2 * end[1]),
        )
        for s in t
    ]
