"""Time and memory of preparing raw files of the size of the largest dataset in the Molar paper.

    python -m benchmarks.preparing [--quick]

Amazon Reviews are generated in the form of the release of 2014, whose metadata is the slowest to
parse: gzipped reviews of 8.8 million events on 301 thousand items, and metadata of five times as
many, with texts as long as real ones. The command runs in a process of its own.
"""

import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.report import format_table, options_parser, result_path, write_result

GOAL_SECONDS, GOAL_MIB = 120.0, 6 * 1024.0
COLUMNS = ("source", "events", "items", "raw_mib", "seconds", "peak_mib", "goal")
_WORDS = (
    "the and it fits well nice soft color I bought this for my daughter's birthday quality is "
    "great but size runs small would buy again warm comfortable shoes dress price shipping fast"
).split()
_BLOCK = 50_000


@dataclass(frozen=True)
class Size:
    """How much is generated."""

    events: int = 8_800_000
    users: int = 1_200_000
    items: int = 301_000
    unreviewed: int = 1_200_000


def generate(folder: Path, size: Size) -> int:
    """Writes reviews and metadata; returns how many bytes they are unpacked."""
    reviews = _write(folder / "reviews_Generated.json.gz", _reviews(size))
    return reviews + _write(folder / "meta_Generated.json.gz", _metadata(size))


def _write(path: Path, blocks: Iterator[str]) -> int:
    total = 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        for block in blocks:
            data = block.encode()
            total += len(data)
            file.write(data)
    return total


def _passages(count: int, words: int) -> list[str]:
    import numpy as np

    rng = np.random.default_rng(1)
    drawn = rng.integers(len(_WORDS), size=(count, words))
    return [" ".join(_WORDS[k] for k in row) for row in drawn]


def _reviews(size: Size) -> Iterator[str]:
    import numpy as np

    rng = np.random.default_rng(0)
    texts = [json.dumps(text) for text in _passages(2_000, 60)]
    for start in range(0, size.events, _BLOCK):
        n = min(_BLOCK, size.events - start)
        users = (size.users * rng.random(n) ** 2).astype(np.int64)
        items = (size.items * rng.random(n) ** 2).astype(np.int64)
        days = rng.integers(12_000, 16_000, n)
        stars = rng.integers(1, 6, n)
        words = rng.integers(len(texts), size=n)
        yield "".join(
            f'{{"reviewerID": "A{user:013d}", "asin": "B{item:09d}", "reviewerName": "Name {user}",'
            f' "helpful": [0, 1], "reviewText": {texts[word]}, "overall": {star}.0, '
            f'"summary": "A short one", "unixReviewTime": {day * 86_400}, '
            '"reviewTime": "02 28, 2014"}\n'
            for user, item, day, star, word in zip(users, items, days, stars, words, strict=True)
        )


def _metadata(size: Size) -> Iterator[str]:
    texts = _passages(2_000, 80)
    total = size.items + size.unreviewed
    for start in range(0, total, _BLOCK):
        lines: list[str] = []
        for item in range(start, min(start + _BLOCK, total)):
            record: dict[str, Any] = {
                "asin": f"B{item:09d}",
                "related": {"also_bought": [f"B{(item * 7 + k) % total:09d}" for k in range(40)]},
                "title": f"Dress number {item} &amp; belt",
                "price": 19.99,
                "salesRank": {"Clothing": item},
                "imUrl": f"http://ecx.images-amazon.com/images/I/{item}.jpg",
                "brand": f"Brand {item % 5_000}",
                "categories": [["Clothing", "Women", "Dresses"], ["Clothing", "Sale"]],
                "description": texts[item % len(texts)],
            }
            lines.append(f"{record}\n")
        yield "".join(lines)


def measure(size: Size, folder: Path) -> dict[str, Any]:
    """Returns the row of one size."""
    raw_bytes = generate(folder, size)
    files = [str(folder / f"{name}_Generated.json.gz") for name in ("reviews", "meta")]
    command = [sys.executable, "-m", "vlmrec.cli.main", "prepare", "amazon", *files]
    start = time.perf_counter()
    subprocess.run([*command, "--out", str(folder / "out")], check=True)
    seconds = time.perf_counter() - start
    counts = json.loads((folder / "out" / "manifest.json").read_text(encoding="utf-8"))["counts"]
    return {
        "source": "Amazon 2014",
        "events": size.events,
        "items": size.items,
        "kept_events": counts["interactions"],
        "raw_mib": round(raw_bytes / 2**20),
        "seconds": round(seconds, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1),
        "goal": f"< {GOAL_SECONDS:g} s, < {GOAL_MIB:g} MiB",
    }


def main() -> None:
    """Generates, measures, prints a table, writes the result."""
    parser = options_parser("preparing", __doc__)
    options = parser.parse_args()
    machine = describe_machine()
    size = Size(20_000, 3_000, 1_000, 1_000) if options.quick else Size()
    with tempfile.TemporaryDirectory() as folder:
        row = measure(size, Path(folder))
    print(format_table([row], COLUMNS))
    write_result(result_path("preparing", options), {"machine": machine, "rows": [row]})


if __name__ == "__main__":
    main()
