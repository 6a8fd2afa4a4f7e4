import json

import numpy as np
import pytest
import torch
from tests.reference.ranking_cases import TableRanker, make_cases, random_cases
from tests.reference.ranking_oracle import plain_metrics

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.evaluation.evaluator import Evaluation, evaluate_ranker
from vlmrec.evaluation.slices import Slice, history_slices

N_ITEMS = 400


def solved_world(shuffled: bool = False) -> tuple[TableRanker, torch.Tensor]:
    """A ranker that puts the item after the last one first; or the same scores, shuffled."""
    generator = torch.Generator().manual_seed(0)
    table = torch.rand((N_ITEMS + 1, N_ITEMS + 1), generator=generator)
    following = torch.arange(N_ITEMS + 1) % N_ITEMS + 1
    table[torch.arange(N_ITEMS + 1), following] = 2.0
    if shuffled:
        table[:, 1:] = table[:, 1:][:, torch.randperm(N_ITEMS, generator=generator)]
    return TableRanker(table), following


def evaluate_world(shuffled: bool) -> Evaluation:
    ranker, following = solved_world(shuffled)
    histories = [[last] for last in range(1, N_ITEMS + 1)]
    targets = [int(following[last]) for last in range(1, N_ITEMS + 1)]
    return evaluate_ranker(ranker, make_cases(histories, targets))


def test_a_solved_world_is_solved_and_a_shuffled_one_is_chance() -> None:
    assert evaluate_world(shuffled=False).metrics["NDCG@10"].mean == 1.0
    shuffled = evaluate_world(shuffled=True)
    assert shuffled.metrics["NDCG@10"].high < 3 * shuffled.chance["NDCG@10"]
    assert shuffled.metrics["Recall@20"].low < 20 / N_ITEMS < shuffled.metrics["Recall@20"].high


def test_metrics_are_those_of_the_saved_ranks() -> None:
    ranker, _ = solved_world()
    result = evaluate_ranker(
        ranker, random_cases(300, N_ITEMS, seed=1), metrics=["hr@5", "ndcg@50"]
    )
    assert list(result.metrics) == ["Recall@5", "NDCG@50"]
    ranks = result.cases["rank"].to_list()
    assert result.metrics["Recall@5"].mean == pytest.approx(plain_metrics(ranks, 5)["Recall"])
    assert result.metrics["NDCG@50"].mean == pytest.approx(plain_metrics(ranks, 50)["NDCG"])
    assert result.metrics["NDCG@50"].low < result.metrics["NDCG@50"].mean


def test_the_table_of_cases_keeps_their_order() -> None:
    ranker, _ = solved_world()
    cases = make_cases([[4, 9], [7]], [10, 9])
    table = evaluate_ranker(ranker, cases).cases
    assert table.columns == [
        "user_id", "item_id", "score", "rank", "ties", "history_length", "impossible",
    ]  # fmt: skip
    assert table["user_id"].to_list() == [1, 2]
    assert table["item_id"].to_list() == [10, 9]
    assert table["history_length"].to_list() == [2, 1]
    assert table["rank"][0] == 1.0


def test_what_is_left_when_seen_items_are_left_out_stands_beside() -> None:
    ranker, _ = solved_world()
    cases = random_cases(200, N_ITEMS, seed=2, longest=30)
    both = evaluate_ranker(ranker, cases, also_filtered=True)
    alone = evaluate_ranker(ranker, cases, filter_seen=True)
    assert both.filtered == alone.metrics
    assert both.metrics == evaluate_ranker(ranker, cases).metrics
    assert both.cases["rank_filtered"].to_list() == alone.cases["rank"].to_list()
    assert "NDCG@10, seen left out" in str(both)
    assert both.to_json()["filtered"] == alone.to_json()["metrics"]
    assert evaluate_ranker(ranker, cases, filter_seen=True, also_filtered=True).filtered is None


def test_slices_are_the_metrics_of_their_cases() -> None:
    ranker, _ = solved_world()
    cases = random_cases(200, N_ITEMS, seed=2, longest=30)
    nobody = Slice("nobody", np.zeros(200, dtype=bool), "nobody")
    slices = [*history_slices(cases.histories.lengths), nobody]
    result = evaluate_ranker(ranker, cases, metrics=["MRR@400"], slices=slices)
    ranks = result.cases["rank"].to_numpy()
    for part, given in zip(result.slices[:-1], slices, strict=False):
        assert part.n_cases == given.mask.sum() > 0
        expected = plain_metrics(ranks[given.mask].tolist(), 400)["MRR"]
        assert part.metrics["MRR@400"].mean == pytest.approx(expected)
    assert result.slices[-1].n_cases == 0
    assert result.to_json()["slices"][-1]["metrics"]["MRR@400"]["mean"] is None


def test_protocol_says_what_was_filtered_and_ranked() -> None:
    ranker, _ = solved_world()
    cases = make_cases([[1, 2], [5]], [1, 3])
    plain = evaluate_ranker(ranker, cases)
    assert plain.protocol == (
        "full ranking of 400 items, seen items not filtered, ties count half, 2 cases"
    )
    few = evaluate_ranker(ranker, cases, filter_seen=True, candidates=np.array([1, 2, 3]))
    assert few.n_impossible == 1
    assert few.protocol == (
        "ranking among 3 candidates of 400 items, seen items filtered, ties count half, 2 cases, "
        "1 of them with a target that was seen before (kept in the ranking)"
    )


def test_coverage_and_gini_of_a_constant_ranker() -> None:
    ranker = TableRanker(torch.zeros((51, 51)))
    result = evaluate_ranker(ranker, random_cases(40, 50, seed=0), list_length=5)
    assert result.coverage == pytest.approx(5 / 50)
    assert result.gini == pytest.approx(1 - 5 / 50)
    assert result.n_tied == 40
    assert result.metrics["Recall@20"].mean == 0.0  # everyone's rank is 25.5


def test_json_and_text() -> None:
    ranker, _ = solved_world()
    cases = random_cases(50, N_ITEMS, seed=3)
    slices = history_slices(cases.histories.lengths)
    result = evaluate_ranker(ranker, cases, filter_seen=True, slices=slices, seed=5)
    again = evaluate_ranker(ranker, cases, filter_seen=True, slices=slices, seed=5)
    values = result.to_json()
    assert json.dumps(values, allow_nan=False) == json.dumps(again.to_json(), allow_nan=False)
    assert (values["filter_seen"], values["seed"], values["n_cases"]) == (True, 5, 50)
    text = str(result)
    assert text.startswith("Full ranking of 400 items, seen items filtered")
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert f"{result.metrics['NDCG@10'].mean:.4f}" in lines["NDCG@10"]
    assert "95 % interval" in lines["metric"]
    assert "history > 20" in lines
    assert all(line == line.rstrip() for line in text.splitlines())


def test_no_case() -> None:
    ranker, _ = solved_world()
    with pytest.raises(DataError, match="no case to evaluate"):
        evaluate_ranker(ranker, make_cases([], []))


def test_slices_of_other_cases() -> None:
    ranker, _ = solved_world()
    part = Slice("cold", np.ones(3, dtype=bool), "")
    with pytest.raises(ConfigError, match=r"Slice 'cold' has a mask of shape \(3,\) for 2 cases"):
        evaluate_ranker(ranker, make_cases([[1], [2]], [2, 3]), slices=[part])


def test_lists_of_no_length() -> None:
    ranker, _ = solved_world()
    with pytest.raises(ConfigError, match="list length of 0"):
        evaluate_ranker(ranker, make_cases([[1]], [2]), list_length=0)
