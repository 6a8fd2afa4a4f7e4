"""Approximate search: a backend proposes items, and their true scores decide.

What is found always carries the ranker's own score, and a list is only ever shorter than asked
where no further item may be found: a backend that proposes too few, as happens under strict
limits, is passed over for the queries concerned, and so is one that cannot answer now.
"""

from typing import Protocol

import torch
from torch import Tensor

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.inner_product import InnerProduct
from vlmrec.index.exact import search_among
from vlmrec.index.search import EVERYTHING, Found, Limits, everything, require_length

_SCANNED_SHARE = 0.1
"""Where fewer items than this share are allowed, scanning them is faster than a graph or a list
of cells that mostly leads to others."""
_KEYS_AT_A_TIME = 1 << 24
"""Numbers of gathered keys that are held at a time."""


class Backend(Protocol):
    """Proposes items by their approximate inner product."""

    @property
    def width(self) -> int:
        """Numbers W of a key, as far as the backend knows them."""
        ...

    @property
    def spare(self) -> float:
        """How many items are to be asked for, as a multiple of those wanted."""
        ...

    def propose(self, queries: Tensor, n: int, allowed: Tensor | None) -> Tensor | None:
        """Returns ``[B, n] int64`` internal ids in any order; 0 where none is proposed.

        None where it cannot answer now: everything is scored then.

        Args:
            queries: ``[B, W] float32``.
            n: How many at most.
            allowed: ``[I + 1] bool``, or None for all. Proposing others is no harm but in vain.
        """
        ...


class ApproximateIndex:
    """Proposals of a backend, scored exactly; satisfies `vlmrec.index.search.Index`.

    Args:
        inner: Keys of all items, and what makes queries for them.
        backend: Knows the items ``1..known`` by the keys they have in `inner`. Keys may have got
            further columns since, in which these items have zeros.
        known: How many items the backend knows; later ones are scanned in every search.
        changed: ``[C] int64`` internal ids that the backend knows by keys they had before; they
            are scanned as well.
    """

    def __init__(
        self,
        inner: InnerProduct,
        backend: Backend,
        *,
        known: int | None = None,
        changed: Tensor | None = None,
    ) -> None:
        self._inner = inner
        self._backend = backend
        known = self.n_items if known is None else known
        later = torch.arange(known + 1, self.n_items + 1)
        self._changed = torch.zeros(0, dtype=torch.int64) if changed is None else changed.unique()
        self._scanned = torch.cat([self._changed, later])  # [S], ascending
        behind = inner.keys[known + 1 :]
        many = len(self._changed)
        self._scanned_keys = torch.cat([inner.keys[self._changed], behind]) if many else behind

    @property
    def n_items(self) -> int:
        """Number of items that are searched."""
        return len(self._inner.keys) - 1

    @torch.no_grad()
    def search(self, queries: Tensor, k: int, limits: Limits = EVERYTHING) -> Found:
        """Returns the k best items of each query, see `vlmrec.index.search.Index`."""
        require_length(k)
        made = self._inner.queries(queries).float()
        if limits.allowed is not None:
            allowed = limits.allowed & everything(self.n_items)
            if int(allowed.sum()) < _SCANNED_SHARE * self.n_items:
                return search_among(self._inner, made, allowed.nonzero()[:, 0], k, limits)
        longest = 0 if limits.excluded is None else limits.excluded.shape[1]
        n = min(int(k * self._backend.spare) + longest, self.n_items)
        wide = max(n * self._inner.keys.shape[1], len(self._scanned))
        step = max(1, _KEYS_AT_A_TIME // wide)
        parts = [
            self._search(made[i : i + step], n, k, limits.rows(slice(i, i + step)))
            for i in range(0, len(made), step)
        ]
        return Found.stacked(parts, k)

    def _search(self, queries: Tensor, n: int, k: int, limits: Limits) -> Found:
        known = queries[:, : self._backend.width]
        proposed = self._backend.propose(known, n, limits.allowed)
        if proposed is None:
            return search_among(self._inner, queries, self._every(), k, limits)
        if len(self._changed):
            proposed = proposed.masked_fill(torch.isin(proposed, self._changed), PADDING_ID)
        if len(self._scanned):
            proposed = torch.cat([proposed, self._best_scanned(queries, k, limits)], dim=1)
        found = search_among(self._inner, queries, _each_once(proposed), k, limits)
        return self._completed(found, queries, k, limits)

    def _best_scanned(self, queries: Tensor, k: int, limits: Limits) -> Tensor:
        """Returns ``[B, n]`` proposals among the scanned items: one product for all queries."""
        scores = (queries @ self._scanned_keys.T).float().cpu()  # [B, S]
        every = self._scanned.expand(len(queries), -1)
        scores.masked_fill_(limits.hides(every), float("-inf"))
        best, places = scores.topk(min(int(k * self._backend.spare), len(self._scanned)), dim=1)
        return self._scanned[places].masked_fill(best == float("-inf"), PADDING_ID)

    def _completed(self, found: Found, queries: Tensor, k: int, limits: Limits) -> Found:
        """Searches everything for queries whose list is shorter than it could be."""
        length = (found.items > 0).sum(dim=1)
        if int(length.min()) == k:
            return found
        possible = limits.possible(self.n_items, len(queries)).clamp_max(k)
        short = (length < possible).nonzero()[:, 0]
        if len(short):
            rows = limits.rows(short)
            full = search_among(self._inner, queries[short], self._every(), k, rows)
            found.items[short], found.scores[short] = full.items, full.scores
        return found

    def _every(self) -> Tensor:
        return torch.arange(1, self.n_items + 1)


def _each_once(items: Tensor) -> Tensor:
    """Returns each row ``[B, C]`` in ascending order, with 0 in place of repetitions."""
    ordered = items.sort(dim=1).values
    ordered[:, 1:] = ordered[:, 1:].masked_fill(ordered[:, 1:] == ordered[:, :-1], 0)
    return ordered.sort(dim=1).values
