import numpy as np
import pytest
import torch
from tests.reference.ranking_cases import (
    TableRanker,
    VectorTableRanker,
    make_cases,
    random_cases,
)
from tests.reference.ranking_oracle import plain_list, plain_rank
from torch import Tensor

from vlmrec.core.errors import ConfigError
from vlmrec.evaluation import pool as pool_module
from vlmrec.evaluation import ranking as ranking_module
from vlmrec.evaluation import seen as seen_module
from vlmrec.evaluation.ranking import RankResult, rank_targets


def ranker_of_rows(*rows: list[float]) -> TableRanker:
    """A ranker over I items whose row i is used by histories that end with item i + 1."""
    table = torch.zeros((len(rows[0]) + 1, len(rows[0]) + 1))
    for i, row in enumerate(rows):
        table[i + 1, 1:] = torch.tensor(row)
    return TableRanker(table)


def coarse_ranker(n_items: int, seed: int) -> TableRanker:
    """Scores from {0, ..., 4}: many ties, and exact in every order of summation."""
    generator = torch.Generator().manual_seed(seed)
    return TableRanker(torch.randint(0, 5, (n_items + 1, n_items + 1), generator=generator) / 1.0)


def same(a: RankResult, b: RankResult) -> bool:
    fields = ("ranks", "ties", "scores", "impossible", "top_items", "top_scores")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in fields)


def test_ranks_by_hand() -> None:
    ranker = ranker_of_rows([0.9, 0.5, 0.1, 0.5, 0.5], [1.0, 2.0, 3.0, 4.0, 5.0])
    cases = make_cases([[1], [1], [1], [3, 2]], [1, 2, 3, 5])
    result = rank_targets(ranker, cases, top_k=3)
    # Item 2 has one item above it and two beside it: 1 + 1 + 2/2 = 3.
    assert result.ranks.tolist() == [1.0, 3.0, 5.0, 1.0]
    assert result.ties.tolist() == [0, 2, 0, 0]
    assert result.scores.tolist() == pytest.approx([0.9, 0.5, 0.1, 5.0])
    assert result.top_items.tolist() == [[1, 2, 4]] * 3 + [[5, 4, 3]]


def test_constant_scores_give_the_middle_rank_and_the_lowest_ids() -> None:
    for n_items in (7, 8, 5000):
        ranker = TableRanker(torch.zeros((1, 1)).expand(n_items + 1, n_items + 1))
        result = rank_targets(ranker, make_cases([[1], [2]], [n_items, 3]), top_k=3)
        assert result.ranks.tolist() == [(n_items + 1) / 2] * 2
        assert result.top_items.tolist() == [[1, 2, 3]] * 2


@pytest.mark.parametrize("n_items", [1, 2, 3, 17, 64])
@pytest.mark.parametrize("filter_seen", [False, True])
def test_equals_the_plain_oracle(n_items: int, filter_seen: bool) -> None:
    ranker = coarse_ranker(n_items, seed=n_items)
    cases = random_cases(40, n_items, seed=n_items)
    pool = np.unique(np.concatenate([cases.targets, np.arange(1, n_items + 1, 2)]))
    result = rank_targets(ranker, cases, filter_seen=filter_seen, candidates=pool, top_k=4)
    for i in range(len(cases)):
        history = cases.histories.subset(np.array([i])).flat().tolist()
        target = int(cases.targets[i])
        hidden = set(history) - {target} if filter_seen else set()
        scores = ranker.table[history[-1]].tolist()
        assert result.ranks[i] == plain_rank(scores, target, pool.tolist(), hidden)
        shown = [item for item in result.top_items[i].tolist() if item]
        assert shown == plain_list(scores, 4, pool.tolist(), hidden)
        assert bool(result.impossible[i]) == (filter_seen and target in history)


