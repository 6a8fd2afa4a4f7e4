"""Reads a Parquet log of interactions into sequences without ever holding its strings.

A log of 10 million rows repeats a few hundred thousand ids. Each batch is read with its ids
dictionary-encoded, the dictionary (not the rows) is looked up, and only int32 codes are kept.
"""

# pyarrow and pandas ship no types; this file is where their tables come in.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vlmrec.core.columns import ITEM_ID, REQUIRED_INTERACTION_COLUMNS, TIMESTAMP, USER_ID
from vlmrec.core.errors import ArtifactError, DataError, nearest
from vlmrec.data.frames import seconds
from vlmrec.data.sequences import Sequences
from vlmrec.data.vocabulary import Vocabulary

_BATCH_ROWS = 250_000


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
        with pq.ParquetFile(path, read_dictionary=[USER_ID, ITEM_ID]) as file:
            _check_columns(file.schema_arrow.names, path)
            users, items, times, user_codes, item_codes = _read_batches(file, item_names)
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"'{path}' cannot be read as Parquet: {reason}.") from None
    if not len(times):
        raise DataError(f"'{path}' has no rows.", "At least one interaction is needed.")
    counts = np.bincount(users, minlength=len(user_codes))
    order = np.lexsort((times, users))
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    known = 0 if item_names is None else len(item_names)
    extra = pl.Series(ITEM_ID, list(item_codes)[known:], dtype=pl.String)
    names = pl.Series(USER_ID, list(user_codes), dtype=pl.String)
    del users
    return Vocabulary(names, "user"), extra, Sequences(items[order] + 1, offsets, times[order])


def _check_columns(names: list[str], path: Path) -> None:
    for name in REQUIRED_INTERACTION_COLUMNS:
        if name not in names:
            raise DataError(
                f"'{path}' has no column '{name}'; it has {names}.", nearest(name, names)
            )


def _read_batches(
    file: Any, item_names: pl.Series | None
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], dict[str, int], dict[str, int]]:
    n_rows = file.metadata.num_rows
    users = np.empty(n_rows, dtype=np.int32)
    items = np.empty(n_rows, dtype=np.int32)
    times = np.empty(n_rows, dtype=np.int64)
    user_codes: dict[str, int] = {}
    known = [] if item_names is None else item_names.cast(pl.String).to_list()
    item_codes: dict[str, int] = {name: code for code, name in enumerate(known)}
    row = 0
    for batch in file.iter_batches(_BATCH_ROWS, columns=list(REQUIRED_INTERACTION_COLUMNS)):
        stop = row + batch.num_rows
        users[row:stop] = _codes(batch.column(USER_ID), user_codes, USER_ID)
        items[row:stop] = _codes(batch.column(ITEM_ID), item_codes, ITEM_ID)
        column = pl.Series(TIMESTAMP, pl.from_arrow(batch.column(TIMESTAMP)))
        times[row:stop] = seconds(column).to_numpy()
        row = stop
    return users, items, times, user_codes, item_codes


def _codes(column: Any, codes: dict[str, int], name: str) -> NDArray[np.int32]:
    if column.null_count:
        raise DataError(f"{column.null_count} interactions have no {name}.")
    if not isinstance(column, pa.DictionaryArray):
        column = column.dictionary_encode()
    # An id takes its code where it first occurs in the log, not where its dictionary has it.
    indices = column.indices.to_numpy(zero_copy_only=False)
    labels = column.dictionary.cast(pa.string()).to_pylist()
    used, first = np.unique(indices, return_index=True)
    table = np.zeros(len(labels), dtype=np.int32)
    for position in used[np.argsort(first)].tolist():
        table[position] = codes.setdefault(labels[position], len(codes))
    return table[indices]
