"""Reciprocal rank of one relevant item."""

import numpy as np


def mrr(ranks: np.ndarray, k: int) -> np.ndarray:
    """Returns the reciprocal rank at k of each rank; its mean over users is MRR@k.

    ``1 / rank`` where ``rank <= k``, else 0.

    Args:
        ranks: ``[n] float`` from 1.
        k: The cut.

    Returns:
        ``[n] float64`` fractions in 0..1.

    >>> mrr(np.array([1.0, 2.5, 4.0, 11.0]), k=10).tolist()
    [1.0, 0.4, 0.25, 0.0]
    """
    return np.where(ranks <= k, 1.0 / ranks, 0.0)