def test_filtered_ranks_beside_the_others_are_those_of_a_filtered_ranking() -> None:
    ranker, cases = coarse_ranker(17, seed=3), random_cases(40, 17, seed=3)
    both = rank_targets(ranker, cases, also_filtered=True, top_k=4)
    assert same(both, rank_targets(ranker, cases, top_k=4))
    alone = rank_targets(ranker, cases, filter_seen=True)
    assert both.filtered is not None
    assert np.array_equal(both.filtered, alone.ranks)
    assert not np.array_equal(both.filtered, both.ranks)
    assert alone.filtered is None


@pytest.mark.parametrize("whole_catalogue", [True, False])
def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch, whole_catalogue: bool) -> None:
    ranker, cases = coarse_ranker(101, seed=1), random_cases(67, 101, seed=2)
    candidates = None if whole_catalogue else np.unique(cases.targets)
    options = {"filter_seen": True, "candidates": candidates, "top_k": 5}
    whole = rank_targets(ranker, cases, **options)
    for chunk, block in ((1, 3), (7, 4), (100, 5), (101, 67), (102, 1000)):
        monkeypatch.setattr(pool_module, "ITEM_CHUNK", chunk)
        monkeypatch.setattr(ranking_module, "ITEM_CHUNK", chunk)
        monkeypatch.setattr(ranking_module, "_MOST_CASES_AT_A_TIME", block)
        monkeypatch.setattr(seen_module, "_EVENTS_AT_A_TIME", block)
        assert same(whole, rank_targets(ranker, cases, **options))


def test_memory_budget_limits_the_block() -> None:
    ranker, cases = coarse_ranker(200, seed=0), random_cases(250, 200, seed=0)
    wide = rank_targets(ranker, cases, top_k=3)
    assert ranker.largest_block == 250
    ranker.largest_block = 0
    narrow = rank_targets(ranker, cases, top_k=3, memory_budget=1 << 18)
    assert 3 <= ranker.largest_block <= (1 << 18) // (4 * 200)
    assert same(wide, narrow)


class BatchSensitiveRanker(TableRanker):
    """Rounds differently in every batch, as fast matrix products do, only more so."""

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        return super().score(queries, start, stop) * (1 + 1e-3 * queries[:7].float().mean())


def test_the_order_of_cases_does_not_matter() -> None:
    table = torch.rand((302, 302), generator=torch.Generator().manual_seed(3))
    ranker, cases = BatchSensitiveRanker(table), random_cases(1100, 301, seed=4)
    order = np.random.default_rng(5).permutation(len(cases))
    straight = rank_targets(ranker, cases, top_k=5)
    shuffled = rank_targets(ranker, cases.subset(order), top_k=5)
    assert np.array_equal(straight.scores[order], shuffled.scores)
    assert np.array_equal(straight.ranks[order], shuffled.ranks)
    assert np.array_equal(straight.top_items[order], shuffled.top_items)


@pytest.mark.parametrize("n_cases", [1, 2, 3, 513])
@pytest.mark.parametrize("n_items", [5, 1683, 4097])
def test_items_with_the_same_vector_tie(n_cases: int, n_items: int) -> None:
    generator = torch.Generator().manual_seed(n_items)
    vectors = torch.randn((5, 96), generator=generator)[
        torch.randint(0, 5, (n_items + 1,), generator=generator)
    ]
    ranker = VectorTableRanker(vectors)
    result = rank_targets(ranker, random_cases(n_cases, n_items, seed=6))
    kind = torch.unique(vectors, dim=0, return_inverse=True)[1].numpy()
    alike = np.bincount(kind[1:], minlength=5)
    targets = random_cases(n_cases, n_items, seed=6).targets
    assert np.array_equal(result.ties, alike[kind[targets]] - 1)


