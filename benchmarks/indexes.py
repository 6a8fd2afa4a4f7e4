"""Time, memory and recall of search as the catalogue grows.

    python -m benchmarks.indexes [--quick] [--sizes N ...] [--kinds KIND ...] [--width W]
    python -m benchmarks.indexes --sizes 20000 --width 64 --url http://127.0.0.1:19530

Keys are drawn in groups and differ in length, as learned ones do; queries lie near the groups.
Each kind and size runs in a process of its own, because peak memory never falls within one.
`milvus` is a vector database at `--url`; what it takes on its side is not measured.
`seconds_product_floor` of a search is one matrix product of queries and keys.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.report import format_table, options_parser, result_path, write_result

SIZES = (10_000, 100_000, 1_000_000)
KINDS = ("exact", "flat", "ivf-pq", "hnsw", "milvus")
WIDTH, QUERIES, BATCH = 256, 512, 64
COLUMNS = (
    "items", "kind", "build_s", "index_mib", "peak_mib", "recall_10", "recall_100",
    "alone_ms", "batched_ms", "product_ms",
)  # fmt: skip


def measure(kind: str, n_items: int, width: int, url: str | None) -> dict[str, Any]:
    """Returns the row of one kind and size, measured in this process."""
    import torch

    from vlmrec.core.inner_product import InnerProduct, as_they_are
    from vlmrec.index.approximate import ApproximateIndex
    from vlmrec.index.exact import ExactIndex
    from vlmrec.index.recall import recall_of, searched_long_enough
    from vlmrec.index.search import Index
    from vlmrec.testing.indexes import VectorTable, grouped_keys

    keys = grouped_keys(n_items, width, groups=max(50, n_items // 200))
    drawn = torch.Generator().manual_seed(1)
    near = torch.randint(1, n_items + 1, (QUERIES,), generator=drawn)
    queries = keys[near] + torch.randn(QUERIES, width, generator=drawn)
    table, inner = VectorTable(keys), InnerProduct(keys, as_they_are)
    oracle, start = ExactIndex(table), time.perf_counter()
    index: Index = oracle
    row: dict[str, Any] = {"items": n_items, "kind": kind, "build_s": 0.0, "index_mib": 0.0}
    if kind == "exact":
        recall = {10: 1.0, 100: 1.0}
    else:
        backend, size = _built(kind, keys, url)
        row["build_s"] = round(time.perf_counter() - start, 1)
        row["index_mib"] = round(size / 2**20, 1)
        backend, _ = searched_long_enough(inner, backend, oracle, queries[:256], 0.95)
        index, row["searched"] = ApproximateIndex(inner, backend), backend.options.model_dump()
        recall = recall_of(index, oracle, queries[256:])
    row |= {f"recall_{k}": round(share, 3) for k, share in recall.items()}
    row["alone_ms"] = 1000 * _seconds(lambda i: index.search(queries[i : i + 1], 10), 64, 1)
    row["batched_ms"] = 1000 * _seconds(
        lambda i: index.search(queries[i : i + BATCH], 10), QUERIES, BATCH
    )
    row["product_ms"] = 1000 * _seconds(
        lambda i: (queries[i : i + BATCH] @ keys.T).topk(10), QUERIES, BATCH
    )
    row["peak_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 0)
    return row


def _built(kind: str, keys: Any, url: str | None) -> tuple[Any, int]:
    """Returns a backend over ``keys [I + 1, W]`` and the bytes it takes in this process."""
    from vlmrec.index.choosing import bytes_of
    from vlmrec.index.faiss_backends import FaissBackend, FaissOptions
    from vlmrec.index.milvus_backend import MilvusBackend, MilvusOptions
    from vlmrec.index.stored import digest

    if kind == "milvus":
        place = {"url": url, "collection": f"benchmark_{digest(keys)[:32]}"}
        return MilvusBackend.build(keys, MilvusOptions.parse(place, "the index")), 0
    faiss = FaissBackend.build(keys, FaissOptions.parse({"kind": kind}, "the index"))
    return faiss, bytes_of(faiss.options, len(keys) - 1, keys.shape[1])


def _seconds(search: Any, n: int, step: int) -> float:
    """Returns the seconds a query of n queries, `step` at a time; the median of the calls."""
    search(0)
    times: list[float] = []
    for first in range(0, n, step):
        start = time.perf_counter()
        search(first)
        times.append((time.perf_counter() - start) / step)
    return sorted(times)[len(times) // 2]


def _in_process(kind: str, n_items: int, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.indexes", "--only", kind, str(n_items)]
    command += ["--width", str(options.width)]
    command += [] if options.url is None else ["--url", options.url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    """Measures, prints a table, writes the result."""
    parser = options_parser("indexes", __doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--url", help="of a Milvus server; adds its row")
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        kind, n_items = options.only
        print(json.dumps(measure(kind, int(n_items), options.width, options.url)))
        return
    kinds = options.kinds or [one for one in KINDS if one != "milvus" or options.url]
    machine, rows = describe_machine(), []
    for n_items in (2_000,) if options.quick else options.sizes:
        for kind in kinds:
            rows.append(_in_process(kind, n_items, options))
            print(format_table(rows[-1:], COLUMNS), flush=True)
    print(format_table(rows, COLUMNS))
    write_result(result_path("indexes", options), {"machine": machine, "rows": rows})


if __name__ == "__main__":
    main()
