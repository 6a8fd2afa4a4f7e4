"""From metric rows to what a table shows: text, the best of a column, bars on one scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vlmrec.evaluation.report.contents import MetricRow
from vlmrec.evaluation.significance import Estimate

NOTHING = "–"  # noqa: RUF001  an en dash, as typeset tables have it


@dataclass(frozen=True)
class Cell:
    """One figure with its interval, as text."""

    mean: str
    interval: str
    best: bool


@dataclass(frozen=True)
class Bar:
    """Mean and interval as shares 0..100 of the width of a bar."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """One row: its name and note, its cells, the bar of the leading metric."""

    name: str
    note: str
    cells: tuple[Cell, ...]
    bar: Bar | None


@dataclass(frozen=True)
class Table:
    """A table of results.

    Attributes:
        metrics: Column headings.
        lead: The metric that has bars.
        lines: The rows.
        top: What the full width of a bar stands for.
        detail_names: Headings of the second table, empty where there is none.
        details: Its rows: name and cells.
    """

    metrics: tuple[str, ...]
    lead: str
    lines: tuple[Line, ...]
    top: str
    detail_names: tuple[str, ...]
    details: tuple[tuple[str, tuple[str, ...]], ...]


def table(rows: Sequence[MetricRow], lead: str, *, mark_best: bool) -> Table | None:
    """Returns what a table of `rows` shows, None where there are none.

    Args:
        rows: The rows; a metric that a row lacks stays empty.
        lead: The metric to draw; the first where no row has it.
        mark_best: Mark the largest mean of each column.
    """
    names = tuple(dict.fromkeys(name for row in rows for name in row.metrics))
    if not names:
        return None
    lead = lead if lead in names else names[0]
    names = (lead, *(name for name in names if name != lead))
    best = {name: _best(rows, name) if mark_best else None for name in names}
    top = max((one.high for row in rows if (one := _known(row, lead))), default=0.0) or 1.0
    detail_names = tuple(dict.fromkeys(name for row in rows for name in row.details))
    return Table(
        metrics=names,
        lead=lead,
        lines=tuple(
            Line(
                name=row.name,
                note=row.note,
                cells=tuple(_cell(_known(row, name), best[name]) for name in names),
                bar=_bar(_known(row, lead), top),
            )
            for row in rows
        ),
        top=f"{top:.3g}",
        detail_names=detail_names,
        details=tuple(
            (row.name, tuple(row.details.get(name, NOTHING) for name in detail_names))
            for row in rows
            if row.details
        ),
    )


def _known(row: MetricRow, name: str) -> Estimate | None:
    found = row.metrics.get(name)
    return None if found is None or math.isnan(found.mean) else found


def _best(rows: Sequence[MetricRow], name: str) -> float | None:
    means = [found.mean for row in rows if (found := _known(row, name))]
    return max(means) if len(means) > 1 else None


def _cell(estimate: Estimate | None, best: float | None) -> Cell:
    if estimate is None:
        return Cell(NOTHING, "", best=False)
    known = math.isfinite(estimate.low) and math.isfinite(estimate.high)
    interval = f"{estimate.low:.4f} to {estimate.high:.4f}" if known else ""
    return Cell(f"{estimate.mean:.4f}", interval, best=estimate.mean == best)


def _bar(estimate: Estimate | None, top: float) -> Bar | None:
    if estimate is None:
        return None
    low, high = (
        end if math.isfinite(end) else estimate.mean for end in (estimate.low, estimate.high)
    )
    return Bar(
        *(round(100 * min(max(end / top, 0.0), 1.0), 2) for end in (estimate.mean, low, high))
    )
