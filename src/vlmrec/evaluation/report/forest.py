"""Differences with their intervals on one scale around zero: a forest plot, a row a table row."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vlmrec.evaluation.report.charts import Tick, nice_ticks
from vlmrec.evaluation.report.table_contents import Difference, Differences
from vlmrec.evaluation.report.tables import NOTHING, Bar

SIGNIFICANT = 0.05
"""Corrected p-values below it count."""


@dataclass(frozen=True)
class ForestLine:
    """One row: its name, where its interval lies, and the figures as text.

    Attributes:
        name: The row.
        group: Heading above it where it is the first of its group, else empty.
        spot: The difference and its ends as shares 0..100 of the width; None without one.
        side: "above" or "below" where the difference is significant, else "".
        figure: The difference.
        interval: Its ends.
        p_value: As text.
        note: In place of a difference.
    """

    name: str
    group: str
    spot: Bar | None
    side: str
    figure: str
    interval: str
    p_value: str
    note: str


@dataclass(frozen=True)
class Forest:
    """The differences of all rows in one metric.

    Attributes:
        metric: Which.
        baseline: What the rows are compared with.
        lines: The rows.
        ticks: Of the scale, at shares 0..100 of the width.
        zero: Where 0 lies, 0..100.
    """

    metric: str
    baseline: str
    lines: tuple[ForestLine, ...]
    ticks: tuple[Tick, ...]
    zero: float


def forest(differences: Differences) -> Forest | None:
    """Returns where the intervals lie, None where there is no difference to show."""
    gaps = [row.gap for row in differences.rows if row.gap is not None]
    ends = [end for gap in gaps for end in (gap.low, gap.high) if math.isfinite(end)]
    if not ends:
        return None
    ticks = nice_ticks(min(0.0, *ends), max(0.0, *ends), 4)
    low, width = ticks[0], ticks[-1] - ticks[0]

    def share(value: float) -> float:
        return round(100 * min(max((value - low) / width, 0.0), 1.0), 2)

    def placed(row: Difference) -> Bar | None:
        gap = row.gap
        if gap is None or not all(map(math.isfinite, (gap.mean, gap.low, gap.high))):
            return None
        return Bar(share(gap.mean), share(gap.low), share(gap.high))

    rows = differences.rows
    return Forest(
        metric=differences.metric,
        baseline=differences.baseline,
        lines=tuple(_line(rows, i, placed(row)) for i, row in enumerate(rows)),
        ticks=tuple(Tick(share(tick), f"{tick:+.3g}" if tick else "0") for tick in ticks),
        zero=share(0.0),
    )


def _line(rows: Sequence[Difference], i: int, spot: Bar | None) -> ForestLine:
    row = rows[i]
    first = i == 0 or rows[i - 1].group != row.group
    group = row.group if first else ""
    if row.gap is None or spot is None:
        return ForestLine(row.name, group, None, "", NOTHING, "", "", row.note)
    sure = row.p_value is not None and row.p_value < SIGNIFICANT
    side = "" if not sure else "above" if row.gap.mean > 0 else "below"
    interval = f"{row.gap.low:+.4f} to {row.gap.high:+.4f}"
    figure = f"{row.gap.mean:+.4f}"
    return ForestLine(row.name, group, spot, side, figure, interval, _p_text(row), row.note)


def _p_text(row: Difference) -> str:
    if row.p_value is None:
        return NOTHING
    return "<0.001" if row.p_value < 0.001 else f"{row.p_value:.3f}"
