"""Item-kNN: what was clicked by the people who clicked the last few items.

Two items are alike by the cosine of their sets of training users. Scoring by the last items
only makes it sequential, and on small catalogues a bar that many neural models fail to clear.
"""

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.errors import NotFittedError
from vlmrec.models.spec import CatalogShape, ModelSpec, Recommender, TrainingData

_CHUNK_ELEMENTS = 1 << 24


class ItemKNN(ModelSpec):
    """Cosine neighbours of the last items of a history."""

    name: ClassVar[str] = "item-knn"
    summary: ClassVar[str] = "cosine neighbours of the last few items"

    max_len: int = Field(default=3, ge=1)
    """How many of the latest items are looked at."""
    n_neighbours: int = Field(default=500, ge=1)
    """Neighbours kept for each item."""
    shrink: float = Field(default=0.0, ge=0)
    """Added to the denominator of the cosine: distrusts pairs with few common users."""

    def build(self, shape: CatalogShape) -> "ItemKNNRecommender":
        """Returns the model, no neighbours found yet."""
        return ItemKNNRecommender(self, shape.n_items)


class ItemKNNRecommender(Recommender):
    """Holds K neighbours and similarities of each item.

    Args:
        spec: Hyper-parameters.
        n_items: Number of items I.
    """

    modalities: tuple[str, ...] = ()
    """Reads neither words nor pictures."""
    neighbours: Tensor
    similarity: Tensor

    def __init__(self, spec: ItemKNN, n_items: int) -> None:
        super().__init__()
        self.max_len = spec.max_len
        self.shrink = spec.shrink
        k = min(spec.n_neighbours, n_items)
        self.register_buffer("neighbours", torch.zeros(n_items + 1, k, dtype=torch.int32))
        self.register_buffer("similarity", torch.zeros(n_items + 1, k))

    def prepare(self, training: TrainingData) -> None:
        """Finds the neighbours from training events."""
        rows, width = training.histories, training.shape.n_items + 1
        items = rows.flat().astype(np.int64)
        ones = np.ones(len(items), dtype=np.float32)
        clicks = sparse.csr_matrix((ones, (rows.row_of_events(), items)), (len(rows), width))
        clicks.data[:] = 1.0  # a user who clicked twice counts once
        by_item = clicks.T.tocsr()
        length = np.sqrt(np.asarray(by_item.sum(axis=1)).ravel())
        k = self.neighbours.shape[1]
        step = max(1, _CHUNK_ELEMENTS // width)
        for start in range(1, width, step):
            stop = min(start + step, width)
            common = (by_item[start:stop] @ clicks).toarray()  # [C, I + 1]
            below = length[start:stop, None] * length[None, :] + self.shrink
            alike = np.divide(common, below, out=np.zeros_like(common), where=below > 0)
            alike[np.arange(stop - start), np.arange(start, stop)] = 0.0
            alike[:, PADDING_ID] = -1.0
            top = torch.as_tensor(alike).topk(k, dim=1)
            self.neighbours[start:stop] = top.indices.int()
            self.similarity[start:stop] = top.values.clamp_min(0.0)

    def ranker(self, item_vectors: Tensor | None = None) -> "ItemKNNRanker":
        """Returns a frozen view; there are no item vectors to replace.

        Raises:
            NotFittedError: No neighbours were found yet.
        """
        if not bool(self.neighbours.any()):
            raise NotFittedError("Item-kNN has no neighbours yet.", "Train it first.")
        return ItemKNNRanker(self.neighbours, self.similarity, self.max_len)


class ItemKNNRanker:
    """Adds up the similarities of the latest items.

    Args:
        neighbours: ``[I + 1, K] int32`` internal ids.
        similarity: ``[I + 1, K] float32``.
        max_len: How many of the latest items are looked at.
    """

    def __init__(self, neighbours: Tensor, similarity: Tensor, max_len: int) -> None:
        self._neighbours = neighbours
        self._similarity = similarity
        self.max_len = max_len

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self._neighbours) - 1

    @property
    def device(self) -> torch.device:
        """Where histories are expected."""
        return self._similarity.device

    def encode(self, histories: Tensor) -> Tensor:
        """Returns ``[B, I + 1]``: the query of a history is its score of every item."""
        near = self._neighbours[histories].long().flatten(1)  # [B, T * K]
        weight = self._similarity[histories].flatten(1)  # [B, T * K]
        scores = torch.zeros(len(histories), self.n_items + 1, device=self.device)
        return scores.scatter_add_(1, near, weight)

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start]`` summed similarities."""
        return queries[:, start:stop]
