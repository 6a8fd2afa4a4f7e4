"""CRTR: the two modalities should agree on which candidates are alike.

Our reconstruction: the equations of the paper (arXiv 2603.17450) are not known to us; known is a
bidirectional KL divergence between the modalities' soft ranks of the in-batch candidates.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from vlmrec.core.config import StrictConfig
from vlmrec.objectives.branch_scores import BranchScores, in_full_precision


class Crtr(StrictConfig):
    """Cross-modal relational topology regularisation.

    With the soft ranks ``P^m = softmax(s^m / t)`` over a row's candidates,

        L = 1/2 [KL(P^text || P^image) + KL(P^image || P^text)]

    which is 0 for equal topologies (also up to a constant a row), symmetric, and never negative.

    Differs from the paper: how far is not known, see the module.
    """

    weight: float = Field(default=0.02, ge=0)
    """Of the term in the loss. Small: .1 and more made the image branch copy the text branch in
    planted worlds, and CRTR without WPCL ruined both branches."""
    temperature: float = Field(default=0.1, gt=0)
    """t of the soft ranks; above the loss temperature, so that more than the first few
    candidates count."""
    relation: Literal["user-item", "item-item"] = "user-item"
    """Whose topology: candidates as a history sees them (what is known of the paper), or
    candidates among each other."""
    stop_gradient_on_strong: bool = False
    """Let only a row's weaker modality move towards the stronger. Off: the paper's divergence
    runs both ways."""
    drop_target: bool = False
    """Compare the relations of negatives only (user-item). Off: the target is a candidate."""

    def __call__(self, scores: BranchScores, image_is_strong: Tensor | None = None) -> Tensor:
        """Returns the user-item term times `weight` ``[B]``; see `crtr_rows`."""
        return self.weight * crtr_rows(scores, self, image_is_strong)


def crtr_rows(scores: BranchScores, config: Crtr, image_is_strong: Tensor | None = None) -> Tensor:
    """Returns the divergence between a history's two topologies ``[B]``, not yet weighted.

    Args:
        scores: Of B rows and C candidates; those allowed that have both modalities count.
        config: See `Crtr`.
        image_is_strong: ``[B] bool``, needed where the stronger side is to stay still.

    Returns:
        ``[B]``; 0, without gradient, for rows with fewer than two candidates.
    """
    mask = scores.allowed & scores.both
    if config.drop_target:
        mask = mask.scatter(1, scores.targets.unsqueeze(1), False)
    return _divergence(scores.text, scores.image, mask, config, image_is_strong)


def crtr_item_rows(
    text: Tensor,
    image: Tensor,
    candidates: Tensor,
    known: Tensor,
    config: Crtr,
    image_is_strong: Tensor | None = None,
) -> Tensor:
    """Returns the divergence between a candidate's two topologies among the others ``[C]``.

    Not yet weighted, and C rows where other terms have B: take ``B * rows.mean()`` to add it to
    them.

    Args:
        text: ``[C, D] float`` unit vectors of the text branch.
        image: ``[C, D] float`` unit vectors of the image branch.
        candidates: ``[C] int64`` item ids; an item is not compared with itself, in whatever
            column, nor with padding (0).
        known: ``[C] bool`` candidates with both modalities.
        config: See `Crtr`; a candidate has no target to drop.
        image_is_strong: ``[C]`` or ``[] bool``, needed where the stronger side is to stay still.

    Returns:
        ``[C]``; 0, without gradient, for rows with fewer than two others.
    """
    known = known & (candidates != 0)
    others = candidates.unsqueeze(1) != candidates  # [C, C]
    mask = others & known & known.unsqueeze(1)
    if image_is_strong is not None:
        image_is_strong = image_is_strong.expand(len(candidates))
    return _divergence(text @ text.T, image @ image.T, mask, config, image_is_strong)


def _divergence(
    text: Tensor, image: Tensor, mask: Tensor, config: Crtr, image_is_strong: Tensor | None
) -> Tensor:
    kept = mask & (mask.sum(dim=1, keepdim=True) > 1)
    log_text = _log_ranks(text, kept, config.temperature)
    log_image = _log_ranks(image, kept, config.temperature)
    if config.stop_gradient_on_strong:
        if image_is_strong is None:
            raise ValueError("Crtr needs image_is_strong to hold the stronger side still.")
        strong = image_is_strong.unsqueeze(1)
        log_image = torch.where(strong, log_image.detach(), log_image)
        log_text = torch.where(strong, log_text, log_text.detach())
    # KL(P||Q) + KL(Q||P) = sum (P - Q)(log P - log Q), no term of which is negative.
    terms = (log_text.exp() - log_image.exp()) * (log_text - log_image)  # [B, C]
    return terms.sum(dim=1) / 2


def _log_ranks(scores: Tensor, kept: Tensor, temperature: float) -> Tensor:
    """Returns the logarithm of the soft ranks ``[B, C]``, 0 (and no gradient) where not kept."""
    kept_or_empty = kept | ~kept.any(dim=1, keepdim=True)  # a row of -inf has no softmax
    logits = in_full_precision(scores) / temperature
    logits = logits.masked_fill(~kept, 0.0).masked_fill(~kept_or_empty, float("-inf"))
    return logits.log_softmax(dim=1).masked_fill(~kept, 0.0)