def test_differences_below_float32_are_ties() -> None:
    table = torch.zeros((4, 4), dtype=torch.float64)
    table[1, 1:] = torch.tensor([1.0, 1.0 + 1e-9, 0.0], dtype=torch.float64)
    assert rank_targets(TableRanker(table), make_cases([[1]], [1])).ranks.tolist() == [1.5]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_raises(bad: float) -> None:
    ranker = coarse_ranker(20, seed=0)
    ranker.table[:, 13] = bad
    with pytest.raises(FloatingPointError, match="scores are NaN or infinite"):
        rank_targets(ranker, make_cases([[1, 2]], [5]))


def test_huge_finite_scores_are_ranked() -> None:
    ranker = ranker_of_rows([3e38, 3e38, -3e38, 1.0])  # their sum overflows
    assert rank_targets(ranker, make_cases([[1]], [4])).ranks.tolist() == [3.0]


def test_filter_hides_the_whole_history_and_keeps_the_target() -> None:
    ranker = ranker_of_rows([5.0, 4.0, 3.0, 2.0, 1.0])
    ranker.max_len = 1  # the model reads one item; the filter must see all
    cases = make_cases([[2, 3, 1], [4, 2, 1]], [5, 4])
    plain = rank_targets(ranker, cases)
    assert plain.ranks.tolist() == [5.0, 4.0]
    assert plain.impossible.tolist() == [False, False]
    filtered = rank_targets(ranker, cases, filter_seen=True, top_k=4)
    assert filtered.ranks.tolist() == [2.0, 2.0]
    assert filtered.impossible.tolist() == [False, True]
    assert filtered.top_items.tolist() == [[4, 5, 0, 0], [3, 4, 5, 0]]
    assert np.isneginf(filtered.top_scores[0, 2:]).all()


def test_hidden_items_are_no_ties() -> None:
    ranker = ranker_of_rows([1.0, 1.0, 1.0, 1.0])
    assert rank_targets(ranker, make_cases([[3, 1]], [2]), filter_seen=True).ranks[0] == 1.5


def test_candidates_restrict_the_pool() -> None:
    ranker = ranker_of_rows([5.0, 4.0, 3.0, 2.0, 1.0])
    result = rank_targets(ranker, make_cases([[1]], [5]), candidates=np.array([5, 3, 3]), top_k=3)
    assert result.ranks.tolist() == [2.0]
    assert result.top_items.tolist() == [[3, 5, 0]]
    assert result.pool_items.tolist() == [3, 5]


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (np.array([1, 2]), "1 of 2 targets are not among the 2 items"),
        (np.array([0, 5]), "reach from 0 to 5; internal item ids from 1 to 5"),
        (np.array([5, 6]), "reach from 5 to 6; internal item ids from 1 to 5"),
        (np.array([], dtype=np.int64), "pool of candidates is empty"),
    ],
)
def test_wrong_candidates(candidates: np.ndarray, message: str) -> None:
    ranker = ranker_of_rows([5.0, 4.0, 3.0, 2.0, 1.0])
    with pytest.raises(ConfigError, match=message):
        rank_targets(ranker, make_cases([[1], [1]], [5, 1]), candidates=candidates)


@pytest.mark.parametrize("target", [0, 6])
def test_a_target_that_the_ranker_does_not_know(target: int) -> None:
    ranker = ranker_of_rows([5.0, 4.0, 3.0, 2.0, 1.0])
    with pytest.raises(ConfigError, match="1 of 1 targets are not among the 5 items"):
        rank_targets(ranker, make_cases([[1]], [target]))


def test_no_cases_and_progress() -> None:
    ranker = coarse_ranker(9, seed=0)
    assert len(rank_targets(ranker, make_cases([], []), top_k=2)) == 0
    reports: list[tuple[int, int]] = []
    for n_cases in (1, 1100):
        cases = random_cases(n_cases, 9, seed=0)
        rank_targets(ranker, cases, on_progress=lambda done, of: reports.append((done, of)))
    assert reports == [(1, 1), (220, 1100), (440, 1100), (660, 1100), (880, 1100), (1100, 1100)]
