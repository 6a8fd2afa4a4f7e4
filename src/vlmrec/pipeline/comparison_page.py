"""The page of a comparison: means in the paper's layout, then how sure it is and how it was made.

A recipe with several datasets or scenarios has one comparison for each: they stand side by side in
the table of means, and one below the other where they are taken apart.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from vlmrec.evaluation.grid import Block, Cell, Grid, Line, latex_text
from vlmrec.evaluation.significance import Estimate
from vlmrec.evaluation.table import main_metric
from vlmrec.pipeline.compared_row import ComparedRow
from vlmrec.pipeline.comparison import Comparison
from vlmrec.pipeline.comparison_notes import (
    about_intervals,
    about_losses,
    about_means,
    part_name,
    shown_published,
)

_WIDTH = 100
_NONE = Cell("-")


@dataclass(frozen=True)
class Section:
    """A table with what has to be known to read it.

    Attributes:
        heading: Above it; may be empty.
        grid: The table.
        notes: Below it.
    """

    heading: str
    grid: Grid
    notes: tuple[str, ...] = ()


def as_text(parts: Sequence[Comparison]) -> str:
    """Returns the page for a terminal of 100 columns.

    Args:
        parts: The comparisons of one recipe, in the order of datasets and scenarios.
    """
    texts = [parts[0].recipe.title]
    for section in sections(parts, "* best, ~ second best", width=_WIDTH):
        heading = [section.heading] if section.heading else []
        texts.append("\n".join([*heading, section.grid.to_text()]))
        wrapped = [
            textwrap.fill(note, _WIDTH, initial_indent="- ", subsequent_indent="  ")
            for note in section.notes
        ]
        texts += ["\n".join(wrapped)] if wrapped else []
    return "\n\n".join(texts)


def as_markdown(parts: Sequence[Comparison]) -> str:
    """Returns the page in Markdown."""
    texts = [f"# {parts[0].recipe.title}"]
    for section in sections(parts, "Bold: best; italics: second best"):
        texts += [f"## {section.heading}"] if section.heading else []
        texts.append(section.grid.to_markdown())
        listed = [f"- {note}" for note in section.notes]
        texts += ["\n".join(listed)] if listed else []
    return "\n\n".join(texts)


def as_latex(parts: Sequence[Comparison]) -> str:
    """Returns every table of the page as a LaTeX float; needs the package booktabs."""
    texts = [r"% \usepackage{booktabs}"]
    for section in sections(parts, "Bold: best; underlined: second best"):
        title = parts[0].recipe.title
        caption = ". ".join(text for text in (title, section.heading) if text)
        notes = " ".join(section.notes)
        told = latex_text(f"{caption}. {notes}".strip())
        texts.append(
            "\n".join(
                [
                    r"\begin{table}",
                    r"\centering",
                    rf"\caption{{{told}}}",
                    section.grid.to_latex(),
                    r"\end{table}",
                ]
            )
        )
    return "\n\n".join(texts)


def sections(parts: Sequence[Comparison], marks: str, *, width: int | None = None) -> list[Section]:
    """Returns the tables of the page, in order.

    Args:
        parts: The comparisons of one recipe.
        marks: How best and second best are marked.
        width: Columns of the page: where the table of means is wider, each comparison gets its
            own. None for a page that can be any width.
    """
    layout = parts[0].recipe.layout
    found = _sections_of_means(parts, marks, width)
    if "intervals" in layout.blocks:
        for one in parts:
            found += _sections_of_intervals(one, parts)
    if "training" in layout.blocks:
        splits = {one.fingerprints["split"]: one for one in reversed(parts)}
        for one in reversed(splits.values()):
            heading = "How each row was trained" + _of(one, tuple(splits.values()))
            found.append(Section(heading, _training(one), about_losses(one)))
    return found


def _sections_of_means(parts: Sequence[Comparison], marks: str, width: int | None) -> list[Section]:
    about = about_means(parts, marks)
    grid = _means(parts, parts)
    lines = grid.to_text().splitlines()
    if len(parts) == 1 or width is None or max(map(len, lines)) <= width:
        return [Section("", grid, about)]
    found = [Section("", _means([one], parts)) for one in parts]
    return [*found[:-1], Section("", found[-1].grid, about)]


def _sections_of_intervals(one: Comparison, parts: Sequence[Comparison]) -> list[Section]:
    recipe = one.recipe
    shown = recipe.columns if recipe.layout.intervals is None else recipe.layout.intervals
    about = (about_intervals(one, several=len(parts) > 1),)
    return [
        Section(
            f"{metric}, with 95 % intervals over users{_of(one, parts)}",
            _intervals(one, metric),
            about if metric == shown[-1] else (),
        )
        for metric in shown
    ]


def _of(one: Comparison, parts: Sequence[Comparison]) -> str:
    return f": {part_name(one, parts)}" if len(parts) > 1 else ""


def _means(parts: Sequence[Comparison], among: Sequence[Comparison]) -> Grid:
    """Returns the means of some of the page's comparisons, `among` which they have their names."""
    recipe = parts[0].recipe
    metrics = recipe.columns
    blocks: list[Block] = []
    columns: list[list[Cell]] = []
    for one in parts:
        blocks.append(Block(part_name(one, among), metrics))
        columns += [_placed(one.rows, metric) for metric in metrics]
    for name in shown_published(parts):
        numbers = [row.published.get(name, {}) for row in recipe.rows]
        of_paper = [metric for metric in metrics if any(metric in one for one in numbers)]
        blocks.append(Block(f"published, {name}", tuple(of_paper)))
        columns += [[_number(one.get(metric)) for one in numbers] for metric in of_paper]
    return _grid(parts[0], tuple(blocks), columns)


