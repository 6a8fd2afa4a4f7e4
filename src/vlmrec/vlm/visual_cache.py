"""What a frozen vision tower made of pictures, kept on disk and read without copying.

Two files per tower and number type: one to which the values are appended, and a SQLite index
that says where each picture's are. Whoever appends holds the index's write lock and commits
the new end of the values after they are on the disk. What a killed process leaves behind lies
past that end, where nobody reads and the next writer writes.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
import sqlite3
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.core.mapped_file import MappedFile
from vlmrec.core.sqlite_files import (
    damage_explained,
    has_table,
    reading,
    rows_with,
    unusable_cache,
    writing,
)
from vlmrec.vlm.visual_features import VisualFeatures

_log = logging.getLogger(__name__)
_ALIGNMENT = 64  # bytes: a cache line, and more than any number type asks for
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS cache "
    "(identity TEXT NOT NULL, token BLOB NOT NULL, stop INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS pictures (key BLOB PRIMARY KEY, start INTEGER NOT NULL, "
    "n INTEGER NOT NULL, width INTEGER NOT NULL, shape TEXT NOT NULL, crc INTEGER NOT NULL) "
    "WITHOUT ROWID",
)
_SELECT = "SELECT key, start, n, width, shape, crc FROM pictures WHERE key"
_INSERT = "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class _Record:
    """Where the values of one picture are, and what they must look like."""

    start: int
    n: int
    width: int
    shape: tuple[int, ...]
    crc: int


class VisualCache:
    """Visual features that were computed before, by the content of the picture.

    The cache saves time and nothing else: where its folder is read-only or its disk full, work
    goes on with what this process put kept in memory, after one warning line. A damaged file is
    an error, because it could hand out wrong features. Any number of processes may read and
    write at once; what was put first under a key stays.

    Args:
        folder: Where the files are; made when first written to.
        identity: Everything that the features depend on besides the picture (hash of the
            tower's weights, resolution, ...) as JSON.
        dtype: How values are stored. float16 halves the disk and rounds to 11 bits.
        strict: Raise a DataError where the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        *,
        dtype: Literal["float16", "float32"] = "float16",
        strict: bool = False,
    ) -> None:
        digest = hashlib.sha256(f"{identity}\n{dtype}".encode()).hexdigest()[:24]
        self.folder = folder
        self.strict = strict
        self.identity = identity
        self.index_file = folder / f"visual-{digest}.sqlite"
        self.values_file = folder / f"visual-{digest}.bin"
        self.dtype = torch.float16 if dtype == "float16" else torch.float32
        self._kind = np.dtype(dtype)
        self._kept: dict[bytes, VisualFeatures] = {}
        self._can_write = True
        self._token, self._stop = b"", 0
        self._file = MappedFile(self.values_file)
        self._checked: set[int] = set()

    def __contains__(self, key: bytes) -> bool:
        """Returns whether features are stored under `key`."""
        return key in self.shapes([key])

    def get(self, keys: Sequence[bytes]) -> dict[bytes, VisualFeatures]:
        """Returns the features of those pictures that are stored.

        Values are in the stored number type, on the CPU, and views of the file: nothing is read
        before it is used. Do not write into them.

        Args:
            keys: SHA-256 digests of picture files; repeated keys are allowed.

        Raises:
            ArtifactError: The cache is damaged.
        """
        found = {key: self._kept[key] for key in keys if key in self._kept}
        try:
            for key, record in self._records(key for key in keys if key not in found).items():
                found[key] = VisualFeatures(self._values(record), record.shape)
        except OSError as error:
            self._go_on_without(error)
        return found

    def shapes(self, keys: Sequence[bytes]) -> dict[bytes, tuple[int, ...]]:
        """Returns the shapes of those pictures that are stored, without touching any values.

        Args:
            keys: SHA-256 digests of picture files; repeated keys are allowed.

        Raises:
            ArtifactError: The cache is damaged.
        """
        found = {key: self._kept[key].shape for key in keys if key in self._kept}
        for key, record in self._records(key for key in keys if key not in found).items():
            found[key] = record.shape
        return found

    def put(self, items: Mapping[bytes, VisualFeatures]) -> None:
        """Stores features, all of them or none; keys that are there already are left alone.

        Args:
            items: Features by the SHA-256 digest of the picture file; at least one row each.

        Raises:
            ArtifactError: The cache is damaged.
            ConfigError: A value is not finite, or too large for the stored number type.
        """
        ready = {key: self._rounded(key, features) for key, features in items.items()}
        if self._can_write and ready:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with self._explained(), writing(self.index_file, _SCHEMA) as connection:
                    self._store(connection, ready)
            except (OSError, sqlite3.OperationalError) as error:
                self._go_on_without(error)
        if not self._can_write:
            for key, features in ready.items():
                copy = VisualFeatures(features.values.clone(), features.shape)
                self._kept.setdefault(key, copy)

    def _rounded(self, key: bytes, features: VisualFeatures) -> VisualFeatures:
        values = features.values.detach()
        if values.dim() != 2 or not values.numel():
            raise ValueError(f"expected values [n, W], got {list(values.shape)}")
        stored = values.to("cpu", self.dtype).contiguous()
        if not bool(torch.isfinite(stored).all()):
            raise _not_storable(key, values, self.dtype)
        return VisualFeatures(stored, features.shape)

    def _store(self, connection: sqlite3.Connection, items: Mapping[bytes, VisualFeatures]) -> None:
        row = connection.execute("SELECT stop FROM cache").fetchone()
        if row is None:
            # Somebody may still have the values of an index that was deleted mapped: leave
            # them that file and begin another. The token tells them that the index is new.
            self.values_file.unlink(missing_ok=True)
            start = (self.identity, os.urandom(16), 0)
            connection.execute("INSERT INTO cache VALUES (?, ?, ?)", start)
        query = "SELECT key FROM pictures WHERE key"
        known = {key for (key,) in rows_with(connection, query, list(items))}
        new = {key: features for key, features in items.items() if key not in known}
        if new:
            records, stop = self._append(new, 0 if row is None else int(row[0]))
            connection.executemany(_INSERT, records)
            connection.execute("UPDATE cache SET stop = ?", (stop,))

    def _append(
        self, items: Mapping[bytes, VisualFeatures], stop: int
    ) -> tuple[list[tuple[bytes, int, int, int, str, int]], int]:
        """Returns the rows for the index and the new end, with the values safely on the disk."""
        size = self.values_file.stat().st_size if self.values_file.exists() else 0
        if size < stop:
            raise self._damaged("the values end too early")
        records: list[tuple[bytes, int, int, int, str, int]] = []
        with self.values_file.open("r+b" if size else "wb") as file:
            for key, features in items.items():
                start = -(-stop // _ALIGNMENT) * _ALIGNMENT
                values = features.values.numpy()
                file.seek(start)
                file.write(values.data)
                stop = start + values.nbytes
                shape = json.dumps(features.shape)
                crc = _checksum(values, features.shape)
                records.append((key, start, values.shape[0], values.shape[1], shape, crc))
            file.flush()
            os.fsync(file.fileno())
        return records, stop

    def _records(self, keys: Iterable[bytes]) -> dict[bytes, _Record]:
        wanted = list(dict.fromkeys(keys))
        records: dict[bytes, _Record] = {}
        if not wanted or not self.index_file.is_file():
            return records
        try:
            with self._explained(), reading(self.index_file) as connection:
                if has_table(connection, "pictures"):
                    self._follow(*connection.execute("SELECT token, stop FROM cache").fetchone())
                    for key, start, n, width, shape, crc in rows_with(connection, _SELECT, wanted):
                        records[key] = _Record(start, n, width, _numbers(shape), crc)
        except sqlite3.OperationalError as error:
            self._go_on_without(error)
        except (TypeError, ValueError):
            raise self._damaged("the index holds what no writer wrote") from None
        return records

    def _follow(self, token: bytes, stop: int) -> None:
        self._stop = stop
        if token != self._token:
            self._token = token
            self._file = MappedFile(self.values_file)
            self._checked.clear()

    def _values(self, record: _Record) -> Tensor:
        size = record.n * record.width * self._kind.itemsize
        try:
            values = self._file.view(record.start, size, self._stop)
            values = values.view(self._kind).reshape(record.n, record.width)
        except (EOFError, FileNotFoundError, ValueError):
            raise self._damaged("the values end too early") from None
        if record.start not in self._checked:
            if _checksum(values, record.shape) != record.crc:
                raise self._damaged("a picture's values do not match their checksum")
            self._checked.add(record.start)
        return torch.from_numpy(values)

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        return damage_explained(self._what(), _FIX)

    def _damaged(self, how: str) -> ArtifactError:
        return ArtifactError(f"{self._what()} is damaged: {how}.", _FIX)

    def _what(self) -> str:
        return f"The cache of visual features ('{self.index_file}' and '{self.values_file}')"

    def _go_on_without(self, error: Exception) -> None:
        if self.strict:
            raise unusable_cache(self.folder, error) from None
        if self._can_write:
            _log.warning(
                "The cache of visual features in '%s' cannot be used (%s); going on with the "
                "features in memory. Set VLMREC_CACHE to another folder to keep them.",
                self.folder,
                error,
            )
        self._can_write = False


_FIX = "Delete both files; the features will be computed again."


@functools.lru_cache(maxsize=4096)  # pictures share few shapes
def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in json.loads(text))


def _checksum(values: np.ndarray, shape: tuple[int, ...]) -> int:
    return zlib.crc32(values.data, zlib.crc32(repr((values.shape, shape)).encode()))


def _not_storable(key: bytes, values: Tensor, dtype: torch.dtype) -> ConfigError:
    picture = f"The visual features of the picture with SHA-256 {key.hex()[:12]}..."
    if not bool(torch.isfinite(values).all()):
        return ConfigError(
            f"{picture} hold NaN or infinity; finite numbers were expected.",
            "Run the vision tower in float32.",
        )
    largest = float(values.abs().max())
    name = str(dtype).removeprefix("torch.")
    return ConfigError(
        f"{picture} reach {largest:.6g}; {name} holds numbers up to {torch.finfo(dtype).max:g}.",
        "Store them in float32.",
    )
