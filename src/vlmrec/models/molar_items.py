"""Item vectors of Molar's second stage: kept from the item model, or still learned with it."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.items.content_tower import RawContent
from vlmrec.models.catalog_reader import CatalogReader

ItemMode = Literal["frozen", "refresh", "joint"]
_CHANGING = {
    "frozen": (),
    "joint": ("mean", "spread"),
    "refresh": ("mean", "spread", "table", "table_mean", "table_spread", "steps"),
}
"""Buffers that training changes, by mode."""


class MolarItems(nn.Module):
    """What the item model makes of an item, standardised, and a linear map P above it.

    An item model that learns moves all its vectors together, soon by more than they lie apart:
    measured against the first stage's mean and spread all items would become one. In training
    the items read in a step therefore keep, together, the mean and spread that the same items
    have in the table; for ranking, mean and spread are those of what is read then.

    Args:
        n_items: Number of items I.
        width: Width W of the item model's vectors.
        dim: Width D of item vectors.
        mode: "frozen": vectors stay as the first stage left them. "joint": the item model reads
            every item of a batch and learns. "refresh": it reads, and learns from, targets and
            negatives; items of histories come from a table that is read anew now and then.
        refresh_every: Steps between two readings of that table.
    """

    mean: Tensor
    spread: Tensor
    table_mean: Tensor
    table_spread: Tensor
    table: Tensor
    steps: Tensor

    def __init__(
        self, *, n_items: int, width: int, dim: int, mode: ItemMode, refresh_every: int
    ) -> None:
        super().__init__()
        self.mode: ItemMode = mode
        self.refresh_every = refresh_every
        self.changing_buffers = _CHANGING[mode]
        self.reader: CatalogReader | None = None
        self._known: Tensor | None = None
        self.vlm: nn.Module | None = None
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.register_buffer("table_mean", torch.zeros(width), persistent=False)
        self.register_buffer("table_spread", torch.ones(width), persistent=False)
        self.register_buffer("table", torch.zeros(n_items + 1, width), persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64), persistent=False)
        self.adapter = nn.Linear(width, dim)

    def start(self) -> None:
        """Makes P the identity where widths match; else it was drawn."""
        if self.adapter.in_features == self.adapter.out_features:
            nn.init.eye_(self.adapter.weight)
            nn.init.zeros_(self.adapter.bias)

    def load(self, content: RawContent, training_items: Tensor) -> None:
        """Takes in the vectors ``[I + 1, W]`` of the first stage.

        Args:
            content: Row 0 is padding.
            training_items: ``[P] int64`` items that mean and spread are taken from.
        """
        vectors = content.vectors.float().to(self.mean.device)
        known = training_items.to(self.mean.device)
        self._known = known[content.present.to(self.mean.device)[known]]
        self.take_table(vectors)
        self.mean.copy_(self.table_mean)
        self.spread.copy_(self.table_spread)

    def take_table(self, raw: Tensor) -> None:
        """Takes vectors ``[I + 1, W]`` in as the table, with their mean and spread."""
        self.table.copy_(raw)
        if self._known is not None and len(self._known):
            mean, spread = _mean_and_spread(self.table[self._known])
            self.table_mean.copy_(mean)
            self.table_spread.copy_(spread)

    def follow(self, reader: CatalogReader) -> None:
        """Takes in the item model that made the vectors; outside "frozen" it learns too."""
        self.reader = reader
        self.vlm = None if self.mode == "frozen" else reader.vlm

    def place(self, raw: Tensor) -> Tensor:
        """Returns ``[n, D]`` of the item model's vectors ``[n, W]``.

        Items of which it can read nothing (zero rows) have the zero vector here, too.
        """
        return self._mapped((raw.float() - self.mean) / self.spread, raw)

    def _mapped(self, standard: Tensor, raw: Tensor) -> Tensor:
        return self.adapter(standard) * _there(raw)

    def forward(self, ids: Tensor | None = None) -> Tensor:
        """Returns ``[I + 1, D]``, or ``[n, D]`` for internal ids ``[n]``."""
        if self.mode == "frozen" and self._known is not None:
            return self.stored(ids)  # a stored run knows no table, it reads
        if self.training:
            return self._kept_in_place(self._every() if ids is None else ids)
        raw = self._read(self._every() if ids is None else ids)
        if ids is None and self._known is not None and len(self._known):
            mean, spread = _mean_and_spread(raw[self._known].detach().float())
            self.mean.copy_(mean)
            self.spread.copy_(spread)
        return self.place(raw)

    def _kept_in_place(self, ids: Tensor) -> Tensor:
        """Returns ``[n, D]`` of items as read now, with mean and spread as in the table."""
        raw = self._read(ids).float()
        there = _there(raw).squeeze(1)
        if there.sum() < 2:  # one vector has no spread
            return self.place(raw)
        mean, spread = _mean_and_spread(raw[there])
        of_table = (F.embedding(ids, self.table) - self.table_mean) / self.table_spread
        at, apart = _mean_and_spread(of_table[there])
        return self._mapped((raw - mean) / spread * apart + at, raw)

    def stored(self, ids: Tensor | None = None) -> Tensor:
        """Returns the same from the table, which the item model does not learn through."""
        raw = self.table if ids is None else F.embedding(ids, self.table)
        return self._mapped((raw - self.table_mean) / self.table_spread, raw)

    def pair(self, history: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the vectors of two sets of items of one training step.

        Args:
            history: ``[h] int64`` distinct items of histories.
            keys: ``[k] int64`` distinct targets and negatives.

        Returns:
            ``[h, D]`` and ``[k, D]``.
        """
        if self.mode == "frozen":
            return self.stored(history), self.stored(keys)
        if self.mode == "refresh":
            self._refresh_if_due()
            return self.stored(history), self(keys)
        both, rows = torch.cat([history, keys]).unique(return_inverse=True)
        table = self(both)  # an item of both is read once
        return table[rows[: len(history)]], table[rows[len(history) :]]

    def _refresh_if_due(self) -> None:
        if self.training and int(self.steps) % self.refresh_every == 0:
            self.eval()  # without the dropout of LoRA
            with torch.no_grad():
                self.take_table(self._read(self._every()))
            self.train()
        self.steps += int(self.training)

    def _every(self) -> Tensor:
        return torch.arange(len(self.table), device=self.table.device)

    def _read(self, ids: Tensor) -> Tensor:
        """Returns the item model's vectors ``[n, W]``."""
        if self.reader is None:
            raise ValueError("The items know no item model yet: call follow first.")
        return self.reader.items(ids).flat().to(self.table.device)


def _there(raw: Tensor) -> Tensor:
    """Returns ``[n, 1] bool``, whether the item model can read anything of each item."""
    return raw.detach().abs().amax(dim=-1, keepdim=True) > 0


def _mean_and_spread(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Returns ``[W]`` each; where vectors ``[n, W]`` do not differ, the spread is 1."""
    spread, mean = torch.std_mean(vectors, dim=0, correction=0)
    return mean, torch.where(spread > 1e-6, spread, 1.0)
