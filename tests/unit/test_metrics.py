import math

import numpy as np
import pytest
from tests.reference.ranking_oracle import plain_gini, plain_metrics

from vlmrec.core.errors import ConfigError
from vlmrec.evaluation.metrics import coverage, gini, mrr, ndcg, parse_metric, parse_metrics, recall


def test_values_by_hand() -> None:
    ranks = np.array([1.0, 2.0, 3.0, 5.0, 6.0])
    assert ndcg(ranks, 5) == pytest.approx([1, math.log(2) / math.log(3), 0.5, 1 / math.log2(6), 0])
    assert recall(ranks, 5).tolist() == [1, 1, 1, 1, 0]
    assert mrr(ranks, 5) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 5, 0])


def test_a_tie_across_the_cut_is_outside() -> None:
    assert recall(np.array([5.0, 5.5]), 5).tolist() == [1, 0]
    assert ndcg(np.array([1.5]), 5) == pytest.approx([1 / math.log2(2.5)])


@pytest.mark.parametrize("k", [1, 5, 10, 20])
def test_equals_the_plain_oracle(k: int) -> None:
    ranks = np.random.default_rng(k).integers(2, 60, 500) / 2
    expected = plain_metrics(ranks.tolist(), k)
    for kind, value in expected.items():
        assert parse_metric(f"{kind}@{k}").per_case(ranks).mean() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    "name", ["recall@10", "Recall@10", "HR@10", "hr@10", "Hit@10", " hit @ 10 "]
)
def test_spellings(name: str) -> None:
    assert parse_metric(name).name == "Recall@10"


def test_repeated_metrics_are_reported_once() -> None:
    assert [m.name for m in parse_metrics(["hr@5", "NDCG@5", "recall@5"])] == ["Recall@5", "NDCG@5"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ndgc@10", r"Unknown metric 'ndgc@10'. Did you mean 'ndcg'\?"),
        ("RECAL@5", r"Did you mean 'recall'\?"),
        ("ndcg", "'ndcg' is not of the form NAME@K"),
        ("ndcg@0", "with K from 1"),
        ("ndcg@ten", "Write for example NDCG@10"),
    ],
)
def test_unknown_metric(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_metric(name)


def test_no_metric() -> None:
    with pytest.raises(ConfigError, match="No metric was given"):
        parse_metrics([])


def test_chance_is_the_mean_over_all_places() -> None:
    for name in ("NDCG@10", "Recall@5", "MRR@20"):
        metric = parse_metric(name)
        for n_pool in (3, 50):
            places = np.arange(1.0, n_pool + 1)
            assert metric.at_random(n_pool) == pytest.approx(metric.per_case(places).mean())


def test_coverage_and_gini_by_hand() -> None:
    pool = np.array([2, 4, 6, 8])
    lists = np.array([[2, 4, 6], [2, 4, 0], [2, 0, 0]])
    assert coverage(lists, 1, pool) == 0.25
    assert coverage(lists, 2, pool) == 0.5
    assert coverage(lists, 3, pool) == 0.75
    assert gini(lists, 1, pool) == pytest.approx(1 - 1 / 4)
    assert gini(lists, 3, pool) == pytest.approx(plain_gini([3, 2, 1, 0]))
    assert gini(np.array([[2, 4], [6, 8]]), 2, pool) == 0.0
    assert math.isnan(gini(np.zeros((2, 2), dtype=int), 2, pool))
