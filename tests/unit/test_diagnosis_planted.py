"""The report card finds what was planted: a starved branch, a balanced model, no signal at all."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.reference.planted_model import N_ITEMS, PlantedModel, planted_cases

from vlmrec.core.random import Streams
from vlmrec.diagnosis.card import Card, Subject, diagnose_model
from vlmrec.diagnosis.measuring import Measured, Setting, measure_views, rank_alone
from vlmrec.diagnosis.undertraining import Alone, under_training
from vlmrec.diagnosis.views import plan_views
from vlmrec.evaluation.evaluator import evaluate_ranker
from vlmrec.evaluation.ranking import RankResult
from vlmrec.evaluation.slices import popularity_slices

SUBJECT = Subject("planted", "a world", "none", "test", "none", "", 0)
CASES = planted_cases()
COUNTS = np.concatenate([[0], np.arange(N_ITEMS) % 40])


def setting(**options) -> Setting:
    return Setting(CASES, None, filter_seen=False, streams=Streams(0), n_resamples=200, **options)


def card_of(knows, alone=None, *, ids=False, curves=False) -> Card:
    runs = {
        name: Alone(rank_alone(PlantedModel({name: share}).ranker_with({}), setting()))
        for name, share in (alone or {}).items()
    }
    model = PlantedModel(knows, ids=ids)
    return diagnose_model(
        model, setting(), SUBJECT, training_counts=COUNTS, alone=runs, curves=curves
    )


@pytest.fixture(scope="module")
def starved() -> Card:
    return card_of({"text": 0.8, "image": 0.05}, {"text": 0.8, "image": 0.8})


@pytest.fixture(scope="module")
def balanced() -> Card:
    return card_of({"text": 0.8, "image": 0.8}, {"text": 0.8, "image": 0.8}, curves=True)


def test_a_starved_branch_is_called_collapsed(starved):
    assert (starved.verdict.level, starved.verdict.weak) == ("collapsed", "image")
    assert starved.verdict.line.startswith("collapsed: image is the weak modality")
    assert starved.verdict.agreement == 1.0
    assert starved.under_training["image"].loss.low > 0.5
    assert starved.under_training["text"].loss.mean == pytest.approx(0.0)
    assert starved.scores.drops["text"].mean > 0.8
    assert starved.scores.shares["image"].mean < 0.25
    assert starved.weak is not None
    assert starved.weak.weak["image"].mean > 0.8


def test_the_other_branch_is_found_as_well():
    card = card_of({"text": 0.05, "image": 0.8}, {"text": 0.8, "image": 0.8})
    assert (card.verdict.level, card.verdict.weak) == ("collapsed", "text")


def test_equal_branches_are_balanced(balanced):
    verdict = balanced.verdict
    assert (verdict.level, verdict.evidence) == ("balanced", "under-training gap")
    assert not verdict.undecided
    assert balanced.scores.shares["text"].mean == pytest.approx(0.5, abs=0.15)
    both = balanced.scores.views["both"]["NDCG@10"].mean
    for name in ("text", "image"):
        assert balanced.scores.views[f"{name} only"]["NDCG@10"].mean < 0.8 * both
        assert balanced.scores.views[f"{name} shuffled"]["NDCG@10"].mean < 0.5 * both


def test_without_stand_alone_runs_shares_decide_and_the_line_says_so():
    verdict = card_of({"text": 0.8, "image": 0.0}).verdict
    assert (verdict.level, verdict.weak) == ("collapsed", "image")
    assert verdict.evidence == "share of the gain"
    assert "weaker evidence" in verdict.line
    assert "--train-alone" in verdict.line


@pytest.mark.parametrize("alone", [None, {"text": 0.0, "image": 0.0}])
def test_where_nothing_beats_chance_nothing_is_decided(alone):
    verdict = card_of({"text": 0.0, "image": 0.0}, alone).verdict
    assert verdict.level == "undecided"
    assert verdict.undecided
    assert verdict.line.startswith("undecided: ")


def test_a_modality_without_signal_of_its_own_cannot_be_starved():
    verdict = card_of({"text": 0.8, "image": 0.0}, {"text": 0.8, "image": 0.0}).verdict
    assert "pictures alone" in verdict.undecided
    assert "texts" not in verdict.undecided


def test_a_lucky_mean_does_not_clear_chance_its_interval_must():
    two = replace(setting(), cases=CASES.subset(np.arange(2)))
    pool = np.arange(1, N_ITEMS + 1)
    none = np.zeros(2)
    for ranks, clears in (([1.0, 90.0], False), ([1.0, 2.0], True)):
        found = RankResult(np.array(ranks), none, none, none, none, none, pool)
        measured = Measured(found, None, 0.0)
        results = {"both": measured, "text only": measured}
        training = under_training(results, {"text": Alone(measured)}, ("text", "image"), two)
        assert training is not None
        assert training.gaps["text"].clears_chance == clears
        assert training.gaps["text"].gain.mean == 0.0


def test_the_whole_model_is_measured_as_by_evaluate(balanced):
    model = PlantedModel({"text": 0.8, "image": 0.8})
    plain = evaluate_ranker(model.ranker_with({}), CASES)
    for metric in ("NDCG@10", "Recall@10"):
        measured = balanced.scores.views["both"][metric]
        assert measured.mean == plain.metrics[metric].mean
        assert measured.low < measured.mean < measured.high
        assert balanced.scores.chance[metric] == pytest.approx(plain.chance[metric])
    assert balanced.protocol == plain.protocol


def test_curves_start_at_the_whole_model_and_end_at_the_other_modality(balanced):
    views = balanced.scores.views
    assert {(curve.modality, curve.kind) for curve in balanced.curves} == {
        (name, kind) for name in ("text", "image") for kind in ("missing", "noise")
    }
    for curve in balanced.curves:
        other = "image only" if curve.modality == "text" else "text only"
        end = other if curve.kind == "missing" else f"{curve.modality} random"
        for value, view in ((curve.values[0], "both"), (curve.values[-1], end)):
            assert value.mean == pytest.approx(views[view]["NDCG@10"].mean)
        assert curve.values[0].mean > curve.values[2].mean > 0
    assert len(balanced.view_seconds) == 20 + 2


def test_groups_share_out_the_cases(balanced):
    sizes = {group.name: group.n_cases for group in balanced.groups}
    assert sizes["cold"] + sizes["tail"] + sizes["warm"] == len(CASES)
    model = PlantedModel({"text": 0.8, "image": 0.8})
    slices = popularity_slices(COUNTS, CASES.targets)
    plain = evaluate_ranker(model.ranker_with({}), CASES, slices=slices, metrics=["NDCG@10"])
    for group, part in zip(balanced.groups, plain.slices, strict=True):
        assert (group.name, group.n_cases) == (part.name, part.n_cases)
        assert group.views["both"].mean == pytest.approx(part.metrics["NDCG@10"].mean)


def test_hits_by_modality_share_out_the_cases(balanced):
    assert sum(group.n_cases for group in balanced.complementarity) == len(CASES)
    text = sum(
        g.n_cases for g in balanced.complementarity if g.name in ("text only", "each of both")
    )
    recall = balanced.scores.views["text only"]["Recall@10"].mean
    assert text / len(CASES) == pytest.approx(recall)


def test_learned_ids_stay_in_every_view_and_the_card_says_so():
    card = card_of({"text": 0.8, "image": 0.8}, ids=True)
    assert card.scores.reads_more
    assert "learned ids" in card.notes[0]
    assert not card_of({"text": 0.8, "image": 0.8}).scores.reads_more


def test_one_modality_has_a_card_without_comparisons():
    card = card_of({"image": 0.8}, curves=True)
    assert card.verdict.level == "one modality"
    assert "reads image only" in card.verdict.line
    assert (card.weak, card.overlap, card.complementarity) == (None, None, ())
    assert set(card.scores.views) == {"both", "image shuffled", "image random", "nothing"}
    missing = next(curve for curve in card.curves if curve.kind == "missing")
    assert missing.values[-1].mean == 0.0  # all items tie, and ties count half
    assert card.scores.views["nothing"]["NDCG@10"].mean == pytest.approx(
        card.scores.chance["NDCG@10"]
    )
    json.dumps(card.to_json(), allow_nan=False)


def test_the_json_is_complete_and_strict(starved):
    told = json.loads(json.dumps(starved.to_json(), allow_nan=False))
    assert set(told) >= {"verdict", "scores", "under_training", "geometry", "curves", "groups"}
    assert told["verdict"]["level"] == "collapsed"
    assert "examples" not in told
    unseen = next(group for group in told["groups"] if group["name"] == "unseen")
    assert unseen["n_cases"] > 0


def test_every_view_is_ranked_once_and_progress_is_told():
    asked: list[object] = []

    class Counting(PlantedModel):
        def ranker_with(self, changes):
            asked.append(changes)
            return super().ranker_with(changes)

    told: list[tuple[int, int]] = []
    plan = plan_views(("text", "image"), N_ITEMS, Streams(0))
    model = Counting({"text": 0.8, "image": 0.8})
    measure_views(model, plan, setting(), on_view=lambda done, of: told.append((done, of)))
    assert len(asked) == len(plan) == 20
    assert told[0] == (0, 20)
    assert told[-1] == (20, 20)


def test_the_same_seed_gives_the_same_card():
    def figures(card):
        told = card.to_json()
        return {name: told[name] for name in told if "seconds" not in name}

    one, two = (card_of({"text": 0.8, "image": 0.3}, curves=True) for _ in range(2))
    assert figures(one) == figures(two)
    assert one.examples == two.examples
