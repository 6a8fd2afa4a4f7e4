"""Gradient modulation: the branch that is ahead learns more slowly. A baseline to WPCL.

References:
    Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation" (OGM-GE),
    CVPR 2022 (arXiv 2203.15332), Equation 10.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from vlmrec.core.config import StrictConfig
from vlmrec.objectives.branch_scores import BranchScores, comparable_negatives
from vlmrec.objectives.info_nce import info_nce_rows


class GradientModulation(StrictConfig):
    """Scales the gradient of the stronger branch by ``k = 1 - tanh(alpha rho)``.

    rho > 1 is the ratio of the branches' mean softmax probabilities of the target; the weaker
    branch keeps k = 1.

    Differs from the paper: it scales the gradients of two encoders' convolutions. Both branches
    here share one encoder, so k applies where their gradients are still apart: at the branch
    vectors. Its noise on the gradient (GE) is left out: it is made to restore the noise of plain
    SGD on convolutions, and would pass through the shared encoder into the other branch.
    """

    alpha: float = Field(default=0.3, ge=0)
    """Our choice: a branch that is twice as sure of the target (rho = 2) learns at .46 of the
    pace."""

    def __call__(self, scores: BranchScores, temperature: float) -> tuple[Tensor, Tensor]:
        """Returns the factors of text and image; see `modulation_factors`."""
        return modulation_factors(scores, temperature, self)


def modulation_factors(
    scores: BranchScores, temperature: float, config: GradientModulation
) -> tuple[Tensor, Tensor]:
    """Returns by how much to scale the gradients of text and image, ``[]`` each, detached.

    The scores may come from detached vectors, so that the factors are there before the pass
    whose gradients they scale (see `scale_gradient`).

    Args:
        scores: Of B rows and C candidates; rows with a target and a negative that have both
            modalities count. Without any, both factors are 1.
        temperature: Of the softmax.
        config: See `GradientModulation`.
    """
    negatives = comparable_negatives(scores.targets, scores.allowed, scores.both)
    known = negatives.any(dim=1)
    means: list[Tensor] = []
    for branch in (scores.text, scores.image):
        loss = info_nce_rows(branch.detach(), scores.targets, negatives, temperature)
        sure = (-loss).exp().masked_fill(~known, 0.0)
        means.append(sure.sum() / known.sum().clamp(min=1))
    text, image = means
    return _factor(text, image, config.alpha), _factor(image, text, config.alpha)


def _factor(own: Tensor, other: Tensor, alpha: float) -> Tensor:
    ratio = own / other.clamp(min=torch.finfo(other.dtype).tiny)
    return torch.where(ratio > 1, 1 - torch.tanh(alpha * ratio), torch.ones_like(ratio))


def scale_gradient(values: Tensor, factor: Tensor) -> Tensor:
    """Returns `values` unchanged; their gradient is scaled on the way back.

    Args:
        values: Any shape.
        factor: ``[]`` what the gradient is multiplied by.
    """
    return _ScaledGradient.apply(values, factor)  # pyright: ignore


class _ScaledGradient(Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return values.view_as(values)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        (factor,) = ctx.saved_tensors
        return grads[0] * factor.to(grads[0].dtype), None
