import math

import numpy as np
import pytest
from scipy import stats

from vlmrec.core.errors import ConfigError
from vlmrec.core.random import Streams
from vlmrec.evaluation.significance import (
    bootstrap_means,
    distinct_rows,
    holm,
    paired_bootstrap,
)


def test_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).exponential(size=150)
    ours = bootstrap_means(values[:, None], streams=Streams(1), n_resamples=20_000)[0]
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    error = values.std() / math.sqrt(len(values))
    assert ours.mean == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.06 * error)
    assert ours.high == pytest.approx(theirs.high, abs=0.06 * error)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(300):
        values = (rng.random((400, 1)) < 0.3).astype(float)
        estimate = bootstrap_means(values, streams=Streams(trial), n_resamples=300, confidence=0.8)
        covered += estimate[0].low <= 0.3 <= estimate[0].high
    assert 0.73 < covered / 300 < 0.87


def test_columns_share_their_resamples() -> None:
    values = np.random.default_rng(0).random(50)
    first, second = bootstrap_means(np.column_stack([values, 2 * values]), streams=Streams(0))
    assert second.low == pytest.approx(2 * first.low)
    assert second.high == pytest.approx(2 * first.high)


def test_same_seed_same_interval_whatever_the_order() -> None:
    values = np.random.default_rng(0).integers(0, 5, (200, 2)) / 4
    once = bootstrap_means(values, streams=Streams(3))
    assert once == bootstrap_means(values[::-1], streams=Streams(3))
    assert once != bootstrap_means(values, streams=Streams(4))
    assert once != bootstrap_means(values, streams=Streams(3), address=("cold",))


def test_cases_of_one_user_are_drawn_together() -> None:
    # Ten users with 40 equal cases each: the evidence is ten numbers, not four hundred.
    by_user = np.random.default_rng(0).random(10)
    users = np.repeat(np.arange(10), 40)
    apart = bootstrap_means(by_user[:, None], streams=Streams(0), n_resamples=4000)[0]
    together = bootstrap_means(
        by_user[users][:, None], streams=Streams(0), users=users, n_resamples=4000
    )[0]
    assert together.mean == pytest.approx(apart.mean)
    assert together.high - together.low == pytest.approx(apart.high - apart.low, rel=0.05)


def test_users_with_more_cases_weigh_more() -> None:
    values = np.array([[1.0], [1.0], [1.0], [0.0]])
    estimate = bootstrap_means(values, streams=Streams(0), users=np.array([7, 7, 7, 9]))[0]
    assert estimate.mean == 0.75
    assert (estimate.low, estimate.high) == (0.0, 1.0)


def test_no_case_and_one_case() -> None:
    empty = bootstrap_means(np.zeros((0, 2)), streams=Streams(0))
    assert len(empty) == 2
    assert all(math.isnan(x) for x in (empty[1].mean, empty[1].low, empty[1].high))
    one = bootstrap_means(np.array([[0.5]]), streams=Streams(0))[0]
    assert (one.mean, one.low, one.high) == (0.5, 0.5, 0.5)


def test_distinct_rows_restore_the_whole() -> None:
    values = np.random.default_rng(0).integers(0, 3, (500, 4)) / 2
    rows, counts = distinct_rows(values)
    expected, expected_counts = np.unique(values, axis=0, return_counts=True)
    assert np.array_equal(rows[np.lexsort(rows.T[::-1])], expected)
    assert np.array_equal(counts[np.lexsort(rows.T[::-1])], expected_counts)


def test_a_million_users_are_cheap_and_small() -> None:
    ranks = np.random.default_rng(0).integers(1, 12, 1_000_000)
    values = np.column_stack([ranks <= 10, 1.0 / ranks])
    estimate = bootstrap_means(values, streams=Streams(0), users=np.arange(1_000_000))[0]
    assert estimate.high - estimate.low == pytest.approx(
        2 * 1.96 * math.sqrt(10 / 121 / 1e6), rel=0.1
    )


def test_paired_difference_agrees_with_the_t_test() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400)
    second = first + rng.normal(0.02, 0.2, 400)
    result = paired_bootstrap(first, second, streams=Streams(0), n_resamples=20_000)
    test = stats.ttest_rel(second, first)
    interval = test.confidence_interval(0.95)
    assert result.mean == pytest.approx((second - first).mean())
    assert result.p_value == pytest.approx(test.pvalue, abs=0.01)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), abs=1e-3)
    assert result.effect_size == pytest.approx(test.statistic / math.sqrt(400))
    assert result.n == 400


def test_paired_difference_of_equal_and_of_clearly_different_runs() -> None:
    values = np.random.default_rng(0).random(100)
    same = paired_bootstrap(values, values, streams=Streams(0))
    assert (same.mean, same.p_value, same.effect_size) == (0.0, 1.0, 0.0)
    apart = paired_bootstrap(values, values + values**2, streams=Streams(0))
    assert apart.p_value == pytest.approx(1 / 1001)
    assert apart.low > 0


def test_cases_of_one_user_count_as_one_user() -> None:
    rng = np.random.default_rng(1)
    per_user = rng.normal(0.05, 0.3, 60)
    users = np.repeat(np.arange(60), 20)
    nothing = np.zeros(len(users))
    kept = {"streams": Streams(0), "n_resamples": 4000}
    alone = paired_bootstrap(np.zeros(60), per_user, **kept)
    many = paired_bootstrap(nothing, per_user[users], users=users, **kept)
    assert (many.mean, many.n) == (pytest.approx(alone.mean), 60)
    assert many.effect_size == pytest.approx(alone.effect_size)
    assert many.p_value == pytest.approx(alone.p_value, abs=0.02)
    blind = paired_bootstrap(nothing, per_user[users], **kept)
    assert blind.p_value < 0.01 < many.p_value  # cases taken for users pretend to know more


def test_holm_against_the_definition() -> None:
    values = [0.02, 0.001, 0.5, 0.011, 0.011]
    ordered = sorted(values)
    stepped = [min(1.0, (5 - rank) * value) for rank, value in enumerate(ordered)]
    expected = {value: max(stepped[: rank + 1]) for rank, value in enumerate(ordered)}
    assert holm(values) == pytest.approx([expected[value] for value in values])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_resamples": 0}, "0 bootstrap resamples were asked for"),
        ({"confidence": 95.0}, "confidence of 95.0 was asked for"),
    ],
)
def test_wrong_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bootstrap_means(np.ones((3, 1)), streams=Streams(0), **options)


def test_runs_with_different_users_cannot_be_paired() -> None:
    with pytest.raises(ConfigError, match="compared case by case"):
        paired_bootstrap(np.ones(3), np.ones(4), streams=Streams(0))
