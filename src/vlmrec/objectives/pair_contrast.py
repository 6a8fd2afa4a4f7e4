"""Symmetric contrastive loss of pairs: each side must find its partner in the batch.

References:
    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision"
    (CLIP), ICML 2021, Section 2.3: the mean of the two directions.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.config import StrictConfig
from vlmrec.core.protocols import LossSum


class PairContrast(StrictConfig):
    """InfoNCE in both directions over the pairs of a batch."""

    temperature: float = Field(default=0.07, gt=0)
    """Cosines are divided by it; CLIP starts at .07."""

    def __call__(self, left: Tensor, right: Tensor, groups: Tensor | None = None) -> LossSum:
        """Returns the summed loss; see `pair_contrast_sum`."""
        total = pair_contrast_sum(left, right, groups, self.temperature)
        return LossSum(total, len(left))


def pair_contrast_sum(
    left: Tensor, right: Tensor, groups: Tensor | None, temperature: float
) -> Tensor:
    """Returns ``sum_i (-log p(right_i | left_i) - log p(left_i | right_i)) / 2`` as a scalar.

    Args:
        left: ``[B, D] float``, any length; cosines are taken.
        right: ``[B, D] float``.
        groups: ``[B] int64``; pairs of one group (the same item, equal texts) are no negatives
            of each other. None: all differ.
        temperature: Divides cosines.
    """
    same = None if groups is None else groups.unsqueeze(0) == groups.unsqueeze(1)
    return both_ways_sum(left, right, same, temperature) / 2


def both_ways_sum(left: Tensor, right: Tensor, same: Tensor | None, temperature: float) -> Tensor:
    """Returns ``sum_i (-log p(right_i | left_i) - log p(left_i | right_i))`` as a scalar.

    Args:
        left: ``[B, D] float``, any length; cosines are taken.
        right: ``[B, D] float``.
        same: ``[B, B] bool``, symmetric; pairs that are no negatives of each other (the diagonal
            does not count). None: all differ.
        temperature: Divides cosines.
    """
    scores = F.normalize(left, dim=-1) @ F.normalize(right, dim=-1).T / temperature  # [B, B]
    if same is not None:
        own = torch.eye(len(left), dtype=torch.bool, device=left.device)
        scores = scores.masked_fill(same & ~own, float("-inf"))
    goal = torch.arange(len(left), device=left.device)
    forth = F.cross_entropy(scores, goal, reduction="sum")
    back = F.cross_entropy(scores.T, goal, reduction="sum")
    return forth + back
