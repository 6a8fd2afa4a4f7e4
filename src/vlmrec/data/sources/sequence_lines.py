"""Lines of `user item item ...`, oldest first, as sequential-recommendation papers share them."""

from pathlib import Path

import polars as pl

from vlmrec.core.columns import ITEM_ID, TIMESTAMP, USER_ID
from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount
from vlmrec.data.sources.raw_tables import RawTables
from vlmrec.data.sources.reading import check_is_file
from vlmrec.data.sources.text_encoding import examine, open_text


def read_sequences(path: Path, encoding: str | None = None) -> RawTables:
    """Returns the events of a file with one user a line.

    A user and the items are separated by blanks, tabs or commas. The time of an event is its
    position in the line: an order, no date. A user on a second line continues.

    Args:
        path: The file, plain or gzip.
        encoding: See `examine`.

    Raises:
        DataError: The file is missing, empty or no text, or no line has a user and an item.
    """
    check_is_file(path)
    facts = examine(path, encoding)
    with open_text(path, facts.encoding) as file:
        text = file.read().removeprefix("\ufeff")
    lines = pl.Series("line", text.splitlines(), dtype=pl.String)
    del text
    lines = lines.str.replace_all(r"[\s,]+", " ").str.strip_chars()
    n_blank = int((lines == "").sum())
    filled = lines.filter(lines != "")
    named = _is_header(filled)
    words = filled.slice(int(named)).str.split(" ")
    lonely = words.list.len() < 2
    if lonely.all():
        raise DataError(
            f"'{path}' holds no sequence: no line has a user and an item; its first line is "
            f"{lines[0][:60]!r}.",
            "Each line must be: user item item ...",
        )
    frame = (
        words.filter(~lonely)
        .to_frame("words")
        .select(
            pl.col("words").list.first().alias(USER_ID),
            pl.col("words").list.slice(1).alias(ITEM_ID),
        )
    )
    n_lines, n_users = frame.height, frame[USER_ID].n_unique()
    events = frame.explode(ITEM_ID).with_columns(
        (pl.col(ITEM_ID).cum_count().over(USER_ID).cast(pl.Int64) - 1).alias(TIMESTAMP)
    )
    items = events.select(pl.col(ITEM_ID).unique(maintain_order=True))
    notes = [
        Note(
            "took",
            events.height,
            f"'{path.name}': {facts.encoding}, {amount(n_lines, 'line')} of user and items: "
            f"{amount(n_users, 'user')}, {amount(items.height, 'item')}, "
            f"{amount(events.height, 'interaction')}.",
        ),
        Note(
            "took",
            events.height,
            "Times are positions in the line, not real times: splits by time make no sense here.",
        ),
    ]
    if n_users < n_lines:
        sentence = f"{amount(n_lines - n_users, 'line')} of a user who had one already: continued."
        notes.append(Note("kept", n_lines - n_users, sentence))
    if lonely.any():
        sentence = f"{amount(int(lonely.sum()), 'line')} with a user and no item."
        notes.append(Note("dropped", int(lonely.sum()), sentence))
    if named:
        notes.append(Note("dropped", 1, f"A header: {filled[0][:60]!r}."))
    if n_blank:
        notes.append(Note("dropped", n_blank, f"{amount(n_blank, 'blank line')}."))
    return RawTables(events, items, None, tuple(notes), (path,))


def _is_header(lines: pl.Series) -> bool:
    """Returns whether the first line has no number and all others nothing else."""
    digits = r"^[\d ]+$"
    return (
        len(lines) > 1
        and not lines.head(1).str.contains(r"\d").all()
        and bool(lines.slice(1).str.contains(digits).all())
    )
