"""Ranks of targets under stored vectors; needs numpy only, because every environment uses it."""

import numpy as np

_SCORES_AT_A_TIME = 1 << 23


def target_ranks(
    queries: np.ndarray, vectors: np.ndarray, bias: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Returns the rank of each target among all items, seen ones included.

    ``rank = 1 + number of higher scores + half the number of other equal scores``, in float32:
    the rule of this project's evaluation.

    Args:
        queries: ``[n, D] float32`` one a case.
        vectors: ``[I + 1, D] float32`` in the order of internal ids; row 0 is padding.
        bias: ``[I + 1] float32`` added to each item's score.
        targets: ``[n] int`` internal ids.
    """
    ranks = np.empty(len(targets))
    rows = max(1, _SCORES_AT_A_TIME // len(vectors))
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        scores = queries[part] @ vectors[1:].T + bias[1:]
        own = scores[np.arange(len(scores)), targets[part] - 1][:, None]
        higher, equal = (scores > own).sum(axis=1), (scores == own).sum(axis=1) - 1
        ranks[part] = 1 + higher + equal / 2
    return ranks


def mean_ndcg(ranks: np.ndarray, k: int = 10) -> float:
    """Returns the mean NDCG@k of one relevant item a case."""
    return float(np.where(ranks <= k, 1 / np.log2(ranks + 1), 0.0).mean())
