"""Item vectors that start from given ones: a table, reduced once, under a learned adapter."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmrec.items.content_tower import RawContent
from vlmrec.items.principal_axes import principal_axes

VECTORS = "vectors"
"""Under this name a model asks for the vectors to start from."""


class VectorTable(nn.Module):
    """``W z + b`` for each item, where z comes from given vectors.

    Given vectors are standardised per dimension over the training items, because raw dimensions
    of encoders differ in scale by orders of magnitude, and turned onto their principal axes,
    with one scale for all axes. They are not whitened: that would blow up the axes of least
    spread, which hold noise, to the size of the first.

    An item without a vector has z = 0: it stands where the mean of all vectors stands.

    Args:
        n_items: Number of items I.
        width: Width of the given vectors.
        dim: Width D of an item vector.
        size: Principal axes that are kept; None (or `width` and more) keeps the standardised
            vectors as they are.
        tuned: z is learned too, and only starts from the given vectors.
    """

    table: Tensor

    def __init__(
        self, *, n_items: int, width: int, dim: int, size: int | None, tuned: bool
    ) -> None:
        super().__init__()
        self.width = width
        self.size = width if size is None else min(size, width)
        table = torch.zeros(n_items + 1, self.size)
        if tuned:
            self.table = nn.Parameter(table)
        else:
            self.register_buffer("table", table)
        self.adapter = nn.Linear(self.size, dim)

    def load(self, content: Mapping[str, RawContent], training_items: Tensor) -> None:
        """Takes in the given vectors ``[I + 1, width]``.

        Args:
            content: Holds them under `VECTORS`; row 0 is padding.
            training_items: ``[P] int64`` items that mean, spread and axes are taken from.
        """
        raw, known = content[VECTORS], training_items.cpu()
        vectors, present = raw.vectors.cpu(), raw.present.cpu()
        seen = known[present[known]]
        if len(seen):
            spread, mean = torch.std_mean(vectors[seen].double(), dim=0, correction=0)
            spread = torch.where(spread > 1e-6, spread, 1.0)
            z = (vectors - mean.float()) / spread.float()
            if self.size < self.width:
                z = z @ principal_axes(z[seen], self.size)
            z = z / z[seen].square().mean().sqrt().clamp_min(1e-6)
        else:
            z = torch.zeros_like(self.table, device="cpu")
        with torch.no_grad():
            self.table.copy_(z.masked_fill(~present[:, None], 0.0))

    def forward(self, ids: Tensor | None = None) -> Tensor:
        """Returns ``[I + 1, D]``, or ``[n, D]`` for internal ids ``[n]``."""
        return self.adapter(self.table if ids is None else F.embedding(ids, self.table))
