"""Reading a log in blocks gives what sorting all of it would give, wherever blocks end."""

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmrec.core.errors import DataError
from vlmrec.data import parquet_log
from vlmrec.data.parquet_log import read_log

rows = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from("vwxyz"), st.integers(0, 4)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(
    rows=rows,
    block=st.integers(1, 12),
    group=st.integers(1, 12),
    known=st.sampled_from([None, ["w", "unsold", "y"]]),
    by_time=st.booleans(),
    kind=st.sampled_from([pl.String(), pl.Categorical(), pl.Enum(list("zyxwvedcba"))]),
)
def test_blocks_do_not_show(
    rows: list[tuple[str, str, int]],
    block: int,
    group: int,
    known: list[str] | None,
    by_time: bool,
    kind: pl.DataType,
) -> None:
    if by_time:
        rows = sorted(rows, key=lambda row: row[2])
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_log, "_BLOCK_ROWS", block)
        path = Path(folder) / "log.parquet"
        typed = log.with_columns(pl.col("user_id", "item_id").cast(kind))
        typed.write_parquet(path, row_group_size=group)
        users, extra, events = read_log(path, None if known is None else pl.Series(known))
    names = list(known or []) + extra.to_list()
    assert users.names.to_list() == list(dict.fromkeys(row[0] for row in rows))
    assert names == list(dict.fromkeys([*(known or []), *(row[1] for row in rows)]))
    found = [
        (users.names[u], names[item - 1], time)
        for u in range(events.n_users)
        for item, time in zip(
            events.items[events.offsets[u] : events.offsets[u + 1]],
            events.timestamps[events.offsets[u] : events.offsets[u + 1]],
            strict=True,
        )
    ]
    order = {name: place for place, name in enumerate(users.names)}
    assert found == sorted(rows, key=lambda row: (order[row[0]], row[2]))  # stable: rows break ties
    assert (events.items.dtype, events.timestamps.dtype) == (np.int32, np.int64)


@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_a_row_without_an_id_is_refused(tmp_path: Path, column: str) -> None:
    log = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"], "timestamp": [1, 2]})
    log = log.with_columns(pl.when(pl.col(column) != log[column][1]).then(column).alias(column))
    log.write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match=f"1 interactions have no {column}"):
        read_log(tmp_path / "log.parquet", None)
