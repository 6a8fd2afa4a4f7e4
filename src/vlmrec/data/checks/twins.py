"""Which rows are the same thing, or nearly: found without comparing all pairs."""

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vlmrec.data.checks.ragged import slots
from vlmrec.data.sequences import IntArray

BoolArray = NDArray[np.bool_]
NO_GROUP = -1
_PAIRS_AT_A_TIME = 1 << 21


def _no_pairs() -> IntArray:
    return np.zeros((0, 2), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Twins:
    """Rows that are equal, and groups of equal rows that are near each other.

    Attributes:
        groups: ``[n] int64``: rows of one group are equal; -1 where there is nothing to compare.
        pairs: ``[P, 2] int64`` groups that are near each other.
        complete: False where rows were too much alike to compare all candidates: then there
            are at least these.
    """

    groups: IntArray
    pairs: IntArray = field(default_factory=_no_pairs)
    complete: bool = True

    def among(self, others: BoolArray | None = None) -> BoolArray:
        """Returns ``[n]``: whether a row has a twin, other than itself, among some rows.

        Args:
            others: ``[n]`` which rows count as twins; None for all.
        """
        known = self.groups != NO_GROUP
        counted = known if others is None else known & others
        size = np.bincount(self.groups[counted], minlength=int(self.groups.max(initial=0)) + 1)
        near = np.zeros(len(size), dtype=np.bool_)
        for one, other in ((0, 1), (1, 0)):
            near[self.pairs[size[self.pairs[:, other]] > 0, one]] = True
        return known & ((size[self.groups] - counted > 0) | near[self.groups])

    def twin_of(self, row: int) -> int | None:
        """Returns the first other row that is the same as a row, or else near it; None if alone."""
        group = self.groups[row]
        if group == NO_GROUP:
            return None
        equal = np.flatnonzero(self.groups == group)
        near = self.pairs[(self.pairs == group).any(axis=1)]
        others = np.concatenate([equal, np.flatnonzero(np.isin(self.groups, near))])
        others = others[others != row]
        return int(others[0]) if len(others) else None


@dataclass(frozen=True, eq=False)
class SharedKeys:
    """Rows with keys; candidates are those that share one.

    Attributes:
        keys: ``[M] int64``.
        rows: ``[M] int64`` the row that has the key.
    """

    keys: IntArray
    rows: IntArray

    def pairs(self, most: int) -> tuple[Generator[IntArray], bool]:
        """Returns pairs of rows that share a key, in pieces, and whether these are all.

        Keys that too many rows share tell little and cost much: where there are more than
        `most` pairs, the most frequent keys are left out.

        Args:
            most: Number of pairs to return at most.
        """
        order = np.argsort(self.keys, kind="stable")
        changes = np.flatnonzero(np.diff(self.keys[order])) + 1
        bounds = np.concatenate([[0], changes, [len(order)]]).astype(np.int64)
        begin, size = bounds[:-1], np.diff(bounds)
        cheapest = np.argsort(size, kind="stable")
        total = np.cumsum(size[cheapest] * (size[cheapest] - 1) // 2)
        used = cheapest[: np.searchsorted(total, most, side="right")]
        used = np.sort(used[size[used] > 1])
        whole = len(total) == 0 or bool(total[-1] <= most)
        return _pieces(self.rows[order], begin[used], size[used]), whole


def _pieces(rows: IntArray, begin: IntArray, size: IntArray) -> Generator[IntArray]:
    left = slots(begin, size)
    behind = np.repeat(begin + size, size) - left - 1  # rows with the key that are still to come
    ends = np.cumsum(behind)
    at = 0
    while at < len(left):
        done = ends[at - 1] if at else 0
        stop = max(int(np.searchsorted(ends, done + _PAIRS_AT_A_TIME, side="right")), at + 1)
        first = np.repeat(left[at:stop], behind[at:stop])
        second = slots(left[at:stop] + 1, behind[at:stop])
        yield np.stack([rows[first], rows[second]], axis=1)
        at = stop


def unique_pairs(pieces: list[IntArray]) -> IntArray:
    """Returns ``[P, 2]`` each pair once, the lower row first."""
    pairs = np.concatenate([_no_pairs(), *pieces])
    width = int(pairs.max(initial=0)) + 1
    codes = np.unique(pairs.min(axis=1) * width + pairs.max(axis=1))  # one number sorts faster
    return np.stack(np.divmod(codes, width), axis=1)
