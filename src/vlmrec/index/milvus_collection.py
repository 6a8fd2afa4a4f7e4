"""The keys of a run in a collection of Milvus: filled up, compared with what they should be.

What was stored before is never believed: it is read back, and what is missing or different is
sent again. So it does no harm to be interrupted, to be started twice, or to share a collection.
"""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vlmrec.core.errors import ArtifactError
from vlmrec.index.milvus_server import require_client

ITEM, KEY = "id", "key"
"""Fields: the internal id, from 1, and the vector. Servers call the first "id" in any answer."""
_BATCH_ROWS, _BATCH_BYTES = 5000, 8 << 20
_SECONDS, _INDEX_SECONDS = 60.0, 3600.0
"""Patience for one batch, and for building the graph of all of them."""
_COMPARED = 64
"""Rows that are compared before a collection is searched."""

_log = logging.getLogger(__name__)


def fill(client: Any, name: str, keys: Tensor, graph: dict[str, int]) -> int:
    """Makes a collection hold exactly the keys, ready to be searched; returns the rows sent.

    Args:
        client: Of `vlmrec.index.milvus_server.connected`.
        name: Of the collection; no other keys may bear it.
        keys: ``[I + 1, W]``; row 0 is padding and is not stored.
        graph: ``M`` and ``efConstruction`` of HNSW.

    Raises:
        ArtifactError: There is a collection of another kind under the name, or one with rows
            that are not ours.
        MilvusException: The server fails.
    """
    rows = np.ascontiguousarray(keys.detach().cpu().numpy(), dtype=np.float32)
    there = client.has_collection(name, timeout=_SECONDS)
    if there:
        _require_width(client, name, rows.shape[1])
        _prepare(client, name, graph)
    else:
        _create(client, name, rows.shape[1])
    sent = 0
    size = max(1, min(_BATCH_ROWS, _BATCH_BYTES // (4 * rows.shape[1] + 64)))
    for first in range(1, len(rows), size):
        items = np.arange(first, min(first + size, len(rows)))
        if there:
            items = _differing(client, name, rows, items)
        if len(items):
            given = [{ITEM: int(item), KEY: rows[item]} for item in items]
            # Not inserted: a batch that is sent twice would be there twice.
            client.upsert(name, given, timeout=_SECONDS)
            sent += len(items)
    if sent:
        client.flush(name, timeout=_INDEX_SECONDS)
    _prepare(client, name, graph)
    _log.info("collection '%s': %s of %s items were sent", name, f"{sent:,}", f"{len(rows) - 1:,}")
    require_ready(client, name, keys)
    return sent


def require_ready(client: Any, name: str, keys: Tensor) -> None:
    """Loads a collection and compares it with the keys: its size, and some rows of it.

    Args:
        client: Of `vlmrec.index.milvus_server.connected`.
        name: Of the collection.
        keys: ``[I + 1, W]``.

    Raises:
        ArtifactError: It is missing, or holds something else.
        MilvusException: The server fails.
    """
    n_items = len(keys) - 1
    if not client.has_collection(name, timeout=_SECONDS):
        raise ArtifactError(
            f"The vector database holds no collection '{name}'.",
            "Fill it with: vlmrec index RUN --kind milvus",
        )
    _require_width(client, name, keys.shape[1])
    client.load_collection(name, timeout=_SECONDS)
    counted = client.query(
        name,
        filter="",
        output_fields=["count(*)"],
        consistency_level="Strong",
        timeout=_SECONDS,
    )
    held = int(counted[0]["count(*)"])
    if held != n_items:
        more = "Drop it on the server, or give another --collection." if held > n_items else ""
        raise ArtifactError(
            f"The collection '{name}' holds {held:,} rows; expected {n_items:,}, one an item.",
            more or "Complete it with: vlmrec index RUN --kind milvus",
        )
    some = np.unique(np.linspace(1, n_items, min(n_items, _COMPARED)).astype(np.int64))
    rows = np.ascontiguousarray(keys.detach().cpu().numpy(), dtype=np.float32)
    if len(_differing(client, name, rows, some)):
        raise ArtifactError(
            f"The collection '{name}' holds other vectors than the run has now.",
            "Put it right with: vlmrec index RUN --kind milvus",
        )


def _create(client: Any, name: str, width: int) -> None:
    kinds = require_client().DataType
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(ITEM, kinds.INT64, is_primary=True)
    schema.add_field(KEY, kinds.FLOAT_VECTOR, dim=width)
    client.create_collection(name, schema=schema, timeout=_SECONDS)


def _prepare(client: Any, name: str, graph: dict[str, int]) -> None:
    """Builds the graph of what is stored, waits for it, and loads the collection."""
    wanted = client.prepare_index_params()
    wanted.add_index(KEY, index_type="HNSW", metric_type="IP", params=graph)
    if not client.list_indexes(name, field_name=KEY):
        client.create_index(name, wanted, timeout=_INDEX_SECONDS)
    client.load_collection(name, timeout=_INDEX_SECONDS)


def _require_width(client: Any, name: str, width: int) -> None:
    facts = client.describe_collection(name, timeout=_SECONDS)
    fields = {one["name"]: one for one in facts["fields"]}
    if set(fields) != {ITEM, KEY} or int(fields[KEY]["params"].get("dim", 0)) != width:
        raise ArtifactError(
            f"The collection '{name}' was not made for vectors of {width} numbers.",
            "Drop it on the server, or give another --collection.",
        )


def _differing(
    client: Any, name: str, rows: NDArray[np.float32], items: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Returns those of ``items [C]`` that the collection lacks or holds with other numbers."""
    found = client.get(
        name,
        ids=items.tolist(),
        output_fields=[ITEM, KEY],
        consistency_level="Strong",
        timeout=_SECONDS,
    )
    good = np.zeros(len(rows), dtype=bool)
    for one in found:
        item = int(one[ITEM])
        good[item] = np.array_equal(np.asarray(one[KEY], dtype=np.float32), rows[item])
    return items[~good[items]]
