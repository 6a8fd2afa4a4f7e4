"""Writes report.html: one file without a single request to anywhere else."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmrec.core.files import atomic_file
from vlmrec.evaluation.report.charts import line_chart
from vlmrec.evaluation.report.contents import ComparisonReport, RunReport
from vlmrec.evaluation.report.forest import forest
from vlmrec.evaluation.report.scatter import cost_chart
from vlmrec.evaluation.report.table_contents import TablePart, TableReport
from vlmrec.evaluation.report.tables import table
from vlmrec.evaluation.report.taught import taught_table
from vlmrec.evaluation.report.thumbnails import thumbnail_uri

_OWN = "vlmrec.evaluation.report"


def write_run_report(path: Path, report: RunReport) -> None:
    """Writes the report of one trained model, atomically.

    Args:
        path: The HTML file to write.
        report: What it says.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    lead = report.curve_metric
    contents = {
        "report": report,
        "results": table(report.rows, lead, mark_best=len(report.rows) > 1),
        "slices": table(report.slices, lead, mark_best=False),
        "chart": line_chart(() if report.curve is None else (report.curve,)),
        "taught": taught_table(report.taught),
    }
    write_page(path, "run.html.j2", contents)


def write_comparison_report(path: Path, report: ComparisonReport) -> None:
    """Writes the report that compares many models, atomically.

    Args:
        path: The HTML file to write.
        report: What it says.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    lead = report.lead_metric
    contents = {
        "report": report,
        "results": table(report.rows, lead, mark_best=True),
        "slices": {n: table(rows, lead, mark_best=True) for n, rows in report.slices.items()},
        "chart": line_chart(report.curves),
        "asides": [(one, table(one.rows, lead, mark_best=False)) for one in report.asides],
    }
    write_page(path, "comparison.html.j2", contents)


def write_table_report(path: Path, report: TableReport) -> None:
    """Writes the report of a whole table of models, atomically.

    Args:
        path: The HTML file to write.
        report: What it says.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    parts = [_drawn(part, report.lead_metric) for part in report.parts]
    contents = {"report": report, "parts": parts}
    write_page(path, "table.html.j2", contents)


def _drawn(part: TablePart, lead: str) -> dict[str, Any]:
    """Returns a part of the report with the charts and tables that its template needs."""
    return {
        "of": f": {part.name}" if part.name else "",
        "said": part,
        "forests": [found for one in part.differences if (found := forest(one)) is not None],
        "charts": {name: line_chart(curves) for name, curves in part.curves.items()},
        "costs": cost_chart(part.costs),
        "slices": [(one, table(one.rows, lead, mark_best=True)) for one in part.slices],
    }


def write_page(path: Path, template: str, contents: Mapping[str, Any], package: str = _OWN) -> None:
    """Writes a page made from a template, atomically.

    Templates extend ``base.html.j2`` and import from ``parts.html.j2``, wherever they lie. The
    base needs ``report`` with ``title``, ``summary``, ``facts`` and ``confidence``.

    Args:
        path: The HTML file to write.
        template: Its name in the folder ``templates`` of `package`.
        contents: What the template is given, by name.
        package: Whose template it is.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    import jinja2

    loaders = [jinja2.PackageLoader(name) for name in dict.fromkeys((package, _OWN))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,  # titles come from catalogues, and catalogues hold anything
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The lists of several models share most of their pictures.
    thumbnail = functools.cache(thumbnail_uri)
    environment.filters["thumbnail"] = thumbnail  # pyright: ignore[reportUnknownMemberType]
    page = environment.get_template(template).render(**contents)
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
