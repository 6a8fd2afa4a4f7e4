"""From visual factors to a picture: the scene, then the product, then a breath of grain."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vlmrec.data.shop.canvas import Canvas
from vlmrec.data.shop.patterns import COLOURS, PATTERNS
from vlmrec.data.shop.products import PRODUCTS, Pose
from vlmrec.data.shop.scenes import SCENES

VISUAL_FACTORS: dict[str, tuple[str, ...]] = {
    "shape": tuple(PRODUCTS),
    "colour": tuple(COLOURS),
    "pattern": PATTERNS,
    "backdrop": tuple(SCENES),
}
"""Everything that a picture of the demo shop can say, by name of the factor."""


@dataclass(frozen=True)
class Look:
    """What a product looks like; nothing of it is said in its words."""

    shape: str
    colour: str
    pattern: str
    backdrop: str


class Studio:
    """Draws products; the scenes are built once.

    Args:
        size: Edge length of the pictures in pixels.
    """

    def __init__(self, size: int = 224) -> None:
        self._scenes: dict[str, Canvas] = {}
        for name, paint in SCENES.items():
            self._scenes[name] = Canvas(size)
            paint(self._scenes[name])

    def draw(self, look: Look, rng: np.random.Generator) -> Image.Image:
        """Returns the picture of a product.

        Args:
            look: The four visual factors.
            rng: Decides what means nothing: exact place, size, tone, light and grain.
        """
        canvas = self._scenes[look.backdrop].copy()
        tone = COLOURS[look.colour] * rng.uniform(0.93, 1.06) + rng.normal(0, 0.012, 3)
        pose = Pose(
            x=0.5 + float(rng.uniform(-0.045, 0.045)),
            floor=0.84 + float(rng.uniform(-0.02, 0.025)),
            scale=float(rng.uniform(0.98, 1.2)),
            base=np.clip(tone, 0.02, 0.98).astype(np.float32),
            pattern=look.pattern,
            turn=float(rng.random()),
        )
        PRODUCTS[look.shape](canvas, pose)
        canvas.pixels *= np.float32(rng.uniform(0.95, 1.04))
        grain = rng.standard_normal((canvas.size, canvas.size, 1), dtype=np.float32)
        canvas.pixels += np.float32(0.007) * grain
        return canvas.image()