def _intervals(comparison: Comparison, metric: str) -> Grid:
    blocks = [Block("", ("mean", "95 % interval"))]
    rows = comparison.rows
    columns = [
        _placed(rows, metric),
        [_interval(None if one.found is None else one.found.estimates[metric]) for one in rows],
    ]
    if len(rows) > 1:
        base = comparison.recipe.baseline.label
        blocks.append(Block(f"against {base}", ("difference", "95 % interval", "d", "p")))
        gaps = [None if one.differences is None else one.differences[metric] for one in rows]
        columns.append([_number(None if gap is None else gap.mean, "+.4f") for gap in gaps])
        columns.append([_interval(gap, "+.4f") for gap in gaps])
        columns.append([_number(None if gap is None else gap.effect_size, "+.2f") for gap in gaps])
        columns.append([_p_value(one.p_values.get(metric)) for one in rows])
    return _grid(comparison, tuple(blocks), columns)


def _training(comparison: Comparison) -> Grid:
    metric = main_metric(comparison.recipe.metrics)
    rows = comparison.rows
    blocks = (
        Block("", ("vlmrec train",), words=True),
        Block("", ("max_len", "seeds", f"{metric} of seeds", "best epoch", "s/epoch")),
    )
    columns = [
        [Cell(one.row.model) for one in rows],
        [_NONE if one.max_len is None else Cell(str(one.max_len)) for one in rows],
        [Cell(f"{len(one.runs)} of {len(comparison.seeds)}") for one in rows],
        [_NONE if one.found is None else _span(one.found.by_seed[metric], ".4f") for one in rows],
        [_span(one.best_epochs, "d") for one in rows],
        [_number(one.seconds_per_epoch, ".1f") for one in rows],
    ]
    return _grid(comparison, blocks, columns)


def _grid(
    comparison: Comparison, blocks: tuple[Block, ...], columns: Sequence[Sequence[Cell]]
) -> Grid:
    lines = tuple(
        Line(one.row.label, tuple(column[i] for column in columns), one.row.group or "")
        for i, one in enumerate(comparison.rows)
    )
    return Grid(comparison.recipe.layout.corner, blocks, lines)


def _placed(rows: Sequence[ComparedRow], metric: str) -> list[Cell]:
    """Returns a column of means with the best and the second best marked."""
    values = [None if one.found is None else one.found.estimates[metric].mean for one in rows]
    order = sorted({value for value in values if value is not None}, reverse=True)
    # Where there are two rows, that one is not the best is no praise.
    best, second = order[0] if len(order) > 1 else None, order[1] if len(order) > 2 else None
    return [
        _NONE
        if value is None
        else Cell(f"{value:.4f}", 1 if value == best else 2 if value == second else 0)
        for value in values
    ]


def _span(values: Sequence[float], form: str) -> Cell:
    if not values:
        return _NONE
    low, high = f"{min(values):{form}}", f"{max(values):{form}}"
    return Cell(low if low == high else f"{low} to {high}")


def _interval(one: Estimate | None, form: str = ".4f") -> Cell:
    return _NONE if one is None else Cell(f"{one.low:{form}} to {one.high:{form}}")


def _number(value: float | None, form: str = ".4f") -> Cell:
    return _NONE if value is None else Cell(f"{value:{form}}")


def _p_value(value: float | None) -> Cell:
    return Cell("<0.001") if value is not None and value < 0.001 else _number(value, ".3f")
