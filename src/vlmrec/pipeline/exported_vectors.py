"""The vectors of a run's items and of users, for search in any other software.

The inner product of a user vector and an item vector is the score by which `recommend` ranks,
whatever the model's scores are made of: cosines, temperatures and biases are in the vectors.
"""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from vlmrec.core.columns import ITEM_ID, USER_ID
from vlmrec.core.errors import ConfigError
from vlmrec.core.files import atomic_folder, refuse_existing, write_json
from vlmrec.core.inner_product import InnerProduct
from vlmrec.core.protocols import PersonalRanker, Ranker
from vlmrec.items.vector_writing import AddVectors, vector_writer
from vlmrec.pipeline.indexing import inner_product
from vlmrec.pipeline.people import People, PeoplePart, PeopleSource, parts_of, people_of
from vlmrec.pipeline.run import Run

VectorFormat = Literal["parquet", "npy", "safetensors"]
MANIFEST = "vectors.json"
_ITEMS_AT_A_TIME = 65_536
_USERS_AT_A_TIME = 256


@dataclass
class VectorCounts:
    """What was written.

    Attributes:
        width: Numbers of a vector.
        items: Item vectors.
        users: User vectors.
        left_out: People who got none, because the run knows no item of their history.
        unknown: Events with items that the run does not know; they were passed over.
        personal: Whether the vectors hold what the model learned of each user besides the
            history.
    """

    width: int
    items: int
    users: int = 0
    left_out: int = 0
    unknown: int = 0
    personal: bool = False


def export_vectors(
    run: Run | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    users: PeopleSource | None = None,
    format: VectorFormat = "parquet",
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> VectorCounts:
    """Writes item vectors and, if asked for, user vectors whose inner product is the score.

    Args:
        run: A run or its folder.
        out: Folder to write: ``items`` and ``users`` in the format, and a manifest.
        users: Whose vectors: a dataset or its folder, a file of histories, or person -> item
            ids. A user's vector is that of the whole history, of which the model reads the
            latest.
        format: ``parquet`` has ids and vectors in one table; ``npy`` and ``safetensors`` are a
            matrix with the ids in ``NAME.ids.txt`` beside it.
        overwrite: Replace the folder.
        on_progress: Called with the number of people done and of all.

    Raises:
        ConfigError: The model's scores are no inner products.
        DataError: The people cannot be read, or the folder is taken, read-only or full.
        ArtifactError: The run folder is damaged.
    """
    target = Path(out)
    refuse_existing(target, overwrite=overwrite)
    run = run if isinstance(run, Run) else Run.load(run)
    ranker = run.ranker()
    inner = _vectors_of(run, ranker)
    people = None if users is None else people_of(users, run.vocabulary)
    counts = VectorCounts(width=inner.keys.shape[1], items=ranker.n_items)
    with atomic_folder(target, overwrite=overwrite) as folder:
        path = folder / f"items.{format}"
        with vector_writer(path, width=counts.width, id_column=ITEM_ID) as add:
            _add_items(run, inner, add)
        if people is not None:
            path = folder / f"users.{format}"
            with vector_writer(path, width=counts.width, id_column=USER_ID) as add:
                _add_users(run, inner, people, counts, add, on_progress)
        write_json(folder / MANIFEST, _manifest(run, ranker, counts, format))
    return counts


def _vectors_of(run: Run, ranker: Ranker) -> InnerProduct:
    inner = inner_product(ranker)
    if inner is None:
        raise ConfigError(
            f"The scores of '{run.spec.name}' are no inner products of a user vector and an item "
            "vector, so there are no vectors to write.",
            "Write its lists with vlmrec recommend --batch, or choose another model.",
        )
    return inner


def _add_items(run: Run, inner: InnerProduct, add: AddVectors) -> None:
    names = run.items[ITEM_ID]
    for start in range(0, len(names), _ITEMS_AT_A_TIME):
        rows = slice(start, start + _ITEMS_AT_A_TIME)
        add(names[rows].to_list(), inner.keys[1:][rows].float().cpu().numpy())


def _add_users(
    run: Run,
    inner: InnerProduct,
    people: People,
    counts: VectorCounts,
    add: AddVectors,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    ranker, done = run.ranker(), 0
    known = people.fingerprint and people.fingerprint == run.info["dataset"]["fingerprint"]
    counts.personal = bool(known) and isinstance(ranker, PersonalRanker)
    for part in parts_of(people):
        chosen = part.answered()
        names = [name for name, kept in zip(part.names, chosen, strict=True) if kept]
        if names:
            add(names, _queries(ranker, inner, part, personal=counts.personal))
        counts.users += len(names)
        counts.left_out += len(part.names) - len(names)
        counts.unknown += part.unknown
        done += len(part.names)
        if on_progress is not None:
            on_progress(done, len(people))


def _queries(
    ranker: Ranker, inner: InnerProduct, part: PeoplePart, *, personal: bool
) -> NDArray[np.float32]:
    """Returns ``[m, W]`` for those of the part who are answered."""
    histories = torch.as_tensor(part.padded(ranker.max_len)).to(ranker.device)
    users = torch.as_tensor(part.users[part.answered()]).to(ranker.device)
    found = []
    for start in range(0, len(histories), _USERS_AT_A_TIME):
        rows = slice(start, start + _USERS_AT_A_TIME)
        if personal and isinstance(ranker, PersonalRanker):
            encoded = ranker.encode_users(histories[rows], users[rows])
        else:
            encoded = ranker.encode(histories[rows])
        found.append(inner.queries(encoded).float().cpu().numpy())
    return np.concatenate(found)


def _manifest(
    run: Run, ranker: Ranker, counts: VectorCounts, format: VectorFormat
) -> dict[str, object]:
    return {
        "model": run.spec.name,
        "score": "inner product of a user vector and an item vector",
        "format": format,
        "max_len": ranker.max_len,
        **asdict(counts),
        "dataset_fingerprint": run.info["dataset"]["fingerprint"],
        "versions": {name: version(name) for name in ("vlmrec", "torch")},
    }
