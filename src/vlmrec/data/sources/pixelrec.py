"""PixelRec: comments on videos as interactions, with title, tag, description and cover.

References:
    Y. Cheng et al., An Image Dataset for Benchmarking Recommender Systems with Raw Pixels (2023).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from vlmrec.core.columns import DESCRIPTION, ITEM_ID, TIMESTAMP, TITLE, USER_ID
from vlmrec.data.notes import Note, amount, some
from vlmrec.data.sources.columns_guess import ColumnNames
from vlmrec.data.sources.item_columns import ItemTable, read_item_table
from vlmrec.data.sources.joining import join_items
from vlmrec.data.sources.log_columns import read_log_table
from vlmrec.data.sources.pictures import attach_pictures
from vlmrec.data.sources.published_files import (
    check_columns,
    files_below,
    files_missing,
    find_covers,
    only_one,
    say_unread,
)
from vlmrec.data.sources.raw_tables import RawTables
from vlmrec.data.sources.reading import Reader
from vlmrec.data.sources.scratch import scratch_folder
from vlmrec.data.sources.text_encoding import chunks

_COLUMNS = (ITEM_ID, USER_ID, TIMESTAMP)
_TAG = "tag"
_WORDS = (TITLE, _TAG, DESCRIPTION)
_EXPECTED = (
    f"a .csv with the header {','.join(_COLUMNS)} and, if there is one, a .csv with item_id and "
    f"{', '.join(_WORDS)}"
)


@dataclass(frozen=True)
class _Parts:
    """Which file is which."""

    log: Path
    items: Path | None
    covers: Path | None
    others: tuple[str, ...] = ()


def read_pixelrec(
    path: Path, *, items: Path | None = None, images: Path | None = None, drop_invalid: bool = False
) -> RawTables:
    """Returns interactions and videos with ``title``, ``tag`` and ``description``.

    Counts of views, likes and the like are not read: they were taken over all time, so they
    know of the interactions that a model is tested on.

    Args:
        path: The folder, in which files are known by their headers; or the file of interactions
            (``item_id,user_id,timestamp``), and then only what is named is read.
        items: The file of item information; older copies have no description.
        images: A folder with ``<item_id>.jpg``.
        drop_invalid: Leave out rows without id or readable time, instead of complaining.

    Raises:
        DataError: There are no interactions or several files of them, or a line is broken.
    """
    parts = _find(path, items, images)
    names = ColumnNames(user=USER_ID, item=ITEM_ID, time=TIMESTAMP)
    with scratch_folder() as scratch:
        reader = Reader(scratch, frozenset({*_COLUMNS, *_WORDS}))
        table = reader.open(parts.log)
        check_columns(table, _COLUMNS)
        log = read_log_table(table, names, drop_invalid=drop_invalid)
        info = _read_items(reader, parts.items)
    joined, gaps = join_items(log.frame, info.frame)
    pictures = attach_pictures(joined, parts.covers, None)
    notes = (*log.notes, *info.notes, *say_unread(parts.others), *pictures.notes, *gaps)
    files = (parts.log,) if parts.items is None else (parts.log, parts.items)
    return RawTables(log.frame, pictures.items, pictures.root, notes, files)


def _find(path: Path, items: Path | None, images: Path | None) -> _Parts:
    if path.is_file():
        return _Parts(path, items, images)
    found = files_below(path)
    headers = {each: _header(each) for each in found if each.name.endswith((".csv", ".csv.gz"))}
    logs = [each for each, names in headers.items() if set(_COLUMNS) <= names]
    fix = "Give the file of interactions itself, and the others by options."
    log = only_one(logs, path, "files of interactions", fix)
    if log is None:
        raise files_missing(path, [str(each.relative_to(path)) for each in found], _EXPECTED)
    if items is None:
        about = [
            each for each, names in headers.items() if ITEM_ID in names and names & set(_WORDS)
        ]
        items = only_one(about, path, "files of item information", "Name one with --items.")
    others = tuple(each.name for each in found if each not in (log, items))
    return _Parts(log, items, images or find_covers(path), others)


def _header(path: Path) -> frozenset[str]:
    """Returns the names in the first line of a file, as far as it has any."""
    line = next(chunks(path), b"").partition(b"\n")[0].decode("utf-8-sig", "replace")
    return frozenset(name.strip().strip('"') for name in line.split(","))


def _read_items(reader: Reader, path: Path | None) -> ItemTable:
    """Returns the words of items, and how many of them are missing."""
    if path is None:
        warning = Note("warning", 0, "No file of item information: the videos have no words.")
        return ItemTable(pl.DataFrame(schema={ITEM_ID: pl.String}), (warning,))
    table = reader.open(path)
    words = [name for name in _WORDS if name in table.columns]
    check_columns(table, (ITEM_ID, *(words or _WORDS)))
    counters = [name for name in table.columns if name not in (ITEM_ID, *words)]
    kept = (ITEM_ID, *words)
    read = read_item_table(
        replace(table, frame=table.frame.select(kept), columns=kept), ColumnNames(item=ITEM_ID)
    )
    notes = list(read.notes)
    if counters:
        sentence = (
            f"'{path.name}': {amount(len(counters), 'column')} not read, since such counts were "
            "taken over all time and know of the interactions that a model is tested on: "
            f"{some(counters, most=8)}."
        )
        notes.append(Note("dropped", len(counters), sentence))
    for name in _WORDS:
        n_empty = read.frame[name].null_count() if name in words else read.frame.height
        if n_empty:
            sentence = f"'{path.name}': {amount(n_empty, 'item')} without a {name}."
            notes.append(Note("kept", n_empty, sentence))
    return ItemTable(read.frame, tuple(notes))
