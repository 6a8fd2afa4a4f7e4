"""Generalised binary cross-entropy: negative sampling without overconfidence."""

from typing import Literal, Self

from pydantic import Field, PrivateAttr
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.protocols import LossSum
from vlmrec.objectives.next_item import NextItemLoss
from vlmrec.objectives.sampled_softmax import negative_scores


class GeneralizedBinaryCrossEntropy(NextItemLoss):
    """Binary cross-entropy in which the target's probability is taken to the power beta < 1.

    gSASRec is SASRec with this loss (Petrov & Macdonald, RecSys 2023, arXiv 2308.07192). With
    negatives sampled at the rate alpha = N / (I - 1), plain binary cross-entropy learns
    probabilities that are too high, most of all for the best items, and their differences drown.
    beta = alpha (t (1 - 1/alpha) + 1/alpha) = 1 - t (1 - alpha) puts that right: t = 0 is plain,
    t = 1 fully calibrated.
    """

    kind: Literal["gbce"] = "gbce"
    n_negatives: int = Field(default=256, ge=1)
    """Negatives N a position."""
    calibration: float = Field(default=0.75, ge=0, le=1)
    """The paper's t; .75 is its authors' setting."""
    shared_negatives: bool = False
    """One set a batch (fast, and may hold the user's own items), or one a position (the paper)."""
    _n_items: int | None = PrivateAttr(default=None)

    def over(self, n_items: int) -> Self:
        """Returns the loss for a catalogue.

        Args:
            n_items: Items P that training knows: the paper's catalogue size I.
        """
        told = self.model_copy()
        told._n_items = n_items
        return told

    def beta(self, n_negatives: int) -> float:
        """Returns the power of the target's probability.

        Args:
            n_negatives: Negatives a position that were drawn: of a small catalogue there may be
                fewer than `n_negatives`. More than all others are all others.

        Raises:
            ValueError: The size of the catalogue was not told.
        """
        if self._n_items is None:
            raise ValueError("The loss does not know the size of the catalogue: call over first.")
        alpha = min(n_negatives / max(self._n_items - 1, 1), 1.0)
        return 1 - self.calibration * (1 - alpha)

    def __call__(
        self, queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> LossSum:
        """Returns the summed loss.

        Args:
            queries: ``[M, D]`` one a supervised position.
            keys: ``[P, D]`` the items that occur in this batch.
            targets: ``[M] int64`` rows of `keys`.
            negatives: ``[N]`` or ``[M, N] int64`` rows of `keys`.

        Raises:
            ValueError: There are no negatives, or the size of the catalogue was not told.
        """
        if negatives is None:
            raise ValueError("GeneralizedBinaryCrossEntropy needs negatives.")
        beta = self.beta(negatives.shape[-1])
        return LossSum(gbce_sum(queries, keys, targets, negatives, beta), len(targets))


def gbce_sum(
    queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor, beta: float
) -> Tensor:
    """Returns ``-sum_m [log sigmoid(s+)^beta + sum_n log(1 - sigmoid(s_n))] / (N + 1)``.

    The power is a factor of the logarithm, so that float32 holds the loss at any score. A negative
    that is the target itself does not count as one.

    Args:
        queries: ``[M, D] float``.
        keys: ``[P, D] float``.
        targets: ``[M] int64`` rows of `keys`.
        negatives: ``[N]`` (shared) or ``[M, N] int64`` rows of `keys`.
        beta: Power of the target's probability.
    """
    positive = (queries * keys[targets]).sum(dim=-1)  # [M]
    negative = negative_scores(queries, keys, negatives)  # [M, N]
    refused = F.softplus(negative).masked_fill(negatives == targets[:, None], 0.0)
    loss = beta * F.softplus(-positive) + refused.sum(dim=-1)
    return loss.sum() / (negatives.shape[-1] + 1)
