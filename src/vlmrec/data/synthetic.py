"""Small planted worlds: the answer is known, and only one kind of signal tells it.

A recommender that uses the right signal comes near `World.reachable`; one that cannot see it,
or that is given `shuffled(world)`, stays near `World.floor`. All figures are NDCG@10 of the
last event of every user, ranked among all items, seen items not filtered. Vectors that say
nothing still tell items apart, so that the worlds of order and of ids can also be solved by
models that read them.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vlmrec.core import columns
from vlmrec.core.random import Streams

Signal = Literal["order", "image", "text", "ids", "content"]
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

TOP = 10
START = 1_700_000_000
FILLERS = ("plain", "thing", "item", "object", "piece", "good", "stock", "part")
FIRST = ("copper", "silent", "winter", "velvet", "distant", "salty", "wooden", "golden", "bitter")
SECOND = ("harbour", "orchard", "engine", "violin", "desert", "pepper", "glacier", "market", "fox")


@dataclass(frozen=True)
class World:
    """Interactions and items with a planted answer.

    Attributes:
        name: Short name.
        description: What is planted, in one sentence.
        signal: What alone tells the next item.
        interactions: user_id, item_id, timestamp; users' events in order.
        items: item_id, title; row i goes with row i of every array in `vectors`.
        vectors: Content vectors ``[I, D] float32`` under "text" and "image".
        floor: NDCG@10 of a ranking at random.
        reachable: NDCG@10 of a ranker that knows the plan (in the cold world: among cold items).
        candidates: Items the last event is ranked among; None means all items.
    """

    name: str
    description: str
    signal: Signal
    interactions: pl.DataFrame
    items: pl.DataFrame
    vectors: dict[str, FloatArray]
    floor: float
    reachable: float
    candidates: tuple[str, ...] | None = None


def order_world(seed: int = 0, n_items: int = 40, n_users: int = 100) -> World:
    """Returns a world in which only the order tells the next item.

    A hidden round trip leads through all items. Everybody makes one or two complete rounds and
    a part of another; for each round the trip is cut into pieces (one link in five) that are
    walked in random order. A complete round holds every item once, so that popularity and
    co-occurrence say nothing.
    """
    streams = Streams(seed)
    rng = streams.numpy("order world")
    tour, cut = rng.permutation(n_items), 0.2
    walks: list[IntArray] = []
    for _ in range(n_users):
        rounds: list[IntArray] = []
        for _ in range(3):
            turned = np.roll(tour, int(rng.integers(n_items)))
            pieces = np.split(turned, np.flatnonzero(rng.random(n_items - 1) < cut) + 1)
            rounds += [pieces[place] for place in rng.permutation(len(pieces))]
        length = int(rng.integers(n_items + n_items // 2, 3 * n_items))
        walks.append(np.concatenate(rounds)[:length])
    floor = _random_ndcg(n_items)
    return World(
        name="order",
        description="A hidden round trip; only the order of events tells the next item.",
        signal="order",
        interactions=_events(walks),
        items=_items(n_items, None, streams),
        vectors=_noise_vectors(n_items, streams),
        floor=floor,
        reachable=(1 - cut) + cut * floor,
    )


def image_world(seed: int = 0, n_groups: int = 80, group_size: int = 16) -> World:
    """Returns a world in which only pictures tell the next item.

    Items that look exactly alike form a group; each user buys half a group. Every item is
    bought exactly once, so that ids carry nothing over from one user to the next.
    """
    return _content_world("image", seed, n_groups, group_size)


def text_world(seed: int = 0, n_groups: int = 80, group_size: int = 16) -> World:
    """Returns the same as `image_world` with words in place of pictures.

    Titles are the same two words within a group.
    """
    return _content_world("text", seed, n_groups, group_size)


def ids_world(seed: int = 0, n_groups: int = 20, group_size: int = 12, n_users: int = 600) -> World:
    """Returns a world in which only the ids that go together tell the next item.

    Each user buys eight of the twelve items of one group, in any order; pictures and words are
    random. One event in ten is noise.
    """
    streams = Streams(seed)
    rng = streams.numpy("ids world")
    n_items, noise = n_groups * group_size, 0.1
    groups = rng.permutation(n_items).reshape(n_groups, group_size)
    walks: list[IntArray] = []
    for user in range(n_users):
        walk = rng.permutation(groups[user % n_groups])[:8]
        stray = rng.random(8) < noise
        walks.append(np.where(stray, rng.integers(0, n_items, 8), walk))
    floor = _random_ndcg(n_items)
    return World(
        name="ids",
        description="Items that are bought together by many; words and pictures are random.",
        signal="ids",
        interactions=_events(walks),
        items=_items(n_items, None, streams),
        vectors=_noise_vectors(n_items, streams),
        floor=floor,
        reachable=(1 - noise) * _random_ndcg(group_size) + noise * floor,
    )


def cold_world(
    seed: int = 0, n_groups: int = 20, n_warm: int = 15, n_cold: int = 5, n_users: int = 500
) -> World:
    """Returns a world whose last events are all items nobody bought before.

    Items of a group look and read alike; each user buys warm items of one group and, last, a
    cold item of the same group. Rank the last event among `World.candidates`.
    """
    streams = Streams(seed)
    rng = streams.numpy("cold world")
    group_size = n_warm + n_cold
    n_items = n_groups * group_size
    groups = rng.permutation(n_items).reshape(n_groups, group_size)
    walks: list[IntArray] = []
    for user in range(n_users):
        group = groups[user % n_groups]
        warm = rng.permutation(group[:n_warm])[:7]
        walks.append(np.append(warm, rng.permutation(group[n_warm:])[:1]))
    group_of = np.empty(n_items, dtype=np.int64)
    group_of[groups] = np.arange(n_groups)[:, None]
    vectors = {
        modality: _group_vectors(group_of, streams, modality, noise=1 / 3)
        for modality in ("text", "image")
    }
    cold = np.sort(groups[:, n_warm:].ravel())
    return World(
        name="cold",
        description="The last item is new for everybody; its words and picture tell its group.",
        signal="content",
        interactions=_events(walks),
        items=_items(n_items, group_of, streams),
        vectors=vectors,
        floor=_random_ndcg(len(cold)),
        reachable=_random_ndcg(n_cold),
        candidates=tuple(_item_id(int(item)) for item in cold),
    )


def shuffled(world: World, seed: int = 0) -> World:
    """Returns the same world without its signal; no recommender may solve it.

    Order: each user's events in random order. Ids: items dealt anew to all events. Words and
    pictures: vectors and titles dealt anew to the items.
    """
    rng = Streams(seed).numpy("shuffled", world.name)
    name = f"{world.name}, shuffled"
    table = world.interactions
    ids = table[columns.ITEM_ID].to_numpy()
    if world.signal == "order":
        users = table[columns.USER_ID].to_numpy()
        order = np.lexsort((rng.random(len(users)), users))
        ids = ids[order]
    elif world.signal == "ids":
        ids = rng.permutation(ids)
    else:
        deal = rng.permutation(world.items.height)
        vectors = {modality: rows[deal] for modality, rows in world.vectors.items()}
        items = world.items.with_columns(world.items[columns.TITLE].gather(deal))
        return replace(world, name=name, vectors=vectors, items=items)
    return replace(
        world, name=name, interactions=table.with_columns(pl.Series(columns.ITEM_ID, ids))
    )


def _content_world(
    modality: Literal["image", "text"], seed: int, n_groups: int, group_size: int
) -> World:
    streams = Streams(seed)
    rng = streams.numpy("content world", modality)
    n_items = n_groups * group_size
    groups = rng.permutation(n_items).reshape(n_groups, 2, group_size // 2)
    group_of = np.empty(n_items, dtype=np.int64)
    group_of[groups] = np.arange(n_groups)[:, None, None]
    walks = list(groups.reshape(2 * n_groups, -1))
    vectors = _noise_vectors(n_items, streams)
    vectors[modality] = _group_vectors(group_of, streams, modality, noise=0.0)
    return World(
        name=modality,
        description=f"Each item is bought once; only its {modality} tells which it goes with.",
        signal=modality,
        interactions=_events([walks[row] for row in rng.permutation(len(walks))]),
        items=_items(n_items, group_of if modality == "text" else None, streams),
        vectors=vectors,
        floor=_random_ndcg(n_items),
        # All of a group tie, so that the target's expected rank is the middle of the group.
        reachable=float(1 / np.log2(1 + (group_size + 1) / 2)),
    )


def _random_ndcg(n: int) -> float:
    """Returns the expected NDCG@10 of one target among `n` items in random order."""
    return float((1 / np.log2(np.arange(2, min(n, TOP) + 2))).sum() / n)


def _item_id(number: int) -> str:
    return f"i{number:04d}"


def _events(walks: list[IntArray]) -> pl.DataFrame:
    users = [f"u{user:04d}" for user, walk in enumerate(walks) for _ in walk]
    moments = [
        START + 60 * user + 3600 * step
        for user, walk in enumerate(walks)
        for step in range(len(walk))
    ]
    items = [_item_id(int(item)) for walk in walks for item in walk]
    return pl.DataFrame(
        {columns.USER_ID: users, columns.ITEM_ID: items, columns.TIMESTAMP: moments}
    )


def _items(n_items: int, group_of: IntArray | None, streams: Streams) -> pl.DataFrame:
    """Returns the item table; titles name the group where one is given, else nothing."""
    rng = streams.numpy("titles")
    titles: list[str] = []
    for item in range(n_items):
        words = [str(word) for word in rng.choice(FILLERS, 2, replace=False)]
        if group_of is not None:
            first, second = divmod(int(group_of[item]), len(SECOND))
            words = [FIRST[first % len(FIRST)], SECOND[second]]
        titles.append(" ".join(words))
    ids = [_item_id(item) for item in range(n_items)]
    return pl.DataFrame({columns.ITEM_ID: ids, columns.TITLE: titles})


def _noise_vectors(n_items: int, streams: Streams, dim: int = 32) -> dict[str, FloatArray]:
    return {
        modality: streams.numpy("noise", modality).standard_normal((n_items, dim), np.float32)
        for modality in ("text", "image")
    }


def _group_vectors(
    group_of: IntArray, streams: Streams, modality: str, noise: float, dim: int = 32
) -> FloatArray:
    """Returns a random centre for each group plus `noise` times as much of the item's own."""
    rng = streams.numpy("groups", modality)
    centres = rng.standard_normal((int(group_of.max()) + 1, dim), np.float32)
    own = rng.standard_normal((len(group_of), dim), np.float32)
    return (centres[group_of] + noise * own).astype(np.float32)
