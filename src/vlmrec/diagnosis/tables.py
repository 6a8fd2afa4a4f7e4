"""The card's figures as rows of tables, with the words that a newcomer needs to read them."""

import math
from dataclasses import dataclass

from vlmrec.diagnosis.card import Card
from vlmrec.diagnosis.views import BOTH, NOTHING, OTHER, noisy, only, shuffled
from vlmrec.evaluation.report import MetricRow
from vlmrec.evaluation.significance import Estimate

NOTHING_KNOWN = "not known"
SMALL_SHARE = 0.2
"""Shares whose interval stays below are told to a tenth of a percent."""


@dataclass(frozen=True)
class Row:
    """One line of a plain table: heading, a few words under it, cells."""

    name: str
    note: str
    cells: tuple[str, ...]


def view_rows(card: Card) -> tuple[MetricRow, ...]:
    """Returns the scores of the main views, each with what it shows of an item."""
    notes = {BOTH: "the model as it is"}
    for name in card.modalities:
        other = OTHER[name]
        notes.setdefault(only(name, card.modalities), f"no item has its {other}")
        notes[shuffled(name)] = f"each item shows the {name} of another item"
        notes[noisy(name, 1.0)] = f"noise of the same size in place of each {name}"
    drawn = "lots are drawn among items of the same score"
    notes[NOTHING] = f"no item has anything to show; {drawn}"
    rows = [MetricRow(name, one, notes[name]) for name, one in card.scores.views.items()]
    chance = {name: Estimate(v, math.nan, math.nan) for name, v in card.scores.chance.items()}
    return (*rows, MetricRow("chance", chance, "all items in random order"))


def worth_rows(card: Card) -> tuple[Row, ...]:
    """Returns what each modality is worth, a column each."""
    scores, names = card.scores, card.modalities
    return (
        Row(
            "lost without it",
            "share of NDCG@10 that is gone when no item has this modality",
            tuple(percent(scores.drops[name]) for name in names),
        ),
        Row(
            "adds",
            "NDCG@10 above nothing, averaged over which modality comes first (Shapley value)",
            tuple(figure(scores.worth[name]) for name in names),
        ),
        Row(
            "share of the gain",
            "its part of all that the model gains over nothing; two equal modalities have half",
            tuple(percent(scores.shares[name]) for name in names),
        ),
    )


def gap_rows(card: Card) -> tuple[MetricRow, ...]:
    """Returns the whole model, and each modality trained alone and as a branch of it."""
    if not card.under_training:
        return ()
    lead = "NDCG@10"
    rows = [MetricRow("joint model", {lead: card.scores.views[BOTH][lead]}, "shown everything")]
    for name, gap in card.under_training.items():
        told = (f"joint model minus this: {signed(gap.gain)}", gap.run, gap.differs)
        words = "; ".join(part for part in told if part)
        rows.append(MetricRow(f"{name}, trained alone", {lead: gap.alone}, words))
        words = f"joint model shown {name} only; lost {percent(gap.loss)}"
        rows.append(MetricRow(f"{name}, trained jointly", {lead: gap.branch}, words))
    return tuple(rows)


def hit_rows(card: Card) -> tuple[Row, ...]:
    """Returns whom each modality serves, and how the whole model does for them."""
    words = {
        "text only": "texts alone find the target, pictures alone do not",
        "image only": "pictures alone find the target, texts alone do not",
        "each of both": "either finds it without the other",
        "neither": "neither finds it alone",
    }
    return tuple(
        Row(
            group.name,
            words[group.name],
            (percent(group.share), f"{group.n_cases:,}", _share(group.fused)),
        )
        for group in card.complementarity
    )


def group_rows(card: Card) -> tuple[MetricRow, ...]:
    """Returns cold, tail and warm targets; the views are the columns."""
    return tuple(
        MetricRow(group.name, group.views, f"{group.n_cases:,} cases: {group.definition}")
        for group in card.groups
    )


def geometry_rows(card: Card) -> tuple[Row, ...]:
    """Returns the geometry, a column for each modality, what concerns both in the first."""
    found = card.geometry
    if found is None:
        return ()
    names = tuple(found.shapes)
    shapes = [found.shapes[name] for name in names]
    rows = [
        Row(
            "effective rank",
            "directions in use; far below the width means that items were squeezed together",
            tuple(f"{one.effective_rank:.1f} of {one.width}" for one in shapes),
        ),
        Row(
            "alignment",
            "mean squared distance of user and target, 0 to 4; low is good",
            tuple(_number(one.alignment) for one in shapes),
        ),
        Row(
            "uniformity",
            "0 all items in one spot, about -4 spread evenly; low is good, if alignment is too",
            tuple(_number(one.uniformity) for one in shapes),
        ),
    ]
    return tuple(rows)


def pair_rows(card: Card) -> tuple[Row, ...]:
    """Returns what compares the two modalities."""
    found = card.geometry if len(card.modalities) > 1 else None
    rows: list[Row] = []
    if card.overlap is not None and card.chance_overlap is not None:
        rows.append(
            Row(
                "overlap of the lists",
                f"Jaccard of the first 10 by text and by image; random: {card.chance_overlap:.3f}",
                (f"{card.overlap:.3f}",),
            )
        )
    if found is not None:
        words = "correlation of which items are near by text and by image; 1 alike, 0 unrelated"
        rows.append(Row("neighbourhoods agree", words, (_number(found.agreement),)))
        gap = _number(found.gap) if found.gap is not None else f"– ({found.no_gap})"  # noqa: RUF001
        rows.append(Row("modality gap", "distance of the mean vectors, 0 to 2", (gap,)))
    return tuple(rows)


def percent(value: Estimate) -> str:
    """Returns a share with its interval, such as "38 % (20 to 55)"."""
    if math.isnan(value.mean):
        return NOTHING_KNOWN
    places = 1 if max(abs(value.low), abs(value.high)) < SMALL_SHARE else 0
    ends = f"{100 * value.low:.{places}f} to {100 * value.high:.{places}f}"
    return f"{100 * value.mean:.{places}f} % ({ends})"


def figure(value: Estimate) -> str:
    """Returns a metric with its interval."""
    if math.isnan(value.mean):
        return NOTHING_KNOWN
    return f"{value.mean:.4f} ({value.low:.4f} to {value.high:.4f})"


def signed(value: Estimate) -> str:
    """Returns a difference of metrics with its interval."""
    return f"{value.mean:+.4f} ({value.low:+.4f} to {value.high:+.4f})"


def _share(value: float) -> str:
    return NOTHING_KNOWN if math.isnan(value) else f"{100 * value:.0f} %"


def _number(value: float | None) -> str:
    return NOTHING_KNOWN if value is None or math.isnan(value) else f"{value:.2f}"
