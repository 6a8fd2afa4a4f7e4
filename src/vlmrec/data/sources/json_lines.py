"""JSON Lines (and one JSON list of records): a broken line is an error with its number."""

import json
from pathlib import Path

import polars as pl

from vlmrec.core.errors import DataError
from vlmrec.data.notes import Note
from vlmrec.data.sources.json_object import parse_object
from vlmrec.data.sources.source_table import SourceTable
from vlmrec.data.sources.text_encoding import TextFacts, chunks, examine, open_text


def open_json_lines(path: Path, scratch: Path, encoding: str | None = None) -> SourceTable:
    """Returns a file with one JSON object a line, or one list of objects, as a typed table.

    Args:
        path: The file, plain or gzip.
        scratch: A folder for rewritten copies; must outlive the table.
        encoding: Default: a byte order mark decides, else UTF-8.

    Raises:
        DataError: It is empty or not UTF-8, or a line is not a JSON object.
    """
    facts = examine(path, encoding or _marked_encoding(path))
    if _first_sign(path, facts) == "[":
        return _open_list(path, facts)
    readable = path
    if facts.encoding != "utf-8" or facts.compressed:
        readable = scratch / f"{len(list(scratch.iterdir()))}.jsonl"
        with open_text(path, facts.encoding) as file, readable.open("w", encoding="utf-8") as out:
            while text := file.read(1 << 20):
                out.write(text.removeprefix("\ufeff"))

    def explain(reason: str) -> DataError:
        return _broken_line(path, facts, reason)

    try:
        frame = pl.scan_ndjson(readable, infer_schema_length=None)
        columns = tuple(frame.collect_schema().names())
    except pl.exceptions.PolarsError as error:
        raise explain(str(error)) from None
    notes = _notes(path, facts, "JSON Lines")
    return SourceTable(path, frame, columns, notes=notes, explain=explain)


def _marked_encoding(path: Path) -> str | None:
    head = next(chunks(path), b"")
    return None if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"


def _first_sign(path: Path, facts: TextFacts) -> str:
    with open_text(path, facts.encoding) as file:
        return file.read(1 << 12).removeprefix("\ufeff").lstrip()[:1]


def _open_list(path: Path, facts: TextFacts) -> SourceTable:
    try:
        with open_text(path, facts.encoding) as file:
            records = json.load(file)
        frame = pl.DataFrame(records, infer_schema_length=None)
    except json.JSONDecodeError as error:
        raise DataError(
            f"'{path}' is broken JSON at line {error.lineno:,}: {error.msg}.",
            "Mend that line; one JSON object a line is the safer format.",
        ) from None
    except (pl.exceptions.PolarsError, TypeError, ValueError, RecursionError):
        raise DataError(
            f"'{path}' holds a JSON list, but not of objects with the same kinds of values.",
            "Write one JSON object a line.",
        ) from None
    if not frame.height:
        raise DataError(f"'{path}' holds an empty list.", "At least one record is expected.")
    notes = _notes(path, facts, "a list of JSON objects")
    return SourceTable(path, frame.lazy(), tuple(frame.columns), unit="record", notes=notes)


def _broken_line(path: Path, facts: TextFacts, reason: str) -> DataError:
    with open_text(path, facts.encoding) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                parse_object(line)
            except ValueError as error:
                return DataError(
                    f"Line {number:,} of '{path}' is {error}: {line.strip()[:80]!r}.",
                    "One JSON object a line is expected; mend or delete that line.",
                )
    return DataError(
        f"'{path}' cannot be read as JSON Lines: {reason.splitlines()[0]}.",
        "Every key must hold the same kind of value on all lines.",
    )


def _notes(path: Path, facts: TextFacts, what: str) -> tuple[Note, ...]:
    packed = ", gzip" if facts.compressed else ""
    return (Note("took", 1, f"'{path.name}': {what}, {facts.encoding}{packed}."),)
