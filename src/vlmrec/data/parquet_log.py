"""Reads a Parquet log of interactions into sequences without ever holding its strings.

A log of 10 million rows repeats a few hundred thousand ids. Each batch is read with its ids
dictionary-encoded, the dictionary (not the rows) is looked up, and only int32 codes are kept.

The file is read column by column in two passes. The first finds how many events each user has;
so the second can put every event straight to its place, and no whole column is ever copied or
sorted. Beside the result itself only the user codes (4 bytes an event) are held.
"""

# pyarrow and pandas ship no types; this file is where their tables come in.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vlmrec.core.columns import ITEM_ID, REQUIRED_INTERACTION_COLUMNS, TIMESTAMP, USER_ID
from vlmrec.core.errors import ArtifactError, DataError, nearest
from vlmrec.data.frames import seconds
from vlmrec.data.sequences import IntArray, Sequences
from vlmrec.data.vocabulary import Vocabulary

_BLOCK_ROWS = 1 << 19


class _Numbering:
    """Numbers ids 0, 1, .. in the order in which they first occur.

    Args:
        column: Name of the column.
        known: Ids that have their numbers already.
    """

    def __init__(self, column: str, known: pl.Series | None = None) -> None:
        self.column = column
        names = pl.Series(column, [] if known is None else known, dtype=pl.String)
        # As arrow, because a selection of polars strings keeps what it was selected from in memory.
        self._names = names.to_arrow().cast(pa.large_string())

    def __len__(self) -> int:
        return len(self._names)

    def names(self, skipped: int = 0) -> pl.Series:
        """Returns the ids in the order of their numbers, without the first `skipped`."""
        return pl.Series(self.column, pl.from_arrow(self._names[skipped:]), dtype=pl.String)

    def of(self, table: Any) -> NDArray[np.int32]:
        """Returns the number of each row of an arrow table; new ids get the next ones.

        Raises:
            DataError: A row has no id.
        """
        chunks = table.column(self.column)
        if chunks.null_count:
            raise DataError(f"{chunks.null_count} interactions have no {self.column}.")
        column = chunks.dictionary_encode().unify_dictionaries().combine_chunks()
        # An id takes its number where it first occurs in the log, not where its dictionary has it.
        indices = column.indices.to_numpy()
        first = np.full(len(column.dictionary), len(indices))
        first[indices[::-1]] = np.arange(len(indices) - 1, -1, -1)  # the last assignment stays
        used = np.flatnonzero(first < len(indices))
        used = used[np.argsort(first[used])]
        labels = column.dictionary.take(pa.array(used)).cast(pa.large_string())
        numbers = np.zeros(len(first), dtype=np.int32)
        numbers[used] = self._look_up(labels)
        return numbers[indices]

    def _look_up(self, labels: Any) -> NDArray[np.int32]:
        # Not a polars join, though no slower: what it frees stays resident for a while.
        found = pc.call_function("index_in", [labels], pc.SetLookupOptions(self._names))
        new = found.is_null()
        numbers = found.fill_null(0).to_numpy().copy()
        place = np.flatnonzero(new.to_numpy(zero_copy_only=False))
        numbers[place] = np.arange(len(self), len(self) + len(place))
        self._names = pa.concat_arrays([self._names, labels.filter(new)])
        return numbers


def read_log(path: Path, item_names: pl.Series | None) -> tuple[Vocabulary, pl.Series, Sequences]:
    """Returns the users, the items that `item_names` lacks, and the ordered events.

    Args:
        path: Parquet file with ``user_id``, ``item_id``, ``timestamp``.
        item_names: Known item ids; they keep the internal ids 1..n in this order.

    Raises:
        DataError: A column is missing, the file has no rows, an id or a time is null.
        ArtifactError: The file is damaged.
    """
    try:
        _check_columns(pq.read_schema(path).names, path)
        # Buffering ahead would keep the bytes of all columns in memory until the file is closed.
        with pq.ParquetFile(path, read_dictionary=[USER_ID, ITEM_ID], pre_buffer=False) as file:
            users, user_names = _read_users(file)
            if not len(users):
                raise DataError(f"'{path}' has no rows.", "At least one interaction is needed.")
            counts = np.bincount(users, minlength=len(user_names))
            offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            items, times, extra = _read_events(file, users, offsets, item_names)
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"'{path}' cannot be read as Parquet: {reason}.") from None
    del users
    _order_by_time(items, times, offsets)
    return Vocabulary(user_names, "user"), extra, Sequences(items, offsets, times)


