"""Softmax cross-entropy of the target among sampled negatives."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from vlmrec.core.protocols import LossSum
from vlmrec.objectives.next_item import NextItemLoss


class SampledSoftmax(NextItemLoss):
    """Cross-entropy over the target and N negatives.

    Costs N / I of the full cross-entropy. One shared set of negatives a batch is a matrix
    product; separate sets a position exclude the user's own items.

    Negatives that are drawn by popularity are harder, and teach the model that popular items
    are wrong more often than they are. Taking the log of their probability Q off their scores
    undoes that (Bengio & Senecal, 2008); without it, the model learns how well an item fits, its
    popularity left out. The target, which was not drawn, is not corrected (Khrylchenko et al.,
    2025, arXiv 2507.09331).
    """

    kind: Literal["sampled-softmax"] = "sampled-softmax"
    n_negatives: int = Field(default=256, ge=1)
    """Negatives N."""
    shared_negatives: bool = True
    """One set a batch (fast), or one a position."""
    skip_similar: float | None = Field(default=None, gt=-1, lt=1)
    """A negative whose cosine with the target is larger does not count: it may be the same
    product twice. None = all count."""
    popularity: float = Field(default=0.0, ge=0, le=1)
    """Negatives are drawn by popularity to this power; 0 = uniformly."""
    corrected: bool = True
    """Take log Q off the scores of negatives that are drawn by popularity."""

    def negative_power(self) -> float:
        """Returns the power of an item's popularity by which negatives are drawn."""
        return self.popularity

    def __call__(
        self,
        queries: Tensor,
        keys: Tensor,
        targets: Tensor,
        negatives: Tensor | None,
        odds: Tensor | None = None,
    ) -> LossSum:
        """Returns the summed loss.

        Args:
            queries: ``[M, D]`` one a supervised position.
            keys: ``[P, D]`` the items that occur in this batch.
            targets: ``[M] int64`` rows of `keys`.
            negatives: ``[N]`` or ``[M, N] int64`` rows of `keys`.
            odds: Shaped like `negatives`: how often each is drawn, as a multiple of uniform
                drawing. None where that is 1.
        """
        if negatives is None:
            raise ValueError("SampledSoftmax needs negatives.")
        log_odds = None if odds is None or not self.corrected else odds.log()
        total = sampled_softmax_sum(queries, keys, targets, negatives, self.skip_similar, log_odds)
        return LossSum(total, len(targets))


def sampled_softmax_sum(
    queries: Tensor,
    keys: Tensor,
    targets: Tensor,
    negatives: Tensor,
    skip_similar: float | None = None,
    log_odds: Tensor | None = None,
) -> Tensor:
    """Returns ``sum_m -log(e^{s+} / (e^{s+} + sum_n e^{s_n}))`` as a scalar.

    A negative that is the target itself does not count as one. Leaving out those that resemble
    it is from HLLM (Chen et al., 2024, arXiv 2409.12740), whose code does so above .99.

    Args:
        queries: ``[M, D] float``.
        keys: ``[P, D] float``.
        targets: ``[M] int64`` rows of `keys`.
        negatives: ``[N]`` (shared) or ``[M, N] int64`` rows of `keys`.
        skip_similar: Cosine with the target's key above which a negative does not count.
        log_odds: Taken off the scores of the negatives, whose shape it has.
    """
    positive = (queries * keys[targets]).sum(dim=-1, keepdim=True)  # [M, 1]
    negative = negative_scores(queries, keys, negatives)  # [M, N]
    if log_odds is not None:
        negative = negative - log_odds.to(negative)
    skipped = negatives == targets[:, None]  # [M, N]
    if skip_similar is not None:
        unit = F.normalize(keys.detach(), dim=-1)
        skipped = skipped | (negative_scores(unit[targets], unit, negatives) > skip_similar)
    negative = negative.masked_fill(skipped, float("-inf"))
    logits = torch.cat([positive, negative], dim=1)  # [M, 1 + N]
    goal = torch.zeros_like(targets)
    return F.cross_entropy(logits, goal, reduction="sum")


def negative_scores(queries: Tensor, keys: Tensor, negatives: Tensor) -> Tensor:
    """Returns ``[M, N]`` scores of shared ``[N]`` or separate ``[M, N]`` negatives.

    Of separate ones either the keys are gathered, ``[M, N, D]``, or the scores out of those of
    all keys, ``[M, P]``: whichever holds fewer numbers.
    """
    if negatives.dim() == 1:
        return queries @ keys[negatives].T
    if len(keys) <= negatives.shape[1] * keys.shape[1]:
        return (queries @ keys.T).gather(1, negatives)
    return torch.einsum("md,mnd->mn", queries, keys[negatives])
