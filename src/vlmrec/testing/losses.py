"""The loss of a model under test, on rows of one's own, and what an objective is shown."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from vlmrec.core.protocols import LossSum, Trainable, TrainingBatch
from vlmrec.pipeline.run import Run


@dataclass
class ScoreWatch:
    """Stands in for an objective and notes the score of the only target."""

    n_negatives: int
    shared_negatives: bool
    score: float | None = None

    def __call__(
        self, queries: Tensor, keys: Tensor, targets: Tensor, negatives: Tensor | None
    ) -> LossSum:
        """Notes the score of the target; a loss of nothing, with gradients."""
        self.score = float((queries * keys[targets]).sum())
        return LossSum(queries.sum() * 0, len(targets))


def trainable(run: Run) -> Trainable | None:
    """Returns the model of a run if it learns by gradients."""
    model = run.model.eval()
    return cast("Trainable", model) if hasattr(model, "training_loss") else None


@torch.no_grad()
def loss_of(model: Trainable, items: Tensor, targets: Tensor, user: int = 1) -> Tensor:
    """Returns the summed loss of one user; negatives, where some are needed, are fixed."""
    objective = getattr(model, "objective", None)
    negatives = None
    if objective is not None and objective.n_negatives:
        fixed = torch.arange(objective.n_negatives) % 5 + 1
        shape = () if objective.shared_negatives else (*items.shape, 1)
        negatives = fixed.repeat(shape) if shape else fixed
    users = torch.full((len(items),), user, dtype=torch.int64)
    return model.training_loss(TrainingBatch(items, targets, users, negatives)).total
