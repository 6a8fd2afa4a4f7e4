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
from vlmrec.index.approximate import ApproximateIndex, Backend
from vlmrec.index.choosing import Choice, IndexOptions, bytes_of, choose
from vlmrec.index.exact import ExactIndex
from vlmrec.index.faiss_backends import FaissBackend, FaissOptions
from vlmrec.index.milvus_backend import MilvusBackend, MilvusOptions
from vlmrec.index.milvus_server import named_address, require_address, token
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
from vlmrec.index.watched import WatchedBackend
from vlmrec.pipeline.run import Run

FOLDER = "index"
"""Where a run keeps its index."""
_QUERIES, _LONGEST = 256, 5
"""Histories that the recall is measured with, and how long they are at most."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class BuiltIndex:
    """An index ready to search, the record of it, and what proposes in it, if anything does."""

    index: Index
    record: IndexRecord
    backend: Backend | None = None

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
        MissingExtraError: FAISS or a vector database was asked for and is not installed.
        ConfigError: An approximate index was asked for and the model's scores are no inner
            products, or a vector database without a usable address.
        IndexServerError: The vector database does not answer.
        ArtifactError: It holds a collection under the name that is not ours.
    """
    options, ranker = options or IndexOptions(), run.ranker()
    _require_address(options)
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
        queries = ranker.encode(example_histories(run).to(ranker.device))
        built = _approximate(inner, ranker, choice, options, queries)
    if folder is not None:
        if isinstance(built.backend, FaissBackend):
            size = write_structure(folder, built.backend)
            record = built.record.model_copy(update={"bytes": size})
            built = BuiltIndex(built.index, record, built.backend)
        write_record(folder, built.record)
    return built


def _approximate(
    inner: InnerProduct,
    ranker: Ranker,
    choice: Choice,
    options: IndexOptions,
    queries: Tensor,
) -> BuiltIndex:
    """Returns an index that searches as long as the wanted recall needs."""
    start, oracle, keys = time.perf_counter(), ExactIndex(ranker), inner.keys
    faiss, milvus, size = None, None, 0
    if choice.kind == "milvus":
        place = _milvus_options(options, keys)
        built = MilvusBackend.build(keys, place, token())
        longer, recall = searched_long_enough(inner, built, oracle, queries, options.recall)
        backend, milvus = WatchedBackend(longer), longer.options
    else:
        built = FaissBackend.build(keys, FaissOptions.parse({"kind": choice.kind}, "the index"))
        backend, recall = searched_long_enough(inner, built, oracle, queries, options.recall)
        faiss, size = backend.options, bytes_of(backend.options, ranker.n_items, keys.shape[1])
    record = IndexRecord(
        kind=choice.kind,
        reason=choice.reason,
        n_items=ranker.n_items,
        width=keys.shape[1],
        recall=dict(recall),
        queries=len(queries),
        seconds=time.perf_counter() - start,
        bytes=size,
        keys=digest(keys),
        faiss=faiss,
        milvus=milvus,
    )
    return BuiltIndex(ApproximateIndex(inner, backend), record, backend)


def load_index(run: Run, folder: Path | None = None) -> BuiltIndex:
    """Returns the index that is stored with a run.

    A vector database need not answer now: until it does, every item is scored.

    Args:
        run: Whose items are searched.
        folder: Where it is stored; default: in the run's folder.

    Raises:
        ArtifactError: There is none, it is damaged, or it was built of other vectors.
        MissingExtraError: What it is searched with is not installed.
        ConfigError: The environment names an address that is none.
    """
    folder = _folder_of(run) if folder is None else folder
    stored, ranker = read_index(folder), run.ranker()
    if stored.record.kind == "exact":
        return BuiltIndex(ExactIndex(ranker), stored.record)
    inner = inner_product(ranker)
    if inner is None or digest(inner.keys) != stored.record.keys:
        raise ArtifactError(
            f"The index in '{folder}' was built of other vectors than the run has now.",
            "Build it again with: vlmrec index RUN",
        )
    backend = stored.backend or _distant(stored.record, inner.keys)
    return BuiltIndex(ApproximateIndex(inner, backend), stored.record, backend)


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


def _require_address(options: IndexOptions) -> None:
    if options.kind == "milvus":
        if options.url is None:
            raise ConfigError(
                "An index of kind 'milvus' was asked for without the address of its server.",
                "Give it with --url http://HOST:19530",
            )
        require_address(options.url)
    elif options.url is not None:
        raise ConfigError(
            f"The address '{options.url}' was given for an index of kind '{options.kind}', which "
            "needs no server.",
            "Give --kind milvus, or leave --url out.",
        )


def _milvus_options(options: IndexOptions, keys: Tensor) -> MilvusOptions:
    # The name is bound to the keys, so that a collection of others is never searched.
    name = f"{options.collection}_{digest(keys)[:32]}"
    return MilvusOptions.parse({"url": options.url, "collection": name}, "the index")


def _distant(record: IndexRecord, keys: Tensor) -> WatchedBackend:
    """Returns the collection that a record names, searched where it can be reached.

    The token is for an address that its owner named; a run folder may come from anybody.
    """
    if record.milvus is None:
        raise ArtifactError(
            f"The record of the index says '{record.kind}' and not where it is.",
            "Build it again with: vlmrec index RUN",
        )
    named = named_address()
    url = require_address(record.milvus.url) if named is None else named
    place = record.milvus.model_copy(update={"url": url})
    backend = WatchedBackend(MilvusBackend(place, keys, "" if named is None else token()))
    backend.look()
    return backend


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