def _check_columns(names: list[str], path: Path) -> None:
    for name in REQUIRED_INTERACTION_COLUMNS:
        if name not in names:
            raise DataError(
                f"'{path}' has no column '{name}'; it has {names}.", nearest(name, names)
            )


def _read_users(file: Any) -> tuple[NDArray[np.int32], pl.Series]:
    """Returns each row's user as a position in the names, which are in order of occurrence."""
    users = np.empty(file.metadata.num_rows, dtype=np.int32)
    numbering = _Numbering(USER_ID)
    row = 0
    for block in _blocks(file, [USER_ID]):
        users[row : row + len(block)] = numbering.of(block)
        row += len(block)
    pa.default_memory_pool().release_unused()
    return users, numbering.names()


def _read_events(
    file: Any, users: NDArray[np.int32], offsets: IntArray, item_names: pl.Series | None
) -> tuple[NDArray[np.int32], IntArray, pl.Series]:
    """Returns internal item ids and times by user, rows of a user in the order of the file."""
    numbering = _Numbering(ITEM_ID, item_names)
    n_known = len(numbering)
    items = np.empty(len(users), dtype=np.int32)
    times = np.empty(len(users), dtype=np.int64)
    free = offsets[:-1].copy()  # where each user's next event goes
    row = 0
    for block in _blocks(file, [ITEM_ID, TIMESTAMP]):
        order, place = _places(users[row : row + len(block)], free)
        items[place] = numbering.of(block)[order] + 1
        column = pl.Series(TIMESTAMP, pl.from_arrow(block.column(TIMESTAMP)))
        times[place] = seconds(column).to_numpy()[order]
        row += len(block)
    return items, times, numbering.names(n_known)


def _blocks(file: Any, columns: list[str]) -> Iterator[Any]:
    """Yields tables of about `_BLOCK_ROWS` rows.

    Ids are looked up once a block. A batch ends where the file begins a new dictionary, so
    single batches would be looked up many times over.
    """
    batches: list[Any] = []
    for batch in file.iter_batches(_BLOCK_ROWS, columns=columns):
        batches.append(batch)
        if sum(one.num_rows for one in batches) >= _BLOCK_ROWS:
            yield pa.Table.from_batches(batches)
            batches = []
            pa.default_memory_pool().release_unused()  # or the blocks' peaks would add up
    if batches:
        yield pa.Table.from_batches(batches)


def _places(users: NDArray[np.int32], free: IntArray) -> tuple[IntArray, IntArray]:
    """Returns the rows of a batch by user and where each goes; moves `free` behind them."""
    order = np.argsort(users, kind="stable")
    grouped = users[order]
    begin = np.flatnonzero(np.diff(grouped, prepend=-1))  # first row of each user
    size = np.diff(begin, append=len(grouped))
    within = np.arange(len(grouped)) - np.repeat(begin, size)
    place = free[grouped] + within
    free[grouped[begin]] += size
    return order, place


def _order_by_time(items: NDArray[np.int32], times: IntArray, offsets: IntArray) -> None:
    """Sorts each user's events by time, in place; equal times keep their order."""
    first = 0
    while first < len(offsets) - 1:
        goal = offsets[first] + _BLOCK_ROWS
        last = max(first + 1, int(np.searchsorted(offsets, goal, side="right")) - 1)
        part = slice(offsets[first], offsets[last])
        earlier = np.diff(times[part]) < 0
        earlier[offsets[first + 1 : last] - offsets[first] - 1] = False  # another user begins
        if earlier.any():
            owner = np.repeat(np.arange(last - first), np.diff(offsets[first : last + 1]))
            order = np.lexsort((times[part], owner))
            items[part], times[part] = items[part][order], times[part][order]
        first = last
