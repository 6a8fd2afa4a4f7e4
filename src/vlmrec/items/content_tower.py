"""Item vectors from frozen content: standardised, projected, averaged over what an item has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.core.dropout import Dropout


@dataclass(frozen=True)
class RawContent:
    """Frozen vectors of one modality.

    Attributes:
        vectors: ``[n, W] float32``; rows of items without the modality are ignored.
        present: ``[n] bool``.
    """

    vectors: Tensor
    present: Tensor

    def rows(self, chosen: Tensor | slice) -> "RawContent":
        """Returns those of some items."""
        return RawContent(self.vectors[chosen], self.present[chosen])


class ContentTower(nn.Module):
    """Projects each modality to D and averages over the modalities that an item has.

    Averaging, not adding, keeps an item without a picture on the same scale as one with both.
    Vectors are standardised per dimension over the training items first: raw encoder
    dimensions differ in scale by orders of magnitude.

    Args:
        n_items: Number of items I.
        widths: Width W of each modality's frozen vectors, by name.
        dim: Width D of an item vector.
        hidden: Width of the hidden layer of each projection.
        dropout: On the hidden layer.
        use_ids: Add a learned vector for each item that training saw.
    """

    def __init__(
        self,
        *,
        n_items: int,
        widths: Mapping[str, int],
        dim: int,
        hidden: int,
        dropout: float,
        use_ids: bool,
    ) -> None:
        super().__init__()
        self.modalities = sorted(widths)
        self.projections = nn.ModuleDict(
            {name: _Projection(widths[name], hidden, dim, dropout) for name in self.modalities}
        )
        for name in self.modalities:
            self.register_buffer(f"{name}_vectors", torch.zeros(n_items + 1, widths[name]))
            self.register_buffer(f"{name}_present", torch.zeros(n_items + 1, dtype=torch.bool))
        self.ids = nn.Parameter(torch.zeros(n_items + 1, dim)) if use_ids else None

    def load(self, content: Mapping[str, RawContent], training_items: Tensor) -> None:
        """Takes in the frozen vectors ``[I + 1, W]`` of every modality.

        Items that training does not know get no id vector: their content alone places them.

        Args:
            content: By modality; row 0 is padding.
            training_items: ``[P] int64`` items whose mean and spread standardise the rest.
        """
        if self.ids is not None:
            unknown = torch.ones(len(self.ids), dtype=torch.bool)
            unknown[training_items.cpu()] = False
            with torch.no_grad():
                self.ids[unknown.to(self.ids.device)] = 0.0
        for name in self.modalities:
            raw = content[name]
            self.get_buffer(f"{name}_vectors").copy_(raw.vectors)
            self.get_buffer(f"{name}_present").copy_(raw.present)
            seen = raw.vectors[training_items][raw.present[training_items]]
            cast("_Projection", self.projections[name]).standardise_by(seen)

    def raw(self, ids: Tensor | None = None) -> dict[str, RawContent]:
        """Returns the frozen vectors of internal ids, or of all rows."""
        rows = slice(None) if ids is None else ids
        return {
            name: RawContent(
                self.get_buffer(f"{name}_vectors")[rows], self.get_buffer(f"{name}_present")[rows]
            )
            for name in self.modalities
        }

    def forward(self, ids: Tensor | None = None) -> Tensor:
        """Returns ``[I + 1, D]``, or ``[n, D]`` for internal ids ``[n]``."""
        return self.add_ids(self.project(self.raw(ids), ids), ids)

    def add_ids(self, vectors: Tensor, ids: Tensor | None = None) -> Tensor:
        """Returns ``[n, D]`` projected content with the learned id vectors added, if any.

        Args:
            vectors: Of all rows ``[I + 1, D]``, or of `ids`.
            ids: ``[n]`` internal ids of the rows; None for all rows.
        """
        if self.ids is None:
            return vectors
        return vectors + (self.ids if ids is None else F.embedding(ids, self.ids))

    def project(self, content: Mapping[str, RawContent], ids: Tensor | None = None) -> Tensor:
        """Returns ``[n, D]`` vectors of items known only by their content.

        Items that have no modality at all get the zero vector.

        Args:
            content: By modality, n rows each.
            ids: ``[n]`` internal ids of the rows, where they are some of the catalogue: in
                training an item then loses the same hidden elements in every process.
        """
        total: Tensor | None = None
        count: Tensor | None = None
        for name in self.modalities:
            raw = content[name]
            part = self.projections[name](raw.vectors, ids).masked_fill(~raw.present[:, None], 0.0)
            have = raw.present.to(part.dtype)[:, None]  # [n, 1]
            total = part if total is None else total + part
            count = have if count is None else count + have
        if total is None or count is None:
            raise ValueError("A content tower needs at least one modality.")
        return total / count.clamp_min(1.0)


class _Projection(nn.Module):
    def __init__(self, width: int, hidden: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.expand = nn.Linear(width, hidden)
        # The item table does not depend on the rows of a batch: every process drops the same.
        self.dropout = Dropout(dropout, per_row=False)
        self.contract = nn.Linear(hidden, dim)

    def standardise_by(self, seen: Tensor) -> None:
        if not len(seen):
            return
        self.get_buffer("mean").copy_(seen.mean(dim=0))
        spread = seen.std(dim=0, unbiased=False)
        self.get_buffer("spread").copy_(torch.where(spread > 1e-6, spread, 1.0))

    def forward(self, vectors: Tensor, ids: Tensor | None = None) -> Tensor:
        standard = (vectors - self.get_buffer("mean")) / self.get_buffer("spread")
        return self.contract(self.dropout(F.gelu(self.expand(standard)), ids))
