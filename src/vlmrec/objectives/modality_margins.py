"""By how much each modality alone tells a user's target from the negatives, and which is weaker."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vlmrec.objectives.branch_scores import (
    BranchScores,
    at_target,
    comparable_negatives,
    in_full_precision,
)

MarginKind = Literal["soft-min", "mean", "max"]
"""How the differences to the negatives become one margin."""

_SMALLEST_SPREAD = 1e-6
"""Cosines that differ by less are all alike; dividing by it stays finite."""


@dataclass(frozen=True)
class ModalityMargins:
    """Margins of both modalities, with gradient.

    Attributes:
        text: ``[B] float`` in cosines; 0 where not known.
        image: ``[B] float``.
        known: ``[B] bool`` rows with a target and at least one negative that have both
            modalities; without, there is nothing to compare.
        text_spread: ``[] float`` what the text margin is divided by before it is compared.
        image_spread: ``[] float``.
    """

    text: Tensor
    image: Tensor
    known: Tensor
    text_spread: Tensor
    image_spread: Tensor

    @property
    def weak_is_image(self) -> Tensor:
        """``[B] bool`` where the image margin is the smaller one."""
        return (self.image / self.image_spread < self.text / self.text_spread).detach()

    def gap(self, stop_gradient: bool = True) -> Tensor:
        """Returns ``[B]`` by how much the weaker margin falls short; 0 where balanced, unknown.

        With spreads d it is ``relu(d_weak / d_strong sg[M_strong] - M_weak)``: in cosines of
        the weak modality, and with slope -1 in its margin whatever the spreads.

        Args:
            stop_gradient: Whether the strong margin is frozen.
        """
        strong_text = self.text.detach() if stop_gradient else self.text
        strong_image = self.image.detach() if stop_gradient else self.image
        ratio = self.image_spread / self.text_spread
        if_image_weak = strong_text * ratio - self.image
        if_text_weak = strong_image / ratio - self.text
        gap = torch.where(self.weak_is_image, if_image_weak, if_text_weak)
        return gap.relu()


def modality_margins(
    scores: BranchScores, kind: MarginKind, temperature: float, scaled: bool = False
) -> ModalityMargins:
    """Returns each modality's margin over the negatives that have both modalities.

    With differences ``D_j = s+ - s_j`` of one branch to n negatives,

        soft-min:  M = -t log((1/n) sum_j e^{-D_j/t})     dM/dD_j = softmax_j(-D_j/t)
        mean:      M = (1/n) sum_j D_j
        max:       M = min_j D_j = s+ - max_j s_j

    All are differences within a row, so that a shift of a modality's cosines (a narrow cone of
    vectors) cancels; only their spread matters, which `scaled` takes out.

    Args:
        scores: Of B rows and C candidates; the fused scores are not read.
        kind: See above.
        temperature: t of the soft minimum.
        scaled: Compare margins in units of the standard deviation (without gradient) of their
            modality's scores over the batch.
    """
    negatives = comparable_negatives(scores.targets, scores.allowed, scores.both)  # [B, C]
    text, image = in_full_precision(scores.text), in_full_precision(scores.image)
    one = text.new_ones(())
    return ModalityMargins(
        text=_margin(text, scores.targets, negatives, kind, temperature),
        image=_margin(image, scores.targets, negatives, kind, temperature),
        known=negatives.any(dim=1),
        text_spread=_spread(text, negatives) if scaled else one,
        image_spread=_spread(image, negatives) if scaled else one,
    )


def _margin(
    branch: Tensor, targets: Tensor, negatives: Tensor, kind: MarginKind, temperature: float
) -> Tensor:
    # A row without negatives is given a single difference of 0: finite, and without gradient.
    empty = ~negatives.any(dim=1, keepdim=True)
    kept = negatives | empty
    differences = (at_target(branch, targets).unsqueeze(1) - branch).masked_fill(empty, 0.0)
    if kind == "max":
        return differences.masked_fill(~kept, float("inf")).amin(dim=1)
    count = kept.sum(dim=1)
    if kind == "mean":
        return differences.masked_fill(~kept, 0.0).sum(dim=1) / count
    logits = (-differences / temperature).masked_fill(~kept, float("-inf"))
    return -temperature * (logits.logsumexp(dim=1) - count.to(branch.dtype).log())


def _spread(branch: Tensor, negatives: Tensor) -> Tensor:
    """Returns the standard deviation ``[]`` of the scores in `negatives`; 1 without any."""
    count = negatives.sum().clamp(min=1)
    values = branch.detach().masked_fill(~negatives, 0.0)
    deviations = (values - values.sum() / count).masked_fill(~negatives, 0.0)
    spread = (deviations.square().sum() / count).sqrt().clamp(min=_SMALLEST_SPREAD)
    return torch.where(negatives.any(), spread, torch.ones_like(spread))
