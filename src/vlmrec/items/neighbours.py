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


@torch.no_grad()
def lean_on_neighbours(
    own: Tensor,
    content: RawContent,
    known_vectors: Tensor,
    known_content: RawContent,
    *,
    neighbours: int,
    lean: float,
) -> Tensor:
    """Returns ``[n, D]``: ``(1 - lean) * own + lean * mean of the nearest known items``.

    Nearness is the cosine of frozen vectors, standardised per dimension over the known items.
    Items without that content keep their own vectors.

    Args:
        own: ``[n, D]`` vectors of new items, made from their content.
        content: Frozen vectors ``[n, W]`` of the new items.
        known_vectors: ``[m, D]`` vectors of the items that training shaped.
        known_content: Frozen vectors ``[m, W]`` of the same.
        neighbours: How many known items each new one leans on, at most m.
        lean: Weight of the neighbours, 0 to 1.
    """
    there = known_content.present.nonzero().flatten()
    if not len(there) or not neighbours or not lean:
        return own
    known, vectors = known_content.vectors[there].float(), known_vectors[there]
    mean, spread = known.mean(dim=0), known.std(dim=0, unbiased=False).clamp_min(1e-6)
    known = F.normalize((known - mean) / spread, dim=1)  # [m, W]
    result = own.clone()
    for rows in content.present.nonzero().flatten().split(_ROWS_AT_A_TIME):
        asked = F.normalize((content.vectors[rows].float() - mean) / spread, dim=1)
        cosines, nearest = (asked @ known.T).topk(min(neighbours, len(there)), dim=1)  # [b, k]
        weights = (cosines * _SHARPNESS).softmax(dim=1)
        around = torch.einsum("bk,bkd->bd", weights, vectors[nearest])
        result[rows] = (1 - lean) * own[rows] + lean * around
    return result
