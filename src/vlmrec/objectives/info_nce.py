"""InfoNCE: the target's score against those of the other candidates."""

import torch
from pydantic import Field
from torch import Tensor

from vlmrec.core.config import StrictConfig
from vlmrec.objectives.branch_scores import BranchScores, at_target, in_full_precision


class InfoNce(StrictConfig):
    """Softmax cross-entropy of the target among in-batch and sampled candidates.

    Loss base of VLM2Rec (arXiv 2603.17450), and of contrastive retrieval at large.

    References:
        van den Oord, Li & Vinyals, "Representation Learning with Contrastive Predictive
        Coding", 2018 (arXiv 1807.03748), Equation 4.
    """

    temperature: float = Field(default=0.05, gt=0)
    """Cosines are divided by it. Our choice: .05 is usual for embedders tuned from language
    models; .02 to .1 works."""
    mask_margin: float | None = Field(default=None, ge=0)
    """Negatives that score more than this above the target are taken for likes not yet logged,
    and left out; .1 is usual. Off by default, because early in training it also drops the hard
    negatives that there is most to learn from."""

    def __call__(self, scores: BranchScores) -> Tensor:
        """Returns the loss of the fused scores ``[B]``; see `info_nce_rows`."""
        allowed = scores.allowed
        if self.mask_margin is not None:
            allowed = without_likely_positives(
                scores.fused, scores.targets, allowed, self.mask_margin
            )
        return info_nce_rows(scores.fused, scores.targets, allowed, self.temperature)


def info_nce_rows(
    scores: Tensor,
    targets: Tensor,
    allowed: Tensor,
    temperature: float,
    margin: Tensor | None = None,
) -> Tensor:
    """Returns ``-log(e^{s+/t} / (e^{s+/t} + e^{m/t} sum_{j allowed, j != +} e^{s_j/t}))`` a row.

    A row without negatives is 0 and gets no gradient; neither do scores that are not allowed,
    whatever they hold. Half-precision scores are computed in float32.

    Args:
        scores: ``[B, C] float`` before the temperature.
        targets: ``[B] int64`` columns.
        allowed: ``[B, C] bool``; the target's own entry is not read.
        temperature: t.
        margin: ``[B] float`` m, by how much the target must beat its negatives more, in units
            of the scores; None: 0.

    Returns:
        ``[B]`` float32 (float64 for float64 scores).
    """
    scores = in_full_precision(scores)
    # Differences to the target, in which logits of any size cancel before they are exponentiated.
    rivals = (scores - at_target(scores, targets).unsqueeze(1)) / temperature  # [B, C]
    if margin is not None:
        rivals = rivals + (margin / temperature).unsqueeze(1)
    negatives = allowed.scatter(1, targets.unsqueeze(1), False)
    rivals = rivals.masked_fill(~negatives, float("-inf"))
    own = rivals.new_zeros((len(rivals), 1))
    return torch.cat([own, rivals], dim=1).logsumexp(dim=1)


def without_likely_positives(
    scores: Tensor, targets: Tensor, allowed: Tensor, mask_margin: float
) -> Tensor:
    """Returns `allowed` less the candidates with ``s_j > s+ + mask_margin``.

    Args:
        scores: ``[B, C] float`` before the temperature.
        targets: ``[B] int64`` columns; they stay allowed.
        allowed: ``[B, C] bool``.
        mask_margin: In units of the scores.

    Returns:
        ``[B, C] bool``.
    """
    scores = in_full_precision(scores.detach())
    return allowed & (scores <= at_target(scores, targets).unsqueeze(1) + mask_margin)
