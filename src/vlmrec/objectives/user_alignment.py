"""Post-alignment: what is made of a user's content should point where the ID model points.

References:
    Luo et al. (2024), "Molar", arXiv 2412.18176, Equation 4: both directions are summed, not
    averaged, and each is the mean over the batch.

Differs from the paper: rows with the same target item, and rows of the same user, are no
negatives of each other; the paper takes all other rows.
"""

from pydantic import Field
from torch import Tensor

from vlmrec.core.config import StrictConfig
from vlmrec.core.protocols import LossSum
from vlmrec.objectives.pair_contrast import both_ways_sum


class UserAlignment(StrictConfig):
    """Symmetric contrastive loss between content vectors and the vectors of an ID model."""

    weight: float = Field(default=0.1, gt=0)
    """Alpha, the weight beside the ranking loss; the paper does not report its own."""
    temperature: float = Field(default=0.1, gt=0)
    """Cosines are divided by it; the paper does not report its own."""

    def __call__(
        self, content: Tensor, ids: Tensor, targets: Tensor, users: Tensor | None = None
    ) -> LossSum:
        """Returns the summed loss, without the weight; see `user_alignment_sum`."""
        total = user_alignment_sum(content, ids, targets, users, self.temperature)
        return LossSum(total, len(content))


def user_alignment_sum(
    content: Tensor, ids: Tensor, targets: Tensor, users: Tensor | None, temperature: float
) -> Tensor:
    """Returns ``sum_u [-log p(ids_u | content_u) - log p(content_u | ids_u)]`` as a scalar.

    Args:
        content: ``[B, D] float`` content vectors of users (or of items).
        ids: ``[B, D] float`` vectors of the same by the ID model.
        targets: ``[B] int64``; rows of one value are no negatives of each other.
        users: ``[B] int64``, alike; None: every row is a user of its own.
        temperature: Divides cosines.
    """
    same = targets.unsqueeze(0) == targets.unsqueeze(1)
    if users is not None:
        same = same | (users.unsqueeze(0) == users.unsqueeze(1))
    return both_ways_sum(content, ids, same, temperature)
