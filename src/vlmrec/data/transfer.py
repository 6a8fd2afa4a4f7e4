"""Transfer: what is learned from one catalogue is asked for in another that shares no item."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vlmrec.core.columns import IMAGE, ITEM_ID, TIMESTAMP, USER_ID
from vlmrec.core.errors import DataError
from vlmrec.core.random import Streams
from vlmrec.data.cold_items import only_events
from vlmrec.data.sequences import Histories
from vlmrec.data.splits import Split, cases_at, split_fingerprint

if TYPE_CHECKING:
    from vlmrec.data.dataset import Dataset


def half_catalogue_split(dataset: "Dataset", seed: int = 0) -> Split:
    """Half of the items, drawn uniformly, is learned from; the other half plays another catalogue.

    Training and validation know the events with items of the first half only. Histories and
    targets of the test have items of the second half only, ranked among each other: a user's
    last one is the target. Users are the same in both.

    Raises:
        DataError: Nothing is left to test or to train.
    """
    rng = Streams(seed).numpy("half-catalogue")
    other = np.zeros(dataset.n_items + 1, dtype=np.bool_)
    other[1 + rng.permutation(dataset.n_items)[: dataset.n_items // 2]] = True
    return _between(dataset, "half-catalogue", other, f"seed {seed}")


def transfer_split(sources: "Mapping[str, Dataset]", name: str, target: "Dataset") -> Split:
    """Everything is learned from other datasets, and asked for in this one.

    All datasets become one; ids and names of users get the dataset's name in front, so that equal
    ids stay apart. Training knows all events of the sources but each user's last, which is
    validation. In the test a user's last event of the target dataset has to be found among its
    items, from the user's events before it.

    Args:
        sources: Datasets to learn from, by name.
        name: Of the dataset that is tested.
        target: That dataset.

    Raises:
        DataError: Nothing is left to test or to train.
    """
    joined = _joined({**sources, name: target})
    other = np.zeros(joined.n_items + 1, dtype=np.bool_)
    other[-target.n_items :] = True
    return _between(joined, "transfer", other, name)


def _between(dataset: "Dataset", name: str, other: NDArray[np.bool_], options: str) -> Split:
    """Returns the split whose test has nothing but items of the other catalogue, ``[I + 1]``."""
    log = dataset.sequences
    is_other = other[np.asarray(log.items)]
    learned, asked = (only_events(log, kept).whole() for kept in (~is_other, is_other))
    learned, asked = learned.subset(learned.lengths >= 2), asked.subset(asked.lengths >= 2)
    if not len(learned) or not len(asked):
        raise DataError(
            f"The {name} split leaves nothing to test or to train.",
            "Two events of a user in a catalogue are the least that can be learned from or tested.",
        )
    return Split(
        dataset,
        name,
        Histories(learned.sequences, learned.users, learned.start, learned.stop - 1),
        cases_at(learned, learned.start, learned.stop - 1),
        cases_at(asked, asked.start, asked.stop - 1),
        split_fingerprint(dataset, name, options),
        training_items=np.flatnonzero(~other)[1:],
        test_candidates=np.flatnonzero(other),
        notes={"items_learned_from": int((~other).sum()) - 1, "items_tested": int(other.sum())},
    )


def _joined(datasets: "Mapping[str, Dataset]") -> "Dataset":
    """Returns all events and items in one dataset, in the order given."""
    roots = [data.catalog.root for data in datasets.values() if data.catalog.root is not None]
    root = Path(os.path.commonpath([one.resolve() for one in roots])) if roots else None
    log = pl.concat(
        [
            data.to_interactions()
            .select(USER_ID, ITEM_ID, TIMESTAMP)
            .with_columns(_of(name, USER_ID), _of(name, ITEM_ID))
            for name, data in datasets.items()
        ]
    )
    tables = [
        data.catalog.table.with_columns(
            _of(name, ITEM_ID), _below(root, data.catalog.root).alias(IMAGE)
        )
        for name, data in datasets.items()
    ]
    return type(next(iter(datasets.values()))).from_frames(log, _stacked(tables), root)


def _of(name: str, column: str) -> pl.Expr:
    return (pl.lit(f"{name}/") + pl.col(column)).alias(column)


def _below(root: Path | None, own: Path | None) -> pl.Expr:
    """Returns the paths of pictures, made relative to the folder that all datasets share."""
    if root is None or own is None:
        return pl.lit(None, dtype=pl.String)
    return pl.lit(f"{own.resolve().relative_to(root).as_posix()}/") + pl.col(IMAGE)


def _stacked(tables: list[pl.DataFrame]) -> pl.DataFrame:
    """Returns the rows of all tables; a column of different kinds is read as text."""
    kinds: dict[str, set[pl.DataType]] = {}
    for table in tables:
        for column, kind in table.schema.items():
            kinds.setdefault(column, set()).add(kind)
    mixed = {column for column, found in kinds.items() if len(found) > 1}
    return pl.concat([_as_text(table, mixed) for table in tables], how="diagonal")


def _as_text(table: pl.DataFrame, columns: set[str]) -> pl.DataFrame:
    found = [name for name in table.columns if name in columns]
    lists = [name for name in found if isinstance(table.schema[name], pl.List)]
    return table.with_columns(
        pl.col(name).cast(pl.List(pl.String)).list.join(", ")
        if name in lists
        else pl.col(name).cast(pl.String)
        for name in found
    )
