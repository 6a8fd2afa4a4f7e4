"""Lists for many people at once, written as they are made."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vlmrec.core.columns import ITEM_ID, RANK, SCORE, TITLE, USER_ID
from vlmrec.data.sources.history_file import HISTORY
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run

_PEOPLE_AT_A_TIME = 2048
_NO_LISTS = pl.DataFrame(
    schema={
        USER_ID: pl.String,
        ITEM_ID: pl.String,
        SCORE: pl.Float32,
        RANK: pl.Int64,
        TITLE: pl.String,
    }
)


@dataclass
class BatchCounts:
    """What a job came across.

    Attributes:
        people: In the file.
        answered: Who got a list.
        unknown: Events with items that the run does not know; they were passed over.
    """

    people: int = 0
    answered: int = 0
    unknown: int = 0


def lists_for(
    run: Run,
    histories: pl.DataFrame,
    counts: BatchCounts,
    *,
    k: int = 10,
    filter_seen: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> Generator[pl.DataFrame]:
    """Yields the lists of `recommend`, some thousand people at a time.

    Args:
        run: Recommends.
        histories: ``user_id`` and ``history``, as `read_histories` gives them.
        counts: Is counted up.
        k: How many items each.
        filter_seen: Leave out items of the history.
        on_progress: Called with the number of people done and of all.
    """
    known = run.items[ITEM_ID]
    for start in range(0, histories.height, _PEOPLE_AT_A_TIME):
        part = histories.slice(start, _PEOPLE_AT_A_TIME)
        kept = part.with_columns(
            pl.col(HISTORY).list.eval(pl.element().filter(pl.element().is_in(known.implode())))
        )
        counts.people += part.height
        counts.unknown += _events(part) - _events(kept)
        people = {name: items for name, items in kept.select(USER_ID, HISTORY).iter_rows() if items}
        counts.answered += len(people)
        if people:
            yield recommend(run, histories=people, k=k, filter_seen=filter_seen)
        if on_progress is not None:
            on_progress(min(start + part.height, histories.height), histories.height)


def _events(histories: pl.DataFrame) -> int:
    return int(histories[HISTORY].list.len().sum())


def write_lists(tables: Iterable[pl.DataFrame], path: Path) -> None:
    """Writes lists into one Parquet file, holding no more than one table at a time.

    Raises:
        OSError: The disk is full.
    """
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, _NO_LISTS.to_arrow().schema) as writer:
        for table in tables:
            writer.write_table(table.cast(_NO_LISTS.schema).to_arrow())
