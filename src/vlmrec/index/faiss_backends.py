"""Search structures of FAISS: a flat table, cells with compressed vectors, a graph.

- flat compares a query with every key;
- IVF-PQ (inverted file with product quantisation; Jégou, Douze and Schmid, TPAMI 2011) looks
  into the cells nearest to a query and holds a few bytes an item;
- HNSW (hierarchical navigable small world; Malkov and Yashunin, TPAMI 2020) walks a graph of
  neighbours towards the query: the fastest, and the largest.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import ArtifactError, MissingExtraError

if TYPE_CHECKING:
    import faiss

FaissKind = Literal["flat", "ivf-pq", "hnsw"]
_TRAINED_ON, _ROUNDS = 64, 10
"""Keys a cell that cells and code books are made from, and rounds; more change little."""


class FaissOptions(StrictConfig):
    """How a structure is built and searched."""

    kind: FaissKind = "flat"
    """"flat" compares with every key, "ivf-pq" looks into cells, "hnsw" walks a graph."""
    neighbours: int = Field(default=32, ge=2)
    """hnsw: edges an item has in the graph; twice as many on its lowest level."""
    built_with: int = Field(default=128, ge=1)
    """hnsw: candidates that are looked at when an item is added."""
    searched_with: int = Field(default=128, ge=1)
    """hnsw: candidates a search keeps; more find more and take longer."""
    cells: int = Field(default=0, ge=0)
    """ivf-pq: number of cells; 0 takes four times the root of the number of items."""
    probed: int = Field(default=32, ge=1)
    """ivf-pq: cells that a search looks into."""
    spare: float = Field(default=2.0, ge=1)
    """Proposed items, as a multiple of those wanted: codes and graphs get the order of the last
    places wrong, exact scores put it right."""
    code_bytes: int = Field(default=0, ge=0)
    """ivf-pq: bytes an item is held in; 0 takes one for each four numbers of a key."""


class FaissBackend:
    """A structure of FAISS over keys; satisfies `vlmrec.index.approximate.Backend`.

    Args:
        options: How it was built.
        built: The structure; its row r is the internal id r + 1.
    """

    def __init__(self, options: FaissOptions, built: "faiss.Index") -> None:
        self.options = options
        self._built = built

    @property
    def width(self) -> int:
        """Numbers W of a key."""
        return self._built.d

    @property
    def spare(self) -> float:
        """How many items are to be asked for, as a multiple of those wanted."""
        return self.options.spare

    @classmethod
    def build(cls, keys: Tensor, options: FaissOptions) -> "FaissBackend":
        """Returns a structure over ``keys [I + 1, W]``, without the padding.

        Raises:
            MissingExtraError: FAISS is not installed.
        """
        rows = np.ascontiguousarray(keys[1:].detach().cpu().numpy(), dtype=np.float32)
        built = _structure(options, *rows.shape)
        if not built.is_trained:
            built.train(rows)
        built.add(rows)
        return cls(options, built)

    def propose(self, queries: Tensor, n: int, allowed: Tensor | None) -> Tensor:
        """Returns ``[B, n] int64`` internal ids, see `vlmrec.index.approximate.Backend`."""
        rows = np.ascontiguousarray(queries.detach().cpu().numpy(), dtype=np.float32)
        n = min(n, self._built.ntotal)
        _, found = self._built.search(rows, n, params=self._parameters(n, allowed))
        return torch.from_numpy(found) + 1  # nothing found is -1, and becomes padding

    def longer(self, times: int) -> "FaissBackend":
        """Returns the same structure, searched so many times as long."""
        options = self.options
        more = {
            "searched_with": options.searched_with * times,
            "probed": options.probed * times,
            "spare": options.spare * times,
        }
        return FaissBackend(options.model_copy(update=more), self._built)

    def write(self, path: Path) -> None:
        """Writes the structure."""
        _faiss().write_index(self._built, str(path))

    @classmethod
    def read(cls, path: Path, options: FaissOptions) -> "FaissBackend":
        """Returns what was written.

        Raises:
            ArtifactError: It cannot be read.
        """
        try:
            return cls(options, _faiss().read_index(str(path)))
        except RuntimeError as error:
            raise ArtifactError(
                f"'{path}' is no index that FAISS can read: {str(error).splitlines()[0]}",
                "Build it again with: vlmrec index RUN",
            ) from error

    def _parameters(self, n: int, allowed: Tensor | None) -> Any:
        faiss, options = _faiss(), self.options
        selector = None
        if allowed is not None:
            bits = np.packbits(allowed[1 : self._built.ntotal + 1].numpy(), bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
        given = {} if selector is None else {"sel": selector}
        if options.kind == "hnsw":
            return faiss.SearchParametersHNSW(efSearch=max(options.searched_with, n), **given)
        if options.kind == "ivf-pq":
            return faiss.SearchParametersIVF(nprobe=options.probed, **given)
        return faiss.SearchParameters(**given)


def _structure(options: FaissOptions, n_items: int, width: int) -> "faiss.Index":
    faiss = _faiss()
    if options.kind == "flat":
        return faiss.IndexFlatIP(width)
    if options.kind == "hnsw":
        graph = faiss.IndexHNSWFlat(width, options.neighbours, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = options.built_with
        return graph
    cells = options.cells or int(4 * n_items**0.5)
    cells = max(1, min(cells, n_items // 39))  # fewer keys a cell than 39 make FAISS warn
    code_bytes = _dividing(width, options.code_bytes or -(-width // 4))
    bits = 8 if n_items >= 39 * 256 else 4
    spec = f"IVF{cells},PQ{code_bytes}x{bits}"
    built = faiss.index_factory(width, spec, faiss.METRIC_INNER_PRODUCT)
    built.do_polysemous_training = False  # minutes, for a way of searching that is not used
    for clustering in (built.cp, built.pq.cp):
        clustering.max_points_per_centroid, clustering.niter = _TRAINED_ON, _ROUNDS
    return built


def _dividing(width: int, wanted: int) -> int:
    """Returns the number nearest to `wanted` that divides the width."""
    every = [one for one in range(1, width + 1) if width % one == 0]
    return min(every, key=lambda one: abs(one - wanted))


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("faiss-cpu", "index", "An approximate index") from error
    return faiss
