"""What the losses of a two-branch model read: scores of each branch, and what may be compared."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class BranchScores:
    """Scores of B histories against C candidates, by fused vector and by each branch.

    Scores where a modality is missing may hold anything, NaN included: no loss reads them.

    Attributes:
        fused: ``[B, C] float`` cosines of the fused vectors, before any temperature.
        text: ``[B, C] float`` cosines of the text branch alone.
        image: ``[B, C] float`` cosines of the image branch alone.
        targets: ``[B] int64`` the column of each row's target.
        allowed: ``[B, C] bool`` which candidates a row is compared with; its target is one.
            See `candidate_mask`.
        text_known: ``[B, C] bool`` where history and candidate both have text.
        image_known: ``[B, C] bool`` where history and candidate both have a picture.
    """

    fused: Tensor
    text: Tensor
    image: Tensor
    targets: Tensor
    allowed: Tensor
    text_known: Tensor
    image_known: Tensor

    @property
    def both(self) -> Tensor:
        """``[B, C] bool`` where history and candidate both have both modalities."""
        return self.text_known & self.image_known


def candidate_mask(candidates: Tensor, targets: Tensor, histories: Tensor) -> Tensor:
    """Returns which candidates each row may be compared with.

    Not items of its own history, and not its target's item a second time: punishing those would
    teach the model that what a user liked is wrong. Padding never is a candidate. Another item
    that stands in several columns counts several times, as in-batch negatives do.

    Args:
        candidates: ``[C] int64`` item ids, in any order; 0 is padding.
        targets: ``[B] int64`` the column (not the id) of each row's target, which stays allowed
            even where the history holds the item.
        histories: ``[B, T] int64`` item ids, 0 is padding.

    Returns:
        ``[B, C] bool``.
    """
    seen = (histories.unsqueeze(2) == candidates).any(dim=1)  # [B, T, C] -> [B, C]
    copies = candidates[targets].unsqueeze(1) == candidates  # [B, C]
    mask = (~seen & ~copies).scatter(1, targets.unsqueeze(1), True)
    return mask & (candidates != 0)


def comparable_negatives(targets: Tensor, allowed: Tensor, known: Tensor) -> Tensor:
    """Returns ``[B, C] bool``: allowed candidates but the target, where both scores are known.

    A row whose target is not known has no negatives: there is nothing to compare them with.

    Args:
        targets: ``[B] int64`` columns.
        allowed: ``[B, C] bool``.
        known: ``[B, C] bool``.
    """
    columns = targets.unsqueeze(1)
    return (allowed & known & known.gather(1, columns)).scatter(1, columns, False)


def at_target(values: Tensor, targets: Tensor) -> Tensor:
    """Returns ``[B]`` the entry of ``values [B, C]`` in each row's target column."""
    return values.gather(1, targets.unsqueeze(1)).squeeze(1)


def in_full_precision(scores: Tensor) -> Tensor:
    """Returns half-precision scores as float32; others as they are.

    Divided by a temperature of .01, neighbouring bfloat16 values of a cosine near 1 lie .4 apart:
    what follows must not round again.
    """
    return scores.float() if scores.dtype in (torch.bfloat16, torch.float16) else scores
