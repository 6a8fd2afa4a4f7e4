"""How much of the exact answer an index finds, and searching longer until it is enough."""

from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TypeVar

from torch import Tensor

from vlmrec.core.inner_product import InnerProduct
from vlmrec.index.approximate import ApproximateIndex, Backend
from vlmrec.index.search import Index

LENGTHS = (10, 100)
_LONGEST = 8
"""An index is made to search at most so many times as long as by default."""


class LengthenedBackend(Backend, Protocol):
    """A backend that finds more the longer it searches."""

    def longer(self, times: int) -> Self:
        """Returns the same, searching so many times as long."""
        ...


_B = TypeVar("_B", bound=LengthenedBackend)


def recall_of(index: Index, oracle: Index, queries: Tensor) -> dict[int, float]:
    """Returns, for each length k, the share of the k best items that the index finds.

    An item that scores as high as the k-th best counts as found: which of equals is listed says
    nothing.

    Args:
        index: What is measured.
        oracle: Exact search.
        queries: ``[B, ...]``, what the ranker's `encode` returned.
    """
    lengths = [k for k in LENGTHS if k <= oracle.n_items] or [oracle.n_items]
    truth = oracle.search(queries, max(lengths)).scores
    # A search for more looks at more: each length is searched for by itself.
    return {k: recall_at(index.search(queries, k).scores, truth[:, :k], [k])[k] for k in lengths}


def recall_at(found: Tensor, truth: Tensor, lengths: Sequence[int]) -> dict[int, float]:
    """Returns the share of the true k best scores that were found, for each k.

    Args:
        found: ``[B, K] float`` scores of what was found, best first.
        truth: ``[B, K] float`` scores of the best.
        lengths: Each at most K.
    """
    shares: dict[int, float] = {}
    for k in lengths:
        least = truth[:, k - 1 : k]
        tolerance = 1e-5 * least.abs().clamp_min(1.0)
        shares[k] = float((found[:, :k] >= least - tolerance).float().mean())
    return shares


def searched_long_enough(
    inner: InnerProduct,
    backend: _B,
    oracle: Index,
    queries: Tensor,
    goal: float,
) -> tuple[_B, Mapping[int, float]]:
    """Returns a backend that looks at as much as the goal needs, and the recall it has.

    Args:
        inner: What the backend was built of.
        backend: As it was built.
        oracle: Exact search.
        queries: Of the ranker, see `recall_of`.
        goal: Share of the 10 best that is to be found.
    """
    times = 1
    while True:
        tried = backend.longer(times)
        recall = recall_of(ApproximateIndex(inner, tried), oracle, queries)
        if recall[min(recall)] >= goal or times >= _LONGEST:
            return tried, recall
        times *= 2
