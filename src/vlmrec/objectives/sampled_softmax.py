"""Softmax cross-entropy of the target among sampled negatives."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.config import StrictConfig
from vlmrec.core.protocols import LossSum


class SampledSoftmax(StrictConfig):
    """Cross-entropy over the target and N uniform negatives.

    Costs N / I of the full cross-entropy. One shared set of negatives a batch is a matrix
    product; separate sets a position exclude the user's own items.
    """

    kind: Literal["sampled-softmax"] = "sampled-softmax"
    n_negatives: int = Field(default=256, ge=1)
    """Negatives N."""
    shared_negatives: bool = True
    """One set a batch (fast), or one a position."""

    def __call__(
        self, queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> LossSum:
        """Returns the summed loss.

        Args:
            queries: ``[M, D]`` one a supervised position.
            keys: ``[P, D]`` the items that occur in this batch.
            targets: ``[M] int64`` rows of `keys`.
            negatives: ``[N]`` or ``[M, N] int64`` rows of `keys`.
        """
        if negatives is None:
            raise ValueError("SampledSoftmax needs negatives.")
        total = sampled_softmax_sum(queries, keys, targets, negatives)
        return LossSum(total, len(targets))


def sampled_softmax_sum(
    queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor
) -> Tensor:
    """Returns ``sum_m -log(e^{s+} / (e^{s+} + sum_n e^{s_n}))`` as a scalar.

    A negative that is the target itself does not count as one.

    Args:
        queries: ``[M, D] float``.
        keys: ``[P, D] float``.
        targets: ``[M] int64`` rows of `keys`.
        negatives: ``[N]`` (shared) or ``[M, N] int64`` rows of `keys`.
    """
    positive = (queries * keys[targets]).sum(dim=-1, keepdim=True)  # [M, 1]
    negative = negative_scores(queries, keys, negatives)  # [M, N]
    negative = negative.masked_fill(negatives == targets[:, None], float("-inf"))
    logits = torch.cat([positive, negative], dim=1)  # [M, 1 + N]
    goal = torch.zeros_like(targets)
    return F.cross_entropy(logits, goal, reduction="sum")


def negative_scores(queries: Tensor, keys: Tensor, negatives: Tensor) -> Tensor:
    """Returns ``[M, N]`` scores of shared ``[N]`` or separate ``[M, N]`` negatives."""
    if negatives.dim() == 1:
        return queries @ keys[negatives].T
    return torch.einsum("md,mnd->mn", queries, keys[negatives])
