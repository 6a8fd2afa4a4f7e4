"""Binary cross-entropy with N sampled negatives, SASRec's own loss."""

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.protocols import LossSum
from vlmrec.objectives.next_item import NextItemLoss
from vlmrec.objectives.sampled_softmax import negative_scores


class BinaryCrossEntropy(NextItemLoss):
    """The target should score above 0, each of N negatives below.

    Kang & McAuley (2018, arXiv 1808.09781, Equation 6) use N = 1. More negatives are averaged,
    so that the two sides keep equal weight.
    """

    kind: Literal["bce"] = "bce"
    n_negatives: int = Field(default=1, ge=1)
    """Negatives N a position, none of them an item of the user's training history."""

    @property
    def shared_negatives(self) -> bool:
        """Whether one set of negatives serves the batch: no."""
        return False

    def __call__(
        self, queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> LossSum:
        """Returns the summed loss.

        Args:
            queries: ``[M, D]`` one a supervised position.
            keys: ``[P, D]`` the items that occur in this batch.
            targets: ``[M] int64`` rows of `keys`.
            negatives: ``[M, N] int64`` rows of `keys`.
        """
        if negatives is None:
            raise ValueError("BinaryCrossEntropy needs negatives.")
        return LossSum(bce_sum(queries, keys, targets, negatives), len(targets))


def bce_sum(queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    """Returns ``sum_m [-log sigmoid(s+) - mean_n log(1 - sigmoid(s_n))]`` as a scalar.

    Args:
        queries: ``[M, D] float``.
        keys: ``[P, D] float``.
        targets: ``[M] int64`` rows of `keys`.
        negatives: ``[M, N]`` (or shared ``[N]``) int64 rows of `keys`.
    """
    positive = (queries * keys[targets]).sum(dim=-1)  # [M]
    negative = negative_scores(queries, keys, negatives)  # [M, N]
    return F.softplus(-positive).sum() + F.softplus(negative).mean(dim=-1).sum()
