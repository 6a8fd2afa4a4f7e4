"""The demo shop: a catalogue in words and pictures, and shoppers with a taste for both.

One part of the taste shows only in words (material, room, maker, promise), one only in
pictures (shape, colour, pattern, backdrop). Each part alone tells about equally much, words
are learned more easily: the shop doubles as test bed of modality collapse.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator

from vlmrec.core import columns
from vlmrec.core.config import StrictConfig
from vlmrec.core.files import atomic_folder
from vlmrec.core.random import Streams
from vlmrec.data.shop.drawing import VISUAL_FACTORS, Look, Studio
from vlmrec.data.shop.shoppers import FloatArray, IntArray, as_frame, liking, purchases
from vlmrec.data.shop.words import WORDS, describe

SHAPE_OF_ROOM = (2, 3, 0, 1, 4, 5)
"""In the redundant shop: kitchen teapot, reading lamp, hallway vase, office mug, ..."""


WORD_SHARES = {"material": 0.4, "room": 0.3, "maker": 0.2, "promise": 0.1}
LOOK_SHARES = {"shape": 0.2, "colour": 0.3, "pattern": 0.4, "backdrop": 0.1}
"""How much of the taste each factor makes up, within words and within looks."""


class ShopConfig(StrictConfig):
    """How large the demo shop is and what its shoppers look at."""

    n_items: int = Field(default=500, ge=20)
    """Number of products."""
    n_shoppers: int = Field(default=1500, ge=1)
    """Number of shoppers."""
    min_purchases: int = Field(default=8, ge=3)
    """Fewest purchases of a shopper."""
    max_purchases: int = Field(default=16, ge=3)
    """Most purchases of a shopper."""
    text_weight: float = Field(default=1.0, ge=0)
    """How much shoppers care for what the words say."""
    image_weight: float = Field(default=1.0, ge=0)
    """How much shoppers care for what the pictures show."""
    sharpness: float = Field(default=4.0, ge=0)
    """How strictly shoppers follow their taste; 0 buys at random."""
    redundant: bool = False
    """Shape follows from the room and backdrop from the maker, so that the modalities overlap."""
    missing_pictures: float = Field(default=0.03, ge=0, le=1)
    """Share of products without a picture."""
    missing_words: float = Field(default=0.03, ge=0, le=1)
    """Share of products without title and description."""
    cold_items: float = Field(default=0.06, ge=0, lt=1)
    """Share of products that go on sale just before every shopper's last purchase."""
    cold_purchases: float = Field(default=0.1, ge=0, le=1)
    """Share of shoppers whose last purchase is one of these."""
    picture_size: int = Field(default=192, ge=32, le=1024)
    """Edge length of the pictures, in pixels."""

    @model_validator(mode="after")
    def _counts_fit(self) -> "ShopConfig":
        if not self.min_purchases <= self.max_purchases:
            raise ValueError("min_purchases must not exceed max_purchases")
        if self.max_purchases > self.n_items * (1 - self.cold_items) - 1:
            raise ValueError("max_purchases exceeds the number of products on sale")
        return self


