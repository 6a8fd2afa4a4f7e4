"""How a model's negatives are drawn: what its objective asks for, over what training may know."""

import torch
from torch import Tensor

from vlmrec.core.protocols import LossSum
from vlmrec.data.negatives import (
    Exclusion,
    PopularNegatives,
    UniformNegatives,
    popularity_odds,
)
from vlmrec.models.spec import TrainingData
from vlmrec.objectives import AnyObjective, SampledSoftmax


def negatives_for(
    objective: AnyObjective, training: TrainingData, exclude: Exclusion
) -> UniformNegatives | None:
    """Returns what draws an objective's negatives, None where it needs none."""
    pool, power = training.training_items, objective.negative_power()
    if not objective.n_negatives:
        return None
    if not power:
        return UniformNegatives.over(pool, training.histories, exclude)
    return PopularNegatives.by_popularity(pool, training.histories, power, exclude)


def odds_for(objective: AnyObjective, training: TrainingData) -> Tensor | None:
    """Returns ``[I + 1]`` how often each item is drawn as a multiple of uniform drawing.

    None where all are drawn alike.
    """
    power = objective.negative_power()
    if not power:
        return None
    odds = torch.ones(training.shape.n_items + 1)
    drawn = popularity_odds(training.training_items, training.histories, power)
    odds[torch.as_tensor(training.training_items)] = torch.as_tensor(drawn, dtype=odds.dtype)
    return odds


def sampled_loss(
    objective: AnyObjective,
    queries: Tensor,
    keys: Tensor,
    goal: Tensor,
    wrong: Tensor,
    odds: Tensor | None,
) -> LossSum:
    """Returns an objective of targets and negatives.

    Args:
        objective: One that needs negatives.
        queries: ``[M, D]`` one a target.
        keys: ``[P, D]``.
        goal: ``[M]`` rows of `keys`.
        wrong: ``[N]`` or ``[M, N]`` rows of `keys`.
        odds: Shaped like `wrong`, of `odds_for`; None where all are drawn alike.
    """
    if odds is not None and isinstance(objective, SampledSoftmax):
        return objective(queries, keys, goal, wrong, odds)
    return objective(queries, keys, goal, wrong)
