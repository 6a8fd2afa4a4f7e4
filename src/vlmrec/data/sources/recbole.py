"""RecBole's atomic files (``X.inter``, ``X.item``) -> raw tables.

The format: one header line of cells ``name:type``, fields separated by tabs, sequences inside a
field by blanks. RecBole does not care for the names of columns, so they are guessed like those
of own tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from vlmrec.core.columns import ITEM_ID, TIMESTAMP
from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount, some
from vlmrec.data.sources.columns_guess import ColumnNames, check_given_names, find_column
from vlmrec.data.sources.item_columns import ItemTable, read_item_table
from vlmrec.data.sources.joining import join_items
from vlmrec.data.sources.log_columns import Log, read_log_table
from vlmrec.data.sources.pictures import attach_pictures
from vlmrec.data.sources.raw_tables import RawTables
from vlmrec.data.sources.reading import Reader, check_is_file
from vlmrec.data.sources.recbole_columns import (
    AtomicTable,
    read_header,
    typed_items,
    without_types,
)
from vlmrec.data.sources.scratch import scratch_folder
from vlmrec.data.sources.timestamps import read_times

_LIST_SUFFIX = "_list"  # what RecBole calls the histories in its benchmark files
_UNUSED = (".user", ".kg", ".link", ".net")


@dataclass(frozen=True)
class _Files:
    """Which files of a folder belong together."""

    log: Path
    items: Path | None
    unused: tuple[Path, ...]


def read_recbole(
    path: Path,
    *,
    names: ColumnNames | None = None,
    images: Path | None = None,
    encoding: str | None = None,
    separator: str | None = None,
    drop_invalid: bool = False,
) -> RawTables:
    """Returns the interactions and items of a set of atomic files.

    Times that are finer than seconds put the rows in order before they are cut to seconds.

    Args:
        path: A folder with ``X.inter`` and, optionally, ``X.item``; or the ``.inter`` file.
        names: Names of columns that should not be guessed, with or without their types.
        images: A folder of pictures named by item id, or None.
        encoding: See `examine`.
        separator: Of fields (RecBole's ``field_separator``); default: tab.
        drop_invalid: Leave out rows without id or readable time, instead of complaining.

    Raises:
        DataError: There is no such file, a header is none of RecBole's, there are no times, or
            the file holds cases (a history in each line) instead of events.
    """
    files = _find_files(path)
    names = without_types(names or ColumnNames())
    with scratch_folder() as scratch:
        reader = Reader(scratch, frozenset(), encoding, separator or "\t")
        log_table = read_header(reader.open(files.log))
        _refuse_cases(log_table)
        item_table = None if files.items is None else read_header(reader.open(files.items))
        tables = [one.table.columns for one in (log_table, item_table) if one is not None]
        check_given_names(names, tables)
        log = _read_log(log_table, names, drop_invalid)
        known = ItemTable(pl.DataFrame(schema={ITEM_ID: pl.String}), ())
        if item_table is not None:
            known = read_item_table(typed_items(item_table, names), names)
    if not log.frame.height:
        raise DataError("No interaction is left: every row was invalid.", "Mend the file.")
    items, gaps = join_items(log.frame, known.frame)
    pictures = attach_pictures(items, images, files.log.parent if files.items else None)
    notes = (*log.notes, *known.notes, *_say_unused(files.unused), *pictures.notes, *gaps)
    read = (files.log,) if files.items is None else (files.log, files.items)
    return RawTables(log.frame, pictures.items, pictures.root, notes, read)


def _find_files(path: Path) -> _Files:
    log = _log_in(path) if path.is_dir() else path
    check_is_file(log)
    if log.suffix != ".inter":
        raise DataError(
            f"'{path}' does not hold interactions: their file ends in .inter.",
            "Name that file, or the folder; X.item beside X.inter is found.",
        )
    items = log.with_suffix(".item")
    beside = (log.with_suffix(suffix) for suffix in _UNUSED)
    return _Files(
        log, items if items.is_file() else None, tuple(file for file in beside if file.is_file())
    )


def _log_in(folder: Path) -> Path:
    found = sorted(folder.glob("*.inter"))
    whole = folder / f"{folder.resolve().name}.inter"
    if whole in found:
        return whole
    if len(found) == 1:
        return found[0]
    if not found:
        inside = [file.name for file in sorted(folder.iterdir())]
        raise DataError(
            f"'{folder}' holds no .inter file. It holds {some(inside, most=8) or 'nothing'}.",
            "Name the folder with the atomic files, such as ml-100k with ml-100k.inter.",
        )
    raise DataError(
        f"'{folder}' holds several .inter files: {some([file.name for file in found], most=8)}.",
        f"Wanted is one file with all events, such as {whole.name}. Name the right one itself; "
        "parts of a split (X.train.inter, X.test.inter) would have to be joined first.",
    )


def _refuse_cases(log: AtomicTable) -> None:
    """Raises DataError for RecBole's benchmark form, whose lines are histories with a target."""
    lists = [
        name
        for name, kind in log.types.items()
        if kind == "token_seq" and name.endswith(_LIST_SUFFIX)
    ]
    if lists:
        raise DataError(
            f"'{log.table.path}' holds cases, not events: each line has a whole history "
            f"('{lists[0]}:token_seq'), so that one event stands in many lines.",
            "Wanted is the .inter file that they were made from: one event a line, with "
            "user_id:token, item_id:token and timestamp:float. Splits are made here.",
        )


def _read_log(atomic: AtomicTable, names: ColumnNames, drop_invalid: bool) -> Log:
    table = atomic.table
    log = read_log_table(table, names, drop_invalid=drop_invalid)
    column = find_column(TIMESTAMP, table.columns, names.time)
    if column is None:  # read_log_table has complained
        return log
    raw = table.read(pl.col(column)).to_series()
    exact = raw.str.strip_chars().cast(pl.Float64, strict=False)
    n_finer = int((exact != read_times(raw).seconds).sum())
    if not n_finer:
        return log
    by_time = pl.col(column).str.strip_chars().cast(pl.Float64, strict=False)
    in_order = replace(table, frame=table.frame.sort(by_time, maintain_order=True))
    frame = read_log_table(in_order, names, drop_invalid=drop_invalid).frame
    sentence = (
        f"{amount(n_finer, 'time')} finer than a second: the rows were put in their order, then "
        "the times cut to seconds."
    )
    return Log(frame, (*log.notes, Note("changed", n_finer, sentence)))


def _say_unused(files: Sequence[Path]) -> list[Note]:
    if not files:
        return []
    names = some([file.name for file in files], most=8)
    sentence = f"{amount(len(files), 'file')} not used: {names}. Models here read events and items."
    return [Note("dropped", len(files), sentence)]
