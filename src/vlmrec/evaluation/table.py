"""An evaluation as a plain-text table, readable in any terminal and in a mail."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlmrec.evaluation.significance import Estimate

if TYPE_CHECKING:
    from vlmrec.evaluation.evaluator import Evaluation


def format_evaluation(evaluation: "Evaluation") -> str:
    """Returns the protocol, the metrics with intervals and chance, and the slices."""
    percent = f"{evaluation.confidence * 100:g} % interval"
    rows = [
        [name, f"{value.mean:.4f}", _interval(value), f"{evaluation.chance[name]:.4f}"]
        for name, value in evaluation.metrics.items()
    ]
    rows += [
        [f"{name}, seen left out", f"{value.mean:.4f}", _interval(value), ""]
        for name, value in (evaluation.filtered or {}).items()
    ]
    k = evaluation.list_length
    rows.append([f"Coverage@{k}", f"{evaluation.coverage:.4f}", "", ""])
    rows.append([f"Gini@{k}", f"{evaluation.gini:.4f}", "", ""])
    parts = [
        evaluation.protocol[:1].upper() + evaluation.protocol[1:] + ".",
        align([["metric", "mean", percent, "chance"], *rows]),
        *_slice_table(evaluation, percent),
        *_tie_note(evaluation),
    ]
    return "\n\n".join(parts)


def align(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows as lines; the first row is the heading, the first column is left-aligned.

    >>> print(align([["metric", "mean"], ["NDCG@10", "0.05"]]))
    metric   mean
    -------------
    NDCG@10  0.05
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([lines[0], rule, *lines[1:]])


def main_metric(names: Sequence[str]) -> str:
    """Returns the metric to lead with: NDCG@10 where it was measured, else the first.

    >>> main_metric(["MRR@5", "NDCG@10"])
    'NDCG@10'
    """
    return "NDCG@10" if "NDCG@10" in names else names[0]


def _slice_table(evaluation: "Evaluation", percent: str) -> list[str]:
    if not evaluation.slices:
        return []
    lead = main_metric(list(evaluation.metrics))
    rows = [["slice", "cases", lead, percent, "which cases"]]
    for part in evaluation.slices:
        value = part.metrics[lead]
        mean = f"{value.mean:.4f}" if part.n_cases else "-"
        interval = _interval(value) if part.n_cases else "-"
        rows.append([part.name, f"{part.n_cases:,}", mean, interval, part.definition])
    width = max(len(row[-1]) for row in rows)
    return [align([[*row[:-1], row[-1].ljust(width)] for row in rows])]


def _tie_note(evaluation: "Evaluation") -> list[str]:
    if not evaluation.n_tied:
        return []
    return [
        f"In {evaluation.n_tied:,} of {evaluation.n_cases:,} cases another item has exactly "
        "the target's score."
    ]


def _interval(value: Estimate) -> str:
    return f"{value.low:.4f} to {value.high:.4f}"
