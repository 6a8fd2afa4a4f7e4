"""What the table of token losses shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlmrec.evaluation.report.contents import TaughtTask
from vlmrec.evaluation.report.tables import NOTHING, Cell, Line


@dataclass(frozen=True)
class TaughtTable:
    """Token losses by task.

    Attributes:
        columns: Column headings.
        lines: A row for each task.
        remarks: What must be known of them, one sentence or more each.
    """

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    remarks: tuple[str, ...]


def taught_table(tasks: Sequence[TaughtTask]) -> TaughtTable | None:
    """Returns the losses of `tasks`, the lowest of each marked; None where there are none."""
    if not tasks:
        return None
    columns = tuple(dict.fromkeys(name for task in tasks for name in task.losses))
    lines = tuple(
        Line(
            name=task.name,
            note=f"{task.n_learned:,} learned from, {task.n_held_out:,} held out",
            cells=_cells(columns, task.losses),
            bar=None,
        )
        for task in tasks
    )
    remarks = tuple(f"{task.name}: {task.remark}" for task in tasks if task.remark)
    return TaughtTable(columns, lines, remarks)


def _cells(columns: Sequence[str], losses: Mapping[str, float | None]) -> tuple[Cell, ...]:
    values = [losses.get(name) for name in columns]
    lowest = min((one for one in values if one is not None), default=None)
    return tuple(
        Cell(NOTHING, "", best=False) if one is None else Cell(f"{one:.3f}", "", one == lowest)
        for one in values
    )
