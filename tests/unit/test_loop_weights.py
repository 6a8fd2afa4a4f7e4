"""What a target weighs in the training loop does not depend on the batch it is in."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from vlmrec.core.protocols import TrainingBatch, Validation
from vlmrec.train.loop import train
from vlmrec.train.options import TrainOptions


class Sum(nn.Module):
    """Its loss is the sum over targets of weight times target: the gradient is their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.gradients: list[float] = []
        self.weight.register_hook(lambda gradient: self.gradients.append(float(gradient)))

    def forward(self, batch: TrainingBatch) -> tuple[Tensor, int]:
        """Returns the sum and its count."""
        return (self.weight * batch.targets).sum(), int((batch.targets != 0).sum())


@dataclass
class TwoBatches:
    """One batch with many targets and one with few."""

    usual_count: float | None
    targets: list[Tensor] = field(
        default_factory=lambda: [torch.ones(4, 5, dtype=torch.int64), torch.ones(2, 1).long()]
    )

    def plan(self, epoch: int) -> list[int]:
        """Returns the steps."""
        del epoch
        return [0, 1]

    def build(self, window: int, epoch: int, step: int) -> TrainingBatch:
        """Returns one of them."""
        del epoch, step
        targets = self.targets[window]
        users = torch.ones(len(targets), dtype=torch.int64)
        return TrainingBatch(targets, targets, users, usual_count=self.usual_count)


def gradients(usual_count: float | None) -> list[float]:
    model = Sum()
    options = TrainOptions(epochs=1, device="cpu")
    valid = Validation("nothing", lambda: 0.0)
    train(model, TwoBatches(usual_count), valid, options, label="sum", quiet=True)
    return model.gradients


def test_a_batch_is_divided_by_the_usual_count_where_there_is_one():
    assert gradients(11.0) == pytest.approx([20 / 11, 2 / 11], rel=1e-6)
    assert gradients(None) == pytest.approx([1.0, 1.0], rel=1e-6)
