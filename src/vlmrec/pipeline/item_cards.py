"""Items of a dataset as people see them."""

from collections.abc import Iterable

from vlmrec.core.columns import IMAGE, ITEM_ID, TITLE
from vlmrec.data.dataset import Dataset
from vlmrec.evaluation.report import ItemCard


class ItemCards:
    """Makes items presentable.

    Args:
        dataset: Where titles and pictures are.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._table = dataset.catalog.table
        self._root = dataset.catalog.root

    def of(self, ids: Iterable[int]) -> tuple[ItemCard, ...]:
        """Returns the items with these internal ids; 0 is left out."""
        return tuple(self._card(int(number) - 1) for number in ids if number > 0)

    def _card(self, row: int) -> ItemCard:
        image = self._table[IMAGE][row]
        path = None if self._root is None or image is None else self._root / image
        picture = path.read_bytes() if path is not None and path.is_file() else None
        return ItemCard(self._table[ITEM_ID][row], self._table[TITLE][row] or "", picture)
