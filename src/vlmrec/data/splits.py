"""Splits: what is learned from, what is chosen by, what is tested on, and never mixed up."""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import ConfigError, DataError
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
        test_warm: Beside test cases about items that training never saw: some about items that
            it did, from the same parts of the same sequences. None where all are of one kind.
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
    test_warm: Cases | None = None
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
            cases_at(tested, tested.start, tested.stop - 2),
            cases_at(tested, tested.start, tested.stop - 1),
            split_fingerprint(dataset, "leave-one-out", ""),
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
        print_of = split_fingerprint(dataset, "global-time", options.model_dump_json())
        return cls(dataset, "global-time", train, valid, test, print_of, notes=notes)


def cases_at(rows: Histories, start: IntArray, stop: IntArray) -> Cases:
    """Returns the cases whose history is ``start:stop`` and whose target stands at `stop`."""
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
    cases = cases_at(whole.subset(rows), whole.start[rows], position)
    return cases, int((~with_history).sum())


def split_fingerprint(dataset: "Dataset", name: str, options: str) -> str:
    """Returns what tells a split from others: its data, its protocol, its options as text."""
    text = "\x1f".join([dataset.fingerprint, name, options])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
