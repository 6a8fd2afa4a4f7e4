"""CSV, TSV and their kin as tables of strings.

Polars fills short lines with nulls, and stumbles over quotes inside fields. So each file is
checked first, line by line; one with quotes, another encoding or a two-character separator is
rewritten once into plain UTF-8 with a separator that occurs nowhere else.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount
from vlmrec.data.sources.delimited_layout import Layout, find_layout
from vlmrec.data.sources.delimited_lines import (
    PLAIN_SEPARATOR,
    LineCount,
    check_lines,
    replace_separator,
    rewrite,
)
from vlmrec.data.sources.source_table import SourceTable
from vlmrec.data.sources.text_encoding import TextFacts, examine


def open_delimited(
    path: Path,
    scratch: Path,
    known_names: frozenset[str] = frozenset(),
    encoding: str | None = None,
    separator: str | None = None,
) -> SourceTable:
    """Returns a text file as a table of strings.

    Args:
        path: The file, plain or gzip.
        scratch: A folder for rewritten copies; must outlive the table.
        known_names: Column names that the caller expects besides the aliases.
        encoding: See `examine`.
        separator: See `find_layout`.

    Raises:
        DataError: It is empty, has only a header, or a line does not fit (with its number).
    """
    facts = examine(path, encoding)
    return open_with_layout(path, scratch, facts, find_layout(path, facts, known_names, separator))


def open_with_layout(path: Path, scratch: Path, facts: TextFacts, layout: Layout) -> SourceTable:
    """Returns a text file, of which is known how its lines are cut, as a table of strings.

    Args:
        path: The file, plain or gzip.
        scratch: See `open_delimited`.
        facts: What `examine` found.
        layout: How its lines are cut.

    Raises:
        DataError: It has only a header, or a line does not fit (with its number).
    """
    readable, cut, counted = path, layout.separator, None
    if facts.plain and not layout.quoting and len(cut.encode()) == 1:
        counted = check_lines(path, layout)
    if counted is None or counted.blank:
        readable, cut = scratch / f"{len(list(scratch.iterdir()))}.txt", PLAIN_SEPARATOR
        counted = None
        if facts.plain and not layout.quoting:
            counted = replace_separator(path, layout, readable)
        if counted is None:
            counted = rewrite(path, facts, layout, readable)
    if counted.records <= int(layout.has_header):
        raise DataError(f"'{path}' has a header and no rows.", "At least one row is expected.")
    frame = pl.scan_csv(
        readable,
        separator=cut,
        quote_char=None,
        has_header=False,
        skip_rows=int(layout.has_header),
        new_columns=list(layout.header),
        infer_schema=False,
    )
    return SourceTable(
        path,
        frame,
        layout.header,
        first_line=1 + int(layout.has_header),
        unit="line" if counted.one_line_each else "record",
        has_header=layout.has_header,
        is_text=True,
        notes=tuple(_notes(path, facts, layout, counted)),
    )


def _notes(path: Path, facts: TextFacts, layout: Layout, counted: LineCount) -> Iterator[Note]:
    encoding = facts.encoding + (f" ({facts.reason})" if facts.reason else "")
    packed = ", gzip" if facts.compressed else ""
    columns = amount(len(layout.header), "column")
    header = "a header" if layout.has_header else "no header"
    yield Note(
        "took",
        len(layout.header),
        f"'{path.name}': {encoding}{packed}, {columns} separated by {layout.separator_name}, "
        f"{header}.",
    )
    if counted.blank:
        yield Note(
            "dropped", counted.blank, f"'{path.name}': {amount(counted.blank, 'blank line')}."
        )
    if counted.spanning:
        yield Note(
            "changed",
            counted.spanning,
            f"'{path.name}': {amount(counted.spanning, 'record')} on several lines, from line "
            f"{counted.first_spanning:,} on: line ends inside quotes read as blanks.",
        )
