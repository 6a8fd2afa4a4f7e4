"""Worlds for Molar at toy size, in each of which one kind of signal alone tells the next item.

Every item has a title and a picture of 16 x 16 pixels. What of them is not the signal is drawn
alike for all items, or, where items must be told apart, at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from vlmrec.core.columns import IMAGE, ITEM_ID, TIMESTAMP, TITLE, USER_ID
from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset

IntArray = NDArray[np.int64]

SIDE = 16
N_HUES = 6
N_MOTIFS = 2
FILLERS = ("plain", "thing", "object", "piece", "good", "stock", "part", "sort")
"""Words that tell nothing."""
_SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "no", "pi", "ru", "sa", "te")
START = 1_700_000_000


@dataclass(frozen=True)
class MolarWorld:
    """Who takes what in which order, and what items show.

    Attributes:
        name: What tells the next item.
        walks: ``[n_u] int64`` item numbers of each user, oldest first.
        titles: By item number.
        looks: By item number: a picture's motif and hue as one number.
        metric: What `floor` and `reachable` are figures of.
        floor: What a ranking at random has.
        reachable: What a ranker that knows the plan has.
        filter_seen: Whether items of the history are left out of the ranking.
        among_last: Whether what is taken last is ranked among what others take last, because a
            model of ids could tell that what somebody took earlier is not taken again.
        seed: Of the pictures' noise.
    """

    name: str
    walks: tuple[IntArray, ...]
    titles: tuple[str, ...]
    looks: IntArray
    metric: str
    floor: float
    reachable: float
    filter_seen: bool
    among_last: bool
    seed: int


def picture_world(seed: int, n_users: int = 288, n_events: int = 5) -> MolarWorld:
    """Returns a world in which each user takes items of one look, and each item is taken once.

    So ids tell nothing; titles are words that tell nothing.
    """
    streams = Streams(seed)
    groups = _users_groups(n_users, N_HUES * N_MOTIFS, streams)
    looks = np.repeat(groups, n_events)
    titles = _fillers(len(looks), streams, 1)
    return _once("picture", seed, n_users, n_events, groups, titles, looks)


def text_world(
    seed: int, n_users: int = 288, n_events: int = 5, n_groups: int = 24, n_words: int = 3
) -> MolarWorld:
    """Returns the same with words in place of pictures.

    A title names its group by one of the group's words, among two that tell nothing: that two
    words mean the same must be learned from who takes what.
    """
    streams = Streams(seed)
    rng = streams.numpy("molar worlds", "words")
    groups = _users_groups(n_users, n_groups, streams)
    group_of = np.repeat(groups, n_events)
    words = rng.permutation(_words(n_groups * n_words)).reshape(n_groups, n_words)
    telling = words[group_of, rng.integers(0, n_words, len(group_of))]
    fillers = _fillers(len(group_of), streams, 2)
    titles = tuple(f"{word} {filler}" for word, filler in zip(telling, fillers, strict=True))
    return _once("text", seed, n_users, n_events, groups, titles, _any_looks(len(titles), streams))


def order_world(
    seed: int, n_items: int = 9, n_kinds: int = 3, n_users: int = 300, n_events: int = 12
) -> MolarWorld:
    """Returns a world in which the last two items, in their order, tell the next.

    Every item is of a secret kind, and every kind is a permutation of the items: after a, b
    comes what the permutation of a's kind makes of b. That holds for three events in four, drawn
    at random, and for the last; the others, and always the two before the last, are any item.
    So the latest item alone leaves one candidate a kind, all of them equally likely.
    """
    streams = Streams(seed)
    rng = streams.numpy("molar worlds", "order")
    kind = rng.permutation(np.arange(n_items) % n_kinds)
    start = rng.permutation(n_items)
    steps = rng.permutation(n_items)[:n_kinds]
    place = np.argsort(start)
    behind = np.stack([start[(place + step) % n_items] for step in steps])  # [K, I]
    walks: list[IntArray] = []
    for _ in range(n_users):
        walk = list(rng.integers(0, n_items, 2))
        while len(walk) < n_events:
            told = behind[kind[walk[-2]], walk[-1]]
            left = n_events - len(walk)
            free = left in (2, 3) or (left > 3 and rng.random() < 0.25)
            walk.append(rng.integers(0, n_items) if free else told)
        walks.append(np.array(walk, dtype=np.int64))
    return MolarWorld(
        name="order",
        walks=tuple(walks),
        titles=_different(n_items, streams),
        looks=_any_looks(n_items, streams),
        metric="Recall@1",
        floor=1 / n_items,
        reachable=1.0,
        filter_seen=False,
        among_last=False,
        seed=seed,
    )


def id_world(
    seed: int, n_groups: int = 12, group_size: int = 8, n_users: int = 240, n_events: int = 6
) -> MolarWorld:
    """Returns a world in which items are taken together that have nothing in common.

    Titles and pictures are drawn at random; titles differ.
    """
    streams = Streams(seed)
    rng = streams.numpy("molar worlds", "ids")
    n_items = n_groups * group_size
    members = rng.permutation(n_items).reshape(n_groups, group_size)
    groups = _users_groups(n_users, n_groups, streams)
    return MolarWorld(
        name="ids",
        walks=tuple(rng.permutation(members[group])[:n_events] for group in groups),
        titles=_different(n_items, streams),
        looks=_any_looks(n_items, streams),
        metric="NDCG@10",
        floor=_ndcg_at_random(n_items - n_events + 1),
        reachable=_ndcg_at_random(group_size - n_events + 1),
        filter_seen=True,
        among_last=False,
        seed=seed,
    )


def with_shuffled_events(world: MolarWorld) -> MolarWorld:
    """Returns the world with all training events dealt anew among users and places.

    The last two events of each user, validation and test, stay; so do floor and reachable.
    """
    rng = Streams(world.seed).numpy("molar worlds", "shuffled")
    ends = np.cumsum([len(walk) - 2 for walk in world.walks])
    learned = rng.permutation(np.concatenate([walk[:-2] for walk in world.walks]))
    parts = np.split(learned, ends[:-1])
    walks = [np.append(part, walk[-2:]) for part, walk in zip(parts, world.walks, strict=True)]
    return replace(world, walks=tuple(walks))


def all_alike(world: MolarWorld) -> MolarWorld:
    """Returns the world with one title and one picture for all items."""
    return replace(
        world, titles=(world.titles[0],) * len(world.titles), looks=np.full_like(world.looks, -1)
    )


def write_world(world: MolarWorld, folder: Path) -> Dataset:
    """Returns the world as a dataset whose pictures lie in `folder`."""
    folder.mkdir(parents=True)
    for item, look in enumerate(world.looks):
        rng = Streams(world.seed).numpy("molar worlds", "picture", 0 if look < 0 else item)
        _picture(max(int(look), 0), rng).save(folder / f"{_name(item)}.png")
    names = [_name(item) for item in range(len(world.titles))]
    items = {ITEM_ID: names, TITLE: list(world.titles), IMAGE: [f"{name}.png" for name in names]}
    return Dataset.from_frames(_events(world.walks), pl.DataFrame(items), folder)


def _once(
    name: str,
    seed: int,
    n_users: int,
    n_events: int,
    groups: IntArray,
    titles: Sequence[str],
    looks: IntArray,
) -> MolarWorld:
    """Returns a world in which item i is taken by user i // n_events alone."""
    n_items = n_users * n_events
    size = n_users / len(np.unique(groups))
    return MolarWorld(
        name=name,
        walks=tuple(np.arange(n_items).reshape(n_users, n_events)),
        titles=tuple(titles),
        looks=looks,
        metric="NDCG@10",
        floor=_ndcg_at_random(n_users),
        reachable=_ndcg_at_random(round(size)),
        filter_seen=True,
        among_last=True,
        seed=seed,
    )


