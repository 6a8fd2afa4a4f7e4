"""Checks of the events: equal times, repeats, and users that are the same under two ids."""

import numpy as np
import polars as pl

from vlmrec.data.checks.check import (
    NO_TIMES,
    BoolArray,
    DataCheck,
    Subject,
    checked,
    judge,
    share,
    skipped,
)
from vlmrec.data.checks.thresholds import (
    FAIL_SHARE,
    FEWEST_TIED_PAIRS,
    LONG_HISTORY,
    SORTED_SHARE,
)
from vlmrec.data.notes import amount


def tied_times(subject: Subject) -> DataCheck:
    """How often the clock does not tell the order, and whether the file orders by item id."""
    name, log = "tied times", subject.dataset.sequences
    if not subject.real_times:
        return skipped(name, NO_TIMES)
    offsets, n_users = np.asarray(log.offsets), subject.dataset.n_users
    same = _as_before(np.asarray(log.timestamps), offsets)
    tied = same | np.concatenate([same[1:], [False]])
    ends = int(same[offsets[1:][np.diff(offsets) >= 2] - 1].sum())
    in_order, n_pairs = _in_order_of_ids(subject, same)
    is_sorted = n_pairs >= FEWEST_TIED_PAIRS and in_order > SORTED_SHARE
    found = (
        f"{tied.mean():.1%} of the interactions share user and time; for {ends:,} of {n_users:,} "
        "users the last two tie"
    )
    advice = (
        "What is tested depends there on the row order of the source. Use finer times, or report "
        "what shuffled sessions change."
    )
    if is_sorted:
        found += f"; {in_order:.0%} of tied neighbours stand in the order of their ids"
        advice = (
            "The file is sorted by item within a time, so models learn to sort. Shuffle the rows "
            "of equal time before preparing, or use finer times."
        )
    figures = {
        "tied_share": float(tied.mean()),
        "users_with_tied_end": ends,
        "tied_pairs": n_pairs,
        "in_order_of_ids": in_order,
    }
    verdict = "fail" if is_sorted else judge(share(ends, n_users))
    return checked(name, verdict, found, advice, figures)


def exact_duplicates(subject: Subject) -> DataCheck:
    """Interactions that repeat user, item and time of an earlier one."""
    log = _events(subject)
    count = log.height - log.n_unique()
    return checked(
        "exact duplicates",
        judge(share(count, log.height), fail=FAIL_SHARE),
        f"{amount(count, 'interaction')} with user, item and time of another one",
        "A model that predicts the same item again is rewarded for them. vlmrec prepare drops "
        "rows that are equal in all columns.",
        {"interactions": count, "share": share(count, log.height)},
    )


def repeated_pairs(subject: Subject) -> DataCheck:
    """Interactions of a user with an item that the user had before."""
    log = _events(subject).select("user", "item")
    count = log.height - log.n_unique()
    return checked(
        "repeated pairs",
        judge(share(count, log.height)),
        f"{amount(count, 'interaction')} with an item that the user had before "
        f"({share(count, log.height):.1%})",
        "Decide whether coming back counts: --repeats first if not; if so, never filter seen "
        "items.",
        {"interactions": count, "share": share(count, log.height)},
    )


def twin_users(subject: Subject) -> DataCheck:
    """Users with exactly the history of another one."""
    log = subject.dataset.sequences
    items, offsets = np.asarray(log.items), np.asarray(log.offsets)
    long = np.flatnonzero(np.diff(offsets) >= LONG_HISTORY)
    first: dict[bytes, int] = {}
    groups = np.array(
        [first.setdefault(items[offsets[u] : offsets[u + 1]].tobytes(), int(u)) for u in long],
        dtype=np.int64,
    )
    twins = int((np.bincount(groups, minlength=1)[groups] > 1).sum())
    return checked(
        "users under two ids",
        judge(share(twins, len(long)), fail=FAIL_SHARE),
        f"{twins:,} of {amount(len(long), 'user')} with {LONG_HISTORY} or more events have the "
        "very history of another one",
        "Their tests are one case counted twice, and a split by users learns one of them and "
        "tests the other. Merge them before preparing.",
        {"users": twins, "share": share(twins, len(long))},
    )


def _events(subject: Subject) -> pl.DataFrame:
    log = subject.dataset.sequences
    users = np.repeat(np.arange(subject.dataset.n_users), np.diff(log.offsets))
    return pl.DataFrame(
        {"user": users, "item": np.asarray(log.items), "time": np.asarray(log.timestamps)}
    )


def _as_before(times: np.ndarray, offsets: np.ndarray) -> BoolArray:
    """Returns ``[N]``: whether the event before has the same user and time."""
    same = np.concatenate([[False], times[1:] == times[:-1]])
    same[offsets[:-1][np.diff(offsets) > 0]] = False
    return same


def _in_order_of_ids(subject: Subject, same: BoolArray) -> tuple[float, int]:
    """Returns how many tied neighbours have rising ids (or falling, if more), and of how many.

    Ids that are all numbers are compared as numbers.
    """
    names = subject.dataset.items.names
    numbers = names.cast(pl.Int64, strict=False)
    ids = names if numbers.null_count() else numbers
    place = ids.rank("ordinal").to_numpy().astype(np.int64)
    items = np.asarray(subject.dataset.sequences.items)
    later = np.flatnonzero(same)
    before, after = place[items[later - 1] - 1], place[items[later] - 1]
    before, after = before[before != after], after[before != after]
    rising = share(int((before < after).sum()), len(before))
    return max(rising, 1 - rising) if len(before) else 0.0, len(before)
