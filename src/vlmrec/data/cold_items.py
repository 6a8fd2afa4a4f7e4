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
    parts = _parts(dataset.sequences, every, dataset.n_items, options)
    return Split(
        dataset,
        "cold-item",
        parts.train,
        parts.valid,
        parts.cold,
        split_fingerprint(dataset, "cold-item", options.model_dump_json()),
        training_items=np.setdiff1d(every, parts.items),
        test_candidates=parts.items,
        test_warm=parts.warm,
        notes={"cold_items": len(parts.items), "users_too_short_to_train_on": parts.too_short},
    )


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
    parts = _parts(sequences, known, dataset.n_items, options)
    return Split(
        dataset,
        "rehearsal",
        parts.train,
        parts.valid,
        parts.cold,
        split_fingerprint(dataset, "rehearsal", split.fingerprint + options.model_dump_json()),
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


def _parts(full: Sequences, known: IntArray, n_items: int, options: ColdItemOptions) -> _Parts:
    """Draws cold items among those known, and takes events with them out of the sequences."""
    streams = Streams(options.seed)
    n_cold = max(1, round(len(known) * options.share))
    chosen = streams.numpy("cold-items").choice(len(known), size=n_cold, replace=False)
    cold = np.sort(known[chosen])
    is_cold = np.zeros(n_items + 1, dtype=bool)
    is_cold[cold] = True
    event_cold = is_cold[full.items]
    warm = _only(full, ~event_cold)
    warm_before = np.concatenate([[0], np.cumsum(~event_cold)])  # warm events before event e
    lengths = np.diff(full.offsets)
    late = full.offsets[:-1] + np.floor(lengths * (1 - options.last)).astype(np.int64)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    start, stop = warm.offsets[:-1], warm_before[late]
    asked = (np.arange(full.n_events) >= late[owner]) & (warm_before[:-1] > start[owner])
    event = np.flatnonzero(asked & event_cold)
    trained = stop - start >= 3
    if not len(event) or not trained.any():
        raise DataError("The cold-item split leaves nothing to test or to train.")
    beside = np.flatnonzero(asked & ~event_cold)
    if len(beside) > len(event):
        rng = streams.numpy("warm-targets")
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
    return _Parts(cold, train, valid, cases(event), cases(beside), too_short)


def _only(sequences: Sequences, kept: NDArray[np.bool_]) -> Sequences:
    before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    return Sequences(
        np.asarray(sequences.items)[kept],
        before[sequences.offsets],
        np.asarray(sequences.timestamps)[kept],
    )
