"""Recall of one relevant item, which is also its hit rate."""

import numpy as np


def recall(ranks: np.ndarray, k: int) -> np.ndarray:
    """Returns Recall@k of each rank: 1 where ``rank <= k``, else 0.

    With one relevant item per case, Recall@k, hit rate HR@k and Hit@k are the same number.

    Args:
        ranks: ``[n] float`` from 1. A rank of 10.5 (a tie across the cut) is outside the
            first 10.
        k: The cut.

    Returns:
        ``[n] float64`` of 0 and 1.

    >>> recall(np.array([1.0, 10.0, 10.5, 11.0]), k=10).tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    return (ranks <= k).astype(np.float64)
