"""The rows of a table on groups of cases: by popularity, by history, by what the target shows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vlmrec.bundle import read_ranks
from vlmrec.core.columns import IMAGE, ITEM_ID
from vlmrec.core.errors import VlmrecError
from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset
from vlmrec.data.sequences import IntArray
from vlmrec.data.splits import Cases, Split
from vlmrec.evaluation.over_seeds import OverSeeds
from vlmrec.evaluation.report import MetricRow, SliceTable
from vlmrec.evaluation.significance import Estimate, bootstrap_means
from vlmrec.evaluation.slices import Slice, content_slices, history_slices, popularity_slices
from vlmrec.pipeline.compared_row import ComparedRow
from vlmrec.pipeline.comparison import Comparison

CASES_AT_LEAST = 30
"""Groups of fewer cases say nothing."""


def slice_tables(
    comparison: Comparison, split: Split, folder: Path, metric: str
) -> tuple[SliceTable, ...]:
    """Returns the rows on groups of cases, means over seeds with intervals over users.

    Args:
        comparison: One dataset in one scenario.
        split: Its data.
        folder: Of the run folders.
        metric: Which column of the table.

    Returns:
        One table for each way to group; groups of few cases and those that hold every case are
        left out, and so is a table of fewer than two groups. Nothing where the runs were tested
        on other cases than those of `split`.
    """
    rows = [(one, one.found) for one in comparison.rows if one.found is not None]
    cases = _cases(rows[0][0], comparison, split, folder) if rows else None
    if cases is None:
        return ()
    tables: list[SliceTable] = []
    for heading, parts in _ways(split, cases).items():
        kept = [one for one in parts if one.mask.sum() >= CASES_AT_LEAST and not one.mask.all()]
        if len(kept) > 1:
            found = tuple(_row(*one, kept, cases.users, metric) for one in rows)
            tables.append(SliceTable(heading, _about(parts, kept, metric), found))
    return tuple(tables)


def _about(parts: Sequence[Slice], kept: Sequence[Slice], metric: str) -> str:
    told = [f"{one.name}: {one.definition} ({int(one.mask.sum()):,} cases)" for one in kept]
    few = [
        f"{one.name} ({int(one.mask.sum())})"
        for one in parts
        if 0 < one.mask.sum() < CASES_AT_LEAST
    ]
    lost = f" Too few cases to show: {', '.join(few)}." if few else ""
    return f"{metric} of each group. {'; '.join(told)}.{lost}"


def _cases(one: ComparedRow, comparison: Comparison, split: Split, folder: Path) -> Cases | None:
    """Returns the test cases that count in the scenario, None where the runs had others."""
    try:
        _, table = read_ranks(folder / next(iter(one.runs.values())))
        if table[ITEM_ID].to_list() != split.dataset.items.to_external(split.test.targets):
            return None
        return split.test.subset(np.flatnonzero(comparison.scenario.chosen(table, split)))
    except VlmrecError:
        return None


def _ways(split: Split, cases: Cases) -> dict[str, list[Slice]]:
    counts = split.train.item_counts(split.dataset.n_items)
    words, pictures = _content(split.dataset)
    return {
        "By how often the target occurs in training": popularity_slices(counts, cases.targets),
        "By length of the history": history_slices(np.asarray(cases.histories.lengths)),
        "By what the target shows": content_slices(words, pictures, cases.targets),
    }


def _content(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns which items have words and which a picture, ``[I + 1] bool`` each."""
    words = np.array([False, *(text != "" for text in dataset.catalog.texts())])
    pictures = np.concatenate([[False], dataset.catalog.table[IMAGE].is_not_null().to_numpy()])
    return words, pictures


def _row(
    one: ComparedRow, found: OverSeeds, parts: Sequence[Slice], users: IntArray, metric: str
) -> MetricRow:
    values = np.asarray(found.cases[metric])[:, None]
    means: dict[str, Estimate] = {}
    for part in parts:
        (means[part.name],) = bootstrap_means(
            values[part.mask],
            streams=Streams(0),
            address=("slice", part.name),
            users=users[part.mask],
        )
    return MetricRow(one.row.label, means, one.row.group or "")
