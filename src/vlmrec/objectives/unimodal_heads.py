"""Unimodal heads: each branch must also find the target on its own. A baseline to WPCL."""

from pydantic import Field
from torch import Tensor

from vlmrec.core.config import StrictConfig
from vlmrec.objectives.branch_scores import BranchScores, comparable_negatives
from vlmrec.objectives.info_nce import info_nce_rows


class UnimodalHeads(StrictConfig):
    """Adds ``weight (InfoNCE of the text branch + InfoNCE of the image branch)`` to the loss.

    The plain remedy to a starved branch, with nothing of WPCL in it; what WPCL has to beat.
    """

    weight: float = Field(default=0.5, ge=0)
    """Of both in the loss: together they count as much as the fused term."""

    def __call__(self, scores: BranchScores, temperature: float) -> Tensor:
        """Returns both terms times `weight`, added up ``[B]``."""
        text, image = unimodal_rows(scores, temperature)
        return self.weight * (text + image)


def unimodal_rows(scores: BranchScores, temperature: float) -> tuple[Tensor, Tensor]:
    """Returns InfoNCE of each branch's own scores, ``[B]`` each, not yet weighted.

    Candidates without the modality are left out; a row whose history or target lacks it is 0,
    without gradient.

    Args:
        scores: Of B rows and C candidates; the fused scores are not read.
        temperature: Of the softmax.
    """
    text = comparable_negatives(scores.targets, scores.allowed, scores.text_known)
    image = comparable_negatives(scores.targets, scores.allowed, scores.image_known)
    return (
        info_nce_rows(scores.text, scores.targets, text, temperature),
        info_nce_rows(scores.image, scores.targets, image, temperature),
    )
