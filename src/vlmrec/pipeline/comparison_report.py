"""The report of a table of models: everything about it in one HTML file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vlmrec.evaluation.report import (
    Difference,
    Differences,
    NotedTable,
    ReportCards,
    TablePart,
    TableReport,
    write_table_report,
)
from vlmrec.evaluation.table import main_metric
from vlmrec.pipeline.compared_cards import stored_cards
from vlmrec.pipeline.compared_people import ComparedPeople, compare_people
from vlmrec.pipeline.compared_runs import (
    ReadRuns,
    cost_points,
    cost_table,
    read_runs,
)
from vlmrec.pipeline.compared_slices import slice_tables
from vlmrec.pipeline.comparison import Comparison
from vlmrec.pipeline.comparison_notes import part_name
from vlmrec.pipeline.comparison_page import sections
from vlmrec.pipeline.settings import Setting


def report_comparison(
    path: Path, parts: Sequence[Comparison], settings: Sequence[Setting], folder: Path
) -> None:
    """Writes the report of a comparison, as far as its runs are finished.

    Nothing is trained. Runs that lack something cost what they lack and are named.

    Args:
        path: The HTML file.
        parts: The comparisons of one recipe, in the order of datasets and scenarios.
        settings: Data and runs of each of them.
        folder: Of the run folders.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    main, *others = [
        NotedTable(one.heading, one.grid, one.notes)
        for one in sections(parts, "Bold: best; underlined: second best")
    ]
    said: list[TablePart] = []
    lacking: list[str] = []
    shown = {one.dataset: one for one in reversed(parts) if one.scenario.gap_in_test is None}
    trained: set[str] = set()
    for one, setting in zip(parts, settings, strict=True):
        # Scenarios that differ in the test alone have the same runs: one chart of them will do.
        first = one.fingerprints["split"] not in trained
        trained.add(one.fingerprints["split"])
        runs = read_runs(one, setting.plan, folder) if first else ReadRuns()
        people, cards = ComparedPeople(), ReportCards()
        if shown.get(one.dataset, one) is one:
            people = compare_people(one, setting.split, folder)
            cards = stored_cards(one, folder, people.modalities)
        name = part_name(one, parts) if len(parts) > 1 else ""
        part = TablePart(name, cards=cards, people=people.people, people_remarks=people.remarks)
        said.append(_measured(part, one, setting, folder, runs))
        lacking += runs.lacking
    recipe = parts[0].recipe
    metric = main_metric(recipe.metrics)
    report = TableReport(
        title=recipe.title,
        lead_metric=metric,
        main=main,
        summary=" ".join(_summary(one, parts, metric) for one in parts),
        facts=_facts(parts, settings),
        parts=tuple(said),
        tables=tuple(others),
        remarks=tuple(dict.fromkeys(lacking)),
    )
    write_table_report(path, report)


def _measured(
    part: TablePart, one: Comparison, setting: Setting, folder: Path, runs: ReadRuns
) -> TablePart:
    """Returns a part with its differences, curves, costs and groups of cases."""
    metric = main_metric(one.recipe.metrics)
    return replace(
        part,
        differences=_differences(one),
        curves=runs.curves,
        costs=tuple(cost_points(one, runs.costs, metric)),
        cost_table=cost_table(one, runs.costs, metric),
        slices=slice_tables(one, setting.split, folder, metric),
    )


def _summary(one: Comparison, parts: Sequence[Comparison], metric: str) -> str:
    found = [(row.found.estimates[metric], row) for row in one.rows if row.found is not None]
    where = f"{part_name(one, parts)}: " if len(parts) > 1 else ""
    if not found:
        return f"{where}Nothing is finished yet."
    best, row = max(found, key=lambda pair: pair[0].mean)
    name = f"{row.row.label} ({row.row.group})" if row.row.group else row.row.label
    reached = f"{best.mean:.4f} (95\N{NO-BREAK SPACE}% interval {best.low:.4f} to {best.high:.4f})"
    if len(found) == 1:
        return f"{where}{name} reaches {metric} {reached}."
    return f"{where}{name} has the highest {metric}, {reached}."


def _facts(parts: Sequence[Comparison], settings: Sequence[Setting]) -> dict[str, str]:
    runs = sum(len(one.rows) * len(one.seeds) for one in parts)
    facts = {
        "seeds": ", ".join(map(str, parts[0].seeds)),
        "runs finished": f"{runs - sum(one.unfinished for one in parts)} of {runs}",
    }
    if len(parts) > 1:
        data = ", ".join(dict.fromkeys(one.dataset for one in parts))
        scenarios = ", ".join(dict.fromkeys(one.scenario.name for one in parts))
        return {"data": data, "scenarios": scenarios, **facts}
    split = settings[0].split
    return {
        "data": parts[0].dataset,
        "users": f"{split.dataset.n_users:,}",
        "items": f"{split.dataset.n_items:,}",
        "interactions": f"{split.dataset.sequences.n_events:,}",
        "split": split.name,
        "test cases": f"{len(split.test):,}",
        **facts,
    }


def _differences(comparison: Comparison) -> tuple[Differences, ...]:
    recipe = comparison.recipe
    shown = recipe.columns if recipe.layout.intervals is None else recipe.layout.intervals
    base = recipe.baseline
    return tuple(
        Differences(
            metric,
            base.label,
            tuple(
                Difference(
                    one.row.label,
                    None if one.differences is None else one.differences[metric],
                    one.p_values.get(metric),
                    one.row.group or "",
                    "the baseline" if one.row is base else "not finished",
                )
                for one in comparison.rows
            ),
        )
        for metric in shown or (main_metric(recipe.metrics),)
    )
