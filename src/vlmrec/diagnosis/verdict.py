"""One word for the balance of two modalities: collapsed, unbalanced or balanced.

The thresholds were written down before any model was judged by them, and why:

Under-training gap U (the share of a modality's stand-alone NDCG@10 that its branch lost in the
joint model). Any joint model may lose a little of each branch, because the other one already
does part of the work; 10 % is inside the spread between seeds. Unbalanced therefore starts where
the weak modality lost more than 10 % *and* the strong one was spared (less than 3 %) or lost at
most half as much. Collapsed means that most of a modality is gone: more than half, and at least
25 points more than the other one lost, so that a model that is merely under-trained all round is
not called collapsed. Plain contrastive training on planted data, where pictures are worth as
much as words, lost 81 to 92 % of the picture branch and 13 to 28 % of the text branch (collapsed);
with a penalty on the weak modality 2 to 15 % (not collapsed).

Share of the gain over chance (Shapley). Used where no modality was trained alone. It is weaker
evidence: it cannot tell a modality that was starved from one that has little to say. Two equal
modalities have shares of one half each; under a quarter is unbalanced, under 5 % collapsed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vlmrec.diagnosis.scores import Scores
from vlmrec.diagnosis.undertraining import UnderTraining
from vlmrec.diagnosis.views import BOTH
from vlmrec.evaluation.metrics import RankMetric

COLLAPSED_LOSS = 0.50
COLLAPSED_LEAD = 0.25
UNBALANCED_LOSS = 0.10
SPARED_LOSS = 0.03
UNBALANCED_RATIO = 2.0
COLLAPSED_SHARE = 0.05
UNBALANCED_SHARE = 0.25

Level = Literal["collapsed", "unbalanced", "balanced", "undecided", "one modality"]
Evidence = Literal["under-training gap", "share of the gain", "none"]
_NDCG = RankMetric("NDCG", 10).name
_BETTER = (
    "this is the weaker evidence, train each modality alone (--train-alone) for the stronger one"
)
PLURAL = {"text": "texts", "image": "pictures"}


@dataclass(frozen=True)
class Verdict:
    """What the figures amount to.

    Attributes:
        level: By the thresholds of this file, or "undecided".
        weak: The weaker modality by the figures; empty where there is none.
        evidence: What the level follows from.
        undecided: Why nothing is decided, or empty.
        agreement: Share of bootstrap resamples of users with the same level (and, unless it is
            balanced, the same weak modality); None where it does not follow from gaps.
        reason: The evidence in words; where nothing is decided, also what the figures say.
        line: Level and reason.
    """

    level: Level
    weak: str
    evidence: Evidence
    undecided: str
    agreement: float | None
    reason: str
    line: str


def level_by_losses(weak: float, strong: float) -> Level:
    """Returns the level for the under-training gaps of the weaker and the stronger modality.

    >>> level_by_losses(0.85, 0.20), level_by_losses(0.15, 0.04), level_by_losses(0.15, 0.12)
    ('collapsed', 'unbalanced', 'balanced')
    """
    if weak > COLLAPSED_LOSS and weak - strong > COLLAPSED_LEAD:
        return "collapsed"
    spared = strong < SPARED_LOSS or weak >= UNBALANCED_RATIO * strong
    return "unbalanced" if weak > UNBALANCED_LOSS and spared else "balanced"


def level_by_share(weak: float) -> Level:
    """Returns the level for the weaker modality's share of the gain over chance.

    >>> level_by_share(0.01), level_by_share(0.2), level_by_share(0.4)
    ('collapsed', 'unbalanced', 'balanced')
    """
    if weak < COLLAPSED_SHARE:
        return "collapsed"
    return "unbalanced" if weak < UNBALANCED_SHARE else "balanced"


def judge(scores: Scores, training: UnderTraining | None, modalities: tuple[str, ...]) -> Verdict:
    """Returns the verdict: by under-training gaps where both are known, else by shares.

    Args:
        scores: Of the views.
        training: Gaps of the modalities that were trained alone.
        modalities: What the model reads.
    """
    if len(modalities) == 1:
        reason = f"the model reads {modalities[0]} only; there is nothing to balance."
        return Verdict("one modality", "", "none", "", None, reason, f"one modality: {reason}")
    if training is not None and len(training.gaps) == len(modalities):
        return _by_losses(training)
    return _by_shares(scores)


def _by_losses(training: UnderTraining) -> Verdict:
    losses = {name: gap.loss.mean for name, gap in training.gaps.items()}
    no_signal = [name for name, gap in training.gaps.items() if not gap.clears_chance]
    undecided = ""
    if no_signal:
        what = " and ".join(PLURAL[name] for name in no_signal)
        undecided = f"trained on {what} alone, the model does not beat chance: nothing to lose"
    weak, strong = _weak_first(losses, largest=True)
    level = level_by_losses(losses[weak], losses[strong])
    agreement = _agreement(training, level, weak)
    kept = " and ".join(f"{name} {100 * (1 - losses[name]):.0f} %" for name in (weak, strong))
    why = f"in the joint model each branch reaches this share of what it reaches alone: {kept}"
    if losses[strong] > UNBALANCED_LOSS:
        why += ", so both are under-trained"
    return _verdict(level, weak, "under-training gap", undecided, agreement, why)


def _by_shares(scores: Scores) -> Verdict:
    shares = {name: one.mean for name, one in scores.shares.items()}
    evidence: Evidence = "share of the gain"
    beaten = scores.views[BOTH][_NDCG].low > scores.chance[_NDCG]
    if not beaten or not np.isfinite(list(shares.values())).all():
        why = "the model does not beat chance: there is no gain to share"
        return Verdict("undecided", "", evidence, why, None, f"{why}.", f"undecided: {why}.")
    weak, strong = _weak_first(shares, largest=False)
    level = level_by_share(shares[weak])
    parts = " and ".join(f"{name} {100 * shares[name]:.0f} %" for name in (weak, strong))
    why = f"shares of the gain over chance: {parts}; {_BETTER}"
    return _verdict(level, weak, evidence, "", None, why)


def _verdict(
    level: Level, weak: str, evidence: Evidence, undecided: str, agreement: float | None, why: str
) -> Verdict:
    parts = [why]
    if undecided:
        parts = [undecided, f"by the figures {level}: {why}"]
    elif level != "balanced":
        parts = [f"{weak} is the weak modality", why]
    if agreement is not None:
        parts.append(f"the same in {100 * agreement:.0f} % of resamples of users")
    reason = "; ".join(parts) + "."
    told: Level = "undecided" if undecided else level
    return Verdict(told, weak, evidence, undecided, agreement, reason, f"{told}: {reason}")


def _weak_first(values: Mapping[str, float], *, largest: bool) -> tuple[str, str]:
    first, second = sorted(values, key=lambda name: values[name], reverse=largest)
    return first, second


def _agreement(training: UnderTraining, level: Level, weak: str) -> float | None:
    """Returns the share of resamples with the same level and, unless balanced, the same weak."""
    drawn = training.draws[np.isfinite(training.draws).all(axis=1)]
    if not len(drawn):
        return None
    same = 0
    for row in drawn:
        losses = {name: float(value) for name, value in zip(training.gaps, row, strict=True)}
        first, second = _weak_first(losses, largest=True)
        alike = level_by_losses(losses[first], losses[second]) == level
        same += alike and (level == "balanced" or first == weak)
    return same / len(drawn)
