"""What a product would be among the others, before anybody decides to sell it."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vlmrec.serve.asking import Answer
from vlmrec.serve.changing import with_changes
from vlmrec.serve.live import Live
from vlmrec.serve.reach import Reach, reach_of
from vlmrec.serve.schemas import SimilarRequest
from vlmrec.serve.similar import similar_items
from vlmrec.serve.store.records import StoredItem


@dataclass(frozen=True)
class Trial:
    """What became of a product that was tried.

    Attributes:
        similar: The items it sits next to.
        reach: Whom it would reach.
    """

    similar: Answer
    reach: Reach


def try_item(live: Live, item: StoredItem, histories: Mapping[str, Sequence[str]], k: int) -> Trial:
    """Returns what a product would be; nothing is stored, and nobody else sees it.

    Args:
        live: What is served.
        item: The product; its id is not looked at.
        histories: User id -> items, oldest first: whom it might reach.
        k: How many neighbours.

    Raises:
        DataError: A field is not one of the catalogue, or there is nothing to read.
        ConfigError: The model cannot take new items in.
    """
    name = "tried"
    while name in live.rows:
        name += "'"
    with tempfile.TemporaryDirectory(prefix="vlmrec-tried-") as folder:
        grown = with_changes(live, [replace(item, item_id=name)], Path(folder))
    similar = similar_items(grown, SimilarRequest(item_id=name, k=k))
    return Trial(similar, reach_of(grown, name, histories))
