"""What is in a dataset, and what in it can mislead: numbers first, then warnings in words."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vlmrec.core.columns import DESCRIPTION, IMAGE, TITLE
from vlmrec.core.errors import DataError
from vlmrec.data.dataset import Dataset
from vlmrec.data.picture_survey import PictureSurvey, same_pictures, survey_pictures
from vlmrec.data.sequences import Sequences

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """How many interactions each user or item has."""

    min: int
    median: float
    mean: float
    max: int


@dataclass(frozen=True)
class Coverage:
    """How much of the catalogue, and of what is clicked, has something.

    Attributes:
        items: How many items have it.
        item_share: Share of the items.
        interaction_share: Share of the interactions that are with such an item.
    """

    items: int
    item_share: float
    interaction_share: float


@dataclass(frozen=True)
class TimeFacts:
    """When things happened, and how often the clock does not tell the order.

    Attributes:
        first: Earliest time, seconds UTC.
        last: Latest time, seconds UTC.
        real: False where times are positions in a line.
        tied_share: Share of the interactions that share user and time with another one.
        users_with_tied_end: Users whose last two events have the same time.
    """

    first: int
    last: int
    real: bool
    tied_share: float
    users_with_tied_end: int


@dataclass(frozen=True)
class RepeatFacts:
    """What occurs more than once.

    Attributes:
        exact_duplicates: Interactions that repeat user, item and time of an earlier one.
        repeated_pairs: Interactions of a user with an item that the user had before.
        same_words: Items whose title and description another item has too.
        same_picture: Items whose picture is byte for byte that of another item.
    """

    exact_duplicates: int
    repeated_pairs: int
    same_words: int
    same_picture: int


@dataclass(frozen=True)
class LeakFacts:
    """What leave-one-out would test.

    Attributes:
        targets: Test targets, one a user with at least three events.
        before_training_end: Share of them that are older than the newest training event: what
            the model learns from includes other people's future.
        in_history: Targets that the user had before; filtering seen items makes them impossible.
        unseen_in_training: Targets that never occur in training.
    """

    targets: int
    before_training_end: float
    in_history: int
    unseen_in_training: int


@dataclass(frozen=True)
class Inspection:
    """All findings about one dataset; `warnings_of` says which of them need attention."""

    users: int
    items: int
    interactions: int
    items_without_interactions: int
    per_user: Spread
    per_item: Spread
    coverage: dict[str, Coverage]
    modalities: dict[str, int]
    time: TimeFacts
    repeats: RepeatFacts
    leave_one_out: LeakFacts | None
    pictures: PictureSurvey
    fingerprint: str

    def as_dict(self) -> dict[str, Any]:
        """Returns the findings as plain values for JSON."""
        return asdict(self)


def inspect_dataset(dataset: Dataset, *, decode_pictures: bool = False) -> Inspection:
    """Returns what is in a dataset.

    Args:
        dataset: The dataset.
        decode_pictures: Decode every picture instead of reading its header only.
    """
    log = dataset.sequences
    counts = np.bincount(log.items, minlength=dataset.n_items + 1)[1:].astype(np.int64)
    paths = dataset.catalog.image_paths()
    coverage, modalities = _coverage(dataset, counts)
    return Inspection(
        users=dataset.n_users,
        items=dataset.n_items,
        interactions=log.n_events,
        items_without_interactions=int((counts == 0).sum()),
        per_user=_spread(np.diff(log.offsets)),
        per_item=_spread(counts[counts > 0]),
        coverage=coverage,
        modalities=modalities,
        time=_time_facts(log, real=dataset.manifest.get("source", {}).get("kind") != "sequences"),
        repeats=_repeat_facts(dataset, sum(map(len, same_pictures(paths)))),
        leave_one_out=_leak_facts(dataset),
        pictures=survey_pictures(paths, decode=decode_pictures),
        fingerprint=dataset.fingerprint,
    )


def _spread(counts: IntArray) -> Spread:
    return Spread(
        int(counts.min()), float(np.median(counts)), float(counts.mean()), int(counts.max())
    )


def _coverage(dataset: Dataset, counts: IntArray) -> tuple[dict[str, Coverage], dict[str, int]]:
    table = dataset.catalog.table
    title, description = (
        (table[name].fill_null("").str.strip_chars() != "").to_numpy()
        for name in (TITLE, DESCRIPTION)
    )
    text = title | description
    image = table[IMAGE].is_not_null().to_numpy()
    parts = {"title": title, "description": description, "picture": image}
    coverage = {name: _covered(has, counts) for name, has in parts.items()}
    modalities = {
        "text and picture": int((text & image).sum()),
        "text only": int((text & ~image).sum()),
        "picture only": int((~text & image).sum()),
        "neither": int((~text & ~image).sum()),
    }
    return coverage, modalities


def _covered(has: NDArray[np.bool_], counts: IntArray) -> Coverage:
    return Coverage(
        int(has.sum()), float(has.mean()), float(counts[has].sum() / max(int(counts.sum()), 1))
    )


def _time_facts(log: Sequences, *, real: bool) -> TimeFacts:
    times, offsets = np.asarray(log.timestamps), np.asarray(log.offsets)
    same = np.concatenate([[False], times[1:] == times[:-1]])
    same[offsets[:-1]] = False  # the first event of a user ties with none before it
    tied = same | np.concatenate([same[1:], [False]])
    ends = offsets[1:][np.diff(offsets) >= 2] - 1
    return TimeFacts(
        int(times.min()), int(times.max()), real, float(tied.mean()), int(same[ends].sum())
    )


def _repeat_facts(dataset: Dataset, n_same_picture: int) -> RepeatFacts:
    log = dataset.sequences
    users = np.repeat(np.arange(dataset.n_users), np.diff(log.offsets))
    events = pl.DataFrame(
        {"user": users, "item": np.asarray(log.items), "time": np.asarray(log.timestamps)}
    )
    words = dataset.catalog.table.select(
        pl.col(name).fill_null("").str.strip_chars() for name in (TITLE, DESCRIPTION)
    )
    some_words = words.filter(pl.any_horizontal(pl.all() != ""))
    return RepeatFacts(
        exact_duplicates=log.n_events - events.n_unique(),
        repeated_pairs=log.n_events - events.select("user", "item").n_unique(),
        same_words=int(some_words.is_duplicated().sum()),
        same_picture=n_same_picture,
    )


def _leak_facts(dataset: Dataset) -> LeakFacts | None:
    try:
        split = dataset.leave_one_out()
    except DataError:
        return None
    log, test = dataset.sequences, split.test
    positions = test.histories.stop  # the target stands right behind the history
    newest = int(np.asarray(log.timestamps)[_events(split.train.start, split.train.stop)].max())
    seen = split.train.item_counts(dataset.n_items)
    owner = np.repeat(np.arange(len(test)), test.histories.lengths)
    again = np.zeros(len(test), dtype=np.bool_)
    again[owner[test.histories.flat() == test.targets[owner]]] = True
    return LeakFacts(
        targets=len(test),
        before_training_end=float((np.asarray(log.timestamps)[positions] < newest).mean()),
        in_history=int(again.sum()),
        unseen_in_training=int((seen[test.targets] == 0).sum()),
    )


def _events(start: IntArray, stop: IntArray) -> IntArray:
    """Returns the positions of all events in slices."""
    lengths = stop - start
    shift = np.repeat(start - (np.cumsum(lengths) - lengths), lengths)
    return np.arange(int(lengths.sum())) + shift
