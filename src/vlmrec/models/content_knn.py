"""Content-kNN: what looks and reads like the last few items.

Nothing is learned: the encoders' own idea of what is alike has to do. It ranks new items as it
ranks old ones, and is the bar for every model that reads content. Encoders give all items a large
part in common, of which cosines would speak most, so the mean over the training items is taken
out first.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.content_change import ContentChange
from vlmrec.core.errors import NotFittedError
from vlmrec.core.tensors import masked_mean
from vlmrec.items.content_changes import changed
from vlmrec.items.content_tower import RawContent
from vlmrec.models.frozen_content import FrozenContent
from vlmrec.models.spec import CatalogShape, Recommender, TrainingData


class ContentKNN(FrozenContent):
    """Cosines of frozen text and picture vectors to the last items of a history."""

    name: ClassVar[str] = "content-knn"
    summary: ClassVar[str] = "cosines of frozen text and picture vectors to the last few items"

    max_len: int = Field(default=10, ge=1)
    """How many of the latest items are looked at."""

    def build(self, shape: CatalogShape) -> "ContentKNNRecommender":
        """Returns the model, no vectors taken in yet."""
        return ContentKNNRecommender(self, shape)


class ContentKNNRecommender(Recommender):
    """Holds the frozen vectors; satisfies `vlmrec.core.protocols.Multimodal`.

    Args:
        spec: Hyper-parameters.
        shape: Of the catalogue, with the widths W of the vectors.
    """

    def __init__(self, spec: ContentKNN, shape: CatalogShape) -> None:
        super().__init__()
        self.max_len = spec.max_len
        self._widths = {name: shape.widths[name] for name in spec.content()}
        for name, width in self._widths.items():
            self.register_buffer(f"{name}_vectors", torch.zeros(shape.n_items + 1, width))
            present = torch.zeros(shape.n_items + 1, dtype=torch.bool)
            self.register_buffer(f"{name}_present", present)
            self.register_buffer(f"{name}_mean", torch.zeros(width))

    @property
    def modalities(self) -> tuple[str, ...]:
        """What is read of an item: "text", "image" or both."""
        return tuple(self._widths)

    def prepare(self, training: TrainingData) -> None:
        """Takes in the frozen vectors, and their mean over the training items."""
        known = torch.as_tensor(training.training_items)
        for name in self.modalities:
            raw = training.content[name]
            self.get_buffer(f"{name}_vectors").copy_(raw.vectors)
            self.get_buffer(f"{name}_present").copy_(raw.present)
            seen = raw.vectors[known][raw.present[known]]
            self.get_buffer(f"{name}_mean").copy_(seen.sum(dim=0) / max(len(seen), 1))

    def ranker(self, item_vectors: Tensor | None = None) -> "ContentKNNRanker":
        """Returns a frozen view; see the base class.

        Raises:
            NotFittedError: No vectors were taken in yet.
        """
        if item_vectors is None:
            if not any(bool(one.present.any()) for one in self._content().values()):
                raise NotFittedError("Content-kNN has no vectors yet.", "Train it first.")
            item_vectors = self.content_vectors(self._content())
        return ContentKNNRanker(item_vectors, list(self._widths.values()), self.max_len)

    def ranker_with(self, changes: Mapping[str, ContentChange]) -> "ContentKNNRanker":
        """Returns a frozen view in which items show other content than their own.

        Args:
            changes: By modality; those not named stay as they are.
        """
        content = self._content()
        shown = {name: changed(content[name], change) for name, change in changes.items()}
        return self.ranker(self.content_vectors({**content, **shown}))

    def content_vectors(self, content: Mapping[str, RawContent]) -> Tensor:
        """Returns ``[n, W]``: vectors of length 1 side by side, zeros for what an item lacks."""
        return torch.cat([self._unit(name, content[name]) for name in self.modalities], dim=1)

    def _unit(self, name: str, raw: RawContent) -> Tensor:
        own = raw.vectors - self.get_buffer(f"{name}_mean")  # [n, W]
        return F.normalize(own, dim=1) * raw.present[:, None]

    def _content(self) -> dict[str, RawContent]:
        return {
            name: RawContent(self.get_buffer(f"{name}_vectors"), self.get_buffer(f"{name}_present"))
            for name in self.modalities
        }


class ContentKNNRanker:
    """Averages cosines to the latest items; satisfies `vlmrec.core.protocols.VectorRanker`.

    The score of a modality is the mean of the cosines to those of the latest items that have
    it; the score of an item is the mean over the modalities that it and the history have, 0 if
    there is none. An item's cosine to itself counts as 0: as in item-kNN, an item is no
    neighbour of its own.

    Args:
        item_vectors: ``[I + 1, W]``, the modalities side by side, each of length 1 or zero.
        widths: Width of each modality's part.
        max_len: How many of the latest items are looked at.
    """

    def __init__(self, item_vectors: Tensor, widths: Sequence[int], max_len: int) -> None:
        self.item_vectors = item_vectors
        self.max_len = max_len
        self._parts = item_vectors.split(list(widths), dim=1)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.item_vectors) - 1

    @property
    def device(self) -> torch.device:
        """Where histories are expected."""
        return self.item_vectors.device

    @torch.no_grad()
    def encode(self, histories: Tensor) -> Tensor:
        """Returns ``[B, I + 1]``: the query of a history is its score of every item."""
        total = torch.zeros(len(histories), self.n_items + 1, device=self.device)
        count = torch.zeros_like(total)
        for part in self._parts:
            there = part.any(dim=1)  # [I + 1]; row 0, padding, has nothing
            known = there[histories]  # [B, T]
            share = known / known.sum(dim=1, keepdim=True).clamp_min(1)  # [B, T]
            cosines = masked_mean(part[histories], known) @ part.T  # [B, I + 1]
            cosines.scatter_add_(1, histories, -share)  # each item's cosine to itself
            both = known.any(dim=1)[:, None] & there
            total += cosines * both
            count += both
        return total / count.clamp_min(1)

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start]`` mean cosines."""
        return queries[:, start:stop]
