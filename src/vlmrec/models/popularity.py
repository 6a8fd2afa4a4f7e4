"""Popularity: the same items for everybody, most clicked first. The floor of every table."""

from typing import ClassVar

import torch
from torch import Tensor

from vlmrec.core.errors import NotFittedError
from vlmrec.models.spec import CatalogShape, ModelSpec, Recommender, TrainingData


class Popularity(ModelSpec):
    """Counts training events of each item."""

    name: ClassVar[str] = "popularity"
    summary: ClassVar[str] = "most clicked in training, the same for everybody"

    def build(self, shape: CatalogShape) -> "PopularityRecommender":
        """Returns the model, nothing counted yet."""
        return PopularityRecommender(shape.n_items)


class PopularityRecommender(Recommender):
    """Holds one count per item.

    Args:
        n_items: Number of items I.
    """

    max_len = 1
    modalities: tuple[str, ...] = ()
    """Reads neither words nor pictures."""
    counts: Tensor

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(n_items + 1))

    def prepare(self, training: TrainingData) -> None:
        """Counts training events."""
        counts = training.histories.item_counts(training.shape.n_items)
        self.counts.copy_(torch.as_tensor(counts))

    def ranker(self, item_vectors: Tensor | None = None) -> "PopularityRanker":
        """Returns a frozen view; `item_vectors` are counts ``[I + 1, 1]``.

        Raises:
            NotFittedError: Nothing was counted.
        """
        vectors = self.counts[:, None] if item_vectors is None else item_vectors
        if not bool(vectors.any()):
            raise NotFittedError("Popularity has counted nothing yet.", "Train it first.")
        return PopularityRanker(vectors)


class PopularityRanker:
    """Scores an item by its count.

    Args:
        item_vectors: ``[I + 1, 1] float32`` counts.
    """

    max_len = 1

    def __init__(self, item_vectors: Tensor) -> None:
        self.item_vectors = item_vectors

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.item_vectors) - 1

    @property
    def device(self) -> torch.device:
        """Where histories are expected."""
        return self.item_vectors.device

    def encode(self, histories: Tensor) -> Tensor:
        """Returns ``[B, 1]`` ones: everybody is alike."""
        return torch.ones(len(histories), 1, device=self.device)

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start]`` counts."""
        return queries @ self.item_vectors[start:stop].T
