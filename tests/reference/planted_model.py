"""A model without training whose use of text and picture is known, and cases to try it on.

Every item has a text taste and a picture taste; so has every user. Histories and targets are items
that suit both. A branch knows its taste to a degree that the test chooses.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.content_change import ContentChange
from vlmrec.core.random import Streams
from vlmrec.data.sequences import Histories, Sequences
from vlmrec.data.splits import Cases
from vlmrec.items.content_changes import changed
from vlmrec.items.content_tower import RawContent

TASTES, PER_PAIR, USERS, LENGTH, WIDTH = 6, 5, 300, 4, 16
N_ITEMS = TASTES * TASTES * PER_PAIR


class PlantedRanker:
    """Mean of the history against items, by cosine of the branches side by side."""

    max_len = LENGTH
    device = torch.device("cpu")
    n_items = N_ITEMS

    def __init__(self, item_vectors: Tensor) -> None:
        self.item_vectors = item_vectors

    def encode(self, histories: Tensor) -> Tensor:
        return F.embedding(histories, self.item_vectors).mean(dim=1)

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        return queries @ self.item_vectors[start:stop].T


class PlantedModel:
    """Satisfies `Multimodal`.

    Args:
        knows: Modality -> how much of its taste the branch sees, 0 (nothing) to 1.
        ids: Also know items by a random vector of their own.
    """

    def __init__(self, knows: Mapping[str, float], *, ids: bool = False) -> None:
        self.modalities = tuple(knows)
        self._content = {name: _branch(name, share) for name, share in knows.items()}
        own = Streams(9).torch("ids")
        self._ids = 0.1 * torch.randn(N_ITEMS + 1, WIDTH, generator=own) if ids else None

    def ranker_with(self, changes: Mapping[str, ContentChange]) -> PlantedRanker:
        parts = [
            changed(raw, changes[name]).vectors if name in changes else raw.vectors
            for name, raw in self._content.items()
        ]
        total = torch.stack(parts).sum(dim=0)
        if self._ids is not None:
            total = total + self._ids
        total[0] = 0.0
        return PlantedRanker(total)


def planted_cases() -> Cases:
    """Returns one case a user; history and target share both tastes with the user."""
    rng = Streams(0).numpy("planted cases")
    items = [
        1 + (user % TASTES**2) * PER_PAIR + rng.permutation(PER_PAIR)[: LENGTH + 1]
        for user in range(USERS)
    ]
    offsets = np.arange(USERS + 1) * (LENGTH + 1)
    log = Sequences(np.concatenate(items).astype(np.int32), offsets, np.zeros(offsets[-1]))
    users = np.arange(1, USERS + 1)
    histories = Histories(log, users, offsets[:-1], offsets[1:] - 1)
    return Cases(histories, log.items[offsets[1:] - 1].astype(np.int64))


def _branch(modality: str, share: float) -> RawContent:
    """Returns vectors ``[I + 1, WIDTH]`` that mix the item's taste with noise of its own."""
    generator = Streams(1).torch("planted", modality)
    centres = F.normalize(torch.randn(TASTES, WIDTH, generator=generator), dim=-1)
    pair = torch.arange(N_ITEMS) // PER_PAIR
    taste = pair // TASTES if modality == "text" else pair % TASTES
    noise = F.normalize(torch.randn(N_ITEMS, WIDTH, generator=generator), dim=-1)
    vectors = F.normalize(share**0.5 * centres[taste] + (1 - share) ** 0.5 * noise, dim=-1)
    present = torch.ones(N_ITEMS + 1, dtype=torch.bool)
    present[0] = False
    return RawContent(torch.cat([torch.zeros(1, WIDTH), vectors]), present)
