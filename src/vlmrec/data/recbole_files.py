"""Writes a dataset as RecBole's atomic files: ``NAME.inter`` and ``NAME.item``.

Each line of ``NAME.inter`` is an event, in the order of the dataset: by user, then by time, equal
times as in the source. RecBole (read and tried: 1.2.1) keeps times as float32, in which
neighbouring seconds of this century are equal, and sorts stably; so it is the order of the lines
that keeps events apart.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vlmrec.core.columns import DESCRIPTION, IMAGE, ITEM_ID, TITLE, USER_ID
from vlmrec.core.errors import DataError
from vlmrec.core.files import atomic_folder
from vlmrec.data.dataset import Dataset
from vlmrec.data.notes import Note, amount, some

_SEPARATOR = "\t"
_ROWS = 1 << 18  # rows that are text at the same time
_BREAKS = r"[\t\n\x0b\x0c\r\x1c-\x1f\x{85}\x{2028}\x{2029}\x00\x{feff}]"
_GAPS = r"[\s\x00\x1c-\x1f\x{feff}]+"
# What pandas, with which RecBole reads, takes for a missing value.
_MISSING = (
    *("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)


@dataclass(frozen=True)
class AtomicFiles:
    """What was written.

    Attributes:
        interactions: The ``.inter`` file.
        items: The ``.item`` file.
        fields: The header cells of both, by file name.
        notes: What was changed or left out on the way.
    """

    interactions: Path
    items: Path
    fields: dict[str, tuple[str, ...]]
    notes: tuple[Note, ...]


def write_recbole(
    dataset: Dataset, folder: Path, name: str | None = None, *, overwrite: bool = False
) -> AtomicFiles:
    """Writes atomic files, whole or not at all.

    Every item of the catalogue gets a line, with or without events. Titles and descriptions
    become ``token_seq`` (RecBole cuts them at blanks), lists of words ``token_seq``, lists of
    numbers ``float_seq``, numbers ``float``, everything else ``token``. Pictures stay behind.

    Args:
        dataset: With ratings and the like where `Dataset.events` is there.
        folder: Where to. RecBole finds ``NAME`` in a folder of that name.
        name: Of the files; default: that of the folder.
        overwrite: Replace a folder that is already there.

    Raises:
        DataError: An id holds a tab or a line end or begins or ends in a blank, the name is no
            file name, two columns would get the same name, or the folder is taken, read-only or
            full.
    """
    name = folder.resolve().name if name is None else name
    if not name or name != Path(name).name or name.startswith("."):
        raise DataError(f"'{name}' is no name for files.", "Give one such as ml-100k with --name.")
    notes = [*_judge(dataset.users.names, "user id"), *_judge(dataset.items.names, "item id")]
    log, log_header = _as_text(dataset.to_interactions(), frozenset(), notes)
    taken = frozenset(log.columns) - {ITEM_ID}
    items, item_header = _as_text(dataset.catalog.table, taken, notes)
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        _write(log, log_header, temporary / f"{name}.inter")
        _write(items, item_header, temporary / f"{name}.item")
    return AtomicFiles(
        folder / f"{name}.inter",
        folder / f"{name}.item",
        {f"{name}.inter": tuple(log_header), f"{name}.item": tuple(item_header)},
        tuple(notes),
    )


def _judge(ids: pl.Series, what: str) -> list[Note]:
    """Returns what RecBole does not take well in ids; raises DataError for what breaks lines."""
    broken = ids.filter(ids.str.contains(_BREAKS) | (ids != ids.str.strip_chars()) | (ids == ""))
    if len(broken):
        example = broken[0]
        raise DataError(
            f"{amount(len(broken), what)} cannot stand in an atomic file, such as {example!r}: "
            "an id must not be empty, hold a tab or a line end, or begin or end in a blank.",
            "Rename them in the source and prepare the dataset again.",
        )
    notes: list[Note] = []
    blank = ids.filter(ids.str.contains(r"\s"))
    if len(blank):
        sentence = (
            f"{amount(len(blank), what)} with blanks inside, such as '{blank[0]}': RecBole reads "
            "them here, but not in its files of sequences, which are cut at blanks."
        )
        notes.append(Note("warning", len(blank), sentence))
    missing = ids.filter(ids.is_in(_MISSING))
    if len(missing):
        sentence = (
            f"{amount(len(missing), what)} that RecBole takes for a missing value and drops: "
            f"{some(missing.to_list())}."
        )
        notes.append(Note("warning", len(missing), sentence))
    return notes


def _as_text(
    table: pl.DataFrame, taken: frozenset[str], notes: list[Note]
) -> tuple[pl.DataFrame, list[str]]:
    """Returns the cells of a table as they are written, and the header; adds to the notes."""
    columns: dict[str, pl.Series] = {}
    header: list[str] = []
    for column in table.get_columns():
        count = len(column) - column.null_count()
        kind = _type_of(column)
        if not count:
            continue
        if column.name == IMAGE or kind is None:
            what = "paths of pictures" if column.name == IMAGE else str(column.dtype)
            sentence = f"Column '{column.name}' ({what}) has no place in an atomic file."
            notes.append(Note("dropped", count, sentence))
            continue
        cells = column if column.name in (USER_ID, ITEM_ID) else _CELLS[kind](column, notes)
        if cells.null_count() == len(cells):  # RecBole stumbles over sequences without any entry
            continue
        name = _field_name(column.name, taken, notes)
        if name in columns:
            raise DataError(f"Two columns would be written as '{name}'.", "Rename one of them.")
        columns[name] = cells
        header.append(f"{name}:{kind}")
    return pl.DataFrame(columns), header


def _type_of(column: pl.Series) -> str | None:
    """Returns the type of a field, or None where it can be none."""
    kind = column.dtype
    inner = kind.inner if isinstance(kind, pl.List) else kind
    if inner.is_nested() or inner == pl.Binary or inner == pl.Object:
        return None
    if column.name in (TITLE, DESCRIPTION):
        return None if kind.is_nested() else "token_seq"
    if kind.is_nested():
        return "float_seq" if inner.is_numeric() else "token_seq"
    return "float" if kind.is_numeric() else "token"


def _field_name(name: str, taken: frozenset[str], notes: list[Note]) -> str:
    """Returns a name that stands in a header and is not one of the interactions' fields, too."""
    field = re.sub(r'[\s:"]+', "_", name)
    if field in taken:
        field = f"item_{field}"
    if field != name:
        notes.append(Note("changed", 1, f"Column '{name}' is called '{field}'."))
    return field


