"""Opens a file of any format that is read, by its suffix, or says which formats there are."""

import codecs
import os
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vlmrec.core.errors import DataError, nearest
from vlmrec.data.notes import Note
from vlmrec.data.sources.delimited import open_delimited
from vlmrec.data.sources.json_lines import open_json_lines
from vlmrec.data.sources.source_table import SourceTable

DELIMITED = (".csv", ".tsv", ".tab", ".txt", ".dat", ".data", ".inter", ".item")
JSON_LINES = (".jsonl", ".ndjson", ".json")
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Reader:
    """How files are opened.

    Attributes:
        scratch: A folder for rewritten copies; must outlive the tables.
        known_names: Column names that are expected besides the aliases.
        encoding: Of text files; None guesses.
        separator: Of text files; None guesses.
    """

    scratch: Path
    known_names: frozenset[str] = frozenset()
    encoding: str | None = None
    separator: str | None = None

    def open(self, path: Path) -> SourceTable:
        """Returns a file as a table.

        Raises:
            DataError: It is missing, a folder, of an unknown format, empty or damaged.
        """
        check_is_file(path)
        suffix = _suffix(path)
        if suffix in PARQUET:
            return _open_parquet(path)
        _require_encoding(self.encoding)
        if suffix in JSON_LINES:
            return open_json_lines(path, self.scratch, self.encoding)
        if suffix in DELIMITED:
            return open_delimited(
                path, self.scratch, self.known_names, self.encoding, self.separator
            )
        raise DataError(
            f"'{path}' has the unknown suffix '{suffix}'.",
            f"Read are {', '.join((*DELIMITED, *JSON_LINES))} (also with .gz) and "
            f"{', '.join(PARQUET)}.",
        )


def check_is_file(path: Path) -> None:
    """Raises DataError where `path` is not a file that can be read, naming the nearest one."""
    if path.is_dir():
        inside = sorted(each.name for each in path.iterdir() if each.is_file())
        listing = f" It holds {', '.join(inside[:8])}." if inside else ""
        raise DataError(
            f"'{path}' is a folder; a file was expected.{listing}", "Name the files themselves."
        )
    if not path.exists():
        folder = path.parent
        if not folder.is_dir():
            raise DataError(f"'{path}' does not exist: there is no folder '{folder}'.")
        names = [each.name for each in folder.iterdir() if each.is_file()]
        hint = nearest(path.name, names).split("Known:")[0].strip()
        raise DataError(f"'{path}' does not exist.", hint or "Correct the path.")
    if not os.access(path, os.R_OK):
        raise DataError(f"'{path}' may not be read.", "Change its permissions (chmod +r).")


def _require_encoding(name: str | None) -> None:
    if name is None:
        return
    try:
        codecs.getincrementaldecoder(name)
        "".encode(name)  # refuses what turns bytes into bytes, such as base64
    except LookupError:
        raise DataError(
            f"--encoding {name}: there is no such encoding.",
            "Well-known ones: utf-8, latin-1, cp1252, utf-16.",
        ) from None


def _suffix(path: Path) -> str:
    suffixes = [each.lower() for each in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _open_parquet(path: Path) -> SourceTable:
    try:
        frame = pl.scan_parquet(path)
        columns = tuple(frame.collect_schema().names())
        n_rows = frame.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"'{path}' cannot be read as Parquet: {reason}.", "Write the file again."
        ) from None
    if not n_rows:
        raise DataError(f"'{path}' has no rows.", "At least one row is expected.")
    return SourceTable(path, frame, columns, notes=(Note("took", 1, f"'{path.name}': Parquet."),))
