"""Item vectors in files: what `vlmrec embed` writes, and what users bring along.

A vector that is exactly zero means "nothing known of this item", in every format.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from vlmrec.core.columns import ITEM_ID
from vlmrec.core.errors import ArtifactError, DataError, nearest
from vlmrec.core.files import atomic_file, sha256_of
from vlmrec.core.tensor_files import load_tensors, save_tensors
from vlmrec.items.content import ContentCounts, ContentVectors

SUFFIXES = (".npy", ".parquet", ".safetensors")
VECTOR = "vector"  # the column of a Parquet file
VECTORS = "vectors"  # the tensor of a safetensors file


def ids_file(path: Path) -> Path:
    """Returns where the item ids of a matrix file are: ``NAME.ids.txt`` beside it, one a line."""
    return path.with_suffix(".ids.txt")


def manifest_file(path: Path) -> Path:
    """Returns where the manifest of a vector file is: ``NAME.npy.json`` beside it."""
    return path.with_name(f"{path.name}.json")


def require_known_suffix(path: Path) -> None:
    """Raises DataError where the ending of `path` names no format for vectors."""
    if path.suffix not in SUFFIXES:
        raise DataError(
            f"'{path}' has the ending '{path.suffix}'; vectors are kept in {', '.join(SUFFIXES)}.",
            nearest(path.suffix, SUFFIXES),
        )


def save_vectors(path: Path, item_ids: Sequence[str], content: ContentVectors) -> None:
    """Writes the vectors of a catalogue with the ids of its items.

    Args:
        path: ``.parquet`` holds ids and vectors in one table; ``.npy`` and ``.safetensors``
            hold the matrix ``[I, D]`` and get the ids in a file beside them.
        item_ids: External ids in internal order.
        content: Their vectors.

    Raises:
        DataError: The ending is unknown, an id holds a line break, or the folder is read-only
            or full; nothing half-written stays.
    """
    require_known_suffix(path)
    matrix = content.vectors[1:].numpy()
    if path.suffix == ".parquet":
        column = pl.Series(VECTOR, matrix, dtype=pl.Array(pl.Float32, matrix.shape[1]))
        table = pl.DataFrame({ITEM_ID: pl.Series(item_ids, dtype=pl.String), VECTOR: column})
        with atomic_file(path) as temporary:
            table.write_parquet(temporary)
        return
    if any("\n" in name or "\r" in name for name in item_ids):
        raise DataError("An item id holds a line break.", "Write the vectors as .parquet.")
    if path.suffix == ".npy":
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.save(file, matrix)
    else:
        save_tensors(path, {VECTORS: content.vectors[1:]})
    with atomic_file(ids_file(path)) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in item_ids), encoding="utf-8")


def load_vectors(
    path: Path, item_ids: Sequence[str], *, width: int | None = None
) -> ContentVectors:
    """Returns a user's own vectors, sorted by the catalogue's internal ids.

    Args:
        path: ``.parquet`` with ``item_id`` and ``vector``; or ``.npy`` / ``.safetensors`` with
            a matrix ``[I, D]`` whose rows follow the catalogue, or follow the ids in
            ``NAME.ids.txt`` beside it.
        item_ids: External ids of the catalogue in internal order.
        width: Dimensions D that are needed; None takes what the file has.

    Items that the file does not know are absent; rows of unknown items are left out.

    Raises:
        DataError: Count, width, ids or values are not usable.
        ArtifactError: The file is missing or damaged, or is a pickle.
    """
    require_known_suffix(path)
    if not path.is_file():
        raise ArtifactError(f"The vector file '{path}' does not exist.", "Correct the path.")
    matrix, ids = _read_parquet(path) if path.suffix == ".parquet" else _read_matrix(path)
    _check_matrix(path, matrix, width)
    if ids is None:
        if len(matrix) != len(item_ids):
            raise DataError(
                f"'{path}' holds {len(matrix)} vectors; the catalogue has {len(item_ids)} items.",
                f"Give one row per item in catalogue order, or the ids in '{ids_file(path)}'.",
            )
        ids = list(item_ids)
    return vectors_by_id(path, matrix, ids, item_ids, f"file:{sha256_of(path)}")


def vectors_by_id(
    path: Path,
    matrix: NDArray[np.float32],
    ids: Sequence[str],
    item_ids: Sequence[str],
    identity: str,
) -> ContentVectors:
    """Returns vectors sorted by the catalogue's internal ids.

    Args:
        path: Where they were found, for messages.
        matrix: ``[n, D]``.
        ids: External id of each row.
        item_ids: External ids of the catalogue in internal order.
        identity: What the vectors were made by.

    Raises:
        DataError: An id is there twice, or none belongs to the catalogue.
    """
    rows = {name: row for row, name in enumerate(ids)}
    if len(ids) != len(matrix) or len(rows) != len(ids):
        raise DataError(
            f"'{path}' holds {len(matrix)} vectors for {len(rows)} distinct item ids.",
            "Give exactly one vector per item id.",
        )
    found = [(item, rows[name]) for item, name in enumerate(item_ids, 1) if name in rows]
    if not found:
        raise DataError(
            f"'{path}' holds no item of this catalogue: it knows '{ids[0] if ids else ''}', the "
            f"catalogue '{item_ids[0] if item_ids else ''}'.",
            "Use the external item ids of the dataset.",
        )
    vectors = torch.zeros(len(item_ids) + 1, matrix.shape[1])
    items, sources = (list(column) for column in zip(*found, strict=True))
    vectors[items] = torch.from_numpy(matrix[sources])
    present = (vectors != 0).any(dim=1)
    counts = ContentCounts(missing=len(item_ids) - int(present.sum()))
    return ContentVectors(vectors, present, identity, counts)


def _check_matrix(path: Path, matrix: NDArray[np.float32], width: int | None) -> None:
    if matrix.ndim != 2:
        raise DataError(
            f"'{path}' holds an array of shape {matrix.shape}.", "Expected [items, dimensions]."
        )
    if width is not None and matrix.shape[1] != width:
        raise DataError(
            f"The vectors in '{path}' have {matrix.shape[1]} dimensions, expected {width}.",
            "Make them with the encoder that was used before.",
        )
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise DataError(
            f"'{path}' holds NaN or infinity in {len(bad)} vectors, the first in row {bad[0]} "
            "(counted from 0).",
            "Use zeros for items without content.",
        )


def _read_matrix(path: Path) -> tuple[NDArray[np.float32], list[str] | None]:
    matrix = _read_npy(path) if path.suffix == ".npy" else _read_safetensors(path)
    beside = ids_file(path)
    if not beside.is_file():
        return matrix, None
    text = beside.read_text(encoding="utf-8")
    # Not splitlines, which also cuts at signs that an id may hold.
    return matrix, text.removesuffix("\n").split("\n") if text else []


def _read_npy(path: Path) -> NDArray[np.float32]:
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is empty"
        raise ArtifactError(
            f"'{path}' cannot be read as vectors: {reason}",
            "Write it as plain float32 numbers (no pickled objects).",
        ) from None


def _read_safetensors(path: Path) -> NDArray[np.float32]:
    tensors = load_tensors(path)
    if VECTORS not in tensors:
        raise DataError(
            f"'{path}' holds no tensor '{VECTORS}'; it holds {sorted(tensors)}.",
            f"Store the matrix of item vectors under the name '{VECTORS}'.",
        )
    return tensors[VECTORS].float().numpy()


def _read_parquet(path: Path) -> tuple[NDArray[np.float32], list[str]]:
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"'{path}' cannot be read as Parquet: {reason}") from None
    for column in (ITEM_ID, VECTOR):
        if column not in table.columns:
            raise DataError(f"'{path}' has no column '{column}'; it has {table.columns}.")
    vectors = table[VECTOR]
    kind = vectors.dtype
    if not isinstance(kind, (pl.List, pl.Array)):
        raise DataError(f"Column '{VECTOR}' of '{path}' is {kind}; a list of numbers is expected.")
    table = table.filter(vectors.is_not_null())
    lists = table[VECTOR].cast(pl.List(pl.Float32))
    widths = lists.list.len().unique().to_list()
    if len(widths) > 1:
        raise DataError(
            f"'{path}' holds vectors of different widths: {sorted(widths)}.",
            "Give every vector the same number of dimensions.",
        )
    matrix = lists.list.explode().to_numpy().reshape(len(lists), -1) if len(lists) else None
    ids = table[ITEM_ID].cast(pl.String).to_list()
    return (np.zeros((0, 1), np.float32) if matrix is None else matrix), ids