def _tidy(column: pl.Series, notes: list[Note]) -> pl.Series:
    """Returns texts in one line, with single blanks; empty ones as null."""
    before = column.cast(pl.String)
    text = before.str.replace_all(_GAPS, " ").str.strip_chars()
    count = int((text != before).sum())
    if count:
        what = f"{amount(count, 'text')} of '{column.name}'"
        notes.append(Note("changed", count, f"{what}: line ends, tabs and runs of blanks."))
    return _none_if_empty(text)


def _words(column: pl.Series, notes: list[Note]) -> pl.Series:
    """Returns lists as words between blanks: a blank inside a word becomes an underscore."""
    if not isinstance(column.dtype, pl.List):
        return _tidy(column, notes)
    before = column.cast(pl.List(pl.String))
    word = pl.element().str.strip_chars()
    word = word.str.replace_all(_GAPS, "_").str.strip_chars_end(",")
    words = before.list.eval(word)
    count = int((words.explode() != before.explode()).sum())
    if count:
        what = f"{amount(count, 'word')} of '{column.name}'"
        sentence = f"{what}: blanks inside became underscores, commas at the end went."
        notes.append(Note("changed", count, sentence))
    filled = words.list.eval(pl.element().filter(pl.element().str.len_bytes() > 0))
    return _none_if_empty(filled.list.join(" "))


def _numbers(column: pl.Series, notes: list[Note]) -> pl.Series:
    if not column.dtype.is_float():
        return column
    finite = column.set(~column.is_finite(), None)
    count = finite.null_count() - column.null_count()
    if count:
        sentence = f"{amount(count, 'value')} of '{column.name}' that is no number: left empty."
        notes.append(Note("dropped", count, sentence))
    return finite


def _none_if_empty(text: pl.Series) -> pl.Series:
    return text.set(text == "", None)


def _vectors(column: pl.Series, notes: list[Note]) -> pl.Series:
    del notes  # nothing is changed
    return _none_if_empty(column.cast(pl.List(pl.String)).list.join(" "))


def _write(table: pl.DataFrame, header: list[str], path: Path) -> None:
    # Python's own file says why writing failed, and a slice at a time keeps memory small.
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(_SEPARATOR.join(header) + "\n")
        for rows in table.iter_slices(_ROWS):
            file.write(rows.write_csv(separator=_SEPARATOR, include_header=False))


_CELLS: dict[str, Callable[[pl.Series, list[Note]], pl.Series]] = {
    "token": _tidy,
    "token_seq": _words,
    "float": _numbers,
    "float_seq": _vectors,
}
