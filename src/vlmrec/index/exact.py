"""Exact search: every item is scored. The oracle of the other indexes, and good enough for many."""

import torch
from torch import Tensor

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.inner_product import InnerProduct
from vlmrec.core.protocols import Ranker
from vlmrec.evaluation.pool import even_parts, fill_scores, make_pool, require_rankable
from vlmrec.evaluation.top_items import best_columns
from vlmrec.index.search import EVERYTHING, Found, Limits, require_length

_SCORES_AT_A_TIME = 1 << 24
"""64 MiB of scores are held at a time."""


class ExactIndex:
    """Scores all items as evaluation does; satisfies `vlmrec.index.search.Index`.

    Works for every ranker, also for those whose scores are no inner product.

    Args:
        ranker: What scores.
    """

    def __init__(self, ranker: Ranker) -> None:
        self._ranker = ranker
        self._pool = make_pool(ranker.n_items, None)

    @property
    def n_items(self) -> int:
        """Number of items that are searched."""
        return self._ranker.n_items

    @torch.no_grad()
    def search(self, queries: Tensor, k: int, limits: Limits = EVERYTHING) -> Found:
        """Returns the k best items of each query, see `vlmrec.index.search.Index`."""
        require_length(k)
        if len(queries) == 1:  # a single row is rounded unevenly, see vlmrec.evaluation.ranking
            pair = self.search(queries.expand(2, *queries.shape[1:]), k, limits.rows([0, 0]))
            return pair.rows([0])
        parts = even_parts(0, len(queries), max(2, _SCORES_AT_A_TIME // self.n_items))
        return Found.stacked(
            [self._search(queries[i:j], k, limits.rows(slice(i, j))) for i, j in parts], k
        )

    def _search(self, queries: Tensor, k: int, limits: Limits) -> Found:
        scores = torch.empty(len(queries), self.n_items, device=self._ranker.device)
        fill_scores(self._ranker, queries, self._pool, scores)
        scores = scores.cpu()
        if limits.allowed is not None:
            scores.masked_fill_(~limits.allowed[1:], float("-inf"))
        if limits.excluded is not None:
            rows, places = limits.excluded.nonzero().T
            scores[rows, limits.excluded[rows, places] - 1] = float("-inf")
        columns, values = best_columns(scores, min(k, self.n_items))
        return _filled(columns + 1, values, k)


def search_among(
    inner: InnerProduct, queries: Tensor, items: Tensor, k: int, limits: Limits
) -> Found:
    """Returns the k best of some items, without scoring the others.

    Args:
        inner: Keys, and what makes queries for them.
        queries: ``[B, W]``, made by ``inner.queries``.
        items: ``[C]`` different or ``[B, C]`` internal ids, ascending ``int64``, the only ones
            searched; among the latter 0 is passed over.
        k: Length of the lists.
        limits: Which of them may be found.
    """
    if items.ndim == 1:
        # Copying most of the keys takes longer than scoring the few others as well.
        most = 2 * len(items) > len(inner.keys)
        scores = (queries @ inner.keys.T)[:, items] if most else queries @ inner.keys[items].T
        scores = scores.float()  # [B, C]
        items = items.expand(len(queries), -1)
    else:
        scores = (inner.keys[items] * queries[:, None]).sum(dim=2).float()
    require_rankable(scores)
    items, scores = items.cpu(), scores.cpu()
    scores.masked_fill_(limits.hides(items), float("-inf"))
    columns, values = best_columns(scores, min(k, items.shape[1]))
    return _filled(items.gather(1, columns), values, k)


def _filled(items: Tensor, scores: Tensor, k: int) -> Found:
    """Returns lists of k places; those without an item have id 0 and -inf."""
    room = (0, k - items.shape[1])
    items = items.masked_fill(scores == float("-inf"), PADDING_ID)
    pad = torch.nn.functional.pad
    return Found(pad(items, room), pad(scores, room, value=float("-inf")))
