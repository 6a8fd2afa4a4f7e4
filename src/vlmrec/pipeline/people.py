"""People whose vectors are wanted, some thousand at a time: of a dataset, a file, or by name."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vlmrec.core.columns import PADDING_ID, USER_ID
from vlmrec.core.errors import DataError
from vlmrec.data.dataset import Dataset
from vlmrec.data.sequences import IntArray, gather_padded
from vlmrec.data.sources.history_file import HISTORY, read_histories
from vlmrec.data.vocabulary import Vocabulary
from vlmrec.pipeline.recommending import check_history

PeopleSource = Dataset | Mapping[str, Sequence[str]] | str | os.PathLike[str]
"""A dataset or its folder, a file as `read_histories` takes it, or person -> item ids."""

_AT_A_TIME = 2048


@dataclass(frozen=True, eq=False)
class PeoplePart:
    """Some of the people, with what a run knows of their histories.

    Attributes:
        names: n external user ids.
        users: ``[n] int64`` internal ids in the dataset, 0 for people of no dataset.
        items: ``[N] int32`` internal item ids of the run, one person after the other.
        lengths: ``[n] int64`` how many of `items` are whose; may be 0.
        unknown: Events with items that the run does not know; they were passed over.
    """

    names: list[str]
    users: IntArray
    items: NDArray[np.int32]
    lengths: IntArray
    unknown: int

    def answered(self) -> NDArray[np.bool_]:
        """Returns ``[n] bool``: who has an item that the run knows."""
        return self.lengths > 0

    def padded(self, max_len: int) -> NDArray[np.int64]:
        """Returns ``[m, T] int64``, the latest items of those who are answered, right-padded."""
        start = np.cumsum(self.lengths) - self.lengths
        kept = np.minimum(self.lengths, max_len)
        chosen = self.answered()
        return gather_padded(self.items, (start + self.lengths - kept)[chosen], kept[chosen])


class People(Protocol):
    """A number of people who are read in parts."""

    fingerprint: str
    """Of the dataset that they are the users of, else empty."""

    def __len__(self) -> int: ...

    def part(self, start: int, stop: int) -> PeoplePart:
        """Returns the people start..stop-1."""
        ...


def people_of(source: PeopleSource, items: Vocabulary) -> People:
    """Returns the people of a source.

    Args:
        source: Where they are.
        items: Those that the run knows.

    Raises:
        DataError: The source cannot be read, or is not there.
    """
    if isinstance(source, Dataset):
        return _DatasetPeople(source, items)
    if isinstance(source, Mapping):
        for person, history in source.items():
            check_history(person, history)
        names, histories = list(source), [list(history) for history in source.values()]
        schema = {USER_ID: pl.String, HISTORY: pl.List(pl.String)}
        return _TablePeople(pl.DataFrame([names, histories], schema=schema), items)
    path = Path(source)
    if path.is_dir():
        return _DatasetPeople(Dataset.load(path), items)
    if not path.is_file():
        raise DataError(
            f"'{path}' does not exist.", "Name a dataset folder, or a file of histories."
        )
    return _TablePeople(read_histories(path), items)


def parts_of(people: People) -> Iterator[PeoplePart]:
    """Yields all people, so many at a time that little of them is in memory."""
    for start in range(0, len(people), _AT_A_TIME):
        yield people.part(start, min(start + _AT_A_TIME, len(people)))


class _DatasetPeople:
    def __init__(self, dataset: Dataset, items: Vocabulary) -> None:
        self._dataset = dataset
        self.fingerprint = dataset.fingerprint
        found = items.to_internal(dataset.items.names).astype(np.int32)
        self._row = np.concatenate([np.zeros(1, np.int32), found])  # [I + 1] of the run

    def __len__(self) -> int:
        return self._dataset.n_users

    def part(self, start: int, stop: int) -> PeoplePart:
        events, offsets = self._dataset.sequences, self._dataset.sequences.offsets
        rows = self._row[events.items[offsets[start] : offsets[stop]]]
        lengths = np.diff(offsets[start : stop + 1])
        names = self._dataset.users.names[start:stop].to_list()
        users = np.arange(start + 1, stop + 1, dtype=np.int64)
        return _without_unknown(names, users, rows, lengths)


class _TablePeople:
    def __init__(self, table: pl.DataFrame, items: Vocabulary) -> None:
        self._table = table
        self._items = items
        self.fingerprint = ""

    def __len__(self) -> int:
        return self._table.height

    def part(self, start: int, stop: int) -> PeoplePart:
        table = self._table.slice(start, stop - start)
        lengths = table[HISTORY].list.len().fill_null(0).to_numpy().astype(np.int64)
        flat = table[HISTORY].filter(pl.Series(lengths > 0)).list.explode()
        rows = self._items.to_internal(flat).astype(np.int32)
        users = np.zeros(table.height, dtype=np.int64)
        return _without_unknown(table[USER_ID].to_list(), users, rows, lengths)


def _without_unknown(
    names: list[str], users: IntArray, rows: NDArray[np.int32], lengths: IntArray
) -> PeoplePart:
    known = rows != PADDING_ID
    whose = np.repeat(np.arange(len(lengths)), lengths)[known]
    kept = np.bincount(whose, minlength=len(lengths))
    return PeoplePart(names, users, rows[known], kept, int((~known).sum()))
