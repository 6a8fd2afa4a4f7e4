"""SQLite files as the caches use them: several processes at once, safe against a kill."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from vlmrec.core.errors import ArtifactError, DataError

_LOOKUP_CHUNK = 500  # below SQLite's oldest limit of 999 placeholders
_WAIT_SECONDS = 60.0
_PAUSE_SECONDS = 0.005
_HAS_TABLE = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"


@contextlib.contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """Yields a connection that reads the file at `path`, in a read-only folder as well."""
    # A write-ahead log cannot be opened in a read-only folder; `immutable` reads past it.
    mode = "ro" if os.access(path.parent, os.W_OK) else "ro&immutable=1"
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS)) as connection:
        yield connection


@contextlib.contextmanager
def writing(path: Path, schema: Sequence[str]) -> Generator[sqlite3.Connection]:
    """Yields a connection in a transaction that no other process can write beside.

    The transaction is committed when the block ends well and undone otherwise.

    Args:
        path: The file; made where there is none.
        schema: Statements that make its tables where they are missing.
    """
    with contextlib.closing(sqlite3.connect(path, timeout=_WAIT_SECONDS)) as connection:
        _log_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in schema:
                connection.execute(statement)
            yield connection


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Turns on the write-ahead log, which SQLite refuses at once while others do the same."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


@contextlib.contextmanager
def damage_explained(what: str, fix: str) -> Generator[None]:
    """Turns what SQLite says of a damaged file into an ArtifactError.

    Args:
        what: Names the file, as the beginning of a sentence.
        fix: What to do about it.

    Raises:
        ArtifactError: The file is damaged.
    """
    try:
        yield
    except sqlite3.OperationalError:
        raise  # read-only, full, locked: the file itself is sound
    except sqlite3.DatabaseError as error:
        raise ArtifactError(f"{what} is damaged: {error}.", fix) from None


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Returns False where the file's first writer was killed before its first commit."""
    return connection.execute(_HAS_TABLE, (name,)).fetchone() == (1,)


def rows_with(
    connection: sqlite3.Connection, query: str, keys: Sequence[bytes]
) -> Generator[tuple[Any, ...]]:
    """Yields the rows of any number of keys.

    Args:
        connection: Where to look.
        query: A statement that ends in ``WHERE`` and the name of the key's column.
        keys: What that column may hold.
    """
    for start in range(0, len(keys), _LOOKUP_CHUNK):
        chunk = keys[start : start + _LOOKUP_CHUNK]
        marks = ",".join("?" * len(chunk))
        yield from connection.execute(f"{query} IN ({marks})", chunk)


def unusable_cache(folder: Path, error: Exception) -> DataError:
    """Returns the error for a cache folder that was asked for by name and cannot be used."""
    return DataError(
        f"The cache folder '{folder}' cannot be used: {error}.",
        "Make it writable or free some space, choose another --cache, or go on with --no-cache.",
    )
