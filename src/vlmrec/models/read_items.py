"""Item vectors as an item model reads them now, which learns with whatever uses them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.models.catalog_reader import CatalogReader


class ReadItems(nn.Module):
    """What the item model makes of an item, at one length for all.

    Cosines do not see the length; a body that reads the vectors does, and gets the same spread
    from every checkpoint: the mean square of a vector's elements is 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reader: CatalogReader | None = None
        self._closeness: list[float] = []

    @property
    def reader(self) -> CatalogReader:
        """What reads the items."""
        if self._reader is None:
            raise ValueError("The items know no item model yet: call follow first.")
        return self._reader

    def follow(self, reader: CatalogReader) -> None:
        """Takes in what reads the items."""
        self._reader = reader

    def place(self, raw: Tensor) -> Tensor:
        """Returns ``[n, D]`` of the item model's vectors ``[n, D]``; zero rows stay zero."""
        return F.normalize(raw.float(), dim=-1) * raw.shape[-1] ** 0.5

    def forward(self, ids: Tensor | None = None) -> Tensor:
        """Returns ``[I + 1, D]``, or ``[n, D]`` for internal ids ``[n]``."""
        wanted = torch.arange(self.reader.n_items + 1) if ids is None else ids
        vectors = self.place(self.reader.items(wanted).flat())
        if self.training:
            self._closeness.append(mean_cosine(vectors.detach()))
        return vectors

    def take_closeness(self) -> float | None:
        """Returns the mean cosine of two items of a step since the last call.

        Near 1 nothing tells items apart any more, and a loss that skips similar negatives has
        none left.
        """
        found, self._closeness = self._closeness, []
        return sum(found) / len(found) if found else None


def mean_cosine(vectors: Tensor) -> float:
    """Returns the mean over all pairs of different rows ``[n, D]``; zero rows do not count."""
    unit = F.normalize(vectors, dim=-1)
    n = float(unit.any(dim=1).sum())
    if n < 2:
        return 0.0
    return float((unit.sum(dim=0).square().sum() - n) / (n * (n - 1)))
