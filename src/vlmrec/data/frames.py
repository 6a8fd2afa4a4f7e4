"""Tables from pandas, polars or arrow, checked and put into the one order that counts."""

# pyarrow and pandas ship no types; this file is where their tables come in.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from typing import Any, cast

import polars as pl

from vlmrec.core.columns import ITEM_ID, REQUIRED_INTERACTION_COLUMNS, TIMESTAMP, USER_ID
from vlmrec.core.errors import DataError, nearest

Frame = Any
"""A polars, pandas or pyarrow table (the latter two are not imported to name their types)."""


def to_polars(table: Frame, what: str) -> pl.DataFrame:
    """Returns the table as polars.

    Args:
        table: polars, pandas or pyarrow table, or a mapping of columns.
        what: What it holds, for the message.

    Raises:
        DataError: It is nothing of the kind.
    """
    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    kind = f"{type(table).__module__}.{type(table).__qualname__}"
    if kind.startswith("pandas."):
        columns = {str(name): table[name] for name in table.columns}
        return pl.DataFrame({name: _from_pandas(column) for name, column in columns.items()})
    if kind.startswith("pyarrow."):
        return cast("pl.DataFrame", pl.from_arrow(table))
    if isinstance(table, dict):
        return pl.DataFrame(table)
    raise DataError(
        f"The {what} are a {kind}; expected a pandas, polars or pyarrow table.",
        "Convert them first.",
    )


def _from_pandas(column: Any) -> pl.Series:
    values = column.tolist() if column.dtype == object else column
    if column.dtype == object:
        kept = [None if _is_nan(v) else v for v in values]
        return pl.Series(kept, strict=False)
    return pl.from_pandas(column)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value


def ordered_interactions(log: pl.DataFrame) -> pl.DataFrame:
    """Returns the log by user (in order of first appearance), time and row of the source.

    Ids become strings, times int64 seconds UTC; other columns are kept.

    Raises:
        DataError: A column is missing, there is no row, an id is null, or a time is null,
            negative or not a time.
    """
    for name in REQUIRED_INTERACTION_COLUMNS:
        if name not in log.columns:
            raise DataError(
                f"The interactions have no column '{name}'; they have {log.columns}.",
                nearest(name, log.columns) if log.columns else "",
            )
    if not log.height:
        raise DataError("The interactions are empty.", "At least one row is needed.")
    log = log.with_columns(
        pl.col(USER_ID, ITEM_ID).cast(pl.String), seconds(log[TIMESTAMP]).alias(TIMESTAMP)
    )
    for name in (USER_ID, ITEM_ID):
        if log[name].null_count():
            raise DataError(f"{log[name].null_count()} interactions have no {name}.")
    first_seen = log[USER_ID].unique(maintain_order=True).to_frame().with_row_index("_user")
    keyed = log.join(first_seen, on=USER_ID, how="left", maintain_order="left")
    return keyed.sort("_user", TIMESTAMP, maintain_order=True).drop("_user")


def seconds(column: pl.Series) -> pl.Series:
    """Returns times as int64 seconds UTC.

    Args:
        column: Integers or whole floats (seconds), or dates and datetimes.

    Raises:
        DataError: A time is null or negative, or the column is of another kind.
    """
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        result = column.dt.epoch("s")
    elif kind == pl.Date:
        result = column.cast(pl.Datetime("ms")).dt.epoch("s")
    elif kind.is_integer() or kind.is_float():
        result = column.cast(pl.Int64, strict=False)
    else:
        raise DataError(
            f"The column '{TIMESTAMP}' holds {kind}; expected whole seconds UTC or dates.",
            "vlmrec prepare files reads times written as text.",
        )
    if result.null_count():
        raise DataError(f"{result.null_count()} interactions have no time in '{TIMESTAMP}'.")
    if len(result) and cast("int", result.min()) < 0:
        raise DataError(
            f"{int((result < 0).sum())} interactions have a negative time in '{TIMESTAMP}'.",
            "Times are seconds since 1970-01-01 UTC.",
        )
    return result
