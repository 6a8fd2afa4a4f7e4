"""SASRec training to the same validation NDCG@10, beside RecTools 0.19, on ml-100k-mm.

    python -m benchmarks.rectools [--quick] [--seeds 0 1 2] [--threads 2] [--resume]

Both sides get the same events, split, sizes, learning rate, batch size, number of threads and
rule of stopping, and run one after the other, each in a process of its own. Both validate after
every epoch; the clock stands still meanwhile. RecTools' vectors of every epoch are ranked by this
project's evaluation, so that there is one metric. The target is 95 % of the lower of the two best
validation values of a seed.

What stays different is what each library is: RecTools trains on the last `max_len` events of a
user, pads every batch to `max_len` on the left, has feed-forward layers as wide as `dim` and
draws its weights by its own rule; vlmrec trains on random windows, pads to the longest row of a
batch and has feed-forward layers of 4 x `dim`.

The data folder is that of the environment variable VLMREC_REALDATA (default ../shared/data).
RecTools gets an environment of its own, made where --venv says (default: below ~/.cache).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.machine import describe_machine
from benchmarks.rectools_venv import DEFAULT, RECTOOLS, rectools_python
from benchmarks.report import format_table, options_parser, result_path, write_result
from benchmarks.workers.vlmrec_sasrec import cases, ndcg
from vlmrec.data.dataset import Dataset
from vlmrec.data.sequences import Sequences
from vlmrec.data.splits import Cases, Split

ROOT = Path(__file__).resolve().parents[1]
GOAL = 0.5
TARGET_SHARE = 0.95
SETTINGS: dict[str, Any] = {
    "dim": 64,
    "n_layers": 2,
    "n_heads": 2,
    "max_len": 50,
    "dropout": 0.2,
    "learning_rate": 1e-3,
    "batch_size": 64,
    "epochs": 100,
    "patience": 6,
}
COLUMNS = ("side", "seed", "s_per_epoch", "epochs", "s_to_target", "best_valid", "test")
MORE_COLUMNS = (*COLUMNS, "added_mib", "prepare_s")


class StoredVectors:
    """A ranker of vectors that another library made; a history is just the number of a case.

    Args:
        queries: ``[n, D] float32`` one a case.
        vectors: ``[I + 1, D] float32`` in the order of internal ids.
        bias: ``[I + 1] float32`` added to each item's score.
    """

    max_len = 1
    device = torch.device("cpu")

    def __init__(self, queries: np.ndarray, vectors: np.ndarray, bias: np.ndarray) -> None:
        self._queries = torch.as_tensor(queries)
        self._vectors = torch.as_tensor(vectors)
        self._bias = torch.as_tensor(bias)
        self.n_items = len(vectors) - 1

    def encode(self, histories: torch.Tensor) -> torch.Tensor:
        """Returns ``[B, D]``: the stored queries of the cases that `histories` number from 1."""
        return self._queries[histories[:, 0] - 1]

    def score(self, queries: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Returns ``[B, stop - start]`` scores."""
        return queries @ self._vectors[start:stop].T + self._bias[start:stop]


def numbered(asked: Cases) -> Cases:
    """Returns the same targets behind histories that hold only the number of the case."""
    n = len(asked)
    offsets = np.arange(n + 1, dtype=np.int64)
    numbers = np.arange(1, n + 1, dtype=np.int32)
    return Cases(Sequences(numbers, offsets, np.zeros(n, dtype=np.int64)).whole(), asked.targets)


def arrays_of(split: Split) -> dict[str, np.ndarray]:
    """Returns everything that both sides learn from and are measured on."""
    parts = {"train": split.train, "valid": split.valid.histories, "test": split.test.histories}
    arrays = {
        "items": np.asarray(split.dataset.sequences.items),
        "n_items": np.array(split.dataset.n_items),
        "valid_targets": split.valid.targets,
        "test_targets": split.test.targets,
    }
    for name, part in parts.items():
        arrays |= {f"{name}_start": part.start, f"{name}_stop": part.stop}
        arrays[f"{name}_users"] = part.users
    return arrays


def dataset(quick: bool) -> Dataset:
    """Returns ml-100k-mm, with `quick` a small world of made-up events."""
    if quick:
        rng = np.random.default_rng(0)
        users, steps = np.repeat(np.arange(80), 12), np.tile(np.arange(12), 80)
        items = (rng.integers(0, 40, 80)[users] + steps) % 40
        return Dataset.from_frames(
            {
                "user_id": [f"u{u}" for u in users],
                "item_id": [f"i{i}" for i in items],
                "timestamp": steps,
            }
        )
    folder = Path(os.environ.get("VLMREC_REALDATA", "../shared/data")) / "ml-100k-mm"
    return Dataset.load(folder)


def train_side(
    side: str, python: Path, data: Path, settings: dict[str, Any], folder: Path, *, resume: bool
) -> dict[str, Any]:
    """Returns the record of one training run, which happens in a process of its own.

    Args:
        side: "vlmrec" or "rectools".
        python: Interpreter of RecTools' environment.
        data: What `arrays_of` gave, as .npz.
        settings: Options of both sides, with "seed" and "threads".
        folder: Where the run puts its files.
        resume: Take a finished run of the same settings as it is.
    """
    record = folder / "record.json"
    options = folder / "options.json"
    if resume and record.exists() and json.loads(options.read_text()) == settings:
        return json.loads(record.read_text())
    folder.mkdir(parents=True, exist_ok=True)
    for old in (record, *folder.glob("epoch-*.npz")):
        old.unlink(missing_ok=True)
    options.write_text(json.dumps(settings))
    if side == "vlmrec":
        command = [sys.executable, "-m", "benchmarks.workers.vlmrec_sasrec"]
    else:
        command = [str(python), "-P", str(ROOT / "benchmarks" / "workers" / "rectools_sasrec.py")]
    threads = str(settings["threads"])
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    paths = [str(path.resolve()) for path in (data, options, folder)]
    subprocess.run([*command, *paths], check=True, cwd=ROOT, env=environment)
    return json.loads(record.read_text())


