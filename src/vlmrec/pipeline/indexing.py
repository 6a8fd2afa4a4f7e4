"""The index of a run: built, measured against exact search, stored with the run, loaded again."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vlmrec.core.errors import ArtifactError, ConfigError
from vlmrec.core.inner_product import InnerProduct, KeyedRanker
from vlmrec.core.protocols import Ranker
from vlmrec.core.random import Streams
from vlmrec.index.approximate import ApproximateIndex
from vlmrec.index.choosing import Choice, IndexOptions, bytes_of, choose
from vlmrec.index.exact import ExactIndex
from vlmrec.index.faiss_backends import FaissBackend, FaissOptions
from vlmrec.index.recall import searched_long_enough
from vlmrec.index.search import Index
from vlmrec.index.stored import (
    IndexRecord,
    digest,
    is_stored,
    read_index,
    write_record,
    write_structure,
)
from vlmrec.pipeline.run import Run

FOLDER = "index"
"""Where a run keeps its index."""
_QUERIES, _LONGEST = 256, 5
"""Histories that the recall is measured with, and how long they are at most."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class BuiltIndex:
    """An index ready to search, the record of it, and what it was built of, if it was."""

    index: Index
    record: IndexRecord
    backend: FaissBackend | None = None

    def over(self, ranker: Ranker, changed: Tensor | None = None) -> Index:
        """Returns an index of what the items have become since.

        Args:
            ranker: Of the items as they are now: as many as there were, or more.
            changed: Internal ids of items that have other vectors than when it was built.
        """
        inner = inner_product(ranker)
        if self.backend is None or inner is None:
            return ExactIndex(ranker)
        known = self.record.n_items
        return ApproximateIndex(inner, self.backend, known=known, changed=changed)


def build_index(
    run: Run, options: IndexOptions | None = None, *, folder: Path | None = None
) -> BuiltIndex:
    """Returns an index of a run's items, chosen for them and measured.

    Args:
        run: Whose items are searched.
        options: Which index is wanted.
        folder: Where to store it; default: not at all.

    Raises:
        MissingExtraError: FAISS was asked for and is not installed.
        ConfigError: FAISS was asked for and the model's scores are no inner products.
    """
    options, ranker, start = options or IndexOptions(), run.ranker(), time.perf_counter()
    inner = inner_product(ranker)
    if inner is None and options.kind not in ("auto", "exact"):
        raise ConfigError(
            f"An index of kind '{options.kind}' was asked for; the scores of "
            f"'{run.spec.name}' are no inner products, so only exact search finds its best.",
            "Leave the kind out, or give 'exact'.",
        )
    width = 0 if inner is None else inner.keys.shape[1]
    choice = choose(options, ranker.n_items, width, keyed=inner is not None)
    _log.info("index: %s, as %s", choice.kind, choice.reason)
    if choice.kind == "exact" or inner is None:
        built = _exact(ranker, choice, inner)
    else:
        faiss = FaissOptions(kind=choice.kind)
        backend = FaissBackend.build(inner.keys, faiss)
        queries = ranker.encode(example_histories(run).to(ranker.device))
        backend, recall = searched_long_enough(
            inner, backend, ExactIndex(ranker), queries, options.recall
        )
        record = IndexRecord(
            kind=choice.kind,
            reason=choice.reason,
            n_items=ranker.n_items,
            width=width,
            recall=dict(recall),
            queries=len(queries),
            seconds=time.perf_counter() - start,
            bytes=bytes_of(backend.options, ranker.n_items, width),
            keys=digest(inner.keys),
            faiss=backend.options,
        )
        built = BuiltIndex(ApproximateIndex(inner, backend), record, backend)
        if folder is not None:
            size = write_structure(folder, backend)
            record = record.model_copy(update={"bytes": size})
            built = BuiltIndex(built.index, record, backend)
    if folder is not None:
        write_record(folder, built.record)
    return built


def load_index(run: Run, folder: Path | None = None) -> BuiltIndex:
    """Returns the index that is stored with a run.

    Args:
        run: Whose items are searched.
        folder: Where it is stored; default: in the run's folder.

    Raises:
        ArtifactError: There is none, it is damaged, or it was built of other vectors.
    """
    folder = _folder_of(run) if folder is None else folder
    stored, ranker = read_index(folder), run.ranker()
    if stored.backend is None:
        return BuiltIndex(ExactIndex(ranker), stored.record)
    inner = inner_product(ranker)
    if inner is None or digest(inner.keys) != stored.record.keys:
        raise ArtifactError(
            f"The index in '{folder}' was built of other vectors than the run has now.",
            "Build it again with: vlmrec index RUN",
        )
    return BuiltIndex(ApproximateIndex(inner, stored.backend), stored.record, stored.backend)


def index_of(run: Run) -> BuiltIndex:
    """Returns the stored index of a run if it fits, else one that is built now."""
    if run.folder is not None and is_stored(run.folder / FOLDER):
        try:
            return load_index(run)
        except ArtifactError as error:
            _log.warning("the index is built anew: %s", error)
    return build_index(run)


def inner_product(ranker: Ranker) -> InnerProduct | None:
    """Returns keys and queries of a ranker, None where scores are more than their product."""
    return ranker.inner_product() if isinstance(ranker, KeyedRanker) else None


def example_histories(run: Run) -> Tensor:
    """Returns ``[H, T] int64`` histories to search with, made of items as often as they occur.

    A run has no log with it, so these are no real people; their items are real.
    """
    rng = Streams(0).numpy("histories to search with")
    weights = run.items["n_train"].to_numpy().astype(np.float64) + 1e-9
    longest = min(_LONGEST, run.ranker().max_len)
    items = rng.choice(len(weights), size=(_QUERIES, longest), p=weights / weights.sum()) + 1
    lengths = rng.integers(1, longest + 1, size=(_QUERIES, 1))
    return torch.as_tensor(np.where(np.arange(longest) < lengths, items, 0))


def _exact(ranker: Ranker, choice: Choice, inner: InnerProduct | None) -> BuiltIndex:
    record = IndexRecord(
        kind="exact",
        reason=choice.reason,
        n_items=ranker.n_items,
        width=0 if inner is None else inner.keys.shape[1],
        recall={10: 1.0},
        queries=0,
        seconds=0.0,
        bytes=0,
        keys="",
    )
    return BuiltIndex(ExactIndex(ranker), record)


def _folder_of(run: Run) -> Path:
    if run.folder is None:
        raise ArtifactError("The run is not stored, so there is no index with it.")
    return run.folder / FOLDER
