"""Vectors on disk, found again by what they were made from.

One SQLite file per encoder: SQLite is part of Python, survives a kill at any moment and lets two
processes read and write at once. A key is the hash of the text or picture bytes, so an edited
caption is one miss, and a renamed picture is a hit.
"""

import contextlib
import hashlib
import logging
import os
import sqlite3
import sys
import zlib
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlmrec.core.sqlite_files import (
    damage_explained,
    has_table,
    reading,
    rows_with,
    unusable_cache,
    writing,
)

_log = logging.getLogger(__name__)
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS encoder (identity TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS vectors "
    "(key BLOB PRIMARY KEY, vector BLOB NOT NULL, crc INTEGER NOT NULL)",
)
_SELECT = "SELECT key, vector, crc FROM vectors WHERE key"


def default_cache_folder() -> Path:
    """Returns the folder in ``VLMREC_CACHE``, else the user cache folder of the platform."""
    chosen = os.environ.get("VLMREC_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "vlmrec"


class VectorCache:
    """A folder of vectors that were computed before.

    The cache saves time and nothing else: where its folder is read-only or its disk full, work
    goes on without storing, after one warning line, unless it was asked for by name (`strict`).
    A damaged file is an error, because it could hand out wrong vectors.

    Args:
        folder: Where the files are; made when first written to.
        strict: Raise a DataError where the folder cannot be used.
    """

    def __init__(self, folder: Path | None = None, *, strict: bool = False) -> None:
        self.folder = default_cache_folder() if folder is None else folder
        self.strict = strict
        self._can_write = True

    def file_of(self, identity: str) -> Path:
        """Returns the file that holds the vectors of the encoder with this identity."""
        digest = hashlib.sha256(identity.encode()).hexdigest()
        return self.folder / f"vectors-{digest[:24]}.sqlite"

    def get(
        self, identity: str, keys: Sequence[bytes], width: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Returns the stored vectors of some keys.

        Args:
            identity: The encoder.
            keys: Content hashes; repeated keys are allowed.
            width: Dimensions D of a vector.

        Returns:
            ``[n, D] float32`` (zero rows where not stored) and ``[n] bool``.

        Raises:
            ArtifactError: The cache file is damaged.
        """
        vectors = np.zeros((len(keys), width), dtype=np.float32)
        found = np.zeros(len(keys), dtype=np.bool_)
        path = self.file_of(identity)
        if not keys or not path.is_file():
            return vectors, found
        rows: dict[bytes, list[int]] = {}
        for row, key in enumerate(keys):
            rows.setdefault(key, []).append(row)
        for key, vector in self._stored(path, list(rows), width):
            vectors[rows[key]] = vector
            found[rows[key]] = True
        return vectors, found

    def put(self, identity: str, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Stores vectors, all of them or none; keys that are there already are left alone.

        Args:
            identity: The encoder.
            keys: Content hashes.
            vectors: ``[n, D] float32``.

        Raises:
            ArtifactError: The cache file is damaged.
        """
        if not self._can_write or not keys:
            return
        path = self.file_of(identity)
        blobs = [row.astype("<f4").tobytes() for row in vectors]
        entries = [(k, blob, zlib.crc32(blob)) for k, blob in zip(keys, blobs, strict=True)]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _explained(path), _writer(path, identity) as connection:
                connection.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)", entries)
        except (OSError, sqlite3.OperationalError) as error:
            self._go_on_without(error)

    def _stored(
        self, path: Path, keys: list[bytes], width: int
    ) -> Generator[tuple[bytes, NDArray[np.float32]]]:
        try:
            with _explained(path), reading(path) as connection:
                if not has_table(connection, "vectors"):
                    return
                for key, blob, crc in rows_with(connection, _SELECT, keys):
                    if len(blob) != 4 * width or zlib.crc32(blob) != crc:
                        raise sqlite3.DatabaseError("a vector does not match its checksum")
                    yield key, np.frombuffer(blob, dtype="<f4")
        except sqlite3.OperationalError as error:
            self._go_on_without(error)

    def _go_on_without(self, error: Exception) -> None:
        if self.strict:
            raise unusable_cache(self.folder, error) from None
        self._can_write = False
        _log.warning(
            "The vector cache '%s' cannot be used (%s); going on without it. "
            "Set VLMREC_CACHE to another folder to keep vectors.",
            self.folder,
            error,
        )


@contextlib.contextmanager
def _writer(path: Path, identity: str) -> Generator[sqlite3.Connection]:
    with writing(path, _SCHEMA) as connection:
        if connection.execute("SELECT count(*) FROM encoder").fetchone() == (0,):
            connection.execute("INSERT INTO encoder VALUES (?)", (identity,))
        yield connection


def _explained(path: Path) -> contextlib.AbstractContextManager[None]:
    fix = "Delete this file; its vectors will be computed again."
    return damage_explained(f"The vector cache '{path}'", fix)