@dataclass(frozen=True)
class Shop:
    """A generated shop and the plan behind it.

    Attributes:
        interactions: user_id, item_id, timestamp.
        items: item_id, title, description, price, image (file name or null).
        pictures: Item id -> picture, for products that have one.
        factors: item_id and one column per planted factor; not part of the shop's files.
        cold: Ids of products that are bought only as somebody's last purchase.
        preference: ``[U, I] float32`` the true log-odds, users and items in order of their ids.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame
    pictures: dict[str, Image.Image]
    factors: pl.DataFrame
    cold: tuple[str, ...]
    preference: FloatArray


def generate_shop(config: ShopConfig | None = None, seed: int = 0) -> Shop:
    """Returns a shop; the same configuration and seed give the same shop, pixel by pixel."""
    config = ShopConfig() if config is None else config
    streams = Streams(seed)
    item_ids = [f"P{number:04d}" for number in range(1, config.n_items + 1)]
    words, looks = _plan(config, streams)
    n, likes = config.n_shoppers, streams.numpy("shop", "likes words")
    by_words = liking(words, [WORD_SHARES[factor] for factor in WORDS], n, likes)
    likes = streams.numpy("shop", "likes looks")
    by_looks = liking(looks, [LOOK_SHARES[factor] for factor in VISUAL_FACTORS], n, likes)
    taste = config.text_weight * by_words + config.image_weight * by_looks
    preference = (config.sharpness * taste).astype(np.float32)
    cold = _some(config.n_items, config.cold_items, streams.numpy("shop", "cold"))
    counts = (config.min_purchases, config.max_purchases)
    bought = purchases(preference, cold, config.cold_purchases, counts, streams)
    interactions = as_frame(*bought, item_ids)
    factors = _factor_table(item_ids, words, looks)
    pictures = _pictures(config, factors, streams)
    return Shop(
        interactions=interactions,
        items=_catalogue(config, factors, pictures, streams),
        pictures=pictures,
        factors=factors,
        cold=tuple(item for item, is_cold in zip(item_ids, cold, strict=True) if is_cold),
        preference=preference,
    )


def write_shop(shop: Shop, folder: Path, *, overwrite: bool = False) -> None:
    """Writes what a shopkeeper would have: interactions.csv, items.csv and images/.

    Args:
        shop: A generated shop.
        folder: Where to write; appears complete or not at all.
        overwrite: Replace a folder that is already there.

    Raises:
        DataError: The folder exists and is not empty, or cannot be written.
    """
    with atomic_folder(folder, overwrite=overwrite) as target:
        shop.interactions.write_csv(target / "interactions.csv")
        shop.items.write_csv(target / "items.csv")
        (target / "images").mkdir()
        for item_id, picture in shop.pictures.items():
            picture.save(target / "images" / f"{item_id}.jpg", quality=90)


def _plan(config: ShopConfig, streams: Streams) -> tuple[IntArray, IntArray]:
    """Returns ``[I, 4]`` value numbers of the factors in words and of those in pictures."""
    words = _balanced(config.n_items, [len(v) for v in WORDS.values()], streams, "words")
    looks = _balanced(config.n_items, [len(v) for v in VISUAL_FACTORS.values()], streams, "looks")
    if config.redundant:
        room, maker = (list(WORDS).index(factor) for factor in ("room", "maker"))
        shape, backdrop = (list(VISUAL_FACTORS).index(f) for f in ("shape", "backdrop"))
        looks[:, shape] = np.array(SHAPE_OF_ROOM)[words[:, room]]
        looks[:, backdrop] = words[:, maker] % len(VISUAL_FACTORS["backdrop"])
    return words, looks


def _balanced(n: int, sizes: list[int], streams: Streams, name: str) -> IntArray:
    """Returns ``[n, F]`` value numbers; within a factor all values are about equally frequent."""
    rng = streams.numpy("shop", name)
    return np.stack([rng.permutation(np.arange(n) % size) for size in sizes], axis=1)


def _some(n: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Returns ``[n] bool`` with round(n * share) true places."""
    chosen = np.zeros(n, dtype=bool)
    chosen[rng.permutation(n)[: round(n * share)]] = True
    return chosen


def _factor_table(item_ids: list[str], words: IntArray, looks: IntArray) -> pl.DataFrame:
    values: dict[str, list[str]] = {name: list(phrases) for name, phrases in WORDS.items()}
    values |= {name: list(options) for name, options in VISUAL_FACTORS.items()}
    codes = np.concatenate([words, looks], axis=1)
    named: dict[str, list[str]] = {}
    for column, (factor, options) in enumerate(values.items()):
        named[factor] = [options[int(code)] for code in codes[:, column]]
    return pl.DataFrame({columns.ITEM_ID: item_ids, **named})


def _pictures(
    config: ShopConfig, factors: pl.DataFrame, streams: Streams
) -> dict[str, Image.Image]:
    studio = Studio(config.picture_size)
    missing = _some(config.n_items, config.missing_pictures, streams.numpy("shop", "no picture"))
    pictures: dict[str, Image.Image] = {}
    for number, row in enumerate(factors.iter_rows(named=True)):
        if not missing[number]:
            look = Look(**{factor: row[factor] for factor in VISUAL_FACTORS})
            rng = streams.numpy("shop", "picture", number)
            pictures[row[columns.ITEM_ID]] = studio.draw(look, rng)
    return pictures


def _catalogue(
    config: ShopConfig, factors: pl.DataFrame, pictures: dict[str, Image.Image], streams: Streams
) -> pl.DataFrame:
    silent = _some(config.n_items, config.missing_words, streams.numpy("shop", "no words"))
    rows: list[dict[str, str | float | None]] = []
    for number, row in enumerate(factors.iter_rows(named=True)):
        rng = streams.numpy("shop", "entry", number)
        entry = describe({factor: row[factor] for factor in WORDS}, number, rng)
        item_id = row[columns.ITEM_ID]
        rows.append(
            {
                columns.ITEM_ID: item_id,
                columns.TITLE: None if silent[number] else entry.title,
                columns.DESCRIPTION: None if silent[number] else entry.description,
                "price": round(float(rng.gamma(6.0, 8.0)) + 9.0, 0) - 0.1,
                columns.IMAGE: f"{item_id}.jpg" if item_id in pictures else None,
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)
