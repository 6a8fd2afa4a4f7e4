"""Which index suits a catalogue: by its size and the memory there is, with the reason said."""

from importlib.util import find_spec
from typing import Literal

from pydantic import Field

from vlmrec.core.config import StrictConfig
from vlmrec.core.memory import format_bytes, machine_memory
from vlmrec.index.faiss_backends import FaissOptions

IndexKind = Literal["exact", "flat", "ivf-pq", "hnsw", "milvus"]

_SCANNED_NUMBERS = 1 << 23
"""Keys of so many numbers (32 MiB) are compared with a query in two milliseconds or so."""
_SHARE_OF_MEMORY = 0.25


class IndexOptions(StrictConfig):
    """Which index is wanted."""

    kind: Literal["auto", "exact", "flat", "ivf-pq", "hnsw", "milvus"] = "auto"
    """"auto" chooses by catalogue size and memory; "milvus" is a vector database at a URL."""
    url: str | None = None
    """milvus: address of the server."""
    collection: str = Field(default="vlmrec", pattern=r"^[A-Za-z_]\w*$", max_length=200)
    """milvus: how the name of the collection begins; it ends with a hash of what it holds."""
    memory: int | None = Field(default=None, ge=1)
    """Bytes the index may take; default: a quarter of the machine's memory."""
    recall: float = Field(default=0.95, gt=0, le=1)
    """Share of the true 10 best that an approximate index is to find; it searches longer until
    it does."""


class Choice(StrictConfig):
    """A kind of index and why it was chosen."""

    kind: IndexKind
    reason: str


def choose(options: IndexOptions, n_items: int, width: int, *, keyed: bool = True) -> Choice:
    """Returns the kind of index for a catalogue.

    Args:
        options: What the user wants.
        n_items: Number of items I.
        width: Numbers W of a key.
        keyed: Whether scores are inner products of queries and keys.
    """
    if not keyed:
        reason = "the scores of this model are no inner products, so every item is scored"
        return Choice(kind="exact", reason=reason)
    if options.kind != "auto":
        return Choice(kind=options.kind, reason="asked for")
    size = f"{n_items:,} items of {width} numbers"
    if find_spec("faiss") is None:
        reason = f"{size} are scanned: FAISS is not installed (pip install 'vlmrec[index]')"
        return Choice(kind="exact", reason=reason)
    if n_items * width <= _SCANNED_NUMBERS:
        return Choice(kind="flat", reason=f"{size} are few enough to compare with every one")
    budget = options.memory or int(_SHARE_OF_MEMORY * (machine_memory() or 1 << 33))
    needed = bytes_of(FaissOptions(kind="hnsw"), n_items, width)
    if needed <= budget:
        reason = f"{size}: a graph of {format_bytes(needed)} fits {format_bytes(budget)}"
        return Choice(kind="hnsw", reason=reason)
    reason = f"{size}: a graph of {format_bytes(needed)} does not fit {format_bytes(budget)}"
    return Choice(kind="ivf-pq", reason=reason)


def bytes_of(options: FaissOptions, n_items: int, width: int) -> int:
    """Returns about how many bytes a structure of FAISS takes."""
    table = 4 * n_items * width
    if options.kind == "flat":
        return table
    if options.kind == "hnsw":
        return table + n_items * 4 * (2 * options.neighbours + 2)
    code = options.code_bytes or -(-width // 4)
    return n_items * (code + 8) + 4 * width * int(4 * n_items**0.5)
