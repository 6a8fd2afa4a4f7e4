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
)

__all__ = [
    "Aside",
    "ComparisonReport",
    "ExamplePerson",
    "ItemCard",
    "LearningCurve",
    "MetricRow",
    "RunReport",
    "TaughtAnswer",
    "TaughtTask",
    "write_comparison_report",
    "write_page",
    "write_run_report",
]
