"""Each figure of the report card against a plain version of it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.reference import diagnosis_oracle as oracle
from tests.reference.planted_model import N_ITEMS, PlantedModel, planted_cases

from vlmrec.core.random import Streams
from vlmrec.diagnosis.examples import nearest
from vlmrec.diagnosis.geometry import (
    effective_rank,
    modality_gap,
    neighbourhood_agreement,
    uniformity,
)
from vlmrec.diagnosis.measuring import NDCG, Setting, measure_views, rank_alone
from vlmrec.diagnosis.scores import fair_values, score_views
from vlmrec.diagnosis.signals import Signal, read_signals, signal_groups
from vlmrec.diagnosis.users import complementarity, list_overlap, weak_share
from vlmrec.diagnosis.views import missing, noisy, only, plan_views

CASES = planted_cases()
MODEL = PlantedModel({"text": 0.7, "image": 0.4})
BOTH = ("text", "image")


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=Streams(seed).torch("figures"))


def setting(filter_seen: bool = False) -> Setting:
    return Setting(CASES, None, filter_seen=filter_seen, streams=Streams(0), n_resamples=100)


@pytest.fixture(scope="module")
def results():
    plan = plan_views(BOTH, N_ITEMS, Streams(0), curves=False)
    singles = frozenset(only(name, BOTH) for name in BOTH)
    return measure_views(MODEL, plan, setting(), with_vectors=singles)


def test_effective_rank():
    spread = torch.tensor([5.0, 1.0, 0.1, 0.0])
    vectors = drawn(40, 4) * spread + 3
    assert effective_rank(vectors) == pytest.approx(oracle.effective_rank(vectors.double().numpy()))
    assert effective_rank(torch.ones(5, 3)) != effective_rank(vectors)
    assert math.isnan(effective_rank(torch.ones(1, 3)))
    line = torch.arange(6.0)[:, None] * torch.ones(1, 5)
    assert effective_rank(line) == pytest.approx(1.0)


def test_uniformity():
    vectors = drawn(12, 5)
    assert uniformity(vectors) == pytest.approx(oracle.uniformity(vectors.double().numpy()))
    assert uniformity(torch.ones(5, 3)) == pytest.approx(0.0)


def test_neighbourhood_agreement():
    text, image = drawn(9, 4), drawn(9, 6, seed=1)
    expected = oracle.neighbourhood_agreement(text.double().numpy(), image.double().numpy())
    assert neighbourhood_agreement(text, image) == pytest.approx(expected)
    assert neighbourhood_agreement(text, 3 * text) == pytest.approx(1.0)
    assert neighbourhood_agreement(text[:2], image[:2]) is None


def test_modality_gap():
    text = torch.tensor([[0.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    image = torch.tensor([[0.0, 5.0], [0.0, 1.0], [1.0, 0.0]])
    gap, why = modality_gap(text, image)
    assert gap == pytest.approx(math.hypot(1 - 1 / 3, 2 / 3))
    assert why == ""
    assert modality_gap(text, drawn(3, 5)) == (None, "text has 2 dimensions, image 5")
    apart = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    assert modality_gap(text, apart) == (None, "text and image use different coordinates")


@given(st.integers(0, 14), st.integers(0, 5))
def test_lots_among_equals_are_the_mean_over_all_orders(above, ties):
    gain = [float(value) for value in NDCG.per_case(np.arange(1, 11))]
    rank = 1 + above + ties / 2
    found = fair_values(NDCG, np.array([rank]), np.array([ties]))[0]
    assert found == pytest.approx(oracle.mean_over_orders(gain, above, ties))


@pytest.mark.parametrize("filter_seen", [False, True])
def test_margins_and_distances(filter_seen):
    measured = measure_views(
        MODEL,
        {"text only": plan_views(BOTH, N_ITEMS, Streams(0))["text only"]},
        setting(filter_seen),
        with_vectors=frozenset({"text only"}),
    )["text only"]
    assert measured.vectors is not None
    assert measured.vectors.distances is not None
    vectors = measured.vectors.items.double().numpy()
    for row in (0, 7, 299):
        history = CASES.histories.padded(np.array([row]), 4)[0]
        target = int(CASES.targets[row])
        query = vectors[history].mean(axis=0)
        scores = vectors[1:] @ query
        if filter_seen:
            scores[history - 1] = -np.inf
        assert measured.vectors.margins[row] == pytest.approx(
            oracle.margin(scores, target - 1), rel=1e-4
        )
        unit = query / np.linalg.norm(query) - vectors[target] / np.linalg.norm(vectors[target])
        assert measured.vectors.distances[row] == pytest.approx(float(unit @ unit), rel=1e-4)


def test_a_target_without_the_modality_has_no_margin():
    gone = plan_views(BOTH, N_ITEMS, Streams(0))["text 50% missing"]["text"]
    plan = {
        "one": {"image": plan_views(BOTH, N_ITEMS, Streams(0))["text only"]["image"], "text": gone}
    }
    found = measure_views(MODEL, plan, setting(), with_vectors=frozenset(plan))["one"].vectors
    assert found is not None
    assert gone.shown is not None
    lacks = gone.shown.numpy()[CASES.targets] == 0
    assert 0 < lacks.sum() < len(CASES)
    assert (np.isnan(found.margins) == lacks).all()


def test_hits_overlap_and_weak_shares(results):
    text, image = results["text only"], results["image only"]
    groups = {group.name: group for group in complementarity(results, setting())}
    hits = [(t <= 10, i <= 10) for t, i in zip(text.found.ranks, image.found.ranks, strict=True)]
    assert groups["text only"].n_cases == sum(t and not i for t, i in hits)
    assert groups["each of both"].n_cases == sum(t and i for t, i in hits)
    fused = [rank <= 10 for rank in results["both"].found.ranks]
    rows = [f for f, (t, i) in zip(fused, hits, strict=True) if t and not i]
    assert groups["text only"].fused == pytest.approx(sum(rows) / len(rows))
    overlap = [
        oracle.jaccard(list(one), list(two))
        for one, two in zip(text.found.top_items, image.found.top_items, strict=True)
    ]
    assert list_overlap(results) == pytest.approx(np.mean(overlap))
    weak = weak_share(results, setting())
    assert weak is not None
    lower = text.vectors.margins < image.vectors.margins
    assert weak.weak["text"].mean == pytest.approx(lower.mean())
    assert sum(weak.counts) == weak.n_cases == len(CASES)
    below = sum(n for n, edge in zip(weak.counts, weak.edges[1:], strict=True) if edge <= 1e-9)
    assert below == (text.vectors.margins - image.vectors.margins < 0).sum()


def test_worth_adds_up_to_the_gain_over_nothing(results):
    scores = score_views(results, BOTH, setting())
    mean = {name: one["NDCG@10"].mean for name, one in scores.views.items()}
    gain = mean["both"] - mean["nothing"]
    assert sum(one.mean for one in scores.worth.values()) == pytest.approx(gain)
    assert sum(one.mean for one in scores.shares.values()) == pytest.approx(1.0)
    alone = (mean["text only"] - mean["nothing"]) + (mean["both"] - mean["image only"])
    assert scores.worth["text"].mean == pytest.approx(alone / 2)
    assert scores.drops["text"].mean == pytest.approx(1 - mean["image only"] / mean["both"])
    assert mean["nothing"] == pytest.approx(scores.chance["NDCG@10"])


@pytest.mark.parametrize("candidates", [None, np.arange(1, N_ITEMS + 1, 2)])
def test_chance_counts_the_items_that_really_compete(candidates):
    """With all items equal and lots drawn, every ranking is chance, filtered or not."""
    kept = setting(filter_seen=True)
    if candidates is not None:
        cases = CASES.subset(np.isin(CASES.targets, candidates))
        kept = replace(kept, cases=cases, candidates=candidates)
    plan = {"nothing": plan_views(BOTH, N_ITEMS, Streams(0))["nothing"]}
    found = measure_views(MODEL, plan, kept)["nothing"].found
    drawn_lots = fair_values(NDCG, found.ranks, found.ties).mean()
    assert kept.chance(NDCG, found.pool_items) == pytest.approx(drawn_lots)
    assert drawn_lots > NDCG.at_random(len(found.pool_items))


def test_planned_views_are_nested_and_nobody_keeps_its_own():
    plan = plan_views(BOTH, N_ITEMS, Streams(3))
    assert len(plan) == 20
    assert list(plan)[:3] == ["both", "text only", "image only"]
    gone = [
        set(np.flatnonzero(plan[missing("text", share, BOTH)]["text"].shown == 0))
        for share in (0.25, 0.5, 0.75)
    ]
    assert gone[0] < gone[1] < gone[2]
    assert [len(items) - 1 for items in gone] == [45, 90, 135]
    shown = plan["image shuffled"]["image"].shown
    assert sorted(shown.tolist()) == list(range(N_ITEMS + 1))
    assert not (shown[1:] == torch.arange(1, N_ITEMS + 1)).any()
    seeds = {plan[noisy("text", share)]["text"].seed for share in (0.25, 0.5, 1.0)}
    assert len(seeds) == 1
    assert seeds != {plan["image random"]["image"].seed}
    assert set(plan_views(("text",), N_ITEMS, Streams(0), curves=False)) == {
        "both", "text shuffled", "text random", "nothing"
    }  # fmt: skip


def test_nearest_items():
    vectors = torch.tensor([[0, 0], [1, 0], [2, 0.1], [0, 0], [0, 3], [5, 5]], dtype=torch.float32)
    assert nearest(vectors, 1, 3) == (2, 5, 4)
    assert nearest(vectors, 4, 1) == (5,)


def test_alone_is_measured_on_the_same_cases():
    ranker = MODEL.ranker_with({})
    assert rank_alone(ranker, setting()).found.ranks.shape == (len(CASES),)
    filtered = rank_alone(ranker, replace(setting(), filter_seen=True)).found.ranks
    assert (filtered <= rank_alone(ranker, setting()).found.ranks).all()


def test_signals_are_read_by_name_and_drawn_together():
    lines = [
        {"epoch": 0, "signals": {"starvation text": 0.9, "starvation image": 0.4, "gap": 0.1}},
        {"epoch": 1, "loss": 3.0},
        {"epoch": 2, "signals": {"starvation text": 0.8, "starvation image": 0.3, "note": "x"}},
    ]
    signals = {one.name: one for one in read_signals(lines)}
    assert signals["starvation image"] == Signal("starvation image", (1, 3), (0.4, 0.3))
    assert set(signals) == {"starvation text", "starvation image", "gap"}
    assert {n: len(g) for n, g in signal_groups(list(signals.values())).items()} == {
        "starvation": 2, "gap": 1
    }  # fmt: skip
    assert read_signals([{"epoch": 0}]) == ()
