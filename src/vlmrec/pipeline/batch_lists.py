"""Lists for many people at once, written as they are made."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from vlmrec.core.columns import ITEM_ID, RANK, SCORE, TITLE, USER_ID
from vlmrec.pipeline.people import People, PeoplePart, parts_of
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run

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
        people: In the file, or of the dataset.
        answered: Who got a list.
        unknown: Events with items that the run does not know; they were passed over.
    """

    people: int = 0
    answered: int = 0
    unknown: int = 0


def lists_for(
    run: Run,
    people: People,
    counts: BatchCounts,
    *,
    k: int = 10,
    filter_seen: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> Generator[pl.DataFrame]:
    """Yields the lists of `recommend`, some thousand people at a time.

    Args:
        run: Recommends.
        people: As `people_of` gives them, with the items of the run.
        counts: Is counted up.
        k: How many items each.
        filter_seen: Leave out items of the history.
        on_progress: Called with the number of people done and of all.
    """
    for part in parts_of(people):
        counts.people += len(part.names)
        counts.unknown += part.unknown
        histories = _known(run, part)
        counts.answered += len(histories)
        if histories:
            yield recommend(run, histories=histories, k=k, filter_seen=filter_seen)
        if on_progress is not None:
            on_progress(counts.people, len(people))


def _known(run: Run, part: PeoplePart) -> dict[str, list[str]]:
    """Returns the items that the run knows of everybody who has one."""
    flat = run.items[ITEM_ID].gather(part.items - 1).to_list()
    stops = np.cumsum(part.lengths).tolist()
    starts = [0, *stops]
    return {
        name: flat[start:stop]
        for name, start, stop in zip(part.names, starts, stops, strict=False)
        if stop > start
    }


def write_lists(tables: Iterable[pl.DataFrame], path: Path) -> None:
    """Writes lists into one Parquet file, holding no more than one table at a time.

    Raises:
        OSError: The disk is full.
    """
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, _NO_LISTS.to_arrow().schema) as writer:
        for table in tables:
            writer.write_table(table.cast(_NO_LISTS.schema).to_arrow())
