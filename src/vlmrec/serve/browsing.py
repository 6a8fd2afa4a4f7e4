"""Looking through the catalogue that is served: by words of the title, the most bought first."""

from dataclasses import dataclass

import polars as pl

from vlmrec.core.columns import ITEM_ID, TITLE
from vlmrec.serve.live import Live


@dataclass(frozen=True)
class Shelf:
    """A part of the catalogue.

    Attributes:
        items: Internal ids in the order asked for.
        total: How many there are in all.
    """

    items: tuple[int, ...]
    total: int


def look_through(
    live: Live, words: str = "", expression: str | None = None, limit: int = 50, offset: int = 0
) -> Shelf:
    """Returns items that are recommendable, the most frequent of training first.

    Args:
        live: What is served.
        words: Each must be a part of the title or of the id, in small or capital letters.
        expression: A filter over attributes.
        limit: How many items at most.
        offset: How many to pass over.

    Raises:
        ConfigError: The filter cannot be read.
    """
    allowed = live.present.clone()
    if expression is not None:
        allowed &= live.mask(expression)
    wanted = pl.Series(allowed[1:].numpy())
    counts = pl.Series("n_train", live.popularity[1:].numpy())
    table = live.table.select(ITEM_ID, TITLE).with_columns(counts).with_row_index("row", offset=1)
    table = table.filter(wanted)
    text = pl.concat_str(pl.col(TITLE).fill_null(""), pl.col(ITEM_ID), separator=" ")
    asked = [
        text.str.to_lowercase().str.contains(word, literal=True) for word in words.lower().split()
    ]
    table = table.filter(*asked)
    best = table.sort("n_train", descending=True, maintain_order=True)
    return Shelf(tuple(best["row"].slice(offset, limit).to_list()), table.height)
