"""Ranking and metrics in plain Python loops: slow, and simple enough to check by eye."""

import math
from collections.abc import Collection, Sequence


def plain_rank(
    scores: Sequence[float], target: int, pool: Collection[int], hidden: Collection[int] = ()
) -> float:
    """Returns the expected rank of `target` if items of equal score were shuffled.

    Args:
        scores: ``scores[i]`` belongs to item i; ``scores[0]`` is ignored.
        target: An item.
        pool: The items that compete.
        hidden: Items that do not (the target competes in any case).
    """
    rank = 1.0
    for item in pool:
        if item == target or item in hidden:
            continue
        if scores[item] > scores[target]:
            rank += 1.0
        elif scores[item] == scores[target]:
            rank += 0.5
    return rank


def plain_list(
    scores: Sequence[float], k: int, pool: Collection[int], hidden: Collection[int] = ()
) -> list[int]:
    """Returns the k best items, equals by the lower id."""
    shown = [item for item in pool if item not in hidden]
    return sorted(shown, key=lambda item: (-scores[item], item))[:k]


def plain_metrics(ranks: Sequence[float], k: int) -> dict[str, float]:
    """Returns NDCG, Recall and MRR at k, averaged over the ranks."""
    gain = hits = reciprocal = 0.0
    for rank in ranks:
        if rank <= k:
            gain += math.log(2) / math.log(rank + 1)
            hits += 1
            reciprocal += 1 / rank
    n = len(ranks)
    return {"NDCG": gain / n, "Recall": hits / n, "MRR": reciprocal / n}


def plain_gini(counts: Sequence[int]) -> float:
    """Returns the mean absolute difference of all pairs over twice the mean."""
    n = len(counts)
    differences = sum(abs(a - b) for a in counts for b in counts)
    return differences / (2 * n * sum(counts))
