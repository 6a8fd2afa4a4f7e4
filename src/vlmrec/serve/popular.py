"""What is bought most often, for people of whom nothing is known."""

import torch
from torch import Tensor

from vlmrec.core.columns import PADDING_ID
from vlmrec.index.search import EVERYTHING, Found, Limits, require_length


class PopularIndex:
    """Finds the same items for every query; satisfies `vlmrec.index.search.Index`.

    Args:
        popularity: ``[I + 1] float32`` how often training saw each item; equals by the lower id.
    """

    def __init__(self, popularity: Tensor) -> None:
        self._popularity = popularity

    @property
    def n_items(self) -> int:
        """Number of items that are searched."""
        return len(self._popularity) - 1

    def search(self, queries: Tensor, k: int, limits: Limits = EVERYTHING) -> Found:
        """Returns the k best items of each query, see `vlmrec.index.search.Index`."""
        require_length(k)
        every = torch.arange(len(self._popularity))
        hidden = limits.hides(every.expand(len(queries), -1))  # [B, I + 1]
        scores = self._popularity.expand(len(queries), -1).masked_fill(hidden, float("-inf"))
        order = scores.sort(dim=1, descending=True, stable=True).indices[:, :k]
        values = scores.gather(1, order)
        room, pad = (0, k - order.shape[1]), torch.nn.functional.pad
        items = order.masked_fill(values.isneginf(), PADDING_ID)
        return Found(pad(items, room), pad(values, room, value=float("-inf")))
