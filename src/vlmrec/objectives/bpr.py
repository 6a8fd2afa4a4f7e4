"""Bayesian personalized ranking: the target should score above each sampled negative."""

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.protocols import LossSum
from vlmrec.objectives.next_item import NextItemLoss
from vlmrec.objectives.sampled_softmax import negative_scores


class BayesianPersonalizedRanking(NextItemLoss):
    """Logistic loss of the difference between the target's and a negative's score.

    Rendle et al. (UAI 2009, arXiv 1205.2618); S-BPR of FPMC (WWW 2010, Equation 15) is the same
    over the events of sequences, with N = 1. More negatives are averaged. A negative that is the
    target itself adds a constant and no gradient. Scores' level does not matter, only their
    order.
    """

    kind: Literal["bpr"] = "bpr"
    n_negatives: int = Field(default=1, ge=1)
    """Negatives N a position."""

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
            raise ValueError("BayesianPersonalizedRanking needs negatives.")
        return LossSum(bpr_sum(queries, keys, targets, negatives), len(targets))


def bpr_sum(queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor) -> Tensor:
    """Returns ``sum_m mean_n -log sigmoid(s+ - s_n)`` as a scalar.

    Args:
        queries: ``[M, D] float``.
        keys: ``[P, D] float``.
        targets: ``[M] int64`` rows of `keys`.
        negatives: ``[M, N]`` (or shared ``[N]``) int64 rows of `keys`.
    """
    positive = (queries * keys[targets]).sum(dim=-1, keepdim=True)  # [M, 1]
    negative = negative_scores(queries, keys, negatives)  # [M, N]
    return F.softplus(negative - positive).mean(dim=-1).sum()
