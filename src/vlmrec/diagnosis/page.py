"""Writes card.html: the report card for people, one file without a request to anywhere else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vlmrec.diagnosis.card import Card
from vlmrec.diagnosis.curves import Curve
from vlmrec.diagnosis.signals import signal_groups
from vlmrec.diagnosis.tables import (
    gap_rows,
    geometry_rows,
    group_rows,
    hit_rows,
    pair_rows,
    percent,
    view_rows,
    worth_rows,
)
from vlmrec.diagnosis.views import BOTH
from vlmrec.evaluation.report import ExamplePerson, ItemCard, write_page
from vlmrec.evaluation.report.charts import SMALL, LineChart, PlottedLine, plot_lines
from vlmrec.evaluation.report.histogram import histogram
from vlmrec.evaluation.report.tables import table

COLOURS = {"text": 1, "image": 2, "chance": 8}
LEAD = "NDCG@10"
SIGNAL_WORDS = {
    "gradient share": "part of the gradient that comes through this branch",
    "starvation": "push that a branch gets, divided by what it would get alone; below 1 it starves",
    "weak": "share of the users for whom it has the lower margin",
    "gap": "by how much the margin of the stronger modality is ahead",
    "margin": "score of the target above the other candidates",
    "cross term": "score that comes from words against pictures",
    "weight": "factor on the negatives of the fused score",
}
"""What the signals that models note are; others are shown by name."""


@dataclass(frozen=True)
class ItemNeighbours:
    """An item with its nearest neighbours by each modality, as people see them."""

    item: ItemCard
    neighbours: Mapping[str, tuple[ItemCard, ...]]


@dataclass(frozen=True)
class Gallery:
    """Examples with their pictures.

    Attributes:
        items: Items with their neighbours.
        people: Users with the lists of the views.
    """

    items: tuple[ItemNeighbours, ...] = ()
    people: tuple[ExamplePerson, ...] = ()


@dataclass(frozen=True)
class _Head:
    """What the base of every page needs."""

    title: str
    summary: str
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    confidence: float = 0.95


def write_card_page(path: Path, card: Card, gallery: Gallery) -> None:
    """Writes the page, atomically.

    Args:
        path: The HTML file to write.
        card: All figures.
        gallery: Examples with pictures.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    subject, weak = card.subject, card.weak
    head = _Head(
        title=f"Modality report card: {subject.model} on {subject.dataset}",
        summary=(
            "Does the model use texts and pictures, or has one of them won? Every figure is "
            "found by showing the trained model changed items: without their pictures, with "
            "the texts of others, with noise."
        ),
        facts=_facts(card),
        confidence=card.confidence,
    )
    contents = {
        "report": head,
        "card": card,
        "caption": f"{subject.split.capitalize()}, {subject.cases} cases: {card.protocol}.",
        "views": table(view_rows(card), LEAD, mark_best=False),
        "worth": worth_rows(card) if card.scores.shares else (),
        "gaps": table(gap_rows(card), LEAD, mark_best=False),
        "weak": None if weak is None else _weak_chart(card),
        "weak_shares": {} if weak is None else {n: percent(v) for n, v in weak.weak.items()},
        "hits": hit_rows(card),
        "fading": _fading(card),
        "groups": table(group_rows(card), BOTH, mark_best=False),
        "geometry": geometry_rows(card),
        "pair": pair_rows(card),
        "signals": _signals(card),
        "signal_words": SIGNAL_WORDS,
        "gallery": gallery,
        "slowest": max(card.view_seconds.values(), default=0.0),
    }
    write_page(path, "card.html.j2", contents, package="vlmrec.diagnosis")


def _facts(card: Card) -> dict[str, str]:
    subject = card.subject
    return {
        "reads": " and ".join(card.modalities),
        "loss": subject.loss,
        "cases": f"{subject.cases}, {subject.split}",
        "views measured": str(len(card.view_seconds)),
        "time": f"{card.seconds:,.0f} s",
    }


def _weak_chart(card: Card) -> object:
    if card.weak is None:
        return None
    return histogram(card.weak.edges, card.weak.counts, colours=(COLOURS["text"], COLOURS["image"]))


def _fading(card: Card) -> dict[str, LineChart]:
    """Returns a chart for missing and one for noisy content, with what chance would score."""
    charts: dict[str, LineChart] = {}
    floor = card.scores.chance[LEAD]
    chance = PlottedLine("chance", ((0.0, floor), (1.0, floor)), colour=COLOURS["chance"])
    for kind in ("missing", "noise"):
        lines = [_line(curve) for curve in card.curves if curve.kind == kind]
        chart = plot_lines([*lines, chance], x_name="share", frame=SMALL, percent=True)
        if lines and chart is not None:
            charts[kind] = chart
    return charts


def _line(curve: Curve) -> PlottedLine:
    return PlottedLine(
        curve.modality,
        tuple((x, value.mean) for x, value in zip(curve.shares, curve.values, strict=True)),
        tuple((value.low, value.high) for value in curve.values),
        COLOURS[curve.modality],
    )


def _signals(card: Card) -> dict[str, LineChart]:
    charts: dict[str, LineChart] = {}
    for name, signals in signal_groups(card.signals).items():
        lines = [
            PlottedLine(
                _side(signal.name),
                tuple(zip(map(float, signal.epochs), signal.values, strict=True)),
                colour=COLOURS.get(_side(signal.name), 3),
            )
            for signal in signals
        ]
        chart = plot_lines(lines, x_name="epoch", frame=SMALL)
        if chart is not None:
            charts[name] = chart
    return charts


def _side(name: str) -> str:
    last = name.split()[-1]
    return last if last in COLOURS else name
