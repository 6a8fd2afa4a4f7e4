"""One learned vector for each known item."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class IdTable(nn.Module):
    """Learned item vectors; row 0 belongs to padding and is zero.

    Args:
        n_items: Number of items I.
        dim: Width D.
    """

    def __init__(self, n_items: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_items + 1, dim))

    def forward(self, ids: Tensor | None = None) -> Tensor:
        """Returns ``[I + 1, D]``, or ``[n, D]`` for internal ids ``[n]``."""
        return self.weight if ids is None else F.embedding(ids, self.weight)
