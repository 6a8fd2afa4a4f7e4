"""How the lines of a text table are cut: separator, quotes and header, guessed from a sample."""

import contextlib
import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path

from vlmrec.core.errors import DataError
from vlmrec.data.sources.columns_guess import is_known
from vlmrec.data.sources.text_encoding import TextFacts, open_text
from vlmrec.data.sources.timestamps import looks_like_time

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", "::": "'::'", " ": "blank"}
_SAMPLE_CHARACTERS = 1 << 16
_SAMPLE_ROWS = 100


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are cut.

    Attributes:
        separator: Between fields.
        quoting: Whether double quotes enclose fields.
        header: Names of columns from the first line, or ``column_1`` and so on.
        has_header: Whether the first line names columns.
        is_known: Whether files of this kind are always cut so, rather than a guess.
    """

    separator: str
    quoting: bool
    header: tuple[str, ...]
    has_header: bool
    is_known: bool = False

    @property
    def separator_name(self) -> str:
        """The separator in words."""
        return SEPARATORS.get(self.separator, repr(self.separator))


def find_layout(
    path: Path, facts: TextFacts, known_names: frozenset[str], separator: str | None = None
) -> Layout:
    """Returns how a file is cut.

    Args:
        path: The file.
        facts: What `examine` found.
        known_names: Column names that the caller expects besides the aliases.
        separator: Between fields; default: the one that yields known names and even rows.

    Raises:
        DataError: No separator cuts it into columns, or two columns share a name.
    """
    lines = _sample(path, facts)
    cut = (separator or "").replace("\\t", "\t") or _guess_separator(
        lines, path, facts.quoted, known_names
    )
    quoting = facts.quoted and len(cut) == 1
    rows = split_lines(lines, cut, quoting)
    if quoting and _ragged(rows) and not _ragged(split_lines(lines, cut, quoting=False)):
        quoting = False  # the quotes are signs for inches, not brackets
        rows = split_lines(lines, cut, quoting)
    first = [cell.strip() for cell in rows[0]]
    has_header = _has_header(first, bool(rows[1:]), known_names)
    names = first if has_header else [f"column_{k}" for k in range(1, len(first) + 1)]
    layout = Layout(cut, quoting, (), has_header)
    return replace(layout, header=_unique_names(names, path))


def split_lines(lines: list[str], separator: str, quoting: bool) -> list[list[str]]:
    """Returns the fields of each line."""
    if quoting and len(separator) == 1:
        # A lone carriage return in a line ends in the error; whoever reads all lines says where.
        with contextlib.suppress(csv.Error):
            return [row for row in csv.reader(lines, delimiter=separator) if row]
    return [line.split(separator) for line in lines if line]


def _sample(path: Path, facts: TextFacts) -> list[str]:
    with open_text(path, facts.encoding) as file:
        text = file.read(_SAMPLE_CHARACTERS)
        whole = not file.read(1)
    lines = [line for line in text.removeprefix("\ufeff").splitlines() if line.strip()]
    if not whole and len(lines) > 1:
        lines.pop()  # it may be cut in the middle
    return lines[:_SAMPLE_ROWS]


def _guess_separator(
    lines: list[str], path: Path, quoting: bool, known_names: frozenset[str]
) -> str:
    def merit(separator: str) -> tuple[int, float, int]:
        rows = split_lines(lines, separator, quoting)
        width = len(rows[0])
        if width < 2:
            return (-1, 0.0, 0)
        known = sum(is_known(cell) or cell in known_names for cell in rows[0])
        even = sum(len(row) == width for row in rows) / len(rows)
        return (known, even, 0 if separator == " " else width)

    best = max(SEPARATORS, key=merit)
    if merit(best)[0] < 0:
        raise DataError(
            f"'{path}' has a single column; its first line is {lines[0][:60]!r}.",
            f"Fields must be separated by {', '.join(SEPARATORS.values())}, or by what "
            "--separator says.",
        )
    return best


def _ragged(rows: list[list[str]]) -> bool:
    return len({len(row) for row in rows}) > 1


def _has_header(first: list[str], more: bool, known_names: frozenset[str]) -> bool:
    if any(is_known(cell) or cell in known_names for cell in first):
        return True
    # Data has a number, a date or a gap somewhere; a line of names has none.
    return more and not any(_is_data(cell) for cell in first)


def _is_data(cell: str) -> bool:
    number = re.fullmatch(r"[+-]?\d+(\.\d*)?", cell)
    return not cell or number is not None or looks_like_time(cell)


def _unique_names(names: list[str], path: Path) -> tuple[str, ...]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"'{path}' has two columns named '{twice}'.", "Rename one of them.")
    return tuple(names)
