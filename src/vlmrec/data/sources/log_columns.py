"""A raw table of interactions -> ids as strings, times as seconds, with what was wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from vlmrec.core.columns import EVENT, ITEM_ID, RATING, TIMESTAMP, USER_ID
from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount, some
from vlmrec.data.sources.columns_guess import ColumnNames, find_column, missing_column
from vlmrec.data.sources.source_table import SourceTable
from vlmrec.data.sources.timestamps import looks_like_time, read_times

_INT_LIKE = r"^-?\d+\.0+$"
_EXACT = 2**53
"""Beyond it a float stands for several whole numbers."""
_PARTS = (USER_ID, ITEM_ID, TIMESTAMP, RATING, EVENT)
_EXPECTED = {TIMESTAMP: "numbers or dates", RATING: "numbers"}


@dataclass(frozen=True, eq=False)
class Log:
    """Interactions in the house's columns.

    Attributes:
        frame: ``user_id``, ``item_id``, ``timestamp`` and what else there was.
        notes: What was taken for what and what was left out.
    """

    frame: pl.DataFrame
    notes: tuple[Note, ...]


def read_log_table(table: SourceTable, names: ColumnNames, *, drop_invalid: bool) -> Log:
    """Returns the interactions of one file.

    Args:
        table: The file.
        names: Explicit names of columns.
        drop_invalid: Leave out rows without id or readable time, instead of complaining.

    Raises:
        DataError: A column is missing, or rows have no id or no readable time (how many, and
            where the first one is).
    """
    parts = _find_parts(table, names)
    raw = table.read(*(pl.col(source).alias(part) for part, source in parts.items()))
    for part, source in parts.items():
        _require_kind(raw[part], source, table)
    notes: list[Note] = []
    columns = [_ids(raw[part], table, notes) for part in (USER_ID, ITEM_ID)]
    times = read_times(raw[TIMESTAMP])
    columns.append(times.seconds.alias(TIMESTAMP))
    problems = [
        *((ids.is_null(), f"no {ids.name}", _hint(raw[ids.name])) for ids in columns[:2]),
        (times.unreadable, "no readable time", "Numbers since 1970 or dates like 2024-02-28."),
        (times.negative, "a negative time (before 1970)", ""),
        (times.foreign, f"a time in another unit than {times.unit}", "Use one unit throughout."),
    ]
    if RATING in parts:
        given = raw[RATING] if raw[RATING].dtype.is_numeric() else raw[RATING].cast(pl.String)
        ratings = given.cast(pl.Float32, strict=False).fill_nan(None)  # NaN: none was given
        ratings = ratings.set(ratings.is_infinite().fill_null(value=False), None)
        lost = ratings.is_null() & _filled(given)
        problems.append((lost, "a rating that is not a number", ""))
        columns.append(ratings)
    if EVENT in parts:
        columns.append(raw[EVENT].cast(pl.String))
    keep = _judge(problems, raw, table, drop_invalid, notes)
    frame = pl.DataFrame(columns)
    if keep is not None:
        frame = frame.filter(keep)
    return Log(frame, (*_say_columns(table, parts, frame, times.unit), *notes))


def string_ids(ids: pl.Series) -> pl.Series:
    """Returns ids as strings as they stand, "" as null.

    Zeros in front stay. Whole numbers that a program has turned into floats ("12.0"), in all
    rows of the column, become whole numbers again. Floats that are infinite, no number, or so
    large that neighbours share them, are null.
    """
    if ids.dtype.is_float():
        inexact = ~(ids.abs() <= _EXACT).fill_null(value=True)
        ids = ids.set(inexact | ids.is_nan().fill_null(value=False), None)
        if bool((ids.is_null() | (ids == ids.floor())).all()):
            ids = ids.cast(pl.Int64)
    text = ids.cast(pl.String).str.strip_chars()
    head = text.head(1000).drop_nulls()
    if head.str.contains(_INT_LIKE).all() and text.drop_nulls().str.contains(_INT_LIKE).all():
        text = text.str.replace(r"\.0+$", "")
    frame = text.to_frame("id")
    return frame.select(pl.when(pl.col("id") != "").then("id")).to_series().rename(ids.name)


def _find_parts(table: SourceTable, names: ColumnNames) -> dict[str, str]:
    if table.has_header:
        found = {part: find_column(part, table.columns, names.given(part)) for part in _PARTS}
    else:
        found = _parts_by_position(table, names)
    for part in (USER_ID, ITEM_ID, TIMESTAMP):
        if found[part] is None:
            raise missing_column(part, table.columns, table.path.name)
    parts = {part: source for part, source in found.items() if source is not None}
    if len(set(parts.values())) < len(parts):
        pairs = ", ".join(f"{part} = '{source}'" for part, source in parts.items())
        raise DataError(f"One column of '{table.path.name}' is used twice: {pairs}.")
    return parts


def _parts_by_position(table: SourceTable, names: ColumnNames) -> dict[str, str | None]:
    """Without a header: user, item, then the time wherever it is, and a rating beside it."""
    given = {part: name for part in _PARTS if (name := names.given(part)) is not None}
    found = {
        part: find_column(part, table.columns, given[part]) if part in given else None
        for part in _PARTS
    }
    taken = set(found.values())
    free = [name for name in table.columns if name not in taken]
    for part in (USER_ID, ITEM_ID):
        if found[part] is None and free:
            found[part] = free.pop(0)
    if found[TIMESTAMP] is None and free:
        sample = table.frame.select(free).head(100).collect()
        timely = [name for name in free if all(map(looks_like_time, sample[name].drop_nulls()))]
        if timely:
            found[TIMESTAMP] = timely[-1]
            free.remove(timely[-1])
    if found[RATING] is None and len(free) == 1:
        sample = table.frame.select(free).head(100).collect().to_series()
        if sample.cast(pl.Float32, strict=False).null_count() == sample.null_count():
            found[RATING] = free[0]
    return found


def _ids(raw: pl.Series, table: SourceTable, notes: list[Note]) -> pl.Series:
    ids = string_ids(raw)
    as_read = raw.cast(pl.String)
    if raw.dtype.is_float() or (len(ids) and ids[0] != as_read[0]):
        changed = (ids != as_read).fill_null(value=False)
        if changed.any():
            row = int(changed.arg_max() or 0)
            notes.append(
                Note(
                    "changed",
                    int(changed.sum()),
                    f"'{table.path.name}': {amount(int(changed.sum()), 'value')} of {raw.name} "
                    f"tidied, such as '{as_read[row]}' to '{ids[row]}'.",
                )
            )
    return ids


def _filled(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        words = column.str.strip_chars()
        return ((words != "") & (words.str.to_lowercase() != "nan")).fill_null(value=False)
    if column.dtype.is_float():
        return column.is_not_nan().fill_null(value=False)
    return column.is_not_null()


def _hint(ids: pl.Series) -> str:
    return (
        "Floats hold whole numbers up to 2^53; store ids as text." if ids.dtype.is_float() else ""
    )


def _require_kind(column: pl.Series, source: str, table: SourceTable) -> None:
    """Raises DataError where a typed file holds something else than this part may be."""
    kind, part = column.dtype, column.name
    is_text = any(kind == one for one in (pl.String, pl.Categorical, pl.Enum, pl.Null))
    fits = is_text or kind.is_numeric()
    if part == TIMESTAMP:
        fits = fits or kind == pl.Date or kind == pl.Datetime
    elif part == EVENT:
        fits = fits or kind == pl.Boolean
    if not fits:
        raise DataError(
            f"Column '{source}' of '{table.path}' holds {kind}, no {part}.",
            f"Expected are {_EXPECTED.get(part, 'text or numbers')}.",
        )


def _judge(
    problems: list[tuple[pl.Series, str, str]],
    raw: pl.DataFrame,
    table: SourceTable,
    drop_invalid: bool,
    notes: list[Note],
) -> pl.Series | None:
    keep: pl.Series | None = None
    for wrong, what, hint in problems:
        count = int(wrong.sum())
        if not count:
            continue
        row = int(wrong.arg_max() or 0)
        values = ", ".join(f"{name} = {raw[name][row]!r}" for name in raw.columns)
        first = f"first in {table.place(row)} ({values})"
        if not drop_invalid:
            raise DataError(
                f"{amount(count, 'row')} of '{table.path}' {'has' if count == 1 else 'have'} "
                f"{what}; {first}.",
                f"{hint} Mend them, or leave them out with --drop-invalid.".strip(),
            )
        notes.append(Note("dropped", count, f"{amount(count, 'row')} with {what}; {first}."))
        keep = ~wrong if keep is None else keep & ~wrong
    return keep


def _say_columns(
    table: SourceTable, parts: dict[str, str], frame: pl.DataFrame, unit: str
) -> Iterator[Note]:
    yield from table.notes
    taken = ", ".join(f"{part} = '{source}'" for part, source in parts.items())
    yield Note(
        "took",
        frame.height,
        f"'{table.path.name}': {amount(frame.height, 'interaction')}; {taken}; times in {unit}"
        f"{_span(frame)}.",
    )
    unused = [name for name in table.columns if name not in parts.values()]
    if unused:
        yield Note(
            "dropped",
            len(unused),
            f"'{table.path.name}': {amount(len(unused), 'column')} not needed: "
            f"{some(unused, most=8)}.",
        )


def _span(frame: pl.DataFrame) -> str:
    if not frame.height:
        return ""
    first, last = (int(each) for each in frame[TIMESTAMP].sort().gather([0, -1]))
    if last < 10**7:
        return f" (from {first:,} to {last:,}: an order rather than dates)"
    days = [datetime.fromtimestamp(second, UTC).date().isoformat() for second in (first, last)]
    return f" ({days[0]} to {days[1]})"
