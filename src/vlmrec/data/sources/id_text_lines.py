"""Lines of `id,text` whose text may hold commas without quotes: cut at the first comma."""

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from vlmrec.core.columns import ITEM_ID
from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount, some
from vlmrec.data.sources.columns_guess import is_known, normalised
from vlmrec.data.sources.item_columns import ItemTable
from vlmrec.data.sources.reading import check_is_file
from vlmrec.data.sources.text_encoding import examine, open_text
from vlmrec.data.sources.text_fields import clean_texts

_ENCLOSED = re.compile(r'"((?:[^"]|"")*)"')


def read_id_text_lines(path: Path, column: str, *, drop_invalid: bool = False) -> ItemTable:
    """Returns items with one text each.

    Ids are whole numbers. A header is recognised by its first name. Quotes around a whole text
    are taken off, in case somebody wrote the file as proper CSV.

    Args:
        path: The file, plain or gzip.
        column: Name of the text.
        drop_invalid: Leave out lines without an id before a comma, instead of complaining.

    Raises:
        DataError: The file is missing, empty or no text, or a line has no id.
    """
    check_is_file(path)
    facts = examine(path)
    with open_text(path, facts.encoding) as file:
        lines = file.read().removeprefix("\ufeff").split("\n")
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    has_header = _is_header(filled[0][1])
    good, bad = _cut(filled[int(has_header) :])
    dropped = [_judge(path, bad, drop_invalid)] if bad else []
    if not good:
        raise DataError(
            f"'{path}' has no rows.", "Lines of an id, a comma and a text are expected."
        )
    raw = pl.DataFrame(good, schema={ITEM_ID: pl.String, column: pl.String}, orient="row")
    texts, n_html = clean_texts(raw[column])
    raw = raw.with_columns(texts)
    frame = raw.unique(ITEM_ID, keep="first", maintain_order=True)
    said = Note(
        "took",
        frame.height,
        f"'{path.name}': {facts.encoding}, cut at the first comma, "
        f"{'a header' if has_header else 'no header'}; {amount(frame.height, 'item')} with "
        f"{column}.",
    )
    return ItemTable(frame, (said, *dropped, *_say_changes(path, raw, frame, n_html)))


def _cut(lines: list[tuple[int, str]]) -> tuple[list[tuple[str, str]], list[tuple[int, str]]]:
    """Returns ids and texts, and the lines (with their numbers) that have no id."""
    good: list[tuple[str, str]] = []
    bad: list[tuple[int, str]] = []
    for number, line in lines:
        name, comma, text = line.strip().partition(",")
        name = name.strip().strip('"')
        if comma and name.isascii() and name.isdecimal():
            good.append((name, _bare(text.strip())))
        else:
            bad.append((number, line))
    return good, bad


def _say_changes(path: Path, raw: pl.DataFrame, frame: pl.DataFrame, n_html: int) -> Iterator[Note]:
    if n_html:
        yield Note("changed", n_html, f"'{path.name}': HTML taken out of {amount(n_html, 'text')}.")
    n_surplus = raw.height - frame.height
    if n_surplus:
        twice = raw.filter(raw[ITEM_ID].is_duplicated())[ITEM_ID].unique(maintain_order=True)
        yield Note(
            "dropped",
            n_surplus,
            f"'{path.name}': {amount(n_surplus, 'line')} with an item id that had a line already "
            f"(the first counts): {some(twice.head(4).to_list())}.",
        )


def _is_header(line: str) -> bool:
    first = line.partition(",")[0].strip().strip('"')
    return is_known(first) or normalised(first) == "id"


def _bare(text: str) -> str:
    found = _ENCLOSED.fullmatch(text)
    return found[1].replace('""', '"') if found else text


def _judge(path: Path, bad: list[tuple[int, str]], drop_invalid: bool) -> Note:
    number, line = bad[0]
    what = f"{amount(len(bad), 'line')} without a number for the item before a comma"
    first = f"first line {number:,}: {line.strip()[:60]!r}"
    if not drop_invalid:
        raise DataError(
            f"'{path}' has {what}; {first}.",
            "Each line must be: item,text. Mend them, or leave them out with --drop-invalid.",
        )
    return Note("dropped", len(bad), f"'{path.name}': {what}; {first}.")
