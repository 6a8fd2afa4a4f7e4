"""A raw table of items -> clean words, typed attributes, one row an id."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from vlmrec.core.columns import DESCRIPTION, IMAGE, ITEM_ID, TITLE
from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount, some
from vlmrec.data.sources.columns_guess import (
    ColumnNames,
    find_column,
    missing_column,
    normalised,
)
from vlmrec.data.sources.log_columns import string_ids
from vlmrec.data.sources.source_table import SourceTable
from vlmrec.data.sources.text_fields import clean_texts, clean_word_lists

_PARTS = (ITEM_ID, TITLE, DESCRIPTION, IMAGE)
_BY_POSITION = (ITEM_ID, TITLE)


@dataclass(frozen=True, eq=False)
class ItemTable:
    """Items in the house's columns.

    Attributes:
        frame: ``item_id``, and ``title``, ``description``, ``image``, attributes as there are.
        notes: What was taken for what and what was left out.
    """

    frame: pl.DataFrame
    notes: tuple[Note, ...]


def find_item_id(table: SourceTable, names: ColumnNames) -> str | None:
    """Returns the column with the ids of items; in a table of items, "id" will do."""
    found = find_column(ITEM_ID, table.columns, names.item)
    return found or next((name for name in table.columns if normalised(name) == "id"), None)


def read_item_table(table: SourceTable, names: ColumnNames) -> ItemTable:
    """Returns the items of one file.

    Args:
        table: The file.
        names: Explicit names of columns.

    Raises:
        DataError: It has no column for the item, or rows without an id.
    """
    parts = _find_parts(table, names)
    raw = table.read()
    ids = string_ids(raw[parts[ITEM_ID]]).rename(ITEM_ID)
    if ids.null_count():
        row = int(ids.is_null().arg_max() or 0)
        raise DataError(
            f"{amount(ids.null_count(), 'item')} of '{table.path}' without an id; first in "
            f"{table.place(row)}.",
            "Give each an id or delete the row.",
        )
    notes: list[Note] = []
    columns: list[pl.Series] = [ids]
    for name in raw.columns:
        part = next((part for part, source in parts.items() if source == name), name)
        if part == ITEM_ID or (part == name and name in _PARTS and name not in parts.values()):
            continue
        column = _tidy(raw[name].rename(part), part, table, notes)
        if column is not None:
            columns.append(column)
    frame = _one_row_each(pl.DataFrame(columns), table, notes)
    return ItemTable(frame, (*_say_columns(table, parts, frame), *notes))


def _find_parts(table: SourceTable, names: ColumnNames) -> dict[str, str]:
    found = {part: find_column(part, table.columns, names.given(part)) for part in _PARTS}
    found[ITEM_ID] = find_item_id(table, names)
    if not table.has_header:
        for part, name in zip(_BY_POSITION, table.columns, strict=False):
            if found[part] is None and name not in found.values():
                found[part] = name
    if found[ITEM_ID] is None:
        raise missing_column(ITEM_ID, table.columns, table.path.name)
    return {part: source for part, source in found.items() if source is not None}


def _tidy(column: pl.Series, part: str, table: SourceTable, notes: list[Note]) -> pl.Series | None:
    """Returns a column as the catalogue keeps it, or None (and a note) where it cannot."""
    if column.dtype == pl.Duration:
        column = column.dt.total_seconds(fractional=True)
    kind = column.dtype
    if part == IMAGE:
        return column
    if isinstance(kind, pl.List) and not kind.inner.is_nested():
        words, n_changed = clean_word_lists(column.cast(pl.List(pl.String)))
        _say_html(part, n_changed, table, notes)
        if part not in (TITLE, DESCRIPTION):
            return words
        return clean_texts(words.list.join(" "))[0]
    if kind.is_nested() or kind == pl.Binary or kind == pl.Null:
        if kind != pl.Null:
            sentence = f"'{table.path.name}': column '{part}' holds {_plain(kind)}, not text."
            notes.append(Note("dropped", 1, sentence))
        return None
    if kind.is_numeric() and part not in (TITLE, DESCRIPTION):
        return _finite(column, table, notes)
    text, n_changed = clean_texts(column.cast(pl.String))
    _say_html(part, n_changed, table, notes)
    if not table.is_text or part in (TITLE, DESCRIPTION):
        return text
    return _list_if_many(_finite(_number_if_all(text), table, notes), part, table, notes)


def _finite(column: pl.Series, table: SourceTable, notes: list[Note]) -> pl.Series:
    """Returns numbers with null for those that are infinite or none; text as it is."""
    if not column.dtype.is_float():
        return column
    odd = (~column.is_finite()).fill_null(value=False)
    if odd.any():
        count = int(odd.sum())
        sentence = f"'{table.path.name}': {amount(count, 'value')} of '{column.name}' "
        notes.append(Note("dropped", count, sentence + "that are no finite number."))
    return column.set(odd, None)


def _plain(kind: pl.DataType) -> str:
    return "nested objects" if kind.is_nested() else "bytes"


def _number_if_all(text: pl.Series) -> pl.Series:
    """Returns numbers where every filled cell is one; codes such as 007 stay words."""
    if text.null_count() == len(text) or text.str.contains(r"^[+-]?0\d").any():
        return text
    for kind in (pl.Int64, pl.Float64):
        numbers = text.cast(kind, strict=False)
        if numbers.null_count() == text.null_count():
            return numbers
    return text


def _list_if_many(column: pl.Series, part: str, table: SourceTable, notes: list[Note]) -> pl.Series:
    """Returns lists where bars stand between words, as in genres ``Action|Comedy``."""
    if column.dtype != pl.String:
        return column
    barred = int(column.str.contains("|", literal=True).sum())
    if not barred or barred * 10 < len(column) - column.null_count():
        return column
    notes.append(
        Note("changed", barred, f"'{table.path.name}': '{part}' cut into lists at the bars.")
    )
    return clean_word_lists(column.str.split("|"))[0]


def _say_html(part: str, n_changed: int, table: SourceTable, notes: list[Note]) -> None:
    if n_changed:
        texts = amount(n_changed, "text")
        sentence = f"'{table.path.name}': HTML taken out of {texts} in '{part}'."
        notes.append(Note("changed", n_changed, sentence))


def _one_row_each(frame: pl.DataFrame, table: SourceTable, notes: list[Note]) -> pl.DataFrame:
    unique = frame.unique(ITEM_ID, keep="first", maintain_order=True)
    n_surplus = frame.height - unique.height
    if n_surplus:
        example = frame.filter(frame[ITEM_ID].is_duplicated())[ITEM_ID].unique(maintain_order=True)
        sentence = (
            f"'{table.path.name}': {amount(n_surplus, 'row')} with an item id that had a row "
            f"already (the first row counts): {some(example.head(4).to_list())}."
        )
        notes.append(Note("dropped", n_surplus, sentence))
    return unique


def _say_columns(table: SourceTable, parts: dict[str, str], frame: pl.DataFrame) -> Iterator[Note]:
    yield from table.notes
    taken = ", ".join(f"{part} = '{source}'" for part, source in parts.items())
    others = [name for name in frame.columns if name not in _PARTS]
    attributes = f"; attributes {some(others, most=20)}" if others else ""
    yield Note(
        "took",
        frame.height,
        f"'{table.path.name}': {amount(frame.height, 'item')}; {taken}{attributes}.",
    )
