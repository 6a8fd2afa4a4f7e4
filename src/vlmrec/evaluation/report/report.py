"""Writes report.html: one file without a single request to anywhere else."""

from pathlib import Path
from typing import Any

from vlmrec.core.files import atomic_file
from vlmrec.evaluation.report.charts import line_chart
from vlmrec.evaluation.report.contents import ComparisonReport, RunReport
from vlmrec.evaluation.report.tables import table
from vlmrec.evaluation.report.thumbnails import thumbnail_uri


def write_run_report(path: Path, report: RunReport) -> None:
    """Writes the report of one trained model, atomically.

    Args:
        path: The HTML file to write.
        report: What it says.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    lead = report.curve_metric
    page = _render(
        "run.html.j2",
        report=report,
        results=table(report.rows, lead, mark_best=len(report.rows) > 1),
        slices=table(report.slices, lead, mark_best=False),
        chart=line_chart(() if report.curve is None else (report.curve,)),
    )
    _write(path, page)


def write_comparison_report(path: Path, report: ComparisonReport) -> None:
    """Writes the report that compares many models, atomically.

    Args:
        path: The HTML file to write.
        report: What it says.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    lead = report.lead_metric
    page = _render(
        "comparison.html.j2",
        report=report,
        results=table(report.rows, lead, mark_best=True),
        slices={name: table(rows, lead, mark_best=True) for name, rows in report.slices.items()},
        chart=line_chart(report.curves),
    )
    _write(path, page)


def _render(template: str, **contents: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vlmrec.evaluation.report"),
        autoescape=True,  # titles come from catalogues, and catalogues hold anything
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thumbnail"] = thumbnail_uri  # pyright: ignore[reportUnknownMemberType]
    return environment.get_template(template).render(**contents)


def _write(path: Path, page: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
