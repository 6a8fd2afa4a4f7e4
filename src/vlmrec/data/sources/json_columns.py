"""A few columns out of a large file of JSON Lines, without ever holding the rest."""

import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from vlmrec.core.errors import DataError
from vlmrec.data.sources.json_object import parse_object
from vlmrec.data.sources.text_encoding import whole_lines


def read_json_columns(path: Path, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """Returns some columns of a file with one JSON object a line; absent keys are null.

    The file is read in blocks of a few megabytes, so that memory holds the columns and nothing
    else.

    Args:
        path: The file in UTF-8, plain or gzip.
        schema: Names of keys and the type their values have.

    Raises:
        DataError: A line is no JSON object, or holds another kind of value (with its number).
    """
    parts: list[pl.DataFrame] = []
    n_before = 0
    for block in whole_lines(path):
        try:
            parts.append(pl.read_ndjson(io.BytesIO(block), schema=schema))
        except pl.exceptions.PolarsError as error:
            raise _broken(path, block, n_before, schema, str(error)) from None
        n_before += block.count(b"\n")
    if not parts:
        raise DataError(f"'{path}' is empty.", "One JSON object a line is expected.")
    return pl.concat(parts, rechunk=True)


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields the lines that hold something, with their numbers from 1.

    Raises:
        DataError: A line is not UTF-8 (with its number).
    """
    number = 0
    for block in whole_lines(path):
        for line in block.split(b"\n"):
            number += 1
            if not line.strip():
                continue
            try:
                yield number, line.decode().removeprefix("\ufeff")
            except UnicodeDecodeError:
                raise DataError(
                    f"Line {number:,} of '{path}' is not UTF-8.", "Mend or delete that line."
                ) from None
        number -= 1  # what follows the last line end of a block is no line


def _broken(
    path: Path, block: bytes, n_before: int, schema: dict[str, pl.DataType], reason: str
) -> DataError:
    """Returns the error for the first line of a block that cannot be read by itself."""
    for number, line in enumerate(block.split(b"\n"), start=n_before + 1):
        if not line.strip():
            continue
        try:
            pl.read_ndjson(io.BytesIO(line), schema=schema)
        except pl.exceptions.PolarsError as error:
            what = _reason(line, str(error))
            return DataError(
                f"Line {number:,} of '{path}' {what}: {line[:80].decode(errors='replace')!r}.",
                "One JSON object a line is expected; mend or delete that line.",
            )
    return DataError(f"'{path}' cannot be read as JSON Lines: {reason}.")


def _reason(line: bytes, fallback: str) -> str:
    try:
        parse_object(line)
    except ValueError as error:
        return f"is {error}"
    return f"does not fit ({fallback})"
