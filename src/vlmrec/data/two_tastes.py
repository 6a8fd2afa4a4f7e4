"""A planted world of two tastes: one that only words tell and one that only pictures show.

Titles name four facts among words that mean nothing; pictures of 32 x 32 pixels show a shape, a
hue, a size and a backdrop at a random place, turned, under random light and much noise. Shape and
backdrop follow from two of the facts, so that words tell part of the second taste too; hue and
size do not. Either modality alone tells much, yet words are learned sooner: trained together, the
pictures are the modality that may be left behind.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from pydantic import Field, model_validator

from vlmrec.core import columns
from vlmrec.core.config import StrictConfig
from vlmrec.core.files import atomic_folder
from vlmrec.core.random import Streams
from vlmrec.data.shop.canvas import Canvas, FloatArray
from vlmrec.data.shop.shoppers import IntArray, as_frame, liking, purchases

FACTS: dict[str, tuple[str, ...]] = {
    "material": ("oak", "steel", "linen", "glass", "cork", "wool", "paper", "stone"),
    "room": ("kitchen", "study", "hallway", "nursery", "balcony", "cellar"),
    "maker": ("harlow", "fjord", "olmo", "brume", "hanami", "tidewater"),
    "promise": ("handmade", "recycled", "giftwrapped", "lasting", "awarded", "bargain"),
}
"""What a title tells, one word each."""
FILLERS = (
    "new", "classic", "daily", "simple", "finest", "modern", "trusted", "genuine",
    "little", "usual", "special", "original", "home", "model", "series", "edition",
    "choice", "favourite", "basic", "season", "range", "line", "piece", "item",
)  # fmt: skip
"""Words that tell nothing; every title has three."""
SHAPES = ("disc", "ring", "rows", "columns", "dots", "cross")
BACKDROPS = ("sand", "slate", "moss", "wine", "night")
_TINTS = (
    (0.8, 0.7, 0.5),
    (0.5, 0.55, 0.65),
    (0.25, 0.45, 0.2),
    (0.5, 0.15, 0.25),
    (0.1, 0.1, 0.25),
)
_GREY, _TINTED = 0.45, 0.3  # faint, because a backdrop fills most of a picture
N_HUES, N_SIZES = 6, 4
# Of each taste, by fact and by look. Most is in what both modalities tell (room and shape, maker
# and backdrop): then pictures alone tell much, and yet little that words have not told before.
_WORD_SHARES = (0.15, 0.35, 0.35, 0.15)
_LOOK_SHARES = (0.4, 0.4, 0.1, 0.1)
SIDE = 32
"""Edge length of the pictures, in pixels."""


class TwoTastesConfig(StrictConfig):
    """How large the world is and how clearly it speaks."""

    n_items: int = Field(default=600, ge=20)
    """Number of items."""
    n_users: int = Field(default=3000, ge=1)
    """Number of users."""
    n_events: int = Field(default=12, ge=3)
    """Events of every user; nobody takes an item twice."""
    looks_weight: float = Field(default=1.0, ge=0)
    """How much users care for looks, where what they care for words is 1."""
    sharpness: float = Field(default=8.0, ge=0)
    """How strictly users follow their taste; 0 takes at random."""
    noise: float = Field(default=0.2, ge=0)
    """Standard deviation of the noise on every pixel, whose values run from 0 to 1."""

    @model_validator(mode="after")
    def _events_fit(self) -> "TwoTastesConfig":
        if self.n_events >= self.n_items:
            raise ValueError("n_events must be less than n_items")
        return self


@dataclass(frozen=True)
class TwoTastes:
    """A generated world and the plan behind it.

    Attributes:
        interactions: user_id, item_id, timestamp.
        items: item_id, title, image (path relative to the world's folder).
        pictures: Item id -> picture.
        factors: item_id and the value number of every planted factor; no file holds it.
        by_words: ``[U, I] float32`` the part of the log-odds that follows from the facts.
        by_looks: ``[U, I] float32`` the part that follows from the looks.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame
    pictures: dict[str, Image.Image]
    factors: pl.DataFrame
    by_words: FloatArray
    by_looks: FloatArray


def generate_two_tastes(config: TwoTastesConfig | None = None, seed: int = 0) -> TwoTastes:
    """Returns a world; the same configuration and seed give the same one, pixel by pixel."""
    config = TwoTastesConfig() if config is None else config
    streams = Streams(seed)
    n, users = config.n_items, config.n_users
    facts = _balanced(n, [len(words) for words in FACTS.values()], streams, "facts")
    looks = _looks(facts, streams)
    likes = [streams.numpy("two tastes", "likes", part) for part in ("words", "looks")]
    by_words = liking(facts, _WORD_SHARES, users, likes[0])
    by_looks = liking(looks, _LOOK_SHARES, users, likes[1])
    by_words *= np.float32(config.sharpness)
    by_looks *= np.float32(config.sharpness * config.looks_weight)
    nobody_waits = np.zeros(n, dtype=bool)
    counts = (config.n_events, config.n_events)
    bought = purchases(by_words + by_looks, nobody_waits, 0.0, counts, streams)
    ids = [f"W{number:04d}" for number in range(1, n + 1)]
    rng = streams.numpy("two tastes", "titles")
    names = [*FACTS, "shape", "backdrop", "hue", "size"]
    codes = np.concatenate([facts, looks], axis=1)
    items = {
        columns.ITEM_ID: ids,
        columns.TITLE: [_title(row, rng) for row in facts],
        columns.IMAGE: [f"images/{item}.png" for item in ids],
    }
    return TwoTastes(
        interactions=as_frame(*bought, ids),
        items=pl.DataFrame(items),
        pictures={
            item: _picture(row, config.noise, streams.numpy("two tastes", "picture", number))
            for number, (item, row) in enumerate(zip(ids, looks, strict=True))
        },
        factors=pl.DataFrame({columns.ITEM_ID: ids, **dict(zip(names, codes.T, strict=True))}),
        by_words=by_words,
        by_looks=by_looks,
    )


def write_two_tastes(world: TwoTastes, folder: Path, *, overwrite: bool = False) -> None:
    """Writes a dataset folder that `Dataset.load` reads.

    Args:
        world: A generated world.
        folder: Where to write; appears complete or not at all.
        overwrite: Replace a folder that is already there.

    Raises:
        DataError: The folder exists and is not empty, or cannot be written.
    """
    with atomic_folder(folder, overwrite=overwrite) as target:
        world.interactions.write_parquet(target / "interactions.parquet")
        world.items.write_parquet(target / "items.parquet")
        (target / "images").mkdir()
        for name, picture in zip(world.items[columns.IMAGE], world.pictures.values(), strict=True):
            picture.save(target / name)


def _balanced(n: int, sizes: list[int], streams: Streams, name: str) -> IntArray:
    """Returns ``[n, F]`` value numbers; within a factor all values are about equally frequent."""
    rng = streams.numpy("two tastes", name)
    return np.stack([rng.permutation(np.arange(n) % size) for size in sizes], axis=1)


def _looks(facts: IntArray, streams: Streams) -> IntArray:
    """Returns ``[I, 4]`` shape, backdrop, hue, size; the first two follow from room and maker."""
    free = _balanced(len(facts), [N_HUES, N_SIZES], streams, "looks")
    room, maker = (list(FACTS).index(name) for name in ("room", "maker"))
    shape = facts[:, room] % len(SHAPES)
    backdrop = facts[:, maker] % len(BACKDROPS)
    return np.column_stack([shape, backdrop, free])


def _title(facts: IntArray, rng: np.random.Generator) -> str:
    told = [words[int(code)] for words, code in zip(FACTS.values(), facts, strict=True)]
    words = [*told, *(str(word) for word in rng.choice(FILLERS, 3, replace=False))]
    return " ".join(words[int(place)] for place in rng.permutation(len(words)))


def _picture(looks: IntArray, noise: float, rng: np.random.Generator) -> Image.Image:
    shape, backdrop, hue, size = (int(code) for code in looks)
    canvas = Canvas(SIDE)
    canvas.pixels[:] = _GREY + _TINTED * (np.array(_TINTS[backdrop], dtype=np.float32) - _GREY)
    turn = float(rng.uniform(-0.25, 0.25))
    radius = (0.28, 0.34, 0.4, 0.46)[size] * float(rng.uniform(0.93, 1.07))
    centre = rng.uniform(radius, 1 - radius, 2) if radius < 0.5 else np.full(2, 0.5)
    mask = _shape(canvas, SHAPES[shape], (float(centre[0]), float(centre[1])), radius, turn)
    canvas.blend(mask, _paint((hue + float(rng.uniform(-0.2, 0.2))) / N_HUES))
    canvas.pixels *= np.float32(rng.uniform(0.88, 1.12))
    canvas.pixels += np.float32(noise) * rng.standard_normal(canvas.pixels.shape, dtype=np.float32)
    return canvas.image()


def _shape(
    canvas: Canvas, kind: str, centre: tuple[float, float], radius: float, turn: float
) -> FloatArray:
    """Returns the mask of a shape that fits into a circle."""
    disc = canvas.ellipse(centre, (radius, radius))
    if kind == "disc":
        return disc
    if kind == "ring":
        return disc - canvas.ellipse(centre, (0.55 * radius, 0.55 * radius))
    if kind in ("rows", "columns"):
        angle = turn + (np.pi / 2 if kind == "rows" else 0.0)
        across = (canvas.x - centre[0]) * np.cos(angle) + (canvas.y - centre[1]) * np.sin(angle)
        period = 0.5 * radius
        return disc * canvas.soft(period / 4 - np.abs(across % period - period / 2))
    angles = turn + np.arange(5) * 2 * np.pi / 5
    if kind == "dots":
        spots = np.array(centre) + 0.7 * radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        spot = (0.28 * radius, 0.28 * radius)
        masks = [canvas.ellipse((float(x), float(y)), spot) for x, y in spots]
        return np.max(masks, axis=0)
    steps = np.arange(12)  # a cross; per arm: outer right, outer left, inner corner
    angles = turn + np.pi / 2 * (steps // 3) + np.array([-0.22, 0.22, np.pi / 4])[steps % 3]
    reach = radius * np.array([1.0, 1.0, 0.3])[steps % 3]
    x, y = centre[0] + reach * np.cos(angles), centre[1] + reach * np.sin(angles)
    return canvas.polygon([(float(one), float(other)) for one, other in zip(x, y, strict=True)])


def _paint(hue: float) -> FloatArray:
    """Returns the ``[3]`` bright colour of a hue 0 to 1 around the colour wheel."""
    distance = np.abs((hue - np.array([0, 1, 2]) / 3 + 0.5) % 1 - 0.5)  # to red, green, blue
    return np.clip(2 - 6 * distance, 0.08, 0.95).astype(np.float32)
