"""Ranking by branches: fused vectors, or the mean of what each modality says."""

from typing import Literal

import torch
from torch import Tensor

from vlmrec.core.inner_product import InnerProduct
from vlmrec.models.branches import Branches, mean_of_cosines
from vlmrec.models.catalog_reader import CatalogReader

Readout = Literal["cosine", "sum"]
_LOWEST = -1.0
"""Of items that the model can read nothing of: no cosine is lower."""


class BranchRanker:
    """A frozen view of a two-branch model; satisfies `vlmrec.core.protocols.VectorRanker`.

    It may be indexed, see `vlmrec.core.inner_product.KeyedRanker`.

    Args:
        reader: Reads histories.
        item_vectors: ``[I + 1, P * D]``, the branches of all items side by side; row 0 is zero.
        readout: "cosine" of the summed branches, or "sum": the mean cosine of the branches.
        max_len: Longest history that is read.
    """

    def __init__(
        self, reader: CatalogReader, item_vectors: Tensor, readout: Readout, max_len: int
    ) -> None:
        self._reader = reader
        self._mean_of_cosines = readout == "sum" and len(reader.options.names) > 1
        self._max_len = max_len
        self.item_vectors = item_vectors
        self._names = reader.options.names
        self._items = Branches.from_flat(self._names, item_vectors)
        self._keys = self._items.fused()
        self._unread = ~self._items.known().any(dim=1)  # [I + 1]

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
        """Returns ``[B, P * D]``; zero where nothing of a history can be read."""
        return self._reader.histories(histories).flat().to(self.device)

    @torch.no_grad()
    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start] float32`` between -1 and 1."""
        asked = Branches.from_flat(self._names, queries)
        if self._mean_of_cosines:
            part = Branches(self._names, self._items.vectors[start:stop])
            scores = mean_of_cosines(asked, part)
        else:
            scores = asked.fused() @ self._keys[start:stop].T
        return scores.float().masked_fill(self._unread[start:stop], _LOWEST)

    def inner_product(self) -> InnerProduct | None:
        """Returns the summed branches, and what lowers items that nothing can be read of.

        None where the score is a mean over the branches that query and item share.
        """
        if self._mean_of_cosines:
            return None
        fused = InnerProduct(self._keys, lambda flat: Branches.from_flat(self._names, flat).fused())
        return fused.plus(self._unread * _LOWEST)
