"""Own files (CSV, TSV, JSON Lines, Parquet, pictures) -> raw tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from vlmrec.core.columns import DESCRIPTION, IMAGE, ITEM_ID, TIMESTAMP, TITLE, USER_ID
from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount, some
from vlmrec.data.sources.columns_guess import ColumnNames, check_given_names, find_column
from vlmrec.data.sources.item_columns import find_item_id, read_item_table
from vlmrec.data.sources.joining import join_items
from vlmrec.data.sources.log_columns import read_log_table
from vlmrec.data.sources.pictures import attach_pictures
from vlmrec.data.sources.raw_tables import RawTables
from vlmrec.data.sources.reading import Reader
from vlmrec.data.sources.scratch import scratch_folder
from vlmrec.data.sources.source_table import SourceTable


@dataclass(frozen=True)
class FileSource:
    """Which files, and what is known of them.

    Attributes:
        paths: Files whose part follows from their columns.
        interactions: Files with interactions.
        items: Files with items.
        images: The folder of pictures, or None.
        names: Names of columns that should not be guessed.
        encoding: Of text files; None guesses.
        separator: Of text files; None guesses.
        drop_invalid: Leave out rows without id or readable time, instead of complaining.
    """

    paths: tuple[Path, ...] = ()
    interactions: tuple[Path, ...] = ()
    items: tuple[Path, ...] = ()
    images: Path | None = None
    names: ColumnNames = field(default_factory=ColumnNames)
    encoding: str | None = None
    separator: str | None = None
    drop_invalid: bool = False


def read_files(source: FileSource) -> RawTables:
    """Returns the interactions, items and pictures that the files hold.

    Several files of one part are stacked in the order in which they are given.

    Raises:
        DataError: A file cannot be read or understood; the message says which and where.
    """
    with scratch_folder() as scratch:
        known = frozenset(source.names.all_given().values())
        reader = Reader(scratch, known, source.encoding, source.separator)
        logs = [reader.open(path) for path in source.interactions]
        item_tables = [reader.open(path) for path in source.items]
        for table in map(reader.open, source.paths):
            (item_tables if _holds_items(table, source.names) else logs).append(table)
        tables = [*logs, *item_tables]
        if not tables:
            raise DataError("No file was given.", "Name at least one file with interactions.")
        check_given_names(source.names, [table.columns for table in tables])
        if not logs:
            raise _no_log(item_tables)
        interactions, log_notes = _stack_logs(logs, source)
        items, item_notes = _stack_items(item_tables, source.names)
    beside = item_tables[0].path.parent if item_tables else None
    items, gaps = join_items(interactions, items)
    pictures = attach_pictures(items, source.images, beside)
    notes = (*log_notes, *item_notes, *pictures.notes, *gaps)
    files = (*source.paths, *source.interactions, *source.items)
    return RawTables(interactions, pictures.items, pictures.root, notes, files)


def read_item_file(path: Path) -> pl.DataFrame:
    """Returns the items of one file: ``item_id``, ``title``, ... as far as there are any.

    Raises:
        DataError: The file cannot be read, or has no column for the item.
    """
    names = ColumnNames()
    with scratch_folder() as scratch:
        return read_item_table(Reader(scratch, frozenset(), None, None).open(path), names).frame


def _holds_items(table: SourceTable, names: ColumnNames) -> bool:
    """Whether a file is about items: it has an item, no user, and something to say of it."""
    if not table.has_header or find_item_id(table, names) is None:
        return False
    if find_column(USER_ID, table.columns, names.user) is not None:
        return False
    content = (TITLE, DESCRIPTION, IMAGE)
    if any(find_column(part, table.columns, names.given(part)) for part in content):
        return True
    return find_column(TIMESTAMP, table.columns, names.time) is None


def _no_log(item_tables: Sequence[SourceTable]) -> DataError:
    listing = "; ".join(f"'{t.path.name}' has {', '.join(t.columns)}" for t in item_tables)
    return DataError(
        f"No file holds interactions (a user, an item and a time in each row): {listing}.",
        "Add the file with interactions, or name its user column with --user.",
    )


def _stack_logs(
    tables: Sequence[SourceTable], source: FileSource
) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    logs = [
        read_log_table(table, source.names, drop_invalid=source.drop_invalid) for table in tables
    ]
    first = logs[0].frame
    for table, log in zip(tables, logs, strict=True):
        if set(log.frame.columns) != set(first.columns):
            raise DataError(
                f"'{tables[0].path.name}' and '{table.path.name}' both look like interactions, "
                f"but one gives {', '.join(first.columns)} and the other "
                f"{', '.join(log.frame.columns)}.",
                "Give only the files that belong together.",
            )
    frame = pl.concat([log.frame.select(first.columns) for log in logs])
    if not frame.height:
        names = some([table.path.name for table in tables])
        raise DataError(f"No interaction is left of {names}: every row was invalid.", "Mend it.")
    return frame, tuple(note for log in logs for note in log.notes)


def _stack_items(
    tables: Sequence[SourceTable], names: ColumnNames
) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    if not tables:
        return pl.DataFrame(schema={ITEM_ID: pl.String}), ()
    parts = [read_item_table(table, names) for table in tables]
    notes = [note for part in parts for note in part.notes]
    try:
        stacked = pl.concat([part.frame for part in parts], how="diagonal_relaxed")
    except pl.exceptions.PolarsError:
        raise DataError(
            "The files with items hold the same column with different kinds of values.",
            "Give one file with items.",
        ) from None
    frame = stacked.unique(ITEM_ID, keep="first", maintain_order=True)
    n_surplus = stacked.height - frame.height
    if n_surplus:
        sentence = f"{amount(n_surplus, 'item')} that an earlier file had already."
        notes.append(Note("dropped", n_surplus, sentence))
    return frame, tuple(notes)
