"""How much of the catalogue the recommendations reach."""

import numpy as np


def coverage(lists: np.ndarray, k: int, pool_items: np.ndarray) -> float:
    """Returns Coverage@k: the share of the pool that is in anybody's first k.

    Args:
        lists: ``[n, >= k] int`` recommended internal ids, best first, 0 = empty place.
        k: How much of each list counts.
        pool_items: ``[P] int`` the ids that could have been recommended.

    >>> coverage(np.array([[1, 2], [2, 4]]), k=2, pool_items=np.array([1, 2, 3, 4]))
    0.75
    """
    counts = recommendation_counts(lists, k, pool_items)
    return float((counts > 0).mean())


def recommendation_counts(lists: np.ndarray, k: int, pool_items: np.ndarray) -> np.ndarray:
    """Returns ``[P] int64``: in how many of the first k places each pool item stands.

    >>> recommendation_counts(np.array([[1, 2], [2, 0]]), k=2, pool_items=np.array([1, 2, 3]))
    array([1, 2, 0])
    """
    shown = lists[:, :k].ravel()
    counts = np.bincount(shown[shown > 0], minlength=int(pool_items.max()) + 1)
    return counts[pool_items]
