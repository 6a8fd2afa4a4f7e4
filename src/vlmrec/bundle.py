"""The run folder: everything that a trained model needs, hash-checked, never a pickle.

``run.json`` is written last and lists the SHA-256 of every other file, so a folder with it is
complete, and a damaged file is found when it is loaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from torch import Tensor

from vlmrec.core.columns import ITEM_ID
from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import atomic_file, read_json_object, sha256_of, write_json
from vlmrec.core.tensor_files import load_tensors, save_tensors
from vlmrec.data.parquet_write import write_table

FORMAT = 1
RUN = "run.json"
_WEIGHTS = "model.safetensors"
_VECTORS = "item_vectors.safetensors"
_VOCABULARY = "vocabulary.parquet"
_RANKS = "test_ranks.parquet"


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a run folder holds.

    Attributes:
        info: ``run.json`` without format and hashes: configuration, versions, figures.
        weights: Parameters and buffers of the model.
        item_vectors: ``[I + 1, D]`` in model space, or None for models without.
        items: One row an item in internal order: ``item_id``, ``title``, ``n_train``.
        ranks: One row a test case, external ids; None where nothing was tested.
    """

    info: dict[str, Any]
    weights: dict[str, Tensor]
    item_vectors: Tensor | None
    items: pl.DataFrame
    ranks: pl.DataFrame | None = None


def is_complete(folder: Path) -> bool:
    """Returns whether a finished run is in the folder."""
    return (folder / RUN).is_file()


def write_bundle(folder: Path, bundle: Bundle) -> None:
    """Writes a run folder; `run.json` comes last, so a killed write is never taken for whole.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    (folder / RUN).unlink(missing_ok=True)
    save_tensors(folder / _WEIGHTS, bundle.weights)
    names = [_WEIGHTS, _VOCABULARY]
    if bundle.item_vectors is not None:
        save_tensors(folder / _VECTORS, {"vectors": bundle.item_vectors})
        names.append(_VECTORS)
    with atomic_file(folder / _VOCABULARY) as temporary:
        write_table(bundle.items, temporary)
    if bundle.ranks is not None:
        with atomic_file(folder / _RANKS) as temporary:
            write_table(bundle.ranks, temporary)
        names.append(_RANKS)
    hashes = {name: sha256_of(folder / name) for name in sorted(names)}
    write_json(folder / RUN, {"format": FORMAT, **bundle.info, "sha256": hashes})


def read_bundle(folder: Path) -> Bundle:
    """Returns what is in a run folder.

    Raises:
        ArtifactError: There is no finished run, a file is missing, damaged, or a pickle.
    """
    if not is_complete(folder):
        raise ArtifactError(
            f"'{folder}' is not a finished run folder: it has no '{RUN}'.",
            "Finish it with the same vlmrec train command, or name another folder.",
        )
    info = read_json_object(folder / RUN)
    if info.pop("format", None) != FORMAT:
        raise ArtifactError(f"'{folder}' was written by another version of the run format.")
    hashes: dict[str, str] = info.pop("sha256", {})
    # Weights first: a pickle in their place is told apart from damage.
    weights = load_tensors(folder / _WEIGHTS)
    for name, digest in hashes.items():
        _verify(folder / name, digest)
    vectors = load_tensors(folder / _VECTORS)["vectors"] if _VECTORS in hashes else None
    ranks = pl.read_parquet(folder / _RANKS) if _RANKS in hashes else None
    items = pl.read_parquet(folder / _VOCABULARY)
    if ITEM_ID not in items.columns:
        raise ArtifactError(f"'{folder / _VOCABULARY}' has no column '{ITEM_ID}'.")
    return Bundle(info, weights, vectors, items, ranks)


def _verify(path: Path, digest: str) -> None:
    if not path.is_file():
        raise ArtifactError(
            f"'{path}' is missing; the run folder is incomplete.", "Restore it from a copy."
        )
    if sha256_of(path) != digest:
        raise ArtifactError(
            f"'{path}' is damaged: its SHA-256 is not the one in '{RUN}'.",
            "Restore it from a copy, or train again.",
        )
