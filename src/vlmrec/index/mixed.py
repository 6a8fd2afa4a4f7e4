"""Lists in which new items have places of their own, out of any index."""

import numpy as np
import torch
from torch import Tensor

from vlmrec.evaluation.quota import MixedPool, Quota
from vlmrec.index.search import EVERYTHING, Found, Index, Limits, everything, require_length


class MixedIndex:
    """Mixes two searches, among new items and among others; satisfies the protocol `Index`.

    Args:
        index: Searches either kind.
        quota: Which items are new, and their share of the places.
    """

    def __init__(self, index: Index, quota: Quota) -> None:
        self._index = index
        self._share = quota.share
        self._new = torch.as_tensor(quota.new)

    @property
    def n_items(self) -> int:
        """Number of items that are searched."""
        return self._index.n_items

    def search(self, queries: Tensor, k: int, limits: Limits = EVERYTHING) -> Found:
        """Returns the k first places of each mixed list; their scores need not fall."""
        require_length(k)
        allowed = everything(self.n_items) if limits.allowed is None else limits.allowed
        old, new = (
            self._index.search(queries, k, Limits(allowed & kind, limits.excluded))
            for kind in (~self._new, self._new)
        )
        # No list of k places has more than k items of a kind, so these are all that compete.
        places = np.arange(2 * k)
        pool = MixedPool(self._share, places[:k], places[k:], places >= k)
        columns, scores = pool.best(torch.cat([old.scores, new.scores], dim=1), k)
        return Found(torch.cat([old.items, new.items], dim=1).gather(1, columns), scores)
