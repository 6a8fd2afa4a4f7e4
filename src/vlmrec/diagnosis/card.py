"""The modality report card: all figures of a diagnosis, as plain data."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlmrec.core.protocols import Multimodal
from vlmrec.diagnosis.curves import Curve, fading_curves
from vlmrec.diagnosis.examples import Examples, draw_examples
from vlmrec.diagnosis.geometry import Geometry, geometry
from vlmrec.diagnosis.groups import Group, popularity_groups
from vlmrec.diagnosis.measuring import Measured, Setting, measure_views
from vlmrec.diagnosis.scores import Scores, score_views
from vlmrec.diagnosis.signals import Signal, read_signals
from vlmrec.diagnosis.undertraining import Alone, Gap, UnderTraining, under_training
from vlmrec.diagnosis.users import (
    HitGroup,
    WeakShare,
    chance_overlap,
    complementarity,
    list_overlap,
    weak_share,
)
from vlmrec.diagnosis.verdict import Verdict, judge
from vlmrec.diagnosis.views import BOTH, only, plan_views
from vlmrec.evaluation.protocol import describe_protocol

FORMAT = 1


@dataclass(frozen=True)
class Subject:
    """What is diagnosed, in words, for headings and the JSON file.

    Attributes:
        model: Name of the model.
        dataset: Name of the dataset.
        split: Name of the split.
        cases: "test" or "valid".
        loss: The loss it was trained with.
        run: Run folder, or empty.
        seed: Of everything random in the diagnosis.
    """

    model: str
    dataset: str
    split: str
    cases: str
    loss: str
    run: str
    seed: int


@dataclass(frozen=True)
class Card:
    """The modality report card of one model. Metrics are fractions.

    Attributes:
        subject: What was diagnosed.
        protocol: How it was ranked, one sentence.
        modalities: What the model reads.
        confidence: Probability content of all intervals.
        verdict: Collapsed, unbalanced or balanced, and by what.
        scores: The views, what is lost without a modality, and what each is worth.
        under_training: Modality -> gap to the branch trained alone.
        weak: Which modality is weak for whom.
        complementarity: Whom each modality serves.
        overlap: Mean Jaccard overlap of the lists of 10 by text and by picture.
        chance_overlap: What random lists would overlap.
        geometry: Shape of the item vectors.
        curves: Missing and noisy content.
        groups: Cold, tail and warm targets.
        signals: What the model noted while it was trained.
        notes: What a reader must know to read the figures right.
        view_seconds: What each view cost.
        training_seconds: What training single modalities cost, 0 where none was trained now.
        seconds: What everything cost, that included.
        examples: Items and users to look at; not part of the JSON.
    """

    subject: Subject
    protocol: str
    modalities: tuple[str, ...]
    confidence: float
    verdict: Verdict
    scores: Scores
    under_training: Mapping[str, Gap]
    weak: WeakShare | None
    complementarity: tuple[HitGroup, ...]
    overlap: float | None
    chance_overlap: float | None
    geometry: Geometry | None
    curves: tuple[Curve, ...]
    groups: tuple[Group, ...]
    signals: tuple[Signal, ...]
    notes: tuple[str, ...]
    view_seconds: Mapping[str, float]
    training_seconds: float
    seconds: float
    examples: Examples

    def to_json(self) -> dict[str, Any]:
        """Returns everything but the examples as plain JSON values; NaN becomes null."""
        fields = [field.name for field in dataclasses.fields(self) if field.name != "examples"]
        return {"format": FORMAT, **{name: _plain(getattr(self, name)) for name in fields}}


def diagnose_model(
    model: Multimodal,
    setting: Setting,
    subject: Subject,
    *,
    training_counts: np.ndarray,
    alone: Mapping[str, Alone],
    lines: Sequence[Mapping[str, Any]] = (),
    training_seconds: float = 0.0,
    curves: bool = True,
    on_view: Callable[[int, int], None] | None = None,
) -> Card:
    """Returns the report card of a model.

    Args:
        model: Any model that can be taken apart and reads text, pictures or both.
        setting: On what to measure.
        subject: What it is, in words.
        training_counts: ``[I + 1] int`` training interactions of each item.
        alone: The same model trained on one modality, by modality.
        lines: Records of the epochs, as in metrics.jsonl.
        training_seconds: What training the models in `alone` cost.
        curves: Also measure partly missing and partly noisy content: 6 more views a modality.
        on_view: Called with the number of views done and the number of all views.
    """
    modalities = model.modalities
    plan = plan_views(modalities, len(training_counts) - 1, setting.streams, curves=curves)
    singles = frozenset(only(name, modalities) for name in modalities)
    results = measure_views(model, plan, setting, with_vectors=singles, on_view=on_view)
    scores = score_views(results, modalities, setting)
    training = under_training(results, alone, modalities, setting)
    two = len(modalities) > 1
    found = results[BOTH].found
    view_seconds = {name: round(one.seconds, 3) for name, one in results.items()}
    view_seconds |= {f"{name} alone": round(a.measured.seconds, 3) for name, a in alone.items()}
    return Card(
        subject=subject,
        protocol=_protocol(results[BOTH], setting, len(training_counts) - 1),
        modalities=modalities,
        confidence=setting.confidence,
        verdict=judge(scores, training, modalities),
        scores=scores,
        under_training={} if training is None else training.gaps,
        weak=weak_share(results, setting) if two else None,
        complementarity=complementarity(results, setting) if two else (),
        overlap=list_overlap(results) if two else None,
        chance_overlap=chance_overlap(len(found.pool_items)) if two else None,
        geometry=geometry(results, modalities, setting.streams),
        curves=fading_curves(results, modalities, setting),
        groups=popularity_groups(results, modalities, setting, training_counts),
        signals=read_signals(lines),
        notes=_notes(scores, training, two),
        view_seconds=view_seconds,
        training_seconds=round(training_seconds, 3),
        seconds=round(training_seconds + sum(view_seconds.values()), 3),
        examples=draw_examples(results, modalities, setting),
    )


def _protocol(measured: Measured, setting: Setting, n_items: int) -> str:
    return describe_protocol(
        n_cases=len(setting.cases),
        n_users=len(np.unique(setting.cases.users)),
        n_pool=len(measured.found.pool_items),
        n_items=n_items,
        filter_seen=setting.filter_seen,
        n_impossible=int(measured.found.impossible.sum()),
    )


def _notes(scores: Scores, training: UnderTraining | None, two: bool) -> tuple[str, ...]:
    notes: list[str] = []
    for name, gap in training.gaps.items() if training is not None else ():
        if gap.gain.mean < 0:
            sure = "" if gap.gain.high < 0 else ", though that may be chance"
            notes.append(f"Trained on {name} alone the model ranks better than with both{sure}.")
    if not two:
        notes.append("The model reads one modality: nothing that compares two is measured.")
    if scores.reads_more:
        notes.append(
            "The model also knows items by something else than text and picture (learned ids). "
            "That stays in every view, also in the one called nothing; what a modality is worth "
            "is counted on top of it."
        )
    return tuple(notes)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
