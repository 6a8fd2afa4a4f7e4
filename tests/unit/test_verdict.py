"""The verdict follows its written thresholds, and says when it decides nothing."""

import numpy as np
import pytest

from vlmrec.diagnosis.scores import Scores
from vlmrec.diagnosis.undertraining import Gap, UnderTraining
from vlmrec.diagnosis.verdict import judge, level_by_losses, level_by_share
from vlmrec.evaluation.significance import Estimate


def at(mean: float, spread: float = 0.01) -> Estimate:
    return Estimate(mean, mean - spread, mean + spread)


def training(text: float, image: float, *, alone: float = 0.2, draws=None) -> UnderTraining:
    gaps = {
        name: Gap(at(alone), at(alone * (1 - loss)), at(loss), at(0.0), alone > 0.05)
        for name, loss in (("text", text), ("image", image))
    }
    return UnderTraining(gaps, np.array([[text, image]]) if draws is None else np.array(draws))


def scores(text_share: float, both: float = 0.2) -> Scores:
    shares = {"text": at(text_share), "image": at(1 - text_share)}
    views = {"both": {"NDCG@10": at(both)}}
    return Scores(views, {"NDCG@10": 0.008}, {}, {}, shares, reads_more=False)


@pytest.mark.parametrize(
    ("weak", "strong", "level"),
    [
        # Lost by picture and text branch in contrastive training of a planted world: 81 to 92 %
        # and 13 to 28 %; with a penalty on the weak modality 85 to 98 % of alone are kept.
        (0.81, 0.28, "collapsed"),
        (0.92, 0.13, "collapsed"),
        (0.15, 0.04, "unbalanced"),
        (0.02, 0.04, "balanced"),
        # The edges of each rule.
        (0.51, 0.27, "balanced"),
        (0.51, 0.25, "collapsed"),
        (0.50, 0.24, "unbalanced"),
        (0.11, 0.029, "unbalanced"),
        (0.10, 0.00, "balanced"),
        (0.12, 0.07, "balanced"),
        (0.20, 0.10, "unbalanced"),
        (0.19, 0.10, "balanced"),
        (0.30, -0.20, "unbalanced"),
        (0.90, 0.80, "balanced"),  # under-trained all round is not collapsed
        (-0.10, -0.30, "balanced"),
    ],
)
def test_levels_by_under_training_gaps(weak, strong, level):
    assert level_by_losses(weak, max(strong, -1)) == level


@pytest.mark.parametrize(
    ("share", "level"),
    [(-0.2, "collapsed"), (0.049, "collapsed"), (0.05, "unbalanced"), (0.25, "balanced")],
)
def test_levels_by_share(share, level):
    assert level_by_share(share) == level


@pytest.mark.parametrize("both_ways", [False, True])
def test_the_weak_modality_is_the_one_that_lost_more(both_ways):
    losses = (0.9, 0.1) if both_ways else (0.1, 0.9)
    verdict = judge(scores(0.5), training(*losses), ("text", "image"))
    weak = "text" if both_ways else "image"
    assert (verdict.level, verdict.weak) == ("collapsed", weak)
    assert verdict.line.startswith(f"collapsed: {weak} is the weak modality; in the joint model")
    assert f"{weak} 10 % and" in verdict.line


def test_gaps_outweigh_shares():
    assert judge(scores(0.5), training(0.0, 0.9), ("text", "image")).level == "collapsed"
    assert judge(scores(0.99), training(0.0, 0.0), ("text", "image")).level == "balanced"


def test_one_gap_is_not_enough():
    half = training(0.0, 0.9)
    half = UnderTraining({"image": half.gaps["image"]}, half.draws[:, 1:])
    assert judge(scores(0.5), half, ("text", "image")).evidence == "share of the gain"


def test_agreement_counts_resamples_with_the_same_level_and_the_same_weak_modality():
    draws = [[0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.1, 0.4], [np.nan, 0.9]]
    verdict = judge(scores(0.5), training(0.1, 0.9, draws=draws), ("text", "image"))
    assert verdict.agreement == pytest.approx(2 / 4)
    assert "the same in 50 % of resamples of users" in verdict.line


def test_both_under_trained_is_said():
    assert (
        "both are under-trained" in judge(scores(0.5), training(0.4, 0.3), ("text", "image")).line
    )


def test_undecided_where_alone_does_not_beat_chance():
    verdict = judge(scores(0.5), training(0.0, 0.9, alone=0.01), ("text", "image"))
    assert verdict.line.startswith("undecided: trained on texts and pictures alone, the model does")
    assert "by the figures collapsed" in verdict.line


def test_undecided_where_the_model_does_not_beat_chance():
    verdict = judge(scores(0.5, both=0.01), None, ("text", "image"))
    assert verdict.line.startswith("undecided: the model does not beat chance")


def test_shares_that_cannot_be_known_decide_nothing():
    verdict = judge(scores(float("nan")), None, ("text", "image"))
    assert verdict.level == "undecided"
    assert "nan" not in verdict.line


def test_one_modality_has_nothing_to_balance():
    assert judge(scores(0.5), None, ("text",)).line.startswith("one modality: the model reads text")
