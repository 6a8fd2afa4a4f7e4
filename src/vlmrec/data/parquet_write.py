"""Writes a table as Parquet and reports a full disk as what it is."""

import re
from pathlib import Path

import polars as pl


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Writes a table as Parquet.

    Raises:
        OSError: The file cannot be written; unlike from polars itself, always with its number,
            so that a full disk can be told from a defect.
    """
    try:
        table.write_parquet(path)
    except (pl.exceptions.ComputeError, OSError) as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number.group(1)), str(error), str(path)) from None
