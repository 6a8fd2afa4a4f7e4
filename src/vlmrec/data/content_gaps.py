"""Words or pictures taken from items, or dealt to the wrong ones, before anything learns."""

from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from pydantic import Field
from torch import Tensor

from vlmrec.core.columns import IMAGE, ITEM_ID
from vlmrec.core.config import StrictConfig
from vlmrec.core.content_change import dealt_anew, taken_away
from vlmrec.core.random import Streams
from vlmrec.data.catalog import Catalog

if TYPE_CHECKING:
    from vlmrec.data.dataset import Dataset


class ContentGap(StrictConfig):
    """What is wrong with the content of a catalogue."""

    modality: Literal["text", "image"]
    """What it is wrong with; text is every column but the id and the picture."""
    kind: Literal["missing", "wrong"] = "missing"
    """Items have none of it, or show that of another item of those concerned."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the items concerned, drawn uniformly."""
    seed: int = 0

    def describe(self) -> str:
        """Returns what is wrong, in words.

        >>> ContentGap(modality="text", kind="wrong", share=0.5).describe()
        '50 % of the items have the text of another one'
        """
        what = "text" if self.modality == "text" else "picture"
        if self.kind == "wrong":
            whole = "every item has" if self.share == 1 else f"{self.share:.0%} of the items have"
            return f"{whole.replace('%', ' %')} the {what} of another one"
        if self.share == 1:
            return f"no item has its {what}"
        return f"{self.share:.0%} of the items lack their {what}".replace("%", " %")

    def shown(self, n_items: int) -> Tensor:
        """Returns ``[I + 1] int64``: whose content each item shows, 0 for none."""
        rng = Streams(self.seed).numpy("content-gap", self.modality)
        make = taken_away if self.kind == "missing" else dealt_anew
        return make(n_items, self.share, rng)


def open_gap(dataset: "Dataset", gap: ContentGap) -> "Dataset":
    """Returns the dataset with a gap in its catalogue; events stay as they are.

    Args:
        dataset: The dataset.
        gap: What is taken away or swapped.
    """
    table = dataset.catalog.table
    rows = gap.shown(dataset.n_items).numpy()[1:] - 1  # -1: nothing is shown
    has = pl.Series(rows >= 0)
    taken = [IMAGE] if gap.modality == "image" else _words(table)
    columns = [
        table[name].gather(np.maximum(rows, 0)).alias(name).zip_with(has, _nothing(table[name]))
        for name in taken
    ]
    changed = Catalog(table.with_columns(columns), dataset.catalog.root)
    return dataset.with_catalog(changed)


def _words(table: pl.DataFrame) -> list[str]:
    return [name for name in table.columns if name not in (ITEM_ID, IMAGE)]


def _nothing(column: pl.Series) -> pl.Series:
    return pl.Series(column.name, [None] * len(column), dtype=column.dtype)
