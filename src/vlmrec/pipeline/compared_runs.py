"""What the run folders behind a table tell of training: curves, time, size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from vlmrec.bundle import RUN
from vlmrec.core.errors import VlmrecError
from vlmrec.core.files import read_json_object
from vlmrec.evaluation.grid import Block, Cell, Grid, Line
from vlmrec.evaluation.report import CostPoint, LearningCurve, NotedTable
from vlmrec.evaluation.report.scatter import LONGEST_NAME
from vlmrec.pipeline.compared_row import ComparedRow
from vlmrec.pipeline.comparing import format_duration
from vlmrec.pipeline.comparison import Comparison
from vlmrec.pipeline.planned_runs import Plan, PlannedRun
from vlmrec.pipeline.reporting import learning_curve
from vlmrec.train.log import read_lines

_NONE = Cell("-")


@dataclass(frozen=True)
class Cost:
    """What one run of a row takes, the mean over its seeds.

    Attributes:
        seconds: Of the run and of all stages that it builds on.
        stage_seconds: Of the stages alone.
        parameters: Of the model.
    """

    seconds: float
    stage_seconds: float
    parameters: int


@dataclass(frozen=True, eq=False)
class ReadRuns:
    """What was found in the run folders.

    Attributes:
        curves: Validation metric -> curves of the rows that were trained.
        costs: Label of a row -> what it takes.
        lacking: What could not be read, one sentence each.
    """

    curves: Mapping[str, tuple[LearningCurve, ...]] = field(
        default_factory=dict[str, tuple[LearningCurve, ...]]
    )
    costs: Mapping[str, Cost] = field(default_factory=dict[str, Cost])
    lacking: tuple[str, ...] = ()


def full_name(one: ComparedRow) -> str:
    """Returns the label of a row with its group, for where no group stands above it."""
    return f"{one.row.label} · {one.row.group}" if one.row.group else one.row.label


def chart_name(one: ComparedRow) -> str:
    """Returns the label of a row, with its group where charts have room for both."""
    name = full_name(one)
    return name if len(name) <= LONGEST_NAME else one.row.label


def read_runs(comparison: Comparison, planned: Plan, folder: Path) -> ReadRuns:
    """Returns curves and costs of all finished rows; what cannot be read is named.

    Args:
        comparison: The table.
        planned: Its runs, which know their stages.
        folder: Of the run folders.
    """
    curves: dict[str, list[LearningCurve]] = {}
    costs: dict[str, Cost] = {}
    lacking: list[str] = []
    for number, one in enumerate(comparison.rows, 1):
        label = one.row.label
        try:
            if one.runs:
                costs[label] = _cost(one, planned.rows[label], folder)
            for metric, curve in _curves(one, folder, number).items():
                curves.setdefault(metric, []).append(curve)
        except VlmrecError as error:
            lacking.append(f"Time or learning of {label}: {error.problem}")
        except (KeyError, TypeError, ValueError):
            lacking.append(f"Time or learning of {label}: its run folders cannot be read.")
    return ReadRuns({name: tuple(found) for name, found in curves.items()}, costs, tuple(lacking))


def cost_points(comparison: Comparison, costs: Mapping[str, Cost], metric: str) -> list[CostPoint]:
    """Returns what each row reaches and how long it takes."""
    return [
        CostPoint(
            chart_name(one), costs[one.row.label].seconds, one.found.estimates[metric].mean, number
        )
        for number, one in enumerate(comparison.rows, 1)
        if one.found is not None and one.row.label in costs
    ]


def cost_table(comparison: Comparison, costs: Mapping[str, Cost], metric: str) -> NotedTable | None:
    """Returns what each row takes as figures, None where nothing is known."""
    if not costs:
        return None
    lines = tuple(
        Line(one.row.label, _cost_cells(one, costs.get(one.row.label), metric), one.row.group or "")
        for one in comparison.rows
    )
    block = Block("", (metric, "time", "of which stages", "parameters"))
    return NotedTable(
        "Time and size of each row",
        Grid(comparison.recipe.layout.corner, (block,), lines),
        (
            "Time: by the clock, of one run with all stages that it builds on, preparation and "
            "test included, on the machine where it was trained; the mean over seeds. Runs that "
            "shared a machine with others took longer.",
            "Parameters are those of the row itself, without its stages.",
        ),
    )


def _cost_cells(one: ComparedRow, cost: Cost | None, metric: str) -> tuple[Cell, ...]:
    mean = _NONE if one.found is None else Cell(f"{one.found.estimates[metric].mean:.4f}")
    if cost is None:
        return (mean, *[_NONE] * 3)
    return (
        mean,
        Cell(format_duration(cost.seconds)),
        Cell(format_duration(cost.stage_seconds)) if cost.stage_seconds else _NONE,
        Cell(_count(cost.parameters)),
    )


def _cost(one: ComparedRow, planned: Mapping[int, PlannedRun], folder: Path) -> Cost:
    own: list[dict[str, Any]] = []
    stages: list[float] = []
    for seed in one.runs:
        own.append(_training(folder / planned[seed].name))
        needed = _stages(planned[seed])
        stages.append(sum(float(_training(folder / name)["wall_seconds"]) for name in needed))
    below = fmean(stages)
    return Cost(
        seconds=fmean(float(record["wall_seconds"]) for record in own) + below,
        stage_seconds=below,
        parameters=int(own[0]["parameters"]),
    )


def _stages(run: PlannedRun) -> list[str]:
    """Returns the names of the runs that a run builds on, each once."""
    found: dict[str, None] = {}
    for needed in run.needs.values():
        found.update(dict.fromkeys([needed.name, *_stages(needed)]))
    return list(found)


def _training(folder: Path) -> dict[str, Any]:
    return read_json_object(folder / RUN)["training"]


def _curves(one: ComparedRow, folder: Path, colour: int) -> dict[str, LearningCurve]:
    """Returns the mean curve of a row's seeds by validation metric; none for counted models."""
    found: dict[str, list[LearningCurve]] = {}
    for name in one.runs.values():
        lines = read_lines(folder / name)
        for metric in dict.fromkeys(key for line in lines for key in line if _validates(key)):
            curve = learning_curve(chart_name(one), lines, metric)
            if curve is not None:
                found.setdefault(metric, []).append(curve)
    return {metric: mean_curve(seeds, colour) for metric, seeds in found.items()}


def mean_curve(seeds: Sequence[LearningCurve], colour: int) -> LearningCurve:
    """Returns the mean of the curves of several seeds, over the epochs that all of them have."""
    known = [dict(zip(one.epochs, one.values, strict=True)) for one in seeds]
    epochs = [epoch for epoch in sorted(known[0]) if all(epoch in one for one in known)]
    return LearningCurve(
        seeds[0].name,
        tuple(epochs),
        tuple(fmean(one[epoch] for one in known) for epoch in epochs),
        tuple(seeds) if len(seeds) > 1 else (),
        colour,
    )


def _validates(key: str) -> bool:
    return key.startswith("valid ")


def _count(number: int) -> str:
    """Returns a number of parameters as people say it.

    >>> _count(56_245_701), _count(53_824), _count(0)
    ('56.2 M', '53.8 k', '0')
    """
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {sign}"
    return str(number)
