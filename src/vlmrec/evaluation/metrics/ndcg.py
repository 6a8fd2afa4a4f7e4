"""Normalised discounted cumulative gain of one relevant item."""

import numpy as np


def ndcg(ranks: np.ndarray, k: int) -> np.ndarray:
    """Returns NDCG@k of each rank.

    With one relevant item the ideal gain is 1, so ``NDCG@k = 1 / log2(rank + 1)`` where
    ``rank <= k``, else 0. Tied items give a rank ending in .5: the value is that *of the
    expected rank*.

    Args:
        ranks: ``[n] float`` from 1.
        k: The cut.

    Returns:
        ``[n] float64`` fractions in 0..1.

    >>> ndcg(np.array([1.0, 3.0, 10.0, 11.0]), k=10).round(4).tolist()
    [1.0, 0.5, 0.2891, 0.0]
    """
    return np.where(ranks <= k, 1.0 / np.log2(ranks + 1.0), 0.0)
