"""What the report of a whole table of models says, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vlmrec.evaluation.grid import Grid
from vlmrec.evaluation.report.contents import ExamplePerson, LearningCurve, MetricRow
from vlmrec.evaluation.significance import Estimate


@dataclass(frozen=True)
class NotedTable:
    """A table with what has to be known to read it.

    Attributes:
        heading: Above it; may be empty.
        grid: The table.
        notes: Below it, a sentence or more each.
    """

    heading: str
    grid: Grid
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """By how much a row exceeds the one that all are compared with.

    Attributes:
        name: The row.
        gap: The difference; None where there is none.
        p_value: Of the difference, corrected for the number of rows; None where there is none.
        group: Heading above neighbouring rows that share it; may be empty.
        note: In place of a difference, such as "the baseline".
    """

    name: str
    gap: Estimate | None
    p_value: float | None = None
    group: str = ""
    note: str = ""


@dataclass(frozen=True)
class Differences:
    """The differences of all rows in one metric.

    Attributes:
        metric: Which.
        baseline: The row that all are compared with.
        rows: In the order of the table.
    """

    metric: str
    baseline: str
    rows: tuple[Difference, ...]


@dataclass(frozen=True)
class CostPoint:
    """What a row reaches and what it takes.

    Attributes:
        name: The row.
        seconds: To train it.
        value: The metric.
        colour: Number of its colour, from 1.
    """

    name: str
    seconds: float
    value: float
    colour: int


@dataclass(frozen=True)
class SliceTable:
    """The rows on groups of cases, which are the columns.

    Attributes:
        heading: By what the cases are grouped.
        caption: What each group is, and how many cases it has.
        rows: One a row of the table; the groups stand in place of metrics.
    """

    heading: str
    caption: str
    rows: tuple[MetricRow, ...]


@dataclass(frozen=True)
class StoredCard:
    """What a modality report card says, in a line.

    Attributes:
        name: The row.
        note: The reason of the verdict.
        cells: Verdict and figures, as text.
    """

    name: str
    note: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class ReportCards:
    """The modality report cards of the rows that have one.

    Attributes:
        columns: Headings of the cells.
        cards: One a row.
        remarks: What is lacking and how to get it, one sentence each.
        commands: That make the cards which are lacking.
    """

    columns: tuple[str, ...] = ()
    cards: tuple[StoredCard, ...] = ()
    remarks: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class TablePart:
    """What is known of the rows on one dataset in one scenario.

    Attributes:
        name: Of the dataset or scenario; empty where there is one of them only.
        differences: One a metric.
        curves: Validation metric -> the curves of the rows that were trained.
        costs: What each row reaches and takes.
        cost_table: The same and more as figures; None where nothing is known.
        slices: By popularity of the target, by what it shows, ...
        cards: Modality report cards.
        people: Example users with the lists of the rows.
        people_remarks: How they and the rows were chosen, and what is lacking.
    """

    name: str = ""
    differences: tuple[Differences, ...] = ()
    curves: Mapping[str, tuple[LearningCurve, ...]] = field(
        default_factory=dict[str, tuple[LearningCurve, ...]]
    )
    costs: tuple[CostPoint, ...] = ()
    cost_table: NotedTable | None = None
    slices: tuple[SliceTable, ...] = ()
    cards: ReportCards = ReportCards()
    people: tuple[ExamplePerson, ...] = ()
    people_remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableReport:
    """Everything about a table of models.

    Attributes:
        title: Heading.
        lead_metric: The metric that is drawn.
        main: The table itself.
        summary: One or two sentences under the heading.
        facts: About the data and the runs: label -> value.
        parts: By dataset and scenario, in the order of the table.
        tables: Further tables.
        remarks: What could not be shown, and why, one sentence each.
        confidence: Of the intervals.
    """

    title: str
    lead_metric: str
    main: NotedTable
    summary: str = ""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: tuple[TablePart, ...] = ()
    tables: tuple[NotedTable, ...] = ()
    remarks: tuple[str, ...] = ()
    confidence: float = 0.95
