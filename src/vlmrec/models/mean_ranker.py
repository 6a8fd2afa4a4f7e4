"""Ranking by the mean of item vectors: what vectors know without a user model."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.inner_product import InnerProduct, as_they_are

_LOWEST = -1.0
"""Of items without a vector: no cosine is lower."""


class MeanRanker:
    """Ranks by cosine to the mean of a history; satisfies `vlmrec.core.protocols.VectorRanker`.

    Its scores are inner products, see `vlmrec.core.inner_product.KeyedRanker`.

    Vectors of language models share a large common part, so their mean is taken out first.

    Args:
        item_vectors: ``[I + 1, D]``; rows of zeros stand for items without a vector.
        max_len: Longest history that is read.
    """

    def __init__(self, item_vectors: Tensor, max_len: int) -> None:
        self.item_vectors = item_vectors
        self._max_len = max_len
        there = item_vectors.abs().amax(dim=1, keepdim=True) > 0  # [I + 1, 1]
        mean = (item_vectors * there).sum(dim=0) / there.sum().clamp_min(1)
        self._keys = F.normalize((item_vectors - mean) * there, dim=-1)
        self._absent = ~there[:, 0]

    @property
    def n_items(self) -> int:
        """Number of items that are ranked."""
        return len(self.item_vectors) - 1

    @property
    def max_len(self) -> int:
        """Longest history that is read."""
        return self._max_len

    @property
    def device(self) -> torch.device:
        """Where histories are expected."""
        return self.item_vectors.device

    @torch.no_grad()
    def encode(self, histories: Tensor) -> Tensor:
        """Returns ``[B, D]``; zero for a history without a vector."""
        known = (histories != PADDING_ID).unsqueeze(-1)  # [B, T, 1]
        return F.normalize((self._keys[histories] * known).sum(dim=1), dim=-1)

    @torch.no_grad()
    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start] float32`` between -1 and 1."""
        scores = (queries @ self._keys[start:stop].T).float()
        return scores.masked_fill(self._absent[start:stop], _LOWEST)

    def inner_product(self) -> InnerProduct:
        """Returns the keys, and what lowers items without a vector."""
        return InnerProduct(self._keys, as_they_are).plus(self._absent * _LOWEST)
