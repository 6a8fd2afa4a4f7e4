"""Time and memory of loading a large log: as a raw Parquet folder and as a prepared one.

    python -m benchmarks.loading [--quick]

The log is generated: events in order of time, as a shop would write them, with ids of the kind
that shops have and popular items that make up most of the events. Each load runs in a fresh
process; its memory is the peak above what was resident once everything was imported.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.memory import peak_mib, reset_peak, resident_mib
from benchmarks.report import format_table, options_parser, result_path, write_result

GOAL = 3.0
COLUMNS = ("folder", "events", "parquet_mib", "seconds", "added_mib", "ratio", "goal")


@dataclass(frozen=True)
class LogSize:
    """How large the generated log is."""

    events: int
    users: int
    items: int


def generate(folder: Path, size: LogSize, writer: str) -> None:
    """Writes a raw dataset folder: interactions.parquet and items.parquet.

    Args:
        folder: Where to.
        size: Of the log.
        writer: "polars" (zstd) or "pyarrow" (snappy); the two differ in file size.
    """
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))

    def names(prefix: str, count: int, width: int) -> pl.Series:
        drawn = rng.choice(letters, size=(count * 2, width))
        unique = dict.fromkeys(prefix + "".join(row) for row in drawn)
        return pl.Series(list(unique)[:count], dtype=pl.String)

    user_names, item_names = names("A", size.users, 13), names("B0", size.items, 8)
    users = rng.permutation(size.users)[_skewed(rng, size.events, size.users, 0.6)]
    items = rng.permutation(size.items)[_skewed(rng, size.events, size.items, 0.8)]
    gaps = rng.exponential(5 * 365 * 86_400 / size.events, size.events)
    log = pl.DataFrame(
        {
            "user_id": user_names.gather(users),
            "item_id": item_names.gather(items),
            "timestamp": 1_500_000_000 + np.cumsum(gaps).astype(np.int64),
        }
    )
    catalog = pl.DataFrame(
        {"item_id": item_names, "title": [f"Product number {i}" for i in range(size.items)]}
    )
    folder.mkdir(parents=True)
    path = folder / "interactions.parquet"
    if writer == "polars":
        log.write_parquet(path)
    else:
        import pyarrow.parquet as pq

        pq.write_table(log.to_arrow(), path)
    catalog.write_parquet(folder / "items.parquet")


def _skewed(rng: Any, n: int, limit: int, power: float) -> Any:
    """Returns n numbers below `limit`, number r about proportional to (r + 1) ** -power."""
    import numpy as np

    return np.minimum((rng.random(n) ** (1 / (1 - power)) * limit).astype(np.int64), limit - 1)


def prepare(raw: Path, prepared: Path) -> dict[str, Any]:
    """Makes a prepared folder of a raw one; returns seconds and peak memory of doing so."""
    from vlmrec.data.dataset import Dataset

    _load_a_little()
    before = resident_mib()
    reset_peak()
    dataset = Dataset.load(raw)
    start = time.perf_counter()
    dataset.save(prepared)
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "added_mib": round(peak_mib() - before, 1),
    }


def load(folder: Path) -> dict[str, Any]:
    """Loads a folder in this process; returns seconds, peak memory and counts."""
    from vlmrec.data.dataset import Dataset

    _load_a_little()
    before = resident_mib()
    reset_peak()
    start = time.perf_counter()
    dataset = Dataset.load(folder)
    seconds = time.perf_counter() - start
    return {
        "seconds": round(seconds, 2),
        "baseline_mib": round(before, 1),
        "added_mib": round(peak_mib() - before, 1),
        "kept_mib": round(resident_mib() - before, 1),
        "events": dataset.sequences.n_events,
        "users": dataset.n_users,
        "items": dataset.n_items,
    }


def _load_a_little() -> None:
    """Loads three events, so that libraries which import at first use are in the baseline."""
    import polars as pl

    from vlmrec.data.dataset import Dataset

    with tempfile.TemporaryDirectory() as name:
        log = pl.DataFrame({"user_id": ["a"] * 3, "item_id": ["x", "y", "x"]})
        log = log.with_columns(timestamp=pl.Series([1, 2, 3]))
        log.write_parquet(Path(name) / "interactions.parquet")
        Dataset.load(name)


def measure(folder: Path, repeats: int) -> dict[str, Any]:
    """Returns the measurement of a folder: best seconds, highest memory of `repeats` loads."""
    found = [_in_a_process("--load", folder) for _ in range(repeats)]
    seconds = min(one["seconds"] for one in found)
    return {**max(found, key=lambda one: one["added_mib"]), "seconds": seconds}


def _in_a_process(*words: str | Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.loading", *map(str, words)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(answer.stdout) if answer.stdout else {}


def run(size: LogSize, writer: str, repeats: int, folder: Path) -> list[dict[str, Any]]:
    """Returns the rows of one log: raw, prepared, and the preparation itself."""
    raw, prepared = folder / f"raw-{writer}", folder / f"prepared-{writer}"
    counts = [str(n) for n in (size.events, size.users, size.items)]
    _in_a_process("--generate", raw, *counts, writer)
    file_mib = (raw / "interactions.parquet").stat().st_size / 2**20
    preparation = _in_a_process("--prepare", raw, prepared)
    found = {
        "raw": measure(raw, repeats),
        "prepared": measure(prepared, repeats),
        "saving (no goal)": preparation,
    }
    return [
        {
            "folder": f"{name}, {writer}",
            "events": size.events,
            "parquet_mib": round(file_mib, 1),
            **one,
            "ratio": round(one["added_mib"] / file_mib, 2),
            "goal": None if "no goal" in name else f"<= {GOAL:g}",
        }
        for name, one in found.items()
    ]


def main() -> None:
    """Generates logs, measures, prints a table, writes the result."""
    parser = options_parser("loading", __doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--generate", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.generate:
        path, *counts, writer = options.generate
        generate(Path(path), LogSize(*map(int, counts)), writer)
    elif options.prepare:
        print(json.dumps(prepare(*options.prepare)))
    elif options.load:
        print(json.dumps(load(options.load)))
    else:
        size = LogSize(options.events, options.users, options.items)
        _compare(LogSize(200_000, 10_000, 5_000) if options.quick else size, options)


def _compare(size: LogSize, options: argparse.Namespace) -> None:
    machine = describe_machine()
    rows: list[dict[str, Any]] = []
    for writer in ("polars", "pyarrow"):
        with tempfile.TemporaryDirectory() as folder:
            rows += run(size, writer, 1 if options.quick else options.repeats, Path(folder))
    print(format_table(rows, COLUMNS))
    print("ratio: peak memory above the imports, over the size of interactions.parquet")
    write_result(result_path("loading", options), {"machine": machine, "rows": rows})


if __name__ == "__main__":
    main()
