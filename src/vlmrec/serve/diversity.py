"""Lists whose items differ: maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998)."""

import torch
from torch import Tensor


def diverse(items: Tensor, scores: Tensor, vectors: Tensor, k: int, diversity: float) -> Tensor:
    """Returns the places of k of the candidates, picked one after the other.

    Each pick has the highest ``(1 - diversity) * relevance - diversity * nearest``, where
    relevance is the score scaled to 0..1 over the candidates, and nearest is the cosine to the
    nearest item that was picked before.

    Args:
        items: ``[C] int64`` candidates, best first; 0 where there is none.
        scores: ``[C] float`` of the candidates.
        vectors: ``[I + 1, D]`` item vectors at length 1.
        k: How many to pick.
        diversity: 0 keeps the order, 1 looks at differences only (after the best item).
    """
    there = int((items > 0).sum())
    if not diversity or there <= 1:
        return torch.arange(min(k, len(items)))
    scores, own = scores[:there], vectors[items[:there]]
    spread = (scores.max() - scores.min()).clamp_min(1e-9)
    relevance = (scores - scores.min()) / spread
    nearest = torch.full((there,), -1.0)
    left = torch.ones(there, dtype=torch.bool)
    picked: list[int] = []
    for _ in range(min(k, there)):
        worth = (1 - diversity) * relevance - diversity * nearest.clamp_min(0.0)
        place = 0 if not picked else int(worth.masked_fill(~left, float("-inf")).argmax())
        picked.append(place)
        left[place] = False
        nearest = torch.maximum(nearest, own @ own[place])
    return torch.tensor(picked)
