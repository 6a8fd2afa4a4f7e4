"""Splits: what is learned from, what is chosen by, what is tested on, and never mixed up."""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.core.random import Streams
from vlmrec.data.sequences import Histories, IntArray, Sequences

if TYPE_CHECKING:
    from vlmrec.data.dataset import Dataset

TargetRule = Literal["first", "last", "all"]


@dataclass(frozen=True, eq=False)
class Cases:
    """Ranking tasks: after this history, which item came next?

    Attributes:
        histories: Everything of the user before the target (one-step: it grows with time).
        targets: ``[n] int64`` internal item ids.
    """

    histories: Histories
    targets: IntArray

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def users(self) -> IntArray:
        """``[n] int64`` internal user ids."""
        return self.histories.users

    def subset(self, rows: IntArray | NDArray[np.bool_]) -> "Cases":
        """Returns the chosen rows."""
        return Cases(self.histories.subset(rows), self.targets[rows])


class GlobalTimeOptions(StrictConfig):
    """Where the two points in time lie."""

    valid_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of all events between the two points in time."""
    test_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of all events after the second point in time."""
    target: TargetRule = "last"
    """Which events of a user in a window are targets."""


class ColdItemOptions(StrictConfig):
    """Which items are kept from training, and where the tests lie."""

    share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the items, drawn uniformly, that training never sees."""
    last: float = Field(default=0.3, gt=0, lt=1)
    """Test targets are cold items in this last share of a user's events."""
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Split:
    """Training histories, validation cases and test cases of one dataset.

    Attributes:
        dataset: Where it comes from.
        name: Which protocol.
        train: All that anything may learn from.
        valid: Chosen by.
        test: Tested on, once.
        fingerprint: Changes with the dataset, the protocol and its options.
        training_items: Internal ids that training may know (the softmax runs over them), or
            None for the whole catalogue.
        test_candidates: Internal ids among which test targets are ranked, or None for all.
        notes: What was left out and why, with counts.
    """

    dataset: "Dataset"
    name: str
    train: Histories
    valid: Cases
    test: Cases
    fingerprint: str
    training_items: IntArray | None = None
    test_candidates: IntArray | None = None
    notes: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def leave_one_out(cls, dataset: "Dataset") -> "Split":
        """Last event of each user = test, second last = validation.

        The test history includes the validation item. Users with fewer than three events
        are trained on and not tested.

        Raises:
            DataError: No user has three events.
        """
        whole = dataset.sequences.whole()
        enough = whole.lengths >= 3
        if not enough.any():
            raise DataError(
                "No user has the 3 events that leave-one-out needs (training, validation, test).",
                "Use more data, or a global-time split.",
            )
        tested = whole.subset(enough)
        stop = np.where(enough, whole.stop - 2, whole.stop)
        return cls(
            dataset,
            "leave-one-out",
            Histories(whole.sequences, whole.users, whole.start, stop),
            _cases(tested, tested.start, tested.stop - 2),
            _cases(tested, tested.start, tested.stop - 1),
            _fingerprint(dataset, "leave-one-out", ""),
            notes={"users_with_fewer_than_3_events_not_tested": int((~enough).sum())},
        )

    @classmethod
    def global_time(cls, dataset: "Dataset", options: GlobalTimeOptions) -> "Split":
        """Two points in time hold for all users: nothing learned is later than anything tested.

        Raises:
            DataError: A window holds no target with a history.
        """
        if options.valid_share + options.test_share >= 1:
            raise ConfigError("valid_share and test_share leave nothing to train on.")
        times = np.sort(dataset.sequences.timestamps)
        cut_valid = times[int(len(times) * (1 - options.valid_share - options.test_share))]
        cut_test = times[int(len(times) * (1 - options.test_share))]
        whole = dataset.sequences.whole()
        to_valid = whole.start + _events_before(dataset.sequences, cut_valid)
        to_test = whole.start + _events_before(dataset.sequences, cut_test)
        known = to_valid > whole.start
        train = Histories(whole.sequences, whole.users, whole.start, to_valid).subset(known)
        valid, new_valid = _window_cases(whole, to_valid, to_test, options.target)
        test, new_test = _window_cases(whole, to_test, whole.stop, options.target)
        if not len(valid) or not len(test):
            raise DataError(
                "A window of the global-time split holds no target with a history before it.",
                "Use larger shares.",
            )
        notes = {
            "valid_targets_without_history": new_valid,
            "test_targets_without_history": new_test,
        }
        print_of = _fingerprint(dataset, "global-time", options.model_dump_json())
        return cls(dataset, "global-time", train, valid, test, print_of, notes=notes)

    @classmethod
    def cold_item(cls, dataset: "Dataset", options: ColdItemOptions) -> "Split":
        """A share of the items is unknown to training; they are ranked among each other.

        Histories hold warm items only. Training sees the warm events in the first part of each
        user's sequence, validation is the last of these, tests are the cold events in the
        last part.

        Raises:
            DataError: Nothing is left to test or to train.
        """
        rng = Streams(options.seed).numpy("cold-items")
        n_cold = max(1, round(dataset.n_items * options.share))
        cold = np.sort(rng.choice(dataset.n_items, size=n_cold, replace=False) + 1)
        is_cold = np.zeros(dataset.n_items + 1, dtype=bool)
        is_cold[cold] = True
        full = dataset.sequences
        event_cold = is_cold[full.items]
        warm = _only(full, ~event_cold)
        warm_before = np.concatenate([[0], np.cumsum(~event_cold)])  # warm events before event e
        lengths = np.diff(full.offsets)
        late = full.offsets[:-1] + np.floor(lengths * (1 - options.last)).astype(np.int64)
        user_of = np.repeat(np.arange(len(lengths)), lengths)
        start, stop = warm.offsets[:-1], warm_before[late]
        event = np.flatnonzero(event_cold & (np.arange(full.n_events) >= late[user_of]))
        event = event[warm_before[event] > start[user_of[event]]]
        trained = stop - start >= 3
        if not len(event) or not trained.any():
            raise DataError("The cold-item split leaves nothing to test or to train.")
        owner = user_of[event]
        users = np.arange(1, len(lengths) + 1, dtype=np.int64)
        chosen = Histories(warm, users, start, stop).subset(trained)
        test = Histories(warm, users[owner], start[owner], warm_before[event])
        return cls(
            dataset,
            "cold-item",
            Histories(warm, chosen.users, chosen.start, chosen.stop - 1),
            _cases(chosen, chosen.start, chosen.stop - 1),
            Cases(test, full.items[event].astype(np.int64)),
            _fingerprint(dataset, "cold-item", options.model_dump_json()),
            training_items=np.flatnonzero(~is_cold)[1:],
            test_candidates=cold,
            notes={"cold_items": n_cold, "users_too_short_to_train_on": int((~trained).sum())},
        )


