"""Every user's events, oldest first, stored once; histories are slices, never copies."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.errors import ArtifactError

IntArray = NDArray[np.int64]
_FILES = ("items", "offsets", "timestamps")


@dataclass(frozen=True, eq=False)
class Sequences:
    """All events, grouped by user, ordered by time and then by row of the source.

    Attributes:
        items: ``[N] int32`` internal item ids.
        offsets: ``[U + 1] int64``; user u (1-based) owns ``offsets[u - 1]:offsets[u]``.
        timestamps: ``[N] int64`` seconds UTC.
    """

    items: NDArray[np.int32]
    offsets: IntArray
    timestamps: IntArray

    @property
    def n_events(self) -> int:
        """Number of events N."""
        return len(self.items)

    @property
    def n_users(self) -> int:
        """Number of users U."""
        return len(self.offsets) - 1

    def whole(self) -> "Histories":
        """Returns every user's whole sequence."""
        return Histories(
            self,
            np.arange(1, self.n_users + 1, dtype=np.int64),
            self.offsets[:-1].copy(),
            self.offsets[1:].copy(),
        )

    def write(self, folder: Path) -> None:
        """Writes the three arrays as .npy files."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def read(cls, folder: Path) -> "Sequences":
        """Returns sequences whose arrays stay on disk until they are touched (memory-mapped).

        Raises:
            ArtifactError: A file is missing, damaged, or not a plain array.
        """
        arrays: list[NDArray[np.int64]] = []
        for name in _FILES:
            path = folder / f"{name}.npy"
            try:
                arrays.append(np.load(path, mmap_mode="r", allow_pickle=False))
            except (OSError, ValueError) as error:
                raise ArtifactError(
                    f"'{path}' cannot be read: {error}.", "Prepare the dataset again."
                ) from None
        items, offsets, timestamps = arrays
        if len(items) != len(timestamps) or offsets[-1] != len(items):
            raise ArtifactError(
                f"'{folder}' is damaged: its arrays do not belong together.",
                "Prepare the dataset again.",
            )
        return cls(items.astype(np.int32, copy=False), offsets, timestamps)


@dataclass(frozen=True, eq=False)
class Histories:
    """Contiguous slices of one `Sequences`, one a row.

    Attributes:
        sequences: Where the events are.
        users: ``[n] int64`` internal user ids.
        start: ``[n] int64`` first event of each slice.
        stop: ``[n] int64`` one past the last event.
    """

    sequences: Sequences
    users: IntArray
    start: IntArray
    stop: IntArray

    def __len__(self) -> int:
        return len(self.users)

    @property
    def lengths(self) -> IntArray:
        """``[n] int64`` number of events of each row."""
        return self.stop - self.start

    def subset(self, rows: IntArray | NDArray[np.bool_]) -> "Histories":
        """Returns the chosen rows."""
        return Histories(self.sequences, self.users[rows], self.start[rows], self.stop[rows])

    def latest(self, max_len: int) -> "Histories":
        """Returns the same rows, each cut to its latest `max_len` events."""
        start = np.maximum(self.start, self.stop - max_len)
        return Histories(self.sequences, self.users, start, self.stop)

    def padded(self, rows: IntArray, max_len: int) -> IntArray:
        """Returns the latest `max_len` items of the rows, padded with 0 on the right.

        Returns:
            ``[B, T] int64`` with T the longest of the rows, at least 1.
        """
        stop = self.stop[rows]
        start = np.maximum(self.start[rows], stop - max_len)
        return gather_padded(self.sequences.items, start, stop - start)

    def flat(self) -> NDArray[np.int32]:
        """Returns the items of all rows, one row after the other."""
        rows, columns = _flat_index(self.lengths)
        return self.sequences.items[self.start[rows] + columns]

    def row_of_events(self) -> IntArray:
        """Returns, for each item of `flat`, the row it belongs to."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def item_counts(self, n_items: int) -> IntArray:
        """Returns ``[I + 1] int64``: how often each internal item id occurs."""
        return np.bincount(self.flat(), minlength=n_items + 1).astype(np.int64)


def gather_padded(items: NDArray[np.int32], start: IntArray, lengths: IntArray) -> IntArray:
    """Returns ``[B, T] int64``: slices of `items`, padded with 0 on the right.

    >>> gather_padded(np.array([5, 6, 7], np.int32), np.array([0, 1]), np.array([1, 2])).tolist()
    [[5, 0], [6, 7]]
    """
    width = max(int(lengths.max(initial=1)), 1)
    columns = np.arange(width, dtype=np.int64)
    inside = columns[None, :] < lengths[:, None]  # [B, T]
    index = np.where(inside, start[:, None] + columns[None, :], 0)
    if not len(items):
        return np.full(inside.shape, PADDING_ID, dtype=np.int64)
    return np.where(inside, items[index], PADDING_ID).astype(np.int64)


def _flat_index(lengths: IntArray) -> tuple[IntArray, IntArray]:
    rows = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
    begin = np.cumsum(lengths) - lengths
    return rows, np.arange(len(rows), dtype=np.int64) - begin[rows]
