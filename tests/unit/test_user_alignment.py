"""Post-alignment equals its definition, and nobody is pushed away from an equal."""

import pytest
import torch
from tests.reference.alignment_oracle import plain_user_alignment

from vlmrec.core.errors import ConfigError
from vlmrec.objectives.user_alignment import UserAlignment, user_alignment_sum

TARGETS = [4, 4, 2, 7, 1, 2, 9]
USERS = [1, 2, 3, 3, 5, 6, 1]


def sides(n, width=5):
    made = torch.Generator().manual_seed(n)
    return [torch.randn(n, width, generator=made, dtype=torch.float64) for _ in range(2)]


@pytest.mark.parametrize("users", [None, USERS])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_equals_the_definition(users, temperature):
    content, ids = sides(7)
    numbers = None if users is None else torch.tensor(users)
    found = user_alignment_sum(content, ids, torch.tensor(TARGETS), numbers, temperature)
    wanted = plain_user_alignment(content, ids, TARGETS, users, temperature)
    assert float(found) == pytest.approx(float(wanted), rel=1e-10)


def test_gradient_is_that_of_finite_differences():
    content, ids = (side.requires_grad_() for side in sides(7))
    assert torch.autograd.gradcheck(
        lambda a, b: user_alignment_sum(a, b, torch.tensor(TARGETS), torch.tensor(USERS), 0.5),
        (content, ids),
    )


def test_the_order_of_a_batch_and_the_length_of_vectors_change_nothing():
    content, ids = sides(7)
    targets, users = torch.tensor(TARGETS), torch.tensor(USERS)
    order = torch.tensor([3, 6, 0, 5, 1, 4, 2])
    before = user_alignment_sum(content, ids, targets, users, 0.2)
    after = user_alignment_sum(content[order], 3 * ids[order], targets[order], users[order], 0.2)
    assert float(after) == pytest.approx(float(before), rel=1e-12)
    wrong = user_alignment_sum(content[order], ids, targets[order], users[order], 0.2)
    assert abs(float(wrong) - float(before)) > 0.1


@pytest.mark.parametrize(
    ("targets", "users"),
    [([5, 5, 5], None), ([5, 5, 5], [1, 2, 3]), ([5, 6, 7], [1, 1, 1]), ([5, 5, 6], [1, 2, 1])],
)
def test_a_row_without_any_negative_has_neither_loss_nor_gradient(targets, users):
    content, ids = (side.requires_grad_() for side in sides(3))
    numbers = None if users is None else torch.tensor(users)
    loss = user_alignment_sum(content, ids, torch.tensor(targets), numbers, 0.1)
    loss.backward()
    # In the last case rows 1 and 2 (other target, other user) are told apart; row 0 from nobody.
    first = [side.grad[0] for side in (content, ids)]
    assert all(float(one.abs().max()) == 0 for one in first)
    apart = targets == [5, 5, 6]
    assert (float(loss.detach()) > 0.01) == apart
    assert bool(content.grad[1:].any()) == apart


def test_the_config_sums_both_directions_and_leaves_mean_and_weight_to_the_caller():
    content, ids = sides(7)
    targets = torch.tensor(TARGETS)
    loss = UserAlignment(weight=0.7, temperature=0.3)(content, ids, targets)
    assert loss.count == 7
    wanted = plain_user_alignment(content, ids, TARGETS, None, 0.3)
    assert float(loss.total) == pytest.approx(float(wanted))
    swapped = UserAlignment(temperature=0.3)(ids, content, targets)
    assert float(swapped.total) == pytest.approx(float(loss.total))


@pytest.mark.parametrize("option", ["weight", "temperature"])
def test_weight_and_temperature_must_be_positive(option):
    with pytest.raises(ConfigError, match=f"Option '{option}'.*greater than 0"):
        UserAlignment.parse({option: 0}, "the loss")
