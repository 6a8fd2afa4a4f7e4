"""Time and peak memory of full ranking as the catalogue grows.

    python -m benchmarks.evaluation

Each size runs in a process of its own, because peak memory never falls within one. The ranker
is a table of random vectors: what is measured is scoring, ranking and listing, not a model.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine

SIZES = (1_000, 10_000, 100_000, 300_000)
SECONDS = ("seconds_ranks", "seconds_evaluation", "seconds_product_floor")
RESULT = Path(__file__).parent / "results" / "evaluation.json"


def measure(n_items: int, n_users: int, dim: int, repeats: int) -> dict[str, Any]:
    """Returns seconds (best of `repeats`) and peak memory of ranking all users' targets."""
    import numpy as np
    import torch

    from vlmrec.data.sequences import Sequences
    from vlmrec.data.splits import Cases
    from vlmrec.evaluation.evaluator import evaluate_ranker
    from vlmrec.evaluation.ranking import rank_targets

    class RandomVectors:
        """Mean of the history's vectors against all vectors."""

        max_len = 50
        device = torch.device("cpu")

        def __init__(self) -> None:
            generator = torch.Generator().manual_seed(0)
            self.vectors = torch.randn((n_items + 1, dim), generator=generator)
            self.n_items = n_items

        def encode(self, histories: torch.Tensor) -> torch.Tensor:
            return self.vectors[histories].mean(dim=1)

        def score(self, queries: torch.Tensor, start: int, stop: int) -> torch.Tensor:
            return queries @ self.vectors[start:stop].T

    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 51, n_users)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    items = rng.integers(1, n_items + 1, offsets[-1]).astype(np.int32)
    sequences = Sequences(items, offsets, np.zeros(len(items), dtype=np.int64))
    cases = Cases(sequences.whole(), rng.integers(1, n_items + 1, n_users))
    ranker = RandomVectors()
    rank_targets(ranker, cases.subset(np.arange(8)))  # first calls set libraries up
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rank_seconds = min(_seconds(lambda: rank_targets(ranker, cases)) for _ in range(repeats))
    seconds = min(_seconds(lambda: evaluate_ranker(ranker, cases)) for _ in range(repeats))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    floor = min(_seconds(lambda: ranker.vectors[:1024] @ ranker.vectors[:1024].T) for _ in range(9))
    gemm = 2 * 1024**2 * dim / floor  # operations a second that this machine reaches
    return {
        "n_items": n_items,
        "n_users": n_users,
        "dim": dim,
        "seconds_ranks": round(rank_seconds, 3),
        "seconds_evaluation": round(seconds, 3),
        "seconds_product_floor": round(2 * n_items * n_users * dim / gemm, 3),
        "peak_mib": round(peak, 1),
        "added_mib": round(peak - before, 1),
    }


def _seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measures every size in a fresh process, prints a table, writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(options.one, options.users, options.dim, options.repeats)))
        return
    machine = describe_machine()
    rows: list[dict[str, Any]] = []
    print(f"{'items':>9} {'ranks s':>9} {'all s':>9} {'product s':>9} {'peak MiB':>9} {'added':>9}")
    for size in options.sizes:
        command = [sys.executable, "-m", "benchmarks.evaluation", "--one", str(size)]
        command += ["--users", str(options.users), "--dim", str(options.dim)]
        command += ["--repeats", str(options.repeats)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        row = json.loads(answer.stdout)
        rows.append(row)
        seconds = (f"{row[name]:>9.2f}" for name in SECONDS)
        memory = (f"{row[name]:>9.0f}" for name in ("peak_mib", "added_mib"))
        print(f"{size:>9,}", *seconds, *memory, flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine, "rows": rows}, indent=2)
    options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