def add_metrics(record: dict[str, Any], folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Ranks the stored vectors of every epoch with this project's evaluation."""
    asked = {part: numbered(cases(arrays, part)) for part in ("valid", "test")}
    own = record["valid"]
    found: dict[str, list[float]] = {part: [] for part in asked}
    for path in sorted(folder.glob("epoch-*.npz")):
        with np.load(path) as stored:
            for part, of_part in asked.items():
                ranker = StoredVectors(stored[part], stored["vectors"], stored["bias"])
                found[part].append(ndcg(ranker, of_part))
    record["largest_metric_difference"] = float(np.abs(np.subtract(found["valid"], own)).max())
    record |= found


def compare(vlmrec: dict[str, Any], rectools: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """Returns a row for each side of one seed; the first has the ratio of times to target."""
    target = TARGET_SHARE * min(max(vlmrec["valid"]), max(rectools["valid"]))
    rows = [_row(name, one, target) for name, one in (("vlmrec", vlmrec), ("rectools", rectools))]
    for row in rows:
        row["seed"] = seed
    rows[0]["ratio"] = rows[0]["s_to_target"] / rows[1]["s_to_target"]
    rows[0]["ratio_of_epochs"] = rows[0]["s_per_epoch"] / rows[1]["s_per_epoch"]
    return rows


def _row(side: str, record: dict[str, Any], target: float) -> dict[str, Any]:
    seconds, valid = record["training_seconds"], record["valid"]
    reached = next(i for i, value in enumerate(valid) if value >= target)
    best = int(np.argmax(valid))
    lengths = np.diff([0.0, *seconds[: len(valid)]])
    return {
        "side": side,
        "s_per_epoch": float(np.median(lengths)),
        "epochs": len(valid),
        "target_valid": target,
        "epochs_to_target": reached + 1,
        "s_to_target": seconds[reached],
        "best_epoch": best + 1,
        "s_to_best": seconds[best],
        "best_valid": valid[best],
        "test": record["test"][best],
        "peak_mib": record["peak_mib"],
        "added_mib": record["peak_mib"] - record["baseline_mib"],
        "prepare_s": record["preparation_seconds"],
        "parameters": record["parameters"],
        "known_items": record["known_items"],
        "steps_per_epoch": record["steps_per_epoch"],
        "metric_difference": record.get("largest_metric_difference"),
        "torch": record["torch"],
        "threads": record["threads"],
    }


def _options() -> argparse.Namespace:
    parser = options_parser("rectools", __doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"], help="at most so many")
    parser.add_argument(
        "--hidden", type=int, help="feed-forward width of vlmrec (default: its own)"
    )
    parser.add_argument("--venv", type=Path, default=DEFAULT, help="environment of RecTools")
    parser.add_argument("--work", type=Path, help="folder for runs (default: a temporary one)")
    parser.add_argument(
        "--resume", action="store_true", help="take finished runs in --work as they are"
    )
    return parser.parse_args()


def main() -> None:
    """Trains both sides, prints a table, writes the result."""
    options = _options()
    python = rectools_python(options.venv)
    machine = describe_machine(options.threads)
    settings = {**SETTINGS, "threads": options.threads, "epochs": options.epochs}
    if options.hidden is not None:
        settings["hidden"] = options.hidden
    if options.quick:
        settings |= {"dim": 16, "epochs": 3, "batch_size": 16, "max_len": 8}
        options.seeds = options.seeds[:1]
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        rows = _all_seeds(options, python, settings, work)
    result = {
        "machine": machine,
        "rectools": RECTOOLS,
        "settings": settings,
        "target": f"{TARGET_SHARE:g} of the lower of both best validation NDCG@10",
        "goal": GOAL,
        **_summary(rows),
        "rows": rows,
    }
    print(format_table(rows, MORE_COLUMNS))
    print(
        f"time to target: {result['median_ratio']:.2f} of RecTools' (median; goal <= {GOAL}), "
        f"time per epoch: {result['median_ratio_of_epochs']:.2f} of it"
    )
    write_result(result_path("rectools", options), result)


def _all_seeds(
    options: argparse.Namespace, python: Path, settings: dict[str, Any], work: Path
) -> list[dict[str, Any]]:
    arrays = arrays_of(dataset(options.quick).leave_one_out())
    work.mkdir(parents=True, exist_ok=True)
    data = work / "data.npz"
    np.savez(data, **arrays)
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        records: dict[str, dict[str, Any]] = {}
        for side in ("vlmrec", "rectools"):
            folder = work / f"{side}-{seed}"
            one = {**settings, "seed": seed}
            records[side] = train_side(side, python, data, one, folder, resume=options.resume)
        add_metrics(records["rectools"], work / f"rectools-{seed}", arrays)
        rows += compare(records["vlmrec"], records["rectools"], seed)
    return rows


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    return {
        "median_ratio": statistics.median(ratios),
        "ratios": ratios,
        "median_ratio_of_epochs": statistics.median(
            row["ratio_of_epochs"] for row in rows if "ratio_of_epochs" in row
        ),
    }


if __name__ == "__main__":
    main()
