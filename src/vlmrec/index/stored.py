"""An index on disk: FAISS's file, and a record that says what it was built of and where it is.

The record is written last and holds the hash of the other file and of the keys, so that an
index of other vectors, or a damaged one, is never searched.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import atomic_file, explain_os_error, read_json_object, sha256_of, write_json
from vlmrec.index.choosing import IndexKind
from vlmrec.index.faiss_backends import FaissBackend, FaissOptions
from vlmrec.index.milvus_backend import MilvusOptions

_STRUCTURE, _RECORD = "index.faiss", "index.json"
_FORMAT = 1


class IndexRecord(StrictConfig):
    """How an index was built and how good it is."""

    kind: IndexKind
    reason: str
    """Why this kind was chosen."""
    n_items: int
    width: int
    """Numbers of a key; 0 where scores are no inner products."""
    recall: dict[int, float]
    """By length k: share of the true k best that are found."""
    queries: int
    """How many queries the recall was measured with."""
    seconds: float
    """Of building."""
    bytes: int
    """What the structure takes on disk, and about as much in memory; 0 for exact search and where a
    server holds it."""
    keys: str
    """SHA-256 of the keys it was built of."""
    faiss: FaissOptions | None = None
    """How it is searched; None for other kinds."""
    milvus: MilvusOptions | None = None
    """Where it is and how it is searched; None for other kinds."""


@dataclass(frozen=True, eq=False)
class StoredIndex:
    """A record and, where FAISS built one, the structure."""

    record: IndexRecord
    backend: FaissBackend | None


def digest(keys: Tensor) -> str:
    """Returns the SHA-256 of ``keys [I + 1, W]``."""
    return hashlib.sha256(keys.detach().cpu().contiguous().numpy().data).hexdigest()


def write_structure(folder: Path, backend: FaissBackend) -> int:
    """Writes a structure whose record is yet to come; returns how many bytes it takes.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _RECORD).unlink(missing_ok=True)
    except OSError as error:
        explain_os_error(error, folder)
    with atomic_file(folder / _STRUCTURE) as temporary:
        backend.write(temporary)
    return (folder / _STRUCTURE).stat().st_size


def write_record(folder: Path, record: IndexRecord) -> None:
    """Writes the record of an index, and with it makes the index whole."""
    structure = folder / _STRUCTURE
    if record.faiss is None:
        structure.unlink(missing_ok=True)
    hashes = {} if record.faiss is None else {_STRUCTURE: sha256_of(structure)}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _RECORD, {"format": _FORMAT, **record.model_dump(), "sha256": hashes})


def is_stored(folder: Path) -> bool:
    """Returns whether a whole index is in the folder."""
    return (folder / _RECORD).is_file()


def read_index(folder: Path) -> StoredIndex:
    """Returns the index in a folder.

    Raises:
        ArtifactError: There is none, or it is damaged.
    """
    if not is_stored(folder):
        raise ArtifactError(f"'{folder}' holds no index.", "Build it with: vlmrec index RUN")
    facts = read_json_object(folder / _RECORD)
    if facts.pop("format", None) != _FORMAT:
        raise ArtifactError(
            f"'{folder}' was written by another version of the index format.",
            "Build it again with: vlmrec index RUN",
        )
    hashes = facts.pop("sha256", {})
    record = IndexRecord.parse(facts, f"the index in '{folder}'")
    if record.faiss is None:
        return StoredIndex(record, None)
    structure = folder / _STRUCTURE
    if not structure.is_file() or sha256_of(structure) != hashes.get(_STRUCTURE):
        raise ArtifactError(
            f"'{structure}' is missing or damaged: its SHA-256 is not the one in '{_RECORD}'.",
            "Build it again with: vlmrec index RUN",
        )
    return StoredIndex(record, FaissBackend.read(structure, record.faiss))
