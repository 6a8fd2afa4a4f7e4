import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.reference.ranking_cases import TableRanker, make_cases
from tests.reference.ranking_oracle import plain_gini, plain_list, plain_rank

from vlmrec.evaluation.metrics import gini, mrr, ndcg, recall
from vlmrec.evaluation.ranking import rank_targets
from vlmrec.evaluation.top_items import best_columns

half_ranks = st.integers(2, 400).map(lambda twice: twice / 2)
rank_arrays = hnp.arrays(np.float64, st.integers(1, 30), elements=half_ranks)
cuts = st.integers(1, 60)
score_lists = st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.0, 3.0]), min_size=1, max_size=25)


@given(rank_arrays, cuts)
def test_bounds_and_order_between_metrics(ranks: np.ndarray, k: int) -> None:
    a, b, c = mrr(ranks, k), ndcg(ranks, k), recall(ranks, k)
    assert (a >= 0).all()
    assert (a <= b + 1e-12).all()
    assert (b <= c + 1e-12).all()
    assert (c <= 1).all()


@given(rank_arrays, cuts, st.sampled_from([ndcg, recall, mrr]))
def test_a_longer_list_or_a_better_rank_never_hurts(ranks: np.ndarray, k: int, metric) -> None:
    assert (metric(ranks, k) <= metric(ranks, k + 1)).all()
    assert (metric(ranks + 0.5, k) <= metric(ranks, k)).all()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any))
def test_gini_is_half_the_relative_mean_difference(counts: list[int]) -> None:
    lists = np.repeat(np.arange(1, len(counts) + 1), counts)[:, None]
    value = gini(lists, 1, np.arange(1, len(counts) + 1))
    assert abs(value - plain_gini(counts)) < 1e-12


@settings(deadline=None)
@given(score_lists, st.data())
def test_rank_and_list_equal_the_oracle(scores: list[float], data: st.DataObject) -> None:
    n = len(scores)
    history = data.draw(st.lists(st.integers(1, n), min_size=1, max_size=6))
    target = data.draw(st.integers(1, n))
    pool = data.draw(st.sets(st.integers(1, n))) | {target}
    filtered = data.draw(st.booleans())
    table = torch.tensor([0.0, *scores]).expand(n + 1, n + 1)
    result = rank_targets(
        TableRanker(table),
        make_cases([history], [target]),
        filter_seen=filtered,
        candidates=np.array(sorted(pool)),
        top_k=5,
    )
    hidden = set(history) - {target} if filtered else set()
    assert result.ranks[0] == plain_rank([0.0, *scores], target, pool, hidden)
    shown = [item for item in result.top_items[0].tolist() if item]
    assert shown == plain_list([0.0, *scores], 5, pool, hidden)


@settings(deadline=None)
@given(score_lists, st.randoms(use_true_random=False))
def test_renaming_the_items_changes_no_rank(scores: list[float], random) -> None:
    n = len(scores)
    order = list(range(n))
    random.shuffle(order)
    straight = TableRanker(torch.tensor([0.0, *scores]).expand(n + 1, n + 1))
    renamed = TableRanker(torch.tensor([0.0, *[scores[i] for i in order]]).expand(n + 1, n + 1))
    before = rank_targets(straight, make_cases([[1]] * n, [i + 1 for i in order]))
    after = rank_targets(renamed, make_cases([[1]] * n, list(range(1, n + 1))))
    assert np.array_equal(before.ranks, after.ranks)
    # Scores are shared out: the ranks of all items always add up to 1 + 2 + ... + n.
    assert before.ranks.sum() == n * (n + 1) / 2


@given(score_lists, st.integers(1, 25))
def test_best_columns_are_a_stable_sort(scores: list[float], k: int) -> None:
    k = min(k, len(scores))
    columns, values = best_columns(torch.tensor([scores]), k)
    expected = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k]
    assert columns[0].tolist() == expected
    assert values[0].tolist() == [scores[i] for i in expected]
