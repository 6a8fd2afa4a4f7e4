"""How unequally recommendations are spread over the catalogue."""

import numpy as np

from vlmrec.evaluation.metrics.coverage import recommendation_counts


def gini(lists: np.ndarray, k: int, pool_items: np.ndarray) -> float:
    """Returns Gini@k of how often each pool item is in a first k, never-shown items included.

    With counts ``x_1 <= ... <= x_P``:
    ``G = sum_i (2 i - P - 1) x_i / (P sum_i x_i)``. 0 means that all items are shown equally
    often; ``1 - 1/P`` that a single item fills every place.

    Args:
        lists: ``[n, >= k] int`` recommended internal ids, best first, 0 = empty place.
        k: How much of each list counts.
        pool_items: ``[P] int`` the ids that could have been recommended.

    Returns:
        The coefficient, or NaN where nothing was recommended.

    >>> gini(np.array([[1], [1], [2], [1]]), k=1, pool_items=np.array([1, 2]))
    0.25
    """
    counts = np.sort(recommendation_counts(lists, k, pool_items)).astype(np.float64)
    if counts.sum() == 0:
        return float("nan")
    P = len(counts)
    weights = 2.0 * np.arange(1, P + 1) - P - 1.0
    return float((weights * counts).sum() / (P * counts.sum()))
