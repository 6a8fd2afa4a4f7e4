"""A dataset cut down to a few users, on which anything can be tried in seconds."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from vlmrec.core.columns import ITEM_ID

if TYPE_CHECKING:
    from vlmrec.data.dataset import Dataset

_TESTABLE = 3
"""Events that leave-one-out needs to train, choose and test with a user."""


def few_users(dataset: "Dataset", users: int = 24, events: int = 8) -> "Dataset":
    """Returns the last events of a few users, with no other items than those in them.

    The users stand at equal distances in the dataset; those with fewer than three events are
    passed over where there are others.

    Args:
        dataset: To cut down; it is left as it is.
        users: How many to keep.
        events: How many to keep of each.
    """
    whole, everything = dataset.sequences.whole(), dataset.to_interactions()
    rows = np.flatnonzero(whole.lengths >= min(_TESTABLE, int(whole.lengths.max())))
    kept = rows[np.unique(np.linspace(0, len(rows) - 1, min(users, len(rows))).astype(np.int64))]
    last = whole.stop[kept]
    first = np.maximum(whole.start[kept], last - events)
    log = pl.concat([everything[a:b] for a, b in zip(first, last, strict=True)])
    table = dataset.catalog.table.filter(pl.col(ITEM_ID).is_in(log[ITEM_ID].unique().implode()))
    return type(dataset).from_frames(log, table, dataset.catalog.root)
