"""Every line of a text table is counted: one that does not fit is an error with its number."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmrec.core.errors import DataError
from vlmrec.data.notes import amount
from vlmrec.data.sources.delimited_layout import SEPARATORS, Layout, split_lines
from vlmrec.data.sources.text_encoding import TextFacts, open_text, whole_lines

PLAIN_SEPARATOR = "\x1f"
"""Between the fields of a rewritten file; it occurs in no text that people write."""


_MARK = "\ufeff".encode()


@dataclass(frozen=True)
class LineCount:
    """What was counted in a file.

    Attributes:
        records: Lines with fields, the header among them.
        blank: Lines with nothing.
        one_line_each: Whether record k stands on line k.
        spanning: Records that stand on several lines, since quotes enclose line ends.
        first_spanning: Line on which the first of those begins.
    """

    records: int
    blank: int
    one_line_each: bool
    spanning: int = 0
    first_spanning: int = 0


def check_lines(path: Path, layout: Layout) -> LineCount:
    """Returns the counts of a plain UTF-8 file without quotes, separated by one character.

    Raises:
        DataError: A line has more or fewer fields than the first one.
    """
    n_lines, n_blank = 0, 0
    for block in whole_lines(path):
        lines = _require_fields(path, block, layout, ord(layout.separator), n_lines)
        n_lines += lines.records + lines.blank
        n_blank += lines.blank
    return LineCount(n_lines - n_blank, n_blank, one_line_each=not n_blank)


def replace_separator(path: Path, layout: Layout, target: Path) -> LineCount | None:
    """Does what `rewrite` does, block by block, for plain UTF-8 without quotes and blank lines.

    Returns:
        The counts, or None where the file has blank lines or control characters: `rewrite` it.

    Raises:
        DataError: A line has more or fewer fields than the first one.
    """
    n_lines = 0
    separator, plain = layout.separator.encode(), PLAIN_SEPARATOR.encode()
    with target.open("wb") as out:
        for block in whole_lines(path):
            unix = block.replace(b"\r\n", b"\n")
            if plain in unix or b"\r" in unix or _MARK in unix:
                return None
            cut = unix.replace(separator, plain)
            lines = _require_fields(path, cut, layout, ord(PLAIN_SEPARATOR), n_lines)
            if lines.blank:
                return None
            out.write(cut)
            n_lines += lines.records
    return LineCount(n_lines, 0, one_line_each=True)


def _require_fields(
    path: Path, block: bytes, layout: Layout, separator: int, before: int
) -> LineCount:
    """Counts a block of whole lines, `before` of which are behind us.

    Raises:
        DataError: A line has more or fewer fields than the first one.
    """
    codes = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(codes == ord("\n"))
    marks = np.flatnonzero(codes == separator)
    fields = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
    lengths = np.diff(ends, prepend=-1) - 1
    blank = (lengths == 0) | ((lengths == 1) & (codes[ends - 1] == ord("\r")))
    wrong = (fields != len(layout.header)) & ~blank
    if wrong.any():
        k = int(wrong.argmax())
        start = 0 if k == 0 else int(ends[k - 1]) + 1
        line = block[start : int(ends[k])].decode(errors="replace").rstrip("\r")
        line = line.replace(chr(separator), layout.separator)
        raise misfit(path, before + k + 1, line, int(fields[k]), layout)
    n_blank = int(blank.sum())
    return LineCount(len(ends) - n_blank, n_blank, one_line_each=not n_blank)


def rewrite(path: Path, facts: TextFacts, layout: Layout, target: Path) -> LineCount:
    """Returns the counts of a file after writing it to `target` as plain, unquoted UTF-8.

    Line ends inside fields become blanks; blank lines are left out.

    Raises:
        DataError: A line has more or fewer fields than the first one, or a quote is not closed.
    """
    records, blank, last = 0, 0, 0
    spanning: list[int] = []
    with (
        open_text(path, facts.encoding) as file,
        target.open("w", encoding="utf-8", newline="\n") as out,
    ):
        for number, fields in _records(file, path, layout):
            last = number
            if not fields:
                blank += 1
                continue
            if len(fields) != len(layout.header):
                line = layout.separator.join(fields)
                raise misfit(path, number, line, len(fields), layout)
            if any("\n" in field for field in fields):
                spanning.append(number)
            out.write(PLAIN_SEPARATOR.join(map(_flat, fields)) + "\n")
            records += 1
    first = spanning[0] if spanning else 0
    return LineCount(records, blank, last == records, len(spanning), first)


def misfit(path: Path, number: int, line: str, n_fields: int, layout: Layout) -> DataError:
    """Returns the error for a line that does not have as many fields as the first one."""
    expected = len(layout.header)
    others = {} if layout.is_known else SEPARATORS
    for other, name in others.items():
        rows = split_lines([line], other, layout.quoting)
        if other != layout.separator and rows and len(rows[0]) == expected:
            return DataError(
                f"'{path}' mixes separators: line {number:,} is cut by {name}, the first line by "
                f"{layout.separator_name}.",
                "Use one separator throughout.",
            )
    fix = "quote a field that contains one, or name the right separator with --separator."
    if layout.is_known:
        fix = "mend that line, or fetch the file again."
    return DataError(
        f"Line {number:,} of '{path}' has {amount(n_fields, 'field')} where {expected} were "
        f"expected: {line[:80]!r}.",
        f"Fields are separated by {layout.separator_name}; {fix}",
    )


def _records(file: io.TextIOWrapper, path: Path, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    if not layout.quoting:
        for number, line in enumerate(file, start=1):
            bare = line.rstrip("\r\n").removeprefix("\ufeff")
            yield number, bare.split(layout.separator) if bare else []
        return
    # Strict: else the end of the file would close a quote, and rows would vanish inside a field.
    reader = csv.reader(file, delimiter=layout.separator, strict=True)
    start = 1
    try:
        for fields in reader:
            yield start, fields
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"The record that begins on line {start:,} of '{path}' cannot be read: {error}.",
            "A quote is not closed, or stands inside a quoted field without being doubled; mend "
            "the quotes.",
        ) from None


def _flat(field: str) -> str:
    if field.isprintable():
        return field
    return field.removeprefix("\ufeff").translate(_CONTROLS)


_CONTROLS = str.maketrans("\n\r\x1f", "   ")
