"""How unequal the interactions are, and how far popularity alone gets."""

import numpy as np
from numpy.typing import NDArray

from vlmrec.data.checks.check import (
    NO_TARGETS,
    DataCheck,
    Subject,
    checked,
    judge,
    share,
    skipped,
)
from vlmrec.data.checks.thresholds import MOST_POPULAR_TARGETS, POPULAR_ITEMS
from vlmrec.data.sequences import IntArray

FloatArray = NDArray[np.float64]


def unequal_interactions(subject: Subject) -> DataCheck:
    """Gini coefficients, the share of tests among the most popular items, popularity's score."""
    name, split, dataset = "unequal interactions", subject.split, subject.dataset
    if split is None:
        return skipped(name, NO_TARGETS)
    counts = split.train.item_counts(dataset.n_items)
    n_popular = max(1, round(POPULAR_ITEMS * dataset.n_items))
    popular = np.zeros(dataset.n_items, dtype=np.bool_)
    popular[np.argsort(-counts[1:], kind="stable")[:n_popular]] = True
    on_popular = share(subject.targets_among(popular), len(subject.targets))
    every = np.bincount(dataset.sequences.items, minlength=dataset.n_items + 1)[1:]
    score = float(ndcg_at_10(popularity_ranks(counts, subject.targets)).mean())
    figures = {
        "gini_items": gini(every),
        "gini_users": gini(np.diff(dataset.sequences.offsets)),
        "targets_among_popular_items": on_popular,
        "popularity_ndcg_at_10": score,
    }
    return checked(
        name,
        judge(on_popular, warn=MOST_POPULAR_TARGETS),
        f"Gini {figures['gini_items']:.2f} of items, {figures['gini_users']:.2f} of users; "
        f"{on_popular:.1%} of the test targets are among the {POPULAR_ITEMS:.0%} most popular "
        f"items; popularity alone has NDCG@10 {score:.4f}",
        "The mean over users is mostly about items that popularity finds too. Report the long "
        "tail apart.",
        figures,
    )


def gini(counts: IntArray) -> float:
    """Returns how unequal counts are: 0 all alike, near 1 all in one place.

    >>> round(gini(np.array([1, 1, 1])), 3), round(gini(np.array([0, 0, 0, 8])), 3)
    (0.0, 0.75)
    """
    ordered = np.sort(counts).astype(np.float64)
    n = len(ordered)
    weights = 2.0 * np.arange(1, n + 1) - n - 1.0
    return float((weights * ordered).sum() / (n * ordered.sum()))


def popularity_ranks(counts: IntArray, targets: IntArray) -> FloatArray:
    """Returns ``[n]`` the rank of each target among all items by popularity; ties count half.

    Args:
        counts: ``[I + 1]`` training events of each internal id.
        targets: ``[n]`` internal ids.
    """
    ordered, own = np.sort(counts[1:]), counts[targets]
    upto = np.searchsorted(ordered, own, side="right")
    tied = upto - np.searchsorted(ordered, own, side="left") - 1
    return 1.0 + (len(ordered) - upto) + tied / 2


def ndcg_at_10(ranks: FloatArray) -> FloatArray:
    """Returns ``[n]`` NDCG@10 of cases with one target each."""
    return np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0)
