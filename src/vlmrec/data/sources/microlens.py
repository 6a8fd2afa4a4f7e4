"""MicroLens: clicks on short videos, with titles, categories and covers.

References:
    Y. Ni et al., A Content-Driven Micro-Video Recommendation Dataset at Scale (2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vlmrec.core.columns import ITEM_ID, TITLE
from vlmrec.data.notes import Note
from vlmrec.data.sources.columns_guess import ColumnNames
from vlmrec.data.sources.id_text_lines import read_id_text_lines
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
from vlmrec.data.sources.sequence_lines import read_sequences

_PAIRS = ("_pairs.csv", "_pairs.tsv")
_TITLES = ("_titles.csv", "_title_en.csv")
_TAGS = "tags_to_summary.csv"
_COUNTERS = "_likes_and_views.txt"
_COLUMNS = ("user", "item", "timestamp")
_CATEGORY = "category"
_EXPECTED = (
    "MicroLens-..._pairs.csv (or .tsv), ..._titles.csv or ..._title_en.csv, "
    "tags_to_summary.csv and a folder ..._covers, of which only the pairs are indispensable"
)


@dataclass(frozen=True)
class _Parts:
    """Which file is which."""

    pairs: Path
    titles: Path | None
    tags: Path | None
    covers: Path | None
    others: tuple[Path, ...] = ()


def read_microlens(
    path: Path,
    *,
    titles: Path | None = None,
    tags: Path | None = None,
    images: Path | None = None,
    drop_invalid: bool = False,
) -> RawTables:
    """Returns clicks and videos with ``title`` and ``category``.

    Counts of likes and views are not read: they were taken over all time, so they know of the
    clicks that a model is tested on.

    Args:
        path: The folder, in which the other files are found; or the file of pairs, ``.csv``
            with times or ``.tsv`` with sequences, and then only what is named is read.
        titles: Lines of ``item,title``.
        tags: Lines of ``item,category``.
        images: A folder with ``<item>.jpg``.
        drop_invalid: Leave out rows without id or readable time, instead of complaining.

    Raises:
        DataError: There are no pairs or several, or a line of a file is broken.
    """
    parts = _find(path, titles, tags, images)
    log, log_notes = _read_pairs(parts.pairs, drop_invalid)
    items = pl.DataFrame(schema={ITEM_ID: pl.String})
    item_notes: list[Note] = []
    for file, column in ((parts.titles, TITLE), (parts.tags, _CATEGORY)):
        if file is not None:
            table = read_id_text_lines(file, column, drop_invalid=drop_invalid)
            items = items.join(
                table.frame, on=ITEM_ID, how="full", coalesce=True, maintain_order="left_right"
            )
            item_notes.extend(table.notes)
    if parts.titles is None:
        item_notes.append(Note("warning", 0, "No file of titles: the videos have no words."))
    items, gaps = join_items(log, items)
    pictures = attach_pictures(items, parts.covers, None)
    notes = (*log_notes, *item_notes, *_say_others(parts), *pictures.notes, *gaps)
    files = [each for each in (parts.pairs, parts.titles, parts.tags) if each is not None]
    return RawTables(log, pictures.items, pictures.root, notes, tuple(files))


def _find(path: Path, titles: Path | None, tags: Path | None, images: Path | None) -> _Parts:
    if path.is_file():
        return _Parts(path, titles, tags, images)
    found = files_below(path)
    pairs = _find_pairs(path, found)
    stem = _without(pairs.name, _PAIRS)
    if titles is None:
        named = [each for each in found if each.name in [stem + end for end in _TITLES]]
        titles = only_one(named, path, "files of titles", "Name one with --titles.")
    if tags is None:
        named = [each for each in found if each.name == _TAGS]
        tags = only_one(named, path, "files of categories", "Name one with --tags.")
    used = {pairs, titles, tags}
    others = tuple(each for each in found if each not in used)
    return _Parts(pairs, titles, tags, images or find_covers(path), others)


def _find_pairs(path: Path, found: Sequence[Path]) -> Path:
    """Returns the file of pairs; one with times wins over the same without."""
    by_stem: dict[str, Path] = {}
    for end in reversed(_PAIRS):
        by_stem |= {_without(each.name, (end,)): each for each in found if each.name.endswith(end)}
    fix = "Give the file of pairs itself, and titles, categories and covers by options."
    pairs = only_one(list(by_stem.values()), path, "files of pairs", fix)
    if pairs is None:
        names = [str(each.relative_to(path)) for each in found]
        raise files_missing(path, names, _EXPECTED)
    return pairs


def _without(name: str, ends: Sequence[str]) -> str:
    for end in ends:
        name = name.removesuffix(end)
    return name


def _read_pairs(path: Path, drop_invalid: bool) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    if ".tsv" in path.suffixes:
        raw = read_sequences(path)
        return raw.interactions, raw.notes
    with scratch_folder() as scratch:
        table = Reader(scratch, frozenset(_COLUMNS)).open(path)
        check_columns(table, _COLUMNS)
        names = ColumnNames(user="user", item="item", time="timestamp")
        log = read_log_table(table, names, drop_invalid=drop_invalid)
    return log.frame, log.notes


def _say_others(parts: _Parts) -> list[Note]:
    notes = say_unread([each.name for each in parts.others])
    counters = [each.name for each in parts.others if each.name.endswith(_COUNTERS)]
    notes += [
        Note(
            "dropped",
            1,
            f"'{name}' is not read: likes and views were counted over all time, so they know of "
            "the clicks that a model is tested on.",
        )
        for name in counters
    ]
    return notes
