"""WPCL: InfoNCE in which each user's weaker modality must close the gap to the stronger one.

Our reconstruction: the equations of the paper (arXiv 2603.17450) are not known to us. Known is
that margins are taken per user and modality, that the strong one is frozen, and that the negative
terms of the fused InfoNCE are amplified to make up for the weak one.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from vlmrec.core.config import StrictConfig
from vlmrec.objectives.branch_scores import BranchScores
from vlmrec.objectives.info_nce import info_nce_rows
from vlmrec.objectives.modality_margins import MarginKind, ModalityMargins, modality_margins

_LARGEST_EXPONENT = 60.0
"""e^60 is 1e26: whatever it weighs stays a finite float32."""


class Wpcl(StrictConfig):
    """Weak-modality penalised contrastive learning, in three variants.

    With the margins M of a user's text and image branch (see `modality_margins`), loss
    temperature t and stop-gradient sg,

        gap g  = min(gap_max, relu(sg[M_strong] - M_weak)),   weight w = exp(kappa g / t)
        A:  -log(e^{s+/t} / (e^{s+/t} + w sum_j e^{s_j/t}))   w carries gradient to M_weak
        B:  the same with w detached, a mere re-weighting
        C:  InfoNCE + (w - 1) InfoNCE of the weak branch's own scores, w detached

    In A, amplified negatives are an additive margin kappa g a user. Where fused = text + image,
    the gradient on the weak branch's score differences is 1 + kappa times that on the strong
    one's in L1 norm, as long as the gap is open and not clipped. (Where fused is the *mean* of
    the branches, as cosines of summed unit vectors nearly are, the factor is 1 + 2 kappa.)
    Without a gap, or with kappa = 0, all three are InfoNCE, in value and gradient.

    Differs from the paper: how far is not known, see the module. In C the weight is w - 1 and not
    w, so that balance and the start of the warm-up mean InfoNCE, as in A and B; with w, C would
    add a unimodal loss even to users whose modalities are balanced.
    """

    variant: Literal["A", "B", "C"] = "A"
    """A fits all that is known of the paper, and is the only one of A and B that moved the weak
    branch in planted worlds: B scales a coefficient that both branches share."""
    kappa: float = Field(default=0.5, ge=0)
    """How much of the gap is demanded as extra margin. .5 lifts the weak branch at little cost
    to the fused ranking; 1 recovers a starved branch and costs up to 5 %; 0 is InfoNCE."""
    gap_max: float = Field(default=0.3, gt=0, le=4)
    """Largest gap that counts, in cosines: keeps the weight at e^3 with the default kappa and
    temperature, beyond which every negative pulls alike and the ranking suffers."""
    clip: Literal["hard", "straight-through"] = "hard"
    """At the largest gap, "hard" stops the gradient to the weak margin and "straight-through"
    lets it pass. No difference was seen between the two; "hard" is a true gradient."""
    margin: MarginKind = "soft-min"
    """Over negatives: soft minimum, mean, or minimum ("max": against the highest score). The
    soft minimum weighs negatives as the branch's own InfoNCE would."""
    margin_temperature: float | None = Field(default=None, gt=0)
    """Of the soft minimum. None: the loss temperature, so that one scale says what is hard."""
    scaled: bool = False
    """Divide each modality's margin by the spread of its scores before comparing, for branches
    whose cosines fill differently wide cones. Off: untuned, it adds noise from batch to batch,
    and the plain form is what was tested."""
    stop_gradient: bool = True
    """Freeze the strong margin. Without, the loss also falls by *shrinking* it (drag-down):
    an ablation, good for neither branch in planted worlds."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of the training over which kappa rises linearly from 0: at first, which modality is
    weak is chance."""

    def __call__(
        self, scores: BranchScores, temperature: float, progress: float = 1.0
    ) -> "WpclRows":
        """Returns the loss and what led to it; see `wpcl_rows`."""
        return wpcl_rows(scores, temperature, self, progress)


@dataclass(frozen=True)
class WpclRows:
    """The loss of each row, and what led to it (all but the loss without gradient).

    Attributes:
        loss: ``[B] float``.
        gap: ``[B] float`` g, after clipping; 0 where not known.
        weak_is_image: ``[B] bool``; False where balanced or not known.
        weight: ``[B] float`` w, with the kappa of the moment; 1 where there is no gap.
        known: ``[B] bool`` rows with a target and at least one negative that have both
            modalities. The others are plain InfoNCE.
    """

    loss: Tensor
    gap: Tensor
    weak_is_image: Tensor
    weight: Tensor
    known: Tensor


def wpcl_rows(
    scores: BranchScores, temperature: float, config: Wpcl, progress: float = 1.0
) -> WpclRows:
    """Returns the loss of `Wpcl` a row.

    Args:
        scores: Of B rows and C candidates.
        temperature: t of the loss.
        config: See `Wpcl`.
        progress: Share of the training that is over, 0 to 1, for the warm-up of kappa.
    """
    margins = modality_margins(
        scores, config.margin, config.margin_temperature or temperature, scaled=config.scaled
    )
    kappa = config.kappa * (min(1.0, progress / config.warmup) if config.warmup else 1.0)
    gap = _clipped(margins.gap(stop_gradient=config.stop_gradient), config)  # [B]
    weight = (kappa * gap.detach() / temperature).clamp(max=_LARGEST_EXPONENT).exp()
    if config.variant == "C":
        own = info_nce_rows(scores.fused, scores.targets, scores.allowed, temperature)
        loss = own + (weight - 1) * _weak_rows(scores, margins, temperature)
    else:
        extra = kappa * (gap if config.variant == "A" else gap.detach())
        loss = info_nce_rows(scores.fused, scores.targets, scores.allowed, temperature, extra)
    return WpclRows(loss, gap.detach(), margins.weak_is_image, weight, margins.known)


def _clipped(gap: Tensor, config: Wpcl) -> Tensor:
    clipped = gap.clamp(max=config.gap_max)
    if config.clip == "hard":
        return clipped
    return gap + (clipped - gap).detach()


def _weak_rows(scores: BranchScores, margins: ModalityMargins, temperature: float) -> Tensor:
    """Returns InfoNCE of each row's weak branch, 0 where that is not known."""
    weak = margins.weak_is_image.unsqueeze(1)
    branch = torch.where(weak, scores.image, scores.text)
    known = torch.where(weak, scores.image_known, scores.text_known)
    allowed = scores.allowed & known & margins.known.unsqueeze(1)
    return info_nce_rows(branch, scores.targets, allowed, temperature)
