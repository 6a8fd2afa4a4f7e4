"""Lists mixed by quota, against mixing them place by place."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.quota_oracle import plain_mixed, plain_mixed_place

from vlmrec.core.errors import ConfigError
from vlmrec.evaluation.quota import Quota
from vlmrec.evaluation.ranking import ranks_in

shares = st.sampled_from([Fraction(1, 10), Fraction(1, 4), Fraction(3, 10), Fraction(2, 3)])
blocks = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=25)


def pool_of(new, share):
    mask = np.array([False, *new])
    return Quota(mask, float(share)).over(np.arange(1, len(mask)))


@settings(max_examples=150, deadline=None)
@given(blocks, shares, st.data())
def test_a_rank_is_the_mean_place_over_all_orders_of_equals(block, share, data):
    scores, new = zip(*block, strict=True)
    targets = data.draw(st.lists(st.integers(0, len(scores) - 1), min_size=1, max_size=5))
    mixed = pool_of(new, share)
    rows = torch.tensor([scores] * len(targets), dtype=torch.float32)
    ranks, ties = ranks_in(rows, np.array(targets), mixed)
    expected = [plain_mixed_place(scores, target, new, share) for target in targets]
    np.testing.assert_allclose(ranks, expected)
    same = [sum(s == scores[t] and n == new[t] for s, n in block) - 1 for t in targets]
    assert ties.tolist() == same


@settings(max_examples=150, deadline=None)
@given(blocks, shares, st.integers(1, 30))
def test_a_list_is_mixed_place_by_place(block, share, k):
    scores, new = zip(*block, strict=True)
    hidden = [item for item, score in enumerate(scores) if score == 0]
    k = min(k, len(scores))
    kinds = [
        sorted(
            (i for i in range(len(scores)) if new[i] == kind and i not in hidden),
            key=lambda i: (-scores[i], i),
        )
        for kind in (False, True)
    ]
    expected = plain_mixed(*kinds, share)[:k]
    row = torch.tensor([scores], dtype=torch.float32)
    row[0, hidden] = float("-inf")
    columns, values = pool_of(new, share).best(row, k)
    assert columns.shape == (1, k)
    assert columns[0, : len(expected)].tolist() == expected
    assert torch.isneginf(values[0, len(expected) :]).all()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match="expected a share above 0 and below 1"):
        Quota(np.array([False, True]), share)
