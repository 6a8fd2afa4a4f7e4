"""Reports as one self-contained HTML file: tables, curves, and people with their pictures."""

from vlmrec.evaluation.report.contents import (
    Aside,
    ComparisonReport,
    ExamplePerson,
    ItemCard,
    LearningCurve,
    MetricRow,
    RunReport,
    TaughtAnswer,
    TaughtTask,
)
from vlmrec.evaluation.report.report import (
    write_comparison_report,
    write_page,
    write_run_report,
    write_table_report,
)
from vlmrec.evaluation.report.table_contents import (
    CostPoint,
    Difference,
    Differences,
    NotedTable,
    ReportCards,
    SliceTable,
    StoredCard,
    TablePart,
    TableReport,
)

__all__ = [
    "Aside",
    "ComparisonReport",
    "CostPoint",
    "Difference",
    "Differences",
    "ExamplePerson",
    "ItemCard",
    "LearningCurve",
    "MetricRow",
    "NotedTable",
    "ReportCards",
    "RunReport",
    "SliceTable",
    "StoredCard",
    "TablePart",
    "TableReport",
    "TaughtAnswer",
    "TaughtTask",
    "write_comparison_report",
    "write_page",
    "write_run_report",
    "write_table_report",
]
