"""A file of vectors with ids, written part by part: as many rows as the disk holds."""

import io
import json
import struct
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vlmrec.core.errors import DataError
from vlmrec.core.files import atomic_file
from vlmrec.items.vector_files import VECTOR, VECTORS, ids_file, require_known_suffix

AddVectors = Callable[[Sequence[str], NDArray[np.float32]], None]
"""Takes ids and their vectors ``[n, D]``."""


@contextmanager
def vector_writer(path: Path, *, width: int, id_column: str) -> Generator[AddVectors]:
    """Yields what takes the vectors; the file appears when the block ends well.

    Args:
        path: ``.parquet`` holds ids and vectors in one table; ``.npy`` and ``.safetensors``
            hold the matrix ``[n, D]`` and get the ids in a file beside them.
        width: Numbers D of a vector.
        id_column: What a Parquet file calls the ids.

    Raises:
        DataError: The ending is unknown, an id holds a line break, or the folder is read-only
            or full; nothing half-written stays.
    """
    require_known_suffix(path)
    if path.suffix == ".parquet":
        with atomic_file(path) as temporary, _table(temporary, width, id_column) as add:
            yield add
        return
    with (
        atomic_file(ids_file(path)) as beside,
        atomic_file(path) as temporary,
        temporary.open("wb") as file,
        beside.open("w", encoding="utf-8") as ids,
    ):
        rows = 0
        file.write(_start(path.suffix, rows, width))

        def add_lines(names: Sequence[str], vectors: NDArray[np.float32]) -> None:
            nonlocal rows
            if any("\n" in name or "\r" in name for name in names):
                kind = id_column.removesuffix("_id")
                raise DataError(f"A {kind} id holds a line break.", "Write the vectors as parquet.")
            ids.writelines(f"{name}\n" for name in names)
            _write(file, vectors)
            rows += len(names)

        yield add_lines
        # Only now is it known how many there are; both formats leave room for the number.
        file.seek(0)
        file.write(_start(path.suffix, rows, width))


@contextmanager
def _table(path: Path, width: int, id_column: str) -> Generator[AddVectors]:
    import pyarrow.parquet as pq

    schema = {id_column: pl.String, VECTOR: pl.Array(pl.Float32, width)}
    empty = pl.DataFrame(schema=schema)
    # No dictionary of values: numbers of vectors hardly repeat.
    with pq.ParquetWriter(path, empty.to_arrow().schema, use_dictionary=False) as writer:

        def add(names: Sequence[str], vectors: NDArray[np.float32]) -> None:
            column = pl.Series(VECTOR, vectors, dtype=pl.Array(pl.Float32, width))
            ids = pl.Series(id_column, names, dtype=pl.String)
            writer.write_table(pl.DataFrame([ids, column]).to_arrow())

        yield add


def _write(file: BinaryIO, vectors: NDArray[np.float32]) -> None:
    file.write(np.ascontiguousarray(vectors, dtype="<f4").tobytes())


def _start(suffix: str, rows: int, width: int) -> bytes:
    """Returns what stands before the numbers, as long for any number of rows."""
    if suffix == ".npy":
        made = io.BytesIO()
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
        np.lib.format.write_array_header_1_0(made, header)
        return made.getvalue()
    # By hand, because the library wants the whole matrix at once.
    header = {
        VECTORS: {"dtype": "F32", "shape": [rows, width], "data_offsets": [0, rows * width * 4]}
    }
    text = json.dumps(header).encode().ljust(192)
    return struct.pack("<Q", len(text)) + text
