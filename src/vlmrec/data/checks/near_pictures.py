"""Pictures that look the same although their files differ: saved again, resized, brightened.

A picture's print is 64 bits, each whether it gets brighter from one place to the next in a grid
of 8 x 8 (the difference hash of Krawetz, 2013), and a thumbnail that settles doubtful cases.
Near prints are found without comparing all: of two that differ in six bits, at least two of
eight bytes are equal.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vlmrec.data.checks.twins import NO_GROUP, SharedKeys, Twins, unique_pairs
from vlmrec.data.sequences import IntArray

NEAR_BITS = 6
"""Two prints that differ in more bits are not compared further."""
NEAR_CORRELATION = 0.98
"""Of the colours of two thumbnails, from which they count as the same picture: the same thing in
another colour stays below."""
_THUMBNAIL = 16
_FLAT = 4.0
"""Spread of every colour (0 to 255) below which there is nothing to recognise in a picture."""
_AT_A_TIME = 1 << 14
_MOST_PAIRS = 300_000_000


@dataclass(frozen=True, eq=False)
class PicturePrint:
    """What of a picture is compared.

    Attributes:
        bits: 64 bits.
        thumbnail: ``[768] uint8`` red, green and blue of 16 x 16 places.
    """

    bits: int
    thumbnail: NDArray[np.uint8]


def print_of(picture: Image.Image) -> PicturePrint | None:
    """Returns the print of a picture, or None where it shows nothing but one shade."""
    side = (_THUMBNAIL, _THUMBNAIL)
    thumbnail = np.asarray(picture.convert("RGB").resize(side, Image.Resampling.BOX))
    if thumbnail.std(axis=(0, 1)).max() < _FLAT:
        return None
    grey = picture.convert("L").resize((9, 8), Image.Resampling.BOX)
    grid = np.asarray(grey).astype(np.int16)
    brighter = np.packbits(grid[:, 1:] > grid[:, :-1])
    return PicturePrint(int.from_bytes(brighter.tobytes()), thumbnail.ravel())


def near_pictures(prints: list[PicturePrint | None]) -> Twins:
    """Returns which items have nearly the picture of another one.

    Args:
        prints: One an item, None without a picture, or without one that can be compared.
    """
    groups = np.full(len(prints), NO_GROUP, dtype=np.int64)
    first: dict[bytes, int] = {}
    different: list[PicturePrint] = []
    for row, one in enumerate(prints):
        if one is None:
            continue
        key = one.bits.to_bytes(8) + one.thumbnail.tobytes()
        groups[row] = first.setdefault(key, len(different))
        if groups[row] == len(different):
            different.append(one)
    if len(different) < 2:
        return Twins(groups)
    bits = np.array([one.bits for one in different], dtype=np.uint64)
    thumbnails = np.stack([one.thumbnail for one in different])
    pieces, complete = _shared_bytes(bits).pairs(_MOST_PAIRS)
    pairs = unique_pairs([_near(bits, piece) for piece in pieces])
    parts = np.split(pairs, range(_AT_A_TIME, len(pairs), _AT_A_TIME))
    return Twins(groups, np.concatenate([_alike(thumbnails, part) for part in parts]), complete)


def _shared_bytes(bits: NDArray[np.uint64]) -> SharedKeys:
    eight = bits[:, None].view(np.uint8).astype(np.int64)  # [n, 8]
    two = list(combinations(range(8), 2))
    keys = [(k << 16) | (eight[:, a] << 8) | eight[:, b] for k, (a, b) in enumerate(two)]
    rows = np.tile(np.arange(len(bits), dtype=np.int64), len(two))
    return SharedKeys(np.concatenate(keys), rows)


def _near(bits: NDArray[np.uint64], pairs: IntArray) -> IntArray:
    differing = np.bitwise_count(bits[pairs[:, 0]] ^ bits[pairs[:, 1]])
    return pairs[differing <= NEAR_BITS]


def _alike(thumbnails: NDArray[np.uint8], pairs: IntArray) -> IntArray:
    one, other = (_standardised(thumbnails[pairs[:, side]]) for side in (0, 1))
    return pairs[(one * other).sum(axis=1) >= NEAR_CORRELATION]


def _standardised(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = thumbnails.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    return values / np.linalg.norm(values, axis=1, keepdims=True)
