"""Histories of many people from one file: what a job that recommends for all of them reads."""

from pathlib import Path

import polars as pl

from vlmrec.core.columns import ITEM_ID, TIMESTAMP, USER_ID
from vlmrec.core.errors import DataError
from vlmrec.data.sources.columns_guess import ColumnNames, find_column, missing_column
from vlmrec.data.sources.log_columns import read_log_table
from vlmrec.data.sources.reading import Reader
from vlmrec.data.sources.scratch import scratch_folder

HISTORY = "history"
"""Column that holds a whole history in one row: a list, or ids between spaces or commas."""


def read_histories(path: Path) -> pl.DataFrame:
    """Returns ``user_id`` and ``history`` (a list of item ids, oldest first), a row a person.

    Args:
        path: CSV, TSV, JSON Lines or Parquet. Either a row an event (user, item and, if there
            is one, a time; else in the order of the rows), or a row a person with `HISTORY`.

    Raises:
        DataError: It cannot be read, lacks a column, or a row has no readable time.
    """
    with scratch_folder() as scratch:
        table = Reader(scratch, frozenset({HISTORY})).open(path)
        columns = table.columns
        user = find_column(USER_ID, columns)
        if user is None:
            raise missing_column(USER_ID, columns, path.name)
        if HISTORY in columns:
            frame = table.read(pl.col(user).alias(USER_ID), pl.col(HISTORY))
            return _one_row_each(frame.drop_nulls(USER_ID))
        if find_column(TIMESTAMP, columns) is not None:
            frame = read_log_table(table, ColumnNames(), drop_invalid=False).frame
            frame = frame.sort(TIMESTAMP, maintain_order=True)
        else:
            item = find_column(ITEM_ID, columns)
            if item is None:
                raise missing_column(ITEM_ID, columns, path.name)
            frame = table.read(pl.col(user).alias(USER_ID), pl.col(item).alias(ITEM_ID))
            frame = frame.select(pl.col(USER_ID, ITEM_ID).cast(pl.String)).drop_nulls()
    return frame.group_by(USER_ID, maintain_order=True).agg(pl.col(ITEM_ID).alias(HISTORY))


def _one_row_each(frame: pl.DataFrame) -> pl.DataFrame:
    kind = frame.schema[HISTORY]
    if isinstance(kind, pl.List):
        lists = pl.col(HISTORY).cast(pl.List(pl.String))
    elif kind == pl.String:
        lists = pl.col(HISTORY).str.extract_all(r"[^\s,]+")
    else:
        raise DataError(
            f"The column '{HISTORY}' holds {kind}; expected lists, or item ids between commas."
        )
    found = frame.select(pl.col(USER_ID).cast(pl.String), lists)
    twice = found.filter(found[USER_ID].is_duplicated())
    if twice.height:
        raise DataError(
            f"The user '{twice[USER_ID][0]}' has more than one row, and each row a '{HISTORY}'.",
            "Give a row a person, or a row an event.",
        )
    return found
