import math

import pytest
import torch

from vlmrec.core.errors import ConfigError
from vlmrec.objectives.pair_contrast import PairContrast, pair_contrast_sum


def plain(left, right, groups, temperature):
    """Row by row, as the definition reads."""
    total = 0.0
    n = len(left)
    for i in range(n):
        for a, b in ((left, right), (right, left)):
            scores = {}
            for j in range(n):
                if j != i and groups is not None and groups[i] == groups[j]:
                    continue
                cosine = float(a[i] @ b[j] / (a[i].norm() * b[j].norm()))
                scores[j] = math.exp(cosine / temperature)
            total -= math.log(scores[i] / sum(scores.values())) / 2
    return total


def pairs(n, width=5):
    made = torch.Generator().manual_seed(n)
    return (torch.randn(n, width, generator=made, dtype=torch.float64) for _ in range(2))


@pytest.mark.parametrize("n", [1, 2, 7, 33])
def test_equals_the_definition(n):
    left, right = pairs(n)
    groups = torch.arange(n) // 3
    for chosen in (None, groups):
        found = pair_contrast_sum(left, right, chosen, 0.3)
        assert float(found) == pytest.approx(plain(left, right, chosen, 0.3), rel=1e-10)


def test_gradient_is_that_of_finite_differences():
    left, right = (side.requires_grad_() for side in pairs(6))
    groups = torch.tensor([0, 1, 1, 2, 3, 0])
    assert torch.autograd.gradcheck(
        lambda a, b: pair_contrast_sum(a, b, groups, 0.5), (left, right)
    )


def test_sides_can_be_swapped_and_a_perfect_match_beats_a_shuffled_one():
    left, right = pairs(8)
    loss = PairContrast(temperature=0.1)
    assert float(loss(left, right).total) == pytest.approx(float(loss(right, left).total))
    assert loss(left, left).total < loss(left, left.roll(1, 0)).total
    assert loss(left, right).count == 8


def test_temperature_must_be_positive():
    with pytest.raises(ConfigError, match="Option 'temperature'"):
        PairContrast.parse({"temperature": 0}, "the loss")
