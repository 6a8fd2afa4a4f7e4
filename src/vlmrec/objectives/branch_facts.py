"""How a step treats its two modalities: measured beside the loss, without gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vlmrec.objectives.branch_scores import BranchScores, comparable_negatives
from vlmrec.objectives.info_nce import info_nce_rows
from vlmrec.objectives.modality_margins import modality_margins


@dataclass(frozen=True)
class BranchFacts:
    """Means over the rows whose target and at least one negative have both modalities.

    All are scalar tensors, so that measuring does not make a GPU wait; all are 0 where `rows`
    is 0, so weigh by `rows` to average over batches.

    Attributes:
        rows: ``[] int64`` how many rows were measured.
        text_starvation: See `starvation`.
        image_starvation: See `starvation`.
        weak_image: Share of rows whose image margin is the smaller one.
        gap: Mean size of the difference of the two margins, in cosines, not clipped.
        text_margin: Mean soft-minimum margin; see `modality_margins`.
        image_margin: The same of the image branch.
    """

    rows: Tensor
    text_starvation: Tensor
    image_starvation: Tensor
    weak_image: Tensor
    gap: Tensor
    text_margin: Tensor
    image_margin: Tensor


def branch_facts(scores: BranchScores, temperature: float) -> BranchFacts:
    """Returns what a step does to its modalities, whichever loss it trains.

    Args:
        scores: Of B rows and C candidates.
        temperature: Of the softmax and of the soft minimum.
    """
    with torch.no_grad():
        margins = modality_margins(scores, "soft-min", temperature)
        count = margins.known.sum()
        per_row = (margins.weak_is_image, margins.gap(), margins.text, margins.image)
        # Rows that are not known are 0 in all of them.
        weak, gap, text, image = (values.sum() / count.clamp(min=1) for values in per_row)
        text_starvation, image_starvation = starvation(scores, temperature)
    return BranchFacts(count, text_starvation, image_starvation, weak, gap, text, image)


def starvation(scores: BranchScores, temperature: float) -> tuple[Tensor, Tensor]:
    """Returns how much of its own gradient each branch gets from the fused loss: text, image.

    The fused InfoNCE pulls both branches by one coefficient, the softmax p_j of the fused
    scores; trained alone, branch m would be pulled by that of its own, p^m_j. Hence

        F_m = (sum_u sum_j p_uj) / (sum_u sum_j p^m_uj)      over rows u and negatives j

    Below 1 the branch starves: the other one has already told the negatives apart for it. Sums
    over the batch are compared, not the mean of the ratios of rows, which a single row that the
    branch solves by itself (p^m near 0) would make arbitrarily large.

    Args:
        scores: Of B rows and C candidates; rows and negatives with both modalities count.
        temperature: Of all three softmaxes.

    Returns:
        ``[]`` each, detached; 0 where no row can be measured.
    """
    with torch.no_grad():
        negatives = comparable_negatives(scores.targets, scores.allowed, scores.both)
        fused, text, image = (
            _negative_mass(branch, scores.targets, negatives, temperature)
            for branch in (scores.fused, scores.text, scores.image)
        )
        smallest = torch.finfo(fused.dtype).tiny
        return fused / text.clamp(min=smallest), fused / image.clamp(min=smallest)


def _negative_mass(
    branch: Tensor, targets: Tensor, negatives: Tensor, temperature: float
) -> Tensor:
    """Returns the softmax probability ``[]`` of all negatives, summed over rows."""
    loss = info_nce_rows(branch, targets, negatives, temperature)  # -log of the target's
    return -torch.expm1(-loss).sum()
