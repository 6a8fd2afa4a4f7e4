"""A comparison for people: the paper's table first, then how sure it is and how it was made."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vlmrec.evaluation.grid import Block, Cell, Grid, Line, latex_text
from vlmrec.evaluation.significance import Estimate
from vlmrec.evaluation.table import main_metric
from vlmrec.pipeline.comparison import ComparedRow, Comparison
from vlmrec.pipeline.recipes import N_SAMPLED

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


def as_text(comparison: Comparison) -> str:
    """Returns the page for a terminal of 100 columns."""
    parts = [comparison.recipe.title]
    for section in sections(comparison, "* best, ~ second best"):
        heading = [section.heading] if section.heading else []
        parts.append("\n".join([*heading, section.grid.to_text()]))
        wrapped = [
            textwrap.fill(note, _WIDTH, initial_indent="- ", subsequent_indent="  ")
            for note in section.notes
        ]
        parts += ["\n".join(wrapped)] if wrapped else []
    return "\n\n".join(parts)


def as_markdown(comparison: Comparison) -> str:
    """Returns the page in Markdown."""
    parts = [f"# {comparison.recipe.title}"]
    for section in sections(comparison, "Bold: best; italics: second best"):
        parts += [f"## {section.heading}"] if section.heading else []
        parts.append(section.grid.to_markdown())
        listed = [f"- {note}" for note in section.notes]
        parts += ["\n".join(listed)] if listed else []
    return "\n\n".join(parts)


def as_latex(comparison: Comparison) -> str:
    """Returns every table of the page as a LaTeX float; needs the package booktabs."""
    parts = [r"% \usepackage{booktabs}"]
    for section in sections(comparison, "Bold: best; underlined: second best"):
        caption = ". ".join(text for text in (comparison.recipe.title, section.heading) if text)
        notes = " ".join(section.notes)
        told = latex_text(f"{caption}. {notes}".strip())
        parts.append(
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
    return "\n\n".join(parts)


def sections(comparison: Comparison, marks: str) -> list[Section]:
    """Returns the tables of the page, in order.

    Args:
        comparison: What is shown.
        marks: How best and second best are marked.
    """
    recipe = comparison.recipe
    about = (
        _about_means(comparison, marks),
        _about_data(comparison),
        *_about_published(comparison),
        *_about_unfinished(comparison),
    )
    found = [Section("", _means(comparison), about)]
    shown = recipe.columns if recipe.layout.intervals is None else recipe.layout.intervals
    if "intervals" in recipe.layout.blocks:
        for metric in shown:
            heading = f"{metric}, with 95 % intervals over users"
            found.append(Section(heading, _intervals(comparison, metric)))
        if shown:
            found[-1] = replace(found[-1], notes=(_about_intervals(comparison),))
    if "training" in recipe.layout.blocks:
        about = _about_losses(comparison)
        found.append(Section("How each row was trained", _training(comparison), about))
    return found


def shown_published(comparison: Comparison) -> tuple[str, ...]:
    """Returns the datasets whose published numbers stand beside ours.

    That of the data's own name, else those that the recipe chose.
    """
    if "published" not in comparison.recipe.layout.blocks:
        return ()
    known = dict.fromkeys(name for one in comparison.rows for name in one.row.published)
    same = tuple(name for name in known if same_name(name, comparison.dataset))
    return same or tuple(name for name in comparison.recipe.layout.published if name in known)


def same_name(first: str, second: str) -> bool:
    """Returns whether two names of datasets mean the same.

    >>> same_name("ML-1M", "ml-1m"), same_name("ML-1M", "ml-100k-mm")
    (True, False)
    """
    return _plain(first) == _plain(second)


def _about_means(comparison: Comparison, marks: str) -> str:
    over = "Means over" if len(comparison.seeds) > 1 else "From"
    filtered = ""
    if comparison.recipe.filtered_metrics:
        filtered = " Filtered: items of the history are left out of the ranking."
    sampled = ""
    if comparison.recipe.sampled_metrics:
        sampled = (
            f" Sampled: the target among {N_SAMPLED} random unseen items, which lifts every number "
            "several times; compare such columns with papers that do the same, and nothing else."
        )
    return f"{over} {_seeds(comparison.seeds)}; 1 is perfect. {marks}.{filtered}{sampled}"


def _about_data(comparison: Comparison) -> str:
    told = (comparison.protocol, comparison.preparation)
    protocol = "".join(f"; {text}" for text in told if text)
    return (
        f"Data: {comparison.dataset} (fingerprint {comparison.fingerprints['dataset']}), "
        f"{comparison.recipe.split} split{protocol}."
    )


def _about_intervals(comparison: Comparison) -> str:
    return (
        f"Intervals: bootstrap over {comparison.n_users:,} users of each user's mean over seeds, "
        f"each for itself. Differences from '{comparison.recipe.baseline.label}' are taken case by "
        "case. d: their mean over their standard deviation over users (.2 is small). p: two-sided, "
        "corrected for the number of rows (Holm), each metric for itself."
    )


def _about_losses(comparison: Comparison) -> tuple[str, ...]:
    rows: dict[str, list[str]] = {}
    for one in comparison.rows:
        if one.found is not None:
            rows.setdefault(one.loss, []).append(one.row.label)
    if len(rows) == 1:
        return tuple(f"Loss of all rows: {loss}." for loss in rows)
    return tuple(f"Loss of {'; '.join(labels)}: {loss}." for loss, labels in rows.items())


def _about_unfinished(comparison: Comparison) -> list[str]:
    waiting = [
        f"{one.row.label} ({_seeds([s for s in comparison.seeds if s not in one.runs])})"
        for one in comparison.rows
        if len(one.runs) < len(comparison.seeds)
    ]
    if not waiting:
        return []
    return [f"Not finished, so left out or '-': {'; '.join(waiting)}."]


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _about_published(comparison: Comparison) -> list[str]:
    told: list[str] = []
    for name in shown_published(comparison):
        if same_name(name, comparison.dataset):
            text = (
                f"Published: the paper's numbers on {name}. Ours are on data of that name; compare "
                "the counts and the protocol before the numbers."
            )
        else:
            text = (
                f"Published: the paper's numbers on {name}. Ours are on {comparison.dataset}, "
                "other data: compare the order of the rows, not the numbers."
            )
        told.append(text)
    return told


def _means(comparison: Comparison) -> Grid:
    metrics = comparison.recipe.columns
    published = shown_published(comparison)
    blocks = [Block(comparison.dataset, metrics)]
    columns = [_placed(comparison.rows, metric) for metric in metrics]
    for name in published:
        of_paper = [m for m in metrics if any(m in _paper(one, name) for one in comparison.rows)]
        blocks.append(Block(f"published, {name}", tuple(of_paper)))
        columns += [
            [_number(_paper(one, name).get(metric)) for one in comparison.rows]
            for metric in of_paper
        ]
    return _grid(comparison, tuple(blocks), columns)


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


def _paper(one: ComparedRow, dataset: str) -> dict[str, float]:
    return one.row.published.get(dataset, {})


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
