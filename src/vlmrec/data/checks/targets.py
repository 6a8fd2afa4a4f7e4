"""Checks of what leave-one-out would test."""

import numpy as np

from vlmrec.data.checks.check import (
    NO_TARGETS,
    NO_TIMES,
    DataCheck,
    Subject,
    checked,
    judge,
    share,
    skipped,
)
from vlmrec.data.checks.ragged import slots
from vlmrec.data.notes import amount


def users_to_test(subject: Subject) -> DataCheck:
    """How many users can be tested at all."""
    n_users, n = subject.dataset.n_users, len(subject.targets)
    return checked(
        "test targets",
        "pass" if n else "fail",
        f"leave-one-out tests {n:,} of {n_users:,} users",
        "No user has three events: there is nothing to test. Prepare more data.",
        {"targets": n, "users": n_users},
    )


def future_in_training(subject: Subject) -> DataCheck:
    """Test targets that are older than the newest training event."""
    name, split = "future in training", subject.split
    if split is None:
        return skipped(name, NO_TARGETS)
    if not subject.real_times:
        return skipped(name, NO_TIMES)
    times, test = np.asarray(subject.dataset.sequences.timestamps), split.test
    newest = int(times[slots(split.train.start, split.train.lengths)].max())
    older = int((times[test.histories.stop] < newest).sum())  # the target follows the history
    return checked(
        name,
        judge(share(older, len(test))),
        f"{share(older, len(test)):.1%} of the test targets are older than the newest training "
        "event",
        "Training knows other users' future. Report the global-time split as well.",
        {"targets": older, "share": share(older, len(test))},
    )


def targets_in_history(subject: Subject) -> DataCheck:
    """Targets that the user had before."""
    name, split = "targets in history", subject.split
    if split is None:
        return skipped(name, NO_TARGETS)
    test = split.test
    owner = test.histories.row_of_events()
    again = len(np.unique(owner[test.histories.flat() == test.targets[owner]]))
    return checked(
        name,
        judge(share(again, len(test))),
        f"{amount(again, 'test target')} the user had before ({share(again, len(test)):.1%})",
        "With seen items filtered out they are impossible to hit: say which of the two a result "
        "means.",
        {"targets": again, "share": share(again, len(test))},
    )


def targets_unseen(subject: Subject) -> DataCheck:
    """Targets that never occur in training."""
    name, split = "targets unseen in training", subject.split
    if split is None:
        return skipped(name, NO_TARGETS)
    counts = split.train.item_counts(subject.dataset.n_items)
    unseen = subject.targets_among(counts[1:] == 0)
    part = share(unseen, len(subject.targets))
    return checked(
        name,
        judge(part),
        f"{amount(unseen, 'test target')} ({part:.1%})",
        "Models that know items by their id alone cannot hit them; do not drop them, report "
        "cold items apart.",
        {"targets": unseen, "share": part},
    )