def _cases(rows: Histories, start: IntArray, stop: IntArray) -> Cases:
    histories = Histories(rows.sequences, rows.users, start, stop)
    return Cases(histories, rows.sequences.items[stop].astype(np.int64))


def _events_before(sequences: Sequences, moment: int) -> IntArray:
    early = np.concatenate([[0], np.cumsum(sequences.timestamps < moment)])
    return early[sequences.offsets[1:]] - early[sequences.offsets[:-1]]


def _window_cases(
    whole: Histories, begin: IntArray, end: IntArray, rule: TargetRule
) -> tuple[Cases, int]:
    active = np.flatnonzero(end > begin)
    if rule == "all":
        counts = (end - begin)[active]
        rows = np.repeat(active, counts)
        step = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        position = begin[rows] + step
    else:
        rows = active
        position = end[rows] - 1 if rule == "last" else begin[rows]
    with_history = position > whole.start[rows]
    rows, position = rows[with_history], position[with_history]
    cases = _cases(whole.subset(rows), whole.start[rows], position)
    return cases, int((~with_history).sum())


def _only(sequences: Sequences, kept: NDArray[np.bool_]) -> Sequences:
    before = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    return Sequences(
        np.asarray(sequences.items)[kept],
        before[sequences.offsets],
        np.asarray(sequences.timestamps)[kept],
    )


def _fingerprint(dataset: "Dataset", name: str, options: str) -> str:
    text = "\x1f".join([dataset.fingerprint, name, options])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
