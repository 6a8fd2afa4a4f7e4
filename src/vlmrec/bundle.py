"""The run folder: everything that a trained model needs, hash-checked, never a pickle.

``run.json`` is written last and lists the SHA-256 of every other file, so a folder with it is
complete, and a damaged file is found when it is loaded.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from torch import Tensor

from vlmrec.core.columns import ITEM_ID
from vlmrec.core.errors import ArtifactError
from vlmrec.core.files import atomic_file, explain_os_error, read_json_object, sha256_of, write_json
from vlmrec.core.tensor_files import load_tensors, save_tensors
from vlmrec.data.parquet_write import write_table

FORMAT = 1
RUN = "run.json"
_WEIGHTS = "model.safetensors"
_VECTORS = "item_vectors.safetensors"
_LATE = "late_content.safetensors"
_VOCABULARY = "vocabulary.parquet"
_RANKS = "test_ranks.parquet"
_WARM_RANKS = "test_warm_ranks.parquet"
HASHES = "sha256"
"""Part of `RUN`: file -> SHA-256."""
ABOUT_PEOPLE = (_RANKS, _WARM_RANKS)
"""Files that hold user ids; a run loads and recommends without them."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a run folder holds.

    Attributes:
        info: ``run.json`` without format and hashes: configuration, versions, figures.
        weights: Parameters and buffers of the model.
        item_vectors: ``[I + 1, D]`` in model space, or None for models without.
        items: One row an item in internal order: ``item_id``, ``title``, ``n_train``.
        ranks: One row a test case, external ids; None where nothing was tested.
        warm_ranks: The same for cases about items that training saw, where the test cases are
            about items that it did not; None elsewhere.
        late: Frozen content of items that came or changed after training, see
            `vlmrec.pipeline.late_content`; empty where there is none.
    """

    info: dict[str, Any]
    weights: dict[str, Tensor]
    item_vectors: Tensor | None
    items: pl.DataFrame
    ranks: pl.DataFrame | None = None
    warm_ranks: pl.DataFrame | None = None
    late: dict[str, Tensor] = field(default_factory=dict)


def is_complete(folder: Path) -> bool:
    """Returns whether a finished run is in the folder."""
    return (folder / RUN).is_file()


def unfinish(folder: Path) -> None:
    """Makes a folder that files may be written into, and says that it is not a whole run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RUN).unlink(missing_ok=True)
    except OSError as error:
        explain_os_error(error, folder)


def write_bundle(folder: Path, bundle: Bundle, parts: Sequence[str] = ()) -> None:
    """Writes a run folder; `run.json` comes last, so a killed write is never taken for whole.

    Args:
        folder: Where to write.
        bundle: What to write.
        parts: Files of the model's own that are in the folder already.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    unfinish(folder)
    save_tensors(folder / _WEIGHTS, bundle.weights)
    names = [_WEIGHTS, _VOCABULARY, *parts]
    if bundle.item_vectors is not None:
        save_tensors(folder / _VECTORS, {"vectors": bundle.item_vectors})
        names.append(_VECTORS)
    if bundle.late:
        save_tensors(folder / _LATE, bundle.late)
        names.append(_LATE)
    with atomic_file(folder / _VOCABULARY) as temporary:
        write_table(bundle.items, temporary)
    for name, ranks in ((_RANKS, bundle.ranks), (_WARM_RANKS, bundle.warm_ranks)):
        if ranks is not None:
            with atomic_file(folder / name) as temporary:
                write_table(ranks, temporary)
            names.append(name)
    hashes = {name: sha256_of(folder / name) for name in sorted(names)}
    write_json(folder / RUN, {"format": FORMAT, **bundle.info, "sha256": hashes})


def read_bundle(folder: Path) -> Bundle:
    """Returns what is in a run folder.

    Raises:
        ArtifactError: There is no finished run, a file is missing, damaged, or a pickle.
    """
    info = _read_info(folder)
    hashes: dict[str, str] = info.pop("sha256", {})
    # Weights first: a pickle in their place is told apart from damage.
    weights = load_tensors(folder / _WEIGHTS)
    for name, digest in hashes.items():
        _verify(folder / name, digest)
    vectors = _own_copy(load_tensors(folder / _VECTORS)["vectors"]) if _VECTORS in hashes else None
    ranks, warm_ranks = (
        pl.read_parquet(folder / name) if name in hashes else None for name in (_RANKS, _WARM_RANKS)
    )
    late = {}
    if _LATE in hashes:
        late = {name: _own_copy(one) for name, one in load_tensors(folder / _LATE).items()}
    return Bundle(info, weights, vectors, _read_items(folder), ranks, warm_ranks, late)


def _own_copy(mapped: Tensor) -> Tensor:
    """Returns a tensor that does not need its file any more.

    A process that reads a mapped file which was cut off meanwhile is ended by the system.
    """
    return mapped.clone()


def run_identity(folder: Path) -> str:
    """Returns what changes whenever the model of a run or its items do.

    Raises:
        ArtifactError: There is no finished run.
    """
    hashes: dict[str, str] = _read_info(folder).get("sha256", {})
    kept = sorted(one for name, one in hashes.items() if name not in (_RANKS, _WARM_RANKS))
    return hashlib.sha256("".join(kept).encode()).hexdigest()


def read_item_vectors(folder: Path) -> tuple[Tensor | None, pl.DataFrame, str]:
    """Returns a run's item vectors without opening its other weights.

    Returns:
        ``[I + 1, D]`` (None for models without), the items as in `Bundle`, and the SHA-256 of
        the file of vectors ("" without).

    Raises:
        ArtifactError: There is no finished run, or one of the two files is missing or damaged.
    """
    hashes = _read_info(folder).get("sha256", {})
    for name in (_VECTORS, _VOCABULARY):
        if name in hashes:
            _verify(folder / name, hashes[name])
    items = _read_items(folder)
    if _VECTORS not in hashes:
        return None, items, ""
    return load_tensors(folder / _VECTORS)["vectors"], items, hashes[_VECTORS]


def read_ranks(folder: Path, *, warm: bool = False) -> tuple[dict[str, Any], pl.DataFrame]:
    """Returns a run's record and its test cases, without opening its weights.

    Args:
        folder: The run folder.
        warm: Give the cases about items that training saw, which a cold-item split has beside
            its test cases.

    Raises:
        ArtifactError: There is no finished run, it was not tested, or the file is damaged.
    """
    info, name = _read_info(folder), _WARM_RANKS if warm else _RANKS
    hashes = info.get("sha256", {})
    if name not in hashes:
        raise ArtifactError(f"The run in '{folder}' was not tested: it has no '{name}'.")
    _verify(folder / name, hashes[name])
    return info, pl.read_parquet(folder / name)


def _read_info(folder: Path) -> dict[str, Any]:
    if not is_complete(folder):
        raise ArtifactError(
            f"'{folder}' is not a finished run folder: it has no '{RUN}'.",
            "Finish it with the same vlmrec train command, or name another folder.",
        )
    info = read_json_object(folder / RUN)
    if info.pop("format", None) != FORMAT:
        raise ArtifactError(f"'{folder}' was written by another version of the run format.")
    return info


def _read_items(folder: Path) -> pl.DataFrame:
    items = pl.read_parquet(folder / _VOCABULARY)
    if ITEM_ID not in items.columns:
        raise ArtifactError(f"'{folder / _VOCABULARY}' has no column '{ITEM_ID}'.")
    return items


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
