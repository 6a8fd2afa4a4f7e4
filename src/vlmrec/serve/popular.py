"""What is bought most often, for people of whom nothing is known."""

from torch import Tensor
from torch.nn import functional as F

from vlmrec.index.search import EVERYTHING, Found, Limits, require_length


class PopularIndex:
    """Finds the same items for every query; satisfies `vlmrec.index.search.Index`.

    Args:
        popularity: ``[I + 1] float32`` how often training saw each item; equals by the lower id.
    """

    def __init__(self, popularity: Tensor) -> None:
        self._popularity = popularity
        # Sorting many items takes as long as dozens of lists, so it is done once.
        self._order = popularity[1:].sort(descending=True, stable=True).indices + 1  # [I]

    @property
    def n_items(self) -> int:
        """Number of items that are searched."""
        return len(self._order)

    def search(self, queries: Tensor, k: int, limits: Limits = EVERYTHING) -> Found:
        """Returns the k best items of each query, see `vlmrec.index.search.Index`."""
        require_length(k)
        found = [self._first(k, limits.rows([row])) for row in range(len(queries))]
        return Found.stacked(found, k)

    def _first(self, k: int, limits: Limits) -> Found:
        """Returns the ``[1, k]`` first items that may be found; few are looked at, if few do."""
        looked, kept = 0, self._order[:0]
        while len(kept) < k and looked < self.n_items:
            looked = min(max(4 * looked, 2 * k), self.n_items)
            kept = self._order[:looked]
            kept = kept[~limits.hides(kept[None])[0]][:k]
        room = (0, k - len(kept))
        scores = F.pad(self._popularity[kept], room, value=float("-inf"))
        return Found(F.pad(kept, room)[None], scores[None])
