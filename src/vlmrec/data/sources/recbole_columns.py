"""Columns of RecBole's atomic files: what a header cell ``name:type`` makes of the cells below."""

import re
from dataclasses import dataclass, replace

import polars as pl

from vlmrec.core.columns import DESCRIPTION, TITLE
from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount
from vlmrec.data.sources.columns_guess import ColumnNames, find_column
from vlmrec.data.sources.source_table import SourceTable

TYPES = ("token", "float", "token_seq", "float_seq")
_TYPE = re.compile(rf":({'|'.join(TYPES)})$")
_COMMA = r",\s"


@dataclass(frozen=True, eq=False)
class AtomicTable:
    """An atomic file.

    Attributes:
        table: Its cells as text; columns have names without types.
        types: The type of each column, one of `TYPES`.
    """

    table: SourceTable
    types: dict[str, str]


def read_header(table: SourceTable) -> AtomicTable:
    """Returns a file with its header taken apart.

    Raises:
        DataError: A cell of the first line is not ``name:type``, or two share a name.
    """
    types: dict[str, str] = {}
    if not table.has_header:
        raise _no_header(table, str(table.read(pl.first().head(1)).item()))
    for cell in table.columns:
        name, colon, kind = cell.rpartition(":")
        if not colon or not name or ":" in name or kind not in TYPES:
            raise _no_header(table, cell)
        if name in types:
            raise DataError(f"'{table.path}' has two columns named '{name}'.", "Rename one.")
        types[name] = kind
    bare = [pl.col(cell).alias(name) for cell, name in zip(table.columns, types, strict=True)]
    named = replace(table, frame=table.frame.select(bare), columns=tuple(types))
    return AtomicTable(named, types)


def without_types(names: ColumnNames) -> ColumnNames:
    """Returns explicit names of columns as `read_header` spells them.

    >>> without_types(ColumnNames(user="artist_id:token")).user
    'artist_id'
    """
    given: dict[str, str | None] = names.model_dump()
    bare = {part: _TYPE.sub("", name) for part, name in given.items() if name is not None}
    return ColumnNames.model_validate(bare)


def typed_items(atomic: AtomicTable, names: ColumnNames) -> SourceTable:
    """Returns a table of items whose cells are what their types say.

    ``token`` stays a word, ``float`` becomes a number, ``token_seq`` a list of words, unless it
    is a title or a description: then its words are one text. ``float_seq`` is left out, with a
    note.
    """
    table = atomic.table
    raw = table.read()
    texts = [find_column(part, table.columns, names.given(part)) for part in (TITLE, DESCRIPTION)]
    notes: list[Note] = []
    columns: list[pl.Series] = []
    for name, kind in atomic.types.items():
        cells, count = raw[name], 0
        if kind == "float_seq":
            notes.append(_say_vectors(cells, table))
            continue
        if kind == "float":
            cells, count = numbers_in(cells)
        elif kind == "token_seq" and name not in texts:
            cells, count = words_in(cells)
        columns.append(cells)
        if count:
            notes.append(_say_odd(kind, name, count, table))
    frame = pl.DataFrame(columns)
    return replace(
        table,
        frame=frame.lazy(),
        columns=tuple(frame.columns),
        is_text=False,
        notes=(*table.notes, *notes),
    )


def numbers_in(cells: pl.Series) -> tuple[pl.Series, int]:
    """Returns ``float`` cells as numbers, whole ones where all are, and how many are none.

    >>> numbers, n_odd = numbers_in(pl.Series(["3", None, "x"]))
    >>> numbers.to_list(), n_odd
    ([3.0, None, None], 1)
    """
    text = cells.str.strip_chars()
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == cells.null_count():
        return whole, 0
    numbers = text.cast(pl.Float64, strict=False)
    numbers = numbers.set(~numbers.is_finite(), None)
    return numbers, numbers.null_count() - cells.null_count()


def words_in(cells: pl.Series) -> tuple[pl.Series, int]:
    """Returns ``token_seq`` cells as lists of words, and how many were not cut at blanks.

    Some published files have commas between the entries of a list, and blanks or quotes in
    them. Where a tenth of the cells looks like that, they are cut at the commas.

    >>> words_in(pl.Series(["Action Sci-Fi", None]))[0].to_list()
    [['Action', 'Sci-Fi'], None]
    >>> words_in(pl.Series(["Food, Ice Cream", "'Home & Garden', 'Pots'"]))[0].to_list()
    [['Food', 'Ice Cream'], ['Home & Garden', 'Pots']]
    """
    text = cells.str.strip_chars()
    with_commas = int(text.str.contains(_COMMA).sum())
    if not with_commas or with_commas * 10 < len(text) - text.null_count():
        words = text.str.replace_all(r"\s+", " ").str.split(" ")
        return words, 0
    frame = text.to_frame("text")
    bare = pl.col("text").str.strip_chars("[]'")
    cut = (
        pl.when(pl.col("text").str.contains(r"^\[?'"))
        .then(bare.str.replace_all(r"'\s*,\s*'", "\x1f").str.split("\x1f"))
        .otherwise(pl.col("text").str.split(","))
    ).list.eval(pl.element().str.strip_chars())
    lists = frame.select(cut.alias(cells.name)).to_series()
    return lists, with_commas


def _say_odd(kind: str, name: str, count: int, table: SourceTable) -> Note:
    if kind == "float":
        sentence = f"{amount(count, 'cell')} of '{name}' that hold no number."
        return Note("dropped", count, f"'{table.path.name}': {sentence}")
    sentence = f"{amount(count, 'list')} of '{name}' cut at commas, not at blanks."
    return Note("changed", count, f"'{table.path.name}': {sentence}")


def _say_vectors(cells: pl.Series, table: SourceTable) -> Note:
    filled = cells.drop_nulls()
    width = 0 if filled.is_empty() else len(str(filled[0]).split())
    return Note(
        "dropped",
        len(filled),
        f"'{table.path.name}': column '{cells.name}' holds {amount(len(filled), 'vector')} of "
        f"{amount(width, 'number')}, which no item table keeps; models read vectors from a file "
        "of vectors.",
    )


def _no_header(table: SourceTable, cell: str) -> DataError:
    return DataError(
        f"'{table.path}' is no atomic file: its first line holds {cell[:60]!r} where name:type was "
        "expected, such as user_id:token.",
        f"Types are {', '.join(TYPES)}; fields are separated by tabs, or by what --separator says. "
        "Tables with other headers are read by: vlmrec prepare files.",
    )
