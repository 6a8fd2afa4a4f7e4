"""Items of a table and of the interactions put together; what the two say of each other."""

import polars as pl

from vlmrec.core.columns import ITEM_ID
from vlmrec.data.notes import Note, amount, some


def join_items(
    interactions: pl.DataFrame, items: pl.DataFrame
) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Returns the items with a row for every id that has interactions, and notes on gaps.

    Args:
        interactions: With ``item_id``.
        items: Known items, one row an id; those only in `interactions` come behind them.
    """
    ids = interactions[ITEM_ID].unique(maintain_order=True).to_frame()
    strangers = ids.join(items.select(ITEM_ID), on=ITEM_ID, how="anti", maintain_order="left")
    joined = pl.concat([items, strangers], how="diagonal")
    return joined, tuple(_compare(ids, items, strangers))


def _compare(ids: pl.DataFrame, items: pl.DataFrame, strangers: pl.DataFrame) -> list[Note]:
    """Returns what the two tables say of each other."""
    if not items.height:
        return []
    notes: list[Note] = []
    unused = items.join(ids, on=ITEM_ID, how="anti")[ITEM_ID]
    if len(unused):
        examples = some(unused.head(4).to_list())
        sentence = f"{amount(len(unused), 'item')} without an interaction: {examples}."
        notes.append(Note("kept", len(unused), sentence))
    n_unknown = strangers.height
    if n_unknown:
        examples = some(strangers[ITEM_ID].head(4).to_list())
        sentence = (
            f"{amount(n_unknown, 'item')} with interactions but without a row in the items: "
            f"{examples}."
        )
        notes.append(Note("kept", n_unknown, sentence))
    if n_unknown * 2 > ids.height:
        sentence = (
            f"{n_unknown / ids.height:.0%} of the items in the interactions have no row in the "
            f"items: ids there look like '{items[ITEM_ID][0]}', here like "
            f"'{strangers[ITEM_ID][0]}'. Do both use the same ids?"
        )
        notes.append(Note("warning", n_unknown, sentence))
    return notes
