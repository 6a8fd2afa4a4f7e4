"""Our metrics and our tie rule beside those of ranx, on the same scores, user by user."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.reference.ranking_cases import TableRanker, make_cases

from vlmrec.evaluation.evaluator import Evaluation, evaluate_ranker
from vlmrec.evaluation.metrics import parse_metric

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ranx") is None, reason="ranx is a development dependency"
)
PROGRAM = Path(__file__).parents[1] / "reference" / "ranx_metrics.py"
THEIR_NAMES = {"NDCG": "ndcg", "Recall": "recall", "HR": "hit_rate", "MRR": "mrr"}
NAMES = {f"{ours}@{k}": f"{name}@{k}" for ours, name in THEIR_NAMES.items() for k in (1, 5, 10, 20)}


def ours(scores: np.ndarray, targets: np.ndarray, metrics: Sequence[str]) -> Evaluation:
    """Returns our evaluation; targets count items from 0."""
    n_users, n_items = scores.shape
    side = max(n_users, n_items) + 1
    table = torch.zeros((side, n_items + 1))
    table[1 : n_users + 1, 1:] = torch.as_tensor(scores)
    cases = make_cases([[u] for u in range(1, n_users + 1)], (targets + 1).tolist())
    return evaluate_ranker(TableRanker(table), cases, metrics=metrics, n_resamples=1)


def theirs(runs: Sequence[np.ndarray], targets: np.ndarray, metrics: Sequence[str]) -> np.ndarray:
    """Returns the values of ranx: ``[runs, metrics, users]``."""
    asked = {
        "runs": [scores.tolist() for scores in runs],
        "targets": targets.tolist(),
        "metrics": list(metrics),
    }
    answer = subprocess.run(
        [sys.executable, str(PROGRAM)],
        input=json.dumps(asked),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return np.array(json.loads(answer.stdout))


def test_metrics_equal_those_of_ranx_for_every_user() -> None:
    rng = np.random.default_rng(0)
    n_users, n_items = 400, 90
    scores = rng.standard_normal((n_users, n_items)).astype(np.float32)
    targets = rng.integers(0, n_items, n_users)
    scores[np.arange(n_users), targets] += 1.5  # so that many targets are within every cut
    assert all(len(np.unique(row)) == n_items for row in scores)
    found = ours(scores, targets, list(NAMES))
    ranks = found.cases["rank"].to_numpy()
    (second,) = theirs([scores], targets, list(NAMES.values()))
    for name, values in zip(NAMES, second, strict=True):
        metric = parse_metric(name)
        assert metric.per_case(ranks) == pytest.approx(values, abs=1e-6), name
        mean = found.metrics[metric.name].mean
        assert mean == pytest.approx(values.mean(), abs=1e-6), name
        assert 0.02 < mean < 0.98


def test_a_tied_rank_is_the_middle_of_the_two_ways_to_break_the_tie() -> None:
    rng = np.random.default_rng(1)
    n_users, n_items = 300, 40
    scores = rng.integers(0, 8, (n_users, n_items)).astype(np.float32)
    targets = rng.integers(0, n_items, n_users)
    found = ours(scores, targets, ["MRR@40"])
    assert found.n_tied > 0.9 * n_users
    runs = [scores.copy(), scores.copy()]  # the target before all its equals, and behind them
    for run, step in zip(runs, (0.5, -0.5), strict=True):
        run[np.arange(n_users), targets] += step
    places = 1 / theirs(runs, targets, [f"mrr@{n_items}"])[:, 0]
    assert found.cases["rank"].to_numpy() == pytest.approx(np.mean(places, axis=0), abs=1e-6)