def _users_groups(n_users: int, n_groups: int, streams: Streams) -> IntArray:
    return streams.numpy("molar worlds", "groups").permutation(np.arange(n_users) % n_groups)


def _ndcg_at_random(n: int) -> float:
    """Returns the expected NDCG@10 of one target among `n` items in random order."""
    return float((1 / np.log2(np.arange(2, min(n, 10) + 2))).sum() / n)


def _words(n: int) -> list[str]:
    return [one + two for one in _SYLLABLES for two in _SYLLABLES][:n]


def _fillers(n: int, streams: Streams, n_words: int) -> list[str]:
    rng = streams.numpy("molar worlds", "fillers")
    return [" ".join(rng.choice(FILLERS, n_words, replace=False)) for _ in range(n)]


def _different(n: int, streams: Streams) -> tuple[str, ...]:
    """Returns `n` different titles of two words, each word in many of them."""
    rng = streams.numpy("molar worlds", "different")
    words = _words(len(_SYLLABLES))
    pairs = [f"{one} {two}" for one in words for two in words if one != two]
    return tuple(str(pair) for pair in rng.permutation(pairs)[:n])


def _any_looks(n: int, streams: Streams) -> IntArray:
    return streams.numpy("molar worlds", "looks").integers(0, N_HUES * N_MOTIFS, n)


def _picture(look: int, rng: np.random.Generator) -> Image.Image:
    """Returns bars or a disc in one of six hues, shifted, with noise."""
    motif, hue = divmod(look, N_HUES)
    y, x = (np.indices((SIDE, SIDE)) + 0.5) / SIDE
    shift = rng.uniform(-0.04, 0.04, 2)
    mask = (
        np.sin(6 * np.pi * (y + shift[0])) > 0,
        np.hypot(x - 0.5 - shift[0], y - 0.5 - shift[1]) < 0.33,
    )[motif]
    distance = np.abs((hue / N_HUES - np.array([0, 1, 2]) / 3 + 0.5) % 1 - 0.5)
    paint = np.clip(2 - 6 * distance, 0.1, 0.9)
    pixels = np.where(mask[..., None], paint, 0.5) + 0.08 * rng.standard_normal((SIDE, SIDE, 3))
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def _name(item: int) -> str:
    return f"m{item:04d}"


def _events(walks: Sequence[IntArray]) -> pl.DataFrame:
    rows = [
        (f"u{user:04d}", _name(int(item)), START + 3600 * step + user)
        for user, walk in enumerate(walks)
        for step, item in enumerate(walk)
    ]
    return pl.DataFrame(rows, schema=[USER_ID, ITEM_ID, TIMESTAMP], orient="row")
