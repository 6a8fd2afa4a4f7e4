"""What every source returns: two tables with the house's column names, pictures, notes."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from vlmrec.data.notes import Note


@dataclass(frozen=True, eq=False)
class RawTables:
    """A source in the house's columns, before anything was filtered.

    Attributes:
        interactions: ``user_id`` (str), ``item_id`` (str), ``timestamp`` (int64 seconds UTC),
            optional ``rating`` (float32) and ``event`` (str), in the row order of the source.
        items: ``item_id`` and whatever is known: ``title``, ``description``, attributes,
            ``image`` (path relative to `images`, or null). One row an id.
        images: The folder that image paths are relative to, or None without pictures.
        notes: How the source was understood and what was left out.
        files: What was read, pictures apart.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame
    images: Path | None
    notes: tuple[Note, ...]
    files: tuple[Path, ...] = ()
