"""Items put, changed and removed while a run is served: how long until they are in lists.

    python -m benchmarks.upserts [--quick] [--sizes N ...] [--work FOLDER]

A run of SASRec over words (MiniLM as packaged, item vectors of 256 numbers) is made without
training and served in this process, with a database, as `vlmrec serve` does. A row is one size:

- `start_s`: from the run folder to a service that answers; the index is there already.
- `first_s`: the first item that is put, with all that is found once for the items after it.
- `put_ms`: the middle of further items, one after the other.
- `together_ms`: of one item, where 64 wait at the same time.
- `after_ms`: as `put_ms`, once so many more (`added`) were put.
- `change_ms`, `remove_ms`: a title of an item that training knew; an item taken out.

After items were put, the last of them is looked for in the next list and must be there; after all
removals, the last that was taken out must not.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.machine import describe_machine
from benchmarks.report import format_table, options_parser, result_path, write_result
from benchmarks.serve_world import items_for_sale, name_of
from vlmrec.core.columns import ITEM_ID, TITLE
from vlmrec.core.random import Streams
from vlmrec.index.stored import is_stored
from vlmrec.items.content_tower import ContentTower, RawContent
from vlmrec.models.sasrec_content import SASRecContent
from vlmrec.models.spec import CatalogShape
from vlmrec.pipeline.adding import new_catalog
from vlmrec.pipeline.content import describe, gather_content
from vlmrec.pipeline.indexing import FOLDER, build_index
from vlmrec.pipeline.run import Run, vectors_of
from vlmrec.serve.asking import Ask
from vlmrec.serve.options import ServeOptions
from vlmrec.serve.running import make_service
from vlmrec.serve.service import Service
from vlmrec.serve.store.records import StoredItem

SIZES = (10_000, 100_000, 300_000)
DIM, GROUP, ONE_BY_ONE, TOGETHER, MORE = 256, 200, 9, 64, 2_000
COLUMNS = (
    "items", "start_s", "first_s", "put_ms", "together_ms", "added", "after_ms", "change_ms",
    "remove_ms",
)  # fmt: skip


def make_run(folder: Path, n_items: int) -> None:
    """Makes a run of items that are known by their words, and its index, if it is not there."""
    if is_stored(folder / FOLDER):
        return
    spec, streams = SASRecContent(image=None, dim=DIM), Streams(0)
    items = items_for_sale(n_items, streams)
    sample = new_catalog(items.select(ITEM_ID, TITLE).head(2), None)
    known = gather_content(
        spec.content(), sample, items[ITEM_ID].head(2).to_list(), cache=None, text_fields=[TITLE]
    )
    width, rng = known["text"].width, streams.numpy("words")
    shape = CatalogShape(n_items, widths={"text": width})
    model = spec.build(shape)
    model.initialise(streams, torch.device("cpu"))
    centres = rng.standard_normal((max(1, n_items // GROUP), width), dtype=np.float32)
    words = centres[np.arange(n_items + 1) % len(centres)]
    words += 0.7 * rng.standard_normal(words.shape, dtype=np.float32)
    content = RawContent(torch.from_numpy(words), torch.arange(n_items + 1) > 0)
    assert isinstance(model.items, ContentTower)
    model.items.load({"text": content}, torch.arange(1, n_items + 1))
    info = {
        "model": spec.name,
        "spec": spec.model_dump(mode="json"),
        "shape": {"n_items": n_items, "widths": {"text": width}, "n_users": 0},
        "text_fields": [TITLE],
        "content": describe(spec.content(), known),
    }
    Run(spec, model.eval(), vectors_of(model.eval().ranker()), items, info).save(folder)
    build_index(Run.load(folder), folder=folder / FOLDER)


def measure(folder: Path, n_items: int, work: Path) -> dict[str, Any]:
    """Returns the row of one size.

    Args:
        folder: A run as `make_run` makes it.
        n_items: Its size.
        work: Where the database goes.
    """
    start = time.perf_counter()
    service = make_service(folder, ServeOptions(database=f"sqlite:///{work / 'served.db'}"))
    row: dict[str, Any] = {"items": n_items, "start_s": time.perf_counter() - start}
    try:
        row["first_s"] = _timed(service, ["new-0"])
        row["put_ms"] = _each(service, [f"new-{k}" for k in range(1, ONE_BY_ONE + 1)])
        together = [f"together-{k}" for k in range(TOGETHER)]
        row["together_ms"] = 1000 * _timed(service, together) / TOGETHER
        row["added"] = min(MORE, n_items // 10)
        _timed(service, [f"more-{k}" for k in range(row["added"])])
        row["after_ms"] = _each(service, [f"late-{k}" for k in range(ONE_BY_ONE)])
        row["change_ms"] = _each(service, [name_of(k) for k in range(1, ONE_BY_ONE + 1)])
        gone = [f"new-{k}" for k in range(ONE_BY_ONE)]
        row["remove_ms"] = 1000 * median(_seconds(service.remove_item, name) for name in gone)
        _require(service, gone, there=False)
    finally:
        service.close()
    return row


def _each(service: Service, names: Sequence[str]) -> float:
    """Returns the middle milliseconds of items that are put one after the other."""
    return 1000 * median(_timed(service, [name]) for name in names)


def _timed(service: Service, names: Sequence[str]) -> float:
    """Returns the seconds until items that are put at the same time can be recommended."""
    items = [StoredItem(name, {TITLE: f"{name}, a thing that is new"}) for name in names]
    with ThreadPoolExecutor(min(TOGETHER, len(items))) as pool:
        start = time.perf_counter()
        list(pool.map(service.put_item, items))
        seconds = time.perf_counter() - start
    _require(service, names, there=True)
    return seconds


def _seconds(work: Callable[[str], object], name: str) -> float:
    start = time.perf_counter()
    work(name)
    return time.perf_counter() - start


def _require(service: Service, names: Sequence[str], *, there: bool) -> None:
    """Looks for the last of some items in a list of nothing else."""
    ask = Ask((name_of(1),), k=1, allow=(names[-1],), keep_seen=True)
    found = [one.item_id for one in service.recommend(ask).result().items]
    if (found == [names[-1]]) is not there:
        raise RuntimeError(f"'{names[-1]}' is {'not ' if there else ''}in the next list.")


def main() -> None:
    """Measures, prints the table, writes the result."""
    parser = options_parser("upserts", __doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--work", type=Path, help="keeps the runs for the next time")
    options = parser.parse_args()
    sizes = (500,) if options.quick else options.sizes
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="vlmrec-upserts-") as temporary:
        for n_items in sizes:
            folder = (options.work or Path(temporary)) / f"words-{n_items}"
            make_run(folder, n_items)
            with tempfile.TemporaryDirectory(dir=temporary) as work:
                rows.append(measure(folder, n_items, Path(work)))
            print(format_table(rows[-1:], COLUMNS), flush=True)
    write_result(result_path("upserts", options), {"machine": describe_machine(), "rows": rows})


if __name__ == "__main__":
    main()
