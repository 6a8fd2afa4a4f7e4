"""Item vectors that are given, not encoded: from a file, from another run, or random."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlmrec.bundle import RUN, read_item_vectors
from vlmrec.core.columns import ITEM_ID
from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.core.random import Streams
from vlmrec.items.content import ContentVectors
from vlmrec.items.vector_files import SUFFIXES, load_vectors, vectors_by_id

_RANDOM = re.compile(r"random:([1-9][0-9]{0,5})(?::([0-9]{1,18}))?")


def is_given(source: str) -> bool:
    """Returns whether a source names vectors themselves instead of an encoder."""
    path = Path(source)
    return path.suffix in SUFFIXES or (path / RUN).is_file() or source.startswith("random:")


def given_vectors(option: str, source: str, item_ids: Sequence[str]) -> ContentVectors:
    """Returns given vectors ``[I + 1, W]``, sorted by the catalogue's internal ids.

    Args:
        option: Which option named the source, for messages.
        source: A vector file (see `vlmrec.items.vector_files`), a run folder, whose item vectors
            are taken by item id, or "random:WIDTH[:SEED]": standard normal numbers.
        item_ids: External ids of the catalogue in internal order.

    Raises:
        ConfigError: The source is none of these.
        DataError: The vectors are not usable, or belong to no item of the catalogue.
        ArtifactError: File or run are missing, unfinished or damaged, or the run has no vectors.
    """
    path = Path(source)
    if path.suffix in SUFFIXES:
        return load_vectors(path, item_ids)
    if path.is_dir():
        return _vectors_of_run(path, item_ids)
    drawn = _RANDOM.fullmatch(source)
    if drawn is None:
        raise ConfigError(
            f"Option '{option}' was given '{source}': that is no vector file "
            f"({', '.join(SUFFIXES)}), no run folder, and not of the form random:WIDTH.",
            "Correct the path, or make a file: vlmrec embed DATA --modality both --out FILE.",
        )
    return _random_vectors(int(drawn[1]), int(drawn[2] or 0), item_ids)


def _vectors_of_run(folder: Path, item_ids: Sequence[str]) -> ContentVectors:
    vectors, items, digest = read_item_vectors(folder)
    if vectors is None:
        raise ArtifactError(
            f"The run in '{folder}' has no item vectors: its model has none.",
            "Name a run of a model with item vectors, such as sasrec, or a vector file.",
        )
    names = items[ITEM_ID].to_list()
    return vectors_by_id(folder, vectors[1:].float().numpy(), names, item_ids, f"run:{digest}")


def _random_vectors(width: int, seed: int, item_ids: Sequence[str]) -> ContentVectors:
    drawn = (
        Streams(seed)
        .numpy("random item vectors")
        .standard_normal((len(item_ids), width), dtype=np.float32)
    )
    vectors = torch.zeros(len(item_ids) + 1, width)
    vectors[1:] = torch.from_numpy(drawn)
    present = torch.ones(len(vectors), dtype=torch.bool)
    present[0] = False
    return ContentVectors(vectors, present, f"random:{width}:{seed}")


def require_encoders(record: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses new items for a run on given vectors: nobody can say what theirs would be.

    Args:
        record: What the run folder says of the content, by modality.

    Raises:
        ConfigError: One of the modalities was given.
    """
    kinds = {
        "file": "vectors from the file '{}'",
        "run": "the item vectors of the run '{}'",
        "random": "random vectors ('{}')",
    }
    for one in record.values():
        kind = str(one["identity"]).partition(":")[0]
        if kind in kinds:
            raise ConfigError(
                f"The run was trained on {kinds[kind].format(one['encoder'])}, not on an "
                "encoder; new items cannot be embedded.",
                "Train sasrec-content with an encoder, such as text=compact.",
            )
