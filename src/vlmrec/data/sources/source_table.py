"""A raw file as a lazy table that still knows which line a row stood on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note


@dataclass(frozen=True, eq=False)
class SourceTable:
    """An opened file, nothing interpreted yet.

    Attributes:
        path: Where it was read from.
        frame: Its columns; all strings where `is_text`.
        columns: Their names in the order of the file.
        first_line: Number of the line on which row 0 stands.
        unit: What is counted: "line", "record" (lines do not match rows) or "row".
        has_header: Whether the file itself names its columns.
        is_text: Whether types are unknown, since the file is CSV or the like.
        notes: How the file was understood.
        explain: Finds the words for what polars complains about, if it is a broken line.
    """

    path: Path
    frame: pl.LazyFrame
    columns: tuple[str, ...]
    first_line: int = 1
    unit: str = "row"
    has_header: bool = True
    is_text: bool = False
    notes: tuple[Note, ...] = field(default=())
    explain: Callable[[str], DataError] | None = None

    def read(self, *columns: pl.Expr) -> pl.DataFrame:
        """Returns columns of the table; default: all.

        Raises:
            DataError: The file is damaged where nobody looked before.
        """
        try:
            return self.frame.select(columns or pl.all()).collect(engine="streaming")
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0]
            if self.explain is not None:
                raise self.explain(reason) from None
            raise DataError(f"'{self.path}' cannot be read: {reason}.") from None

    def place(self, row: int) -> str:
        """Returns the words for where a row stands in the file."""
        number = row + (self.first_line if self.unit == "line" else 1)
        return f"{self.unit} {number:,} of '{self.path.name}'"
