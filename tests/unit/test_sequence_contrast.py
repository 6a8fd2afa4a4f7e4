"""DuoRec's contrast against its definition, in value and gradient."""

import math

import pytest
import torch
from tests.reference.objectives_oracle import plain_nt_xent

from vlmrec.core.errors import ConfigError
from vlmrec.objectives.sequence_contrast import SequenceContrast, nt_xent_rows


def views(n, count=2, width=5):
    made = torch.Generator().manual_seed(n)
    return [torch.randn(n, width, generator=made, dtype=torch.float64) for _ in range(count)]


@pytest.mark.parametrize("n", [1, 2, 7, 33])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_equals_the_definition(n, similarity):
    one, other = views(n)
    groups = torch.arange(n) // 3
    for chosen in (None, groups):
        found = nt_xent_rows(one, other, chosen, 0.7, similarity)
        names = None if chosen is None else chosen.tolist()
        plain = plain_nt_xent(one, other, names, 0.7, similarity)
        torch.testing.assert_close(found, plain, atol=1e-10, rtol=1e-10)
        swapped = nt_xent_rows(other, one, chosen, 0.7, similarity)
        torch.testing.assert_close(found, swapped)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_gradient_is_that_of_finite_differences(similarity):
    sides = [side.requires_grad_() for side in views(6)]
    groups = torch.tensor([0, 1, 1, 2, 3, 0])
    assert torch.autograd.gradcheck(lambda a, b: nt_xent_rows(a, b, groups, 0.5, similarity), sides)


def test_a_worked_example():
    # Two rows on two axes: the partner scores 1, the two negatives 0.
    axes = torch.eye(2)
    expected = math.log(math.e + 2) - 1
    torch.testing.assert_close(nt_xent_rows(axes, axes, None, 1.0), torch.full((2,), expected))
    assert not nt_xent_rows(axes, axes, torch.tensor([4, 4]), 1.0).any()  # nothing to tell apart


def test_modes_are_what_they_say():
    state, view, twin = views(5, count=3)
    targets = torch.tensor([3, 1, 3, 2, 9])
    weights = {"unsupervised": 0.3, "supervised": 0.7, "temperature": 0.8, "similarity": "dot"}

    def term(one, other):
        return plain_nt_xent(one, other, targets.tolist(), 0.8, "dot")

    expected = {
        "us_x": 0.7 * term(view, twin),
        "us": 0.3 * term(state, view) + 0.7 * term(state, twin),
        "un": 0.3 * term(state, view),
        "su": 0.7 * term(state, twin),
    }
    for mode, value in expected.items():
        contrast = SequenceContrast(mode=mode, **weights)
        given = (
            state if contrast.needs_state else None,
            view if contrast.needs_dropout_view else None,
            twin if contrast.needs_twin else None,
        )
        torch.testing.assert_close(contrast(*given, targets), value)
        with pytest.raises(ValueError, match=f"Mode {mode} needs a view"):
            contrast(None, None, None, targets)
    plain = SequenceContrast(mode="un", mask_same_target=False, unsupervised=1.0)
    rows = plain_nt_xent(state, view, None, 0.2, "cosine")
    torch.testing.assert_close(plain(state, view, None, targets), rows)


def test_extreme_states_stay_finite():
    one, other = (side.float().sign() * 100 for side in views(6))
    one.requires_grad_()
    rows = nt_xent_rows(one, other, None, 1.0)
    rows.sum().backward()
    assert torch.isfinite(rows).all()
    assert torch.isfinite(one.grad).all()


def test_senseless_options_are_refused():
    with pytest.raises(ConfigError, match="Option 'temperature'"):
        SequenceContrast.parse({"temperature": 0}, "the loss")
    with pytest.raises(ConfigError, match="Option 'mode'"):
        SequenceContrast.parse({"mode": "ux"}, "the loss")
