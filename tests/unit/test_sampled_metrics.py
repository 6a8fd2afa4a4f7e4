"""Expected metrics among sampled items: against every sample, and against drawn ones."""

from itertools import combinations

import numpy as np
import pytest

from vlmrec.evaluation.metrics import parse_metric
from vlmrec.evaluation.sampled import n_unseen, sampled_metric
from vlmrec.testing.worlds import small_dataset


@pytest.mark.parametrize("name", ["NDCG@3", "Recall@2", "MRR@4"])
def test_against_every_sample(name):
    metric = parse_metric(name)
    for others, ahead, n in [(6, 0, 3), (6, 2, 3), (6, 6, 3), (5, 3, 5), (4, 2, 9)]:
        better = [k < ahead for k in range(others)]
        drawn = list(combinations(better, min(n, others)))
        ranks = np.array([1 + sum(one) for one in drawn])
        found = sampled_metric(metric, np.array([ahead + 1.0]), np.array([others]), n)
        assert found[0] == pytest.approx(metric.per_case(ranks).mean())


def test_half_ranks_lie_between():
    metric = parse_metric("NDCG@10")
    others = np.full(3, 900)
    low, half, high = sampled_metric(metric, np.array([40.0, 40.5, 41.0]), others, 100)
    assert half == pytest.approx((low + high) / 2)
    assert low > half > high


def test_many_cases_agree_with_drawn_samples():
    rng = np.random.default_rng(0)
    metric = parse_metric("NDCG@10")
    ranks = rng.integers(1, 1600, 20_000).astype(float)
    others = np.full(len(ranks), 1650)
    drawn = 1 + rng.hypergeometric(ranks.astype(int) - 1, 1650 - ranks.astype(int) + 1, 100)
    found = sampled_metric(metric, ranks, others, 100)
    assert found.mean() == pytest.approx(metric.per_case(drawn).mean(), rel=0.02)
    assert found.mean() > 3 * metric.per_case(ranks).mean()


def test_unseen_items_of_each_case():
    split = small_dataset().leave_one_out()
    cases, n_items = split.test, split.dataset.n_items
    found = n_unseen(cases, n_items)
    for row in range(len(cases)):
        one = cases.subset(np.array([row]))
        history = set(one.histories.flat().tolist()) - {int(one.targets[0])}
        assert found[row] == n_items - 1 - len(history)
