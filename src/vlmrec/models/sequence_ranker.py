"""The frozen view of a next-item model, by which it is evaluated and recommends."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol, Self

import torch
from torch import Tensor

from vlmrec.core.inner_product import InnerProduct, as_they_are
from vlmrec.scoring import Scorer

if TYPE_CHECKING:
    from vlmrec.models.sequence import SequenceRecommender


class _Scoring(Protocol):
    scorer: Scorer
    max_len: int

    def eval(self) -> Self: ...


class TableRanker(ABC):
    """Ranks with item vectors computed once; satisfies `vlmrec.core.protocols.VectorRanker`.

    Its scores are inner products, see `vlmrec.core.inner_product.KeyedRanker`.

    Args:
        model: What makes queries of histories.
        item_vectors: ``[I + 1, D]``; may hold more items than the model was trained with.
    """

    def __init__(self, model: _Scoring, item_vectors: Tensor) -> None:
        self._model = model.eval()
        self.item_vectors = item_vectors
        with torch.no_grad():
            self._keys = model.scorer.keys(item_vectors)

    @property
    def n_items(self) -> int:
        """Number of items that are ranked."""
        return len(self.item_vectors) - 1

    @property
    def max_len(self) -> int:
        """Longest history that is read."""
        return self._model.max_len

    @property
    def device(self) -> torch.device:
        """Where histories are expected."""
        return self.item_vectors.device

    @torch.no_grad()
    def encode(self, histories: Tensor) -> Tensor:
        """Returns ``[B, D]`` queries; an empty history has the zero query."""
        return self._encode(histories, None)

    @abstractmethod
    def _encode(self, histories: Tensor, users: Tensor | None) -> Tensor:
        """Returns ``[B, D]`` queries of users ``[B]``, None where they are not known."""

    @torch.no_grad()
    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start] float32``."""
        return (queries @ self._keys[start:stop].T).float()

    def inner_product(self) -> InnerProduct:
        """Returns the keys, and queries as they are."""
        return InnerProduct(self._keys, as_they_are)


class SequenceRanker(TableRanker):
    """Queries are what the model's user encoder makes of a history."""

    _model: "SequenceRecommender"

    def _encode(self, histories: Tensor, users: Tensor | None) -> Tensor:
        model = self._model.eval()
        return model.scorer.queries(model.user_vectors(histories, users, self.item_vectors))


class PersonalSequenceRanker(SequenceRanker):
    """Also knows the users of the training; satisfies `vlmrec.core.protocols.PersonalRanker`."""

    @torch.no_grad()
    def encode_users(self, histories: Tensor, users: Tensor) -> Tensor:
        """Returns ``[B, D]`` queries of users ``[B]``, 0 for one that is not known."""
        return self._encode(histories, users)
