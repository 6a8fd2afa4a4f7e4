"""Amazon Reviews, releases 2014, 2018 and 2023: reviews or ratings, metadata, pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vlmrec.core.columns import IMAGE_URL, ITEM_ID, TITLE
from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note, amount, some
from vlmrec.data.sources.amazon_items import read_amazon_items
from vlmrec.data.sources.columns_guess import ColumnNames
from vlmrec.data.sources.joining import join_items
from vlmrec.data.sources.json_columns import numbered_lines, read_json_columns
from vlmrec.data.sources.json_object import parse_object
from vlmrec.data.sources.log_columns import Log, read_log_table
from vlmrec.data.sources.pictures import attach_pictures
from vlmrec.data.sources.raw_tables import RawTables
from vlmrec.data.sources.reading import Reader, check_is_file
from vlmrec.data.sources.scratch import scratch_folder
from vlmrec.data.sources.source_table import SourceTable

_OLD = {"reviewerID": pl.String(), "asin": pl.String(), "overall": pl.Float32()}
_NEW = {"user_id": pl.String(), "parent_asin": pl.String(), "rating": pl.Float32()}


@dataclass(frozen=True)
class _File:
    """A file and what its first line says of it."""

    path: Path
    part: str
    keys: tuple[str, ...] = ()


def read_amazon(
    paths: Sequence[Path], images: Path | None = None, *, drop_invalid: bool = False
) -> RawTables:
    """Returns reviews and metadata, told apart by their first lines.

    Items are ``asin``, since 2023 ``parent_asin`` (variants of colour and size are one item).
    Metadata of items that nobody reviewed is left out; reviewed items without metadata stay.

    Args:
        paths: ``reviews_X_5.json.gz``, ``X_5.json.gz``, ``X.jsonl.gz`` or a CSV of ratings, and
            ``meta_X.json(l)(.gz)``; several of each are stacked.
        images: A folder with ``<asin>.jpg``; addresses stay in ``image_url``.
        drop_invalid: Leave out rows without id or time and broken lines of metadata.

    Raises:
        DataError: A file is none of these, or a line of it is broken (with its number).
    """
    files = [_recognise(path) for path in paths]
    logs = [_read_log(file, drop_invalid) for file in files if file.part != "metadata"]
    if not logs:
        names = some([file.path.name for file in files], most=8)
        raise DataError(
            f"No file holds reviews or ratings: {names}.",
            "Give the file of reviews as well, such as Video_Games_5.json.gz.",
        )
    interactions = pl.concat([log.frame for log in logs])
    notes = [note for log in logs for note in log.notes]
    ids = interactions.select(pl.col(ITEM_ID).unique(maintain_order=True))
    wanted = frozenset(ids[ITEM_ID])
    parts: list[pl.DataFrame] = []
    for file in files:
        if file.part == "metadata":
            frame, said = read_amazon_items(file.path, wanted, drop_invalid=drop_invalid)
            parts.append(frame)
            notes.extend(said)
    items = ids
    if parts:
        known = pl.concat(parts).unique(ITEM_ID, keep="first", maintain_order=True)
        items, gaps = join_items(interactions, known)
        notes.extend((*gaps, *_say_gaps(known)))
    pictures = attach_pictures(items, images, None)
    found = (*notes, *pictures.notes)
    return RawTables(interactions, pictures.items, pictures.root, found, tuple(paths))


def _recognise(path: Path) -> _File:
    """Returns what a file is, by its first line that holds something."""
    check_is_file(path)
    number, line = next(numbered_lines(path), (0, ""))
    if not number:
        raise DataError(f"'{path}' is empty.", "One review, rating or item a line is expected.")
    if line.lstrip().startswith("{'"):
        return _File(path, "metadata")
    if not line.lstrip().startswith("{"):
        return _File(path, "ratings", tuple(cell.strip() for cell in line.split(",")))
    try:
        keys = tuple(parse_object(line))
    except ValueError as error:
        raise DataError(
            f"Line {number:,} of '{path}' is {error}: {line[:80]!r}.",
            "Fetch the file again, or mend that line.",
        ) from None
    if {"reviewerID", "asin"} <= set(keys) or {"user_id", "parent_asin"} <= set(keys):
        return _File(path, "reviews", keys)
    if {"asin", "parent_asin"} & set(keys):
        return _File(path, "metadata")
    raise DataError(
        f"'{path}' holds neither reviews nor metadata; its first line has {', '.join(keys)}.",
        "Reviews have reviewerID and asin, or user_id and parent_asin; metadata has asin or "
        "parent_asin.",
    )


def _read_log(file: _File, drop_invalid: bool) -> Log:
    if file.part == "ratings":
        return _read_ratings(file, drop_invalid)
    is_new = "parent_asin" in file.keys
    schema: dict[str, pl.DataType] = {**(_NEW if is_new else _OLD)}
    schema["timestamp" if is_new else "unixReviewTime"] = pl.Int64()
    frame = read_json_columns(file.path, schema)
    release = "2023" if is_new else "2018" if "verified" in file.keys else "2014"
    unused = [key for key in file.keys if key not in schema]
    notes = (
        Note("took", frame.height, f"'{file.path.name}': reviews of the release of {release}."),
        Note(
            "dropped",
            len(unused),
            f"'{file.path.name}': {amount(len(unused), 'key')} of a review not needed: "
            f"{some(unused, most=8)}.",
        ),
    )
    table = SourceTable(file.path, frame.lazy(), tuple(schema), unit="review", notes=notes)
    return read_log_table(table, ColumnNames(), drop_invalid=drop_invalid)


def _read_ratings(file: _File, drop_invalid: bool) -> Log:
    """Reads ``user,item,rating,time``; the release of 2018 has the item first, without a header."""
    names = ColumnNames()
    if len(file.keys) >= 4 and not {"user_id", "parent_asin", "asin"} & set(file.keys):
        first, second = file.keys[:2]
        if _is_asin(first) and not _is_asin(second):
            names = ColumnNames(user="2", item="1")
    with scratch_folder() as scratch:
        table = Reader(scratch).open(file.path)
        return read_log_table(table, names, drop_invalid=drop_invalid)


def _is_asin(cell: str) -> bool:
    """Returns whether a cell has the form of an item's id: ten signs; a user has more."""
    return len(cell) == 10 and cell.isalnum()


def _say_gaps(known: pl.DataFrame) -> list[Note]:
    gaps = (
        (known.filter(pl.col(TITLE).is_null()), "whose metadata has no title"),
        (known.filter(pl.col(IMAGE_URL).is_null()), "whose metadata has no picture"),
    )
    notes: list[Note] = []
    for frame, what in gaps:
        if frame.height:
            examples = some(frame[ITEM_ID].head(4).to_list())
            sentence = f"{amount(frame.height, 'reviewed item')} {what}: {examples}."
            notes.append(Note("kept", frame.height, sentence))
    return notes
