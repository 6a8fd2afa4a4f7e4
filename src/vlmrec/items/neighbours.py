"""Vectors of new items from those of known items with like content.

A network that turns content into item vectors has memorised the items it was trained on, and
guesses for others. What training found for items that resemble a new one is the better guess;
both together are better than either.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from vlmrec.items.content_tower import RawContent

_SHARPNESS = 10.0
"""Weights are softmax(10 * cosine): a neighbour that is .1 nearer weighs e times as much."""
_ROWS_AT_A_TIME = 1024


class Neighbours:
    """Known items by their content, ready to be asked again and again.

    Nearness is the cosine of frozen vectors, standardised per dimension over the known items.
    A standardised copy of these vectors is kept.

    Args:
        rows: ``[m] int64`` where each known item stands in tables of item vectors.
        content: Frozen vectors ``[m, W]`` of the same items.
    """

    @torch.no_grad()
    def __init__(self, rows: Tensor, content: RawContent) -> None:
        there = content.present.nonzero().flatten()
        self._rows = rows[there]
        known = content.vectors[there].float()  # a copy, which may be changed
        if len(there):
            self._mean = known.mean(dim=0)
            self._spread = known.std(dim=0, unbiased=False).clamp_min(1e-6)
            known.sub_(self._mean).div_(self._spread)
            F.normalize(known, dim=1, out=known)
        self._known = known  # [m', W]

    @torch.no_grad()
    def lean(
        self, own: Tensor, content: RawContent, vectors: Tensor, *, neighbours: int, lean: float
    ) -> Tensor:
        """Returns ``[n, D]``: ``(1 - lean) * own + lean * mean of the nearest known items``.

        Items without that content keep their own vectors.

        Args:
            own: ``[n, D]`` vectors of new items, made from their content.
            content: Frozen vectors ``[n, W]`` of the new items.
            vectors: ``[I + 1, D]`` item vectors as they are now.
            neighbours: How many known items each new one leans on, at most all of them.
            lean: Weight of the neighbours, 0 to 1.
        """
        if not len(self._rows) or not neighbours or not lean:
            return own
        result = own.clone()
        for rows in content.present.nonzero().flatten().split(_ROWS_AT_A_TIME):
            asked = (content.vectors[rows].float() - self._mean) / self._spread
            cosines = F.normalize(asked, dim=1) @ self._known.T  # [b, m']
            nearness, nearest = cosines.topk(min(neighbours, len(self._rows)), dim=1)  # [b, k]
            weights = (nearness * _SHARPNESS).softmax(dim=1)
            around = torch.einsum("bk,bkd->bd", weights, vectors[self._rows[nearest]])
            result[rows] = (1 - lean) * own[rows] + lean * around
        return result


def lean_on_neighbours(
    own: Tensor,
    content: RawContent,
    known_vectors: Tensor,
    known_content: RawContent,
    *,
    neighbours: int,
    lean: float,
) -> Tensor:
    """Returns ``[n, D]`` vectors of new items, see `Neighbours.lean`.

    Args:
        own: ``[n, D]`` vectors of new items, made from their content.
        content: Frozen vectors ``[n, W]`` of the new items.
        known_vectors: ``[m, D]`` vectors of the items that training shaped.
        known_content: Frozen vectors ``[m, W]`` of the same.
        neighbours: How many known items each new one leans on, at most m.
        lean: Weight of the neighbours, 0 to 1.
    """
    known = Neighbours(torch.arange(len(known_vectors)), known_content)
    return known.lean(own, content, known_vectors, neighbours=neighbours, lean=lean)
