"""Items that training never saw: the split that tests them, and its rehearsal before the test."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import DataError
from vlmrec.core.random import Streams
from vlmrec.data.sequences import Histories, IntArray, Sequences
from vlmrec.data.splits import Cases, Split, cases_at, split_fingerprint

if TYPE_CHECKING:
    from vlmrec.data.dataset import Dataset


class ColdItemOptions(StrictConfig):
    """Which items are kept from training, and where the tests lie."""

    share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the items, drawn uniformly, that training never sees."""
    last: float = Field(default=0.3, gt=0, lt=1)
    """Test targets are cold items in this last share of a user's events."""
    seed: int = 0


class LateItemOptions(StrictConfig):
    """From when on items are new."""

    share: float = Field(default=0.2, gt=0, lt=1)
    """Share of all events, the latest ones, that training never sees."""


class RehearsalOptions(ColdItemOptions):
    """Which training items play new ones, and where they are asked for."""

    last: float = Field(default=0.2, gt=0, lt=1)
    """Targets are in this last share of a user's training events; the rest is learned from."""


def cold_item_split(dataset: "Dataset", options: ColdItemOptions) -> Split:
    """A share of the items is unknown to training; they are ranked among each other.

    Histories hold warm items only. Training sees the warm events in the first part of each
    user's sequence, validation is the last of these, tests are the cold events in the last
    part. Beside them stand warm events of the last parts, as many as there are cold ones: what
    a remedy that lifts new items costs the others.

    Raises:
        DataError: Nothing is left to test or to train.
    """
    every = np.arange(1, dataset.n_items + 1, dtype=np.int64)
    parts = _drawn(dataset.sequences, every, dataset.n_items, options)
    return _split(dataset, "cold-item", parts, every, options.model_dump_json())


def late_item_split(dataset: "Dataset", options: LateItemOptions) -> Split:
    """Items are tested that came after everything that is learned from.

    A moment is chosen so that a share of the events is at it or later. Items whose first event is
    then are cold; they are ranked among each other. Training sees the events before it,
    validation is the last of these of each user; histories go on after it, with warm items only.

    Raises:
        DataError: Nothing is left to test or to train.
    """
    log = dataset.sequences
    times = np.asarray(log.timestamps)
    moment = np.sort(times)[int(len(times) * (1 - options.share))]
    first = np.full(dataset.n_items + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, log.items, times)
    known = np.flatnonzero(first < moment)
    is_cold = (first >= moment) & (first < np.iinfo(np.int64).max)
    early = np.concatenate([[0], np.cumsum(times < moment)])
    late = log.offsets[:-1] + early[log.offsets[1:]] - early[log.offsets[:-1]]
    parts = _parts(log, is_cold, late, seed=0)
    return _split(dataset, "cold-item-by-time", parts, known, options.model_dump_json())


def rehearsal(split: Split, options: RehearsalOptions | None = None) -> Split:
    """Returns a cold-item split of a split's training events, to choose by what new items need.

    Training items play new ones. Nothing but training events is in it, so a choice made on its
    test cases has seen neither validation nor test cases of `split`, nor its cold items.

    Raises:
        DataError: The training events are too few.
    """
    options = options or RehearsalOptions()
    dataset, learned = split.dataset, split.train
    known = split.training_items
    known = np.arange(1, dataset.n_items + 1, dtype=np.int64) if known is None else known
    lengths = np.zeros(dataset.n_users, dtype=np.int64)
    lengths[learned.users - 1] = learned.lengths
    order = np.argsort(learned.users, kind="stable")
    if (np.diff(learned.users[order]) < 1).any():
        raise ValueError("A user has several training histories.")
    events = Histories(
        learned.sequences, learned.users[order], learned.start[order], learned.stop[order]
    )
    sequences = Sequences(
        events.flat(),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.zeros(int(lengths.sum()), dtype=np.int64),
    )
    parts = _drawn(sequences, known, dataset.n_items, options)
    told = split.fingerprint + options.model_dump_json()
    return _split(dataset, "rehearsal", parts, known, told)


def _split(dataset: "Dataset", name: str, parts: "_Parts", known: IntArray, options: str) -> Split:
    return Split(
        dataset,
        name,
        parts.train,
        parts.valid,
        parts.cold,
        split_fingerprint(dataset, name, options),
        training_items=np.setdiff1d(known, parts.items),
        test_candidates=parts.items,
        test_warm=parts.warm,
        notes={"cold_items": len(parts.items), "users_too_short_to_train_on": parts.too_short},
    )


@dataclass(frozen=True, eq=False)
class _Parts:
    items: IntArray
    train: Histories
    valid: Cases
    cold: Cases
    warm: Cases
    too_short: int


def _drawn(full: Sequences, known: IntArray, n_items: int, options: ColdItemOptions) -> _Parts:
    """Draws cold items among those known; the last share of each user's events is tested."""
    n_cold = max(1, round(len(known) * options.share))
    rng = Streams(options.seed).numpy("cold-items")
    cold = np.sort(known[rng.choice(len(known), size=n_cold, replace=False)])
    is_cold = np.zeros(n_items + 1, dtype=np.bool_)
    is_cold[cold] = True
    lengths = np.diff(full.offsets)
    late = full.offsets[:-1] + np.floor(lengths * (1 - options.last)).astype(np.int64)
    return _parts(full, is_cold, late, options.seed)


def _parts(full: Sequences, is_cold: NDArray[np.bool_], late: IntArray, seed: int) -> _Parts:
    """Takes events with cold items out of the sequences, and asks for them.

    Args:
        full: All events.
        is_cold: ``[I + 1]`` which items training must not see.
        late: ``[U]`` the event of each user from which on is tested.
        seed: Of the warm targets.
    """
    event_cold = is_cold[full.items]
    warm = only_events(full, ~event_cold)
    warm_before = np.concatenate([[0], np.cumsum(~event_cold)])  # warm events before event e
    lengths = np.diff(full.offsets)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    start, stop = warm.offsets[:-1], warm_before[late]
    asked = (np.arange(full.n_events) >= late[owner]) & (warm_before[:-1] > start[owner])
    event = np.flatnonzero(asked & event_cold)
    trained = stop - start >= 3
    if not len(event) or not trained.any():
        raise DataError("The cold-item split leaves nothing to test or to train.")
    beside = np.flatnonzero(asked & ~event_cold)
    if len(beside) > len(event):
        rng = Streams(seed).numpy("warm-targets")
        beside = np.sort(rng.choice(beside, size=len(event), replace=False))
    users = np.arange(1, len(lengths) + 1, dtype=np.int64)

    def cases(events: IntArray) -> Cases:
        of = owner[events]
        histories = Histories(warm, users[of], start[of], warm_before[events])
        return Cases(histories, full.items[events].astype(np.int64))

    learned = Histories(warm, users, start, stop).subset(trained)
    train = Histories(warm, learned.users, learned.start, learned.stop - 1)
    valid = cases_at(learned, learned.start, learned.stop - 1)
    too_short = int((~trained).sum())
    return _Parts(np.flatnonzero(is_cold), train, valid, cases(event), cases(beside), too_short)


def only_events(sequences: Sequences, kept: NDArray[np.bool_]) -> Sequences:
    """Returns some events of each user, ``kept [N] bool``, in their order."""
    before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    return Sequences(
        np.asarray(sequences.items)[kept],
        before[sequences.offsets],
        np.asarray(sequences.timestamps)[kept],
    )
