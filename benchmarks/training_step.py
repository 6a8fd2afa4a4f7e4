"""Seconds per SASRec training step, beside the least that its arithmetic can take.

    python -m benchmarks.training_step [--quick]

The floor counts the multiply-adds of a step's matrix products (forward, and twice as many
backward) and divides each kind by the rate that this machine reaches at just that shape and
number of threads. The step is all that the training loop does: building the batch, dropout,
forward, loss, backward, optimiser. A second floor uses the one rate of a large square product.

The data are made up, of the sizes of ml-100k and Amazon Beauty. Every case runs in a process of
its own, because the number of threads is best set before torch starts.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.arithmetic import StepShape, floor_seconds, multiply_adds, rates
from benchmarks.machine import describe_machine, gemm_rate
from benchmarks.report import format_table, options_parser, result_path, write_result
from vlmrec.core.protocols import TrainingBatch, Validation
from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches, Window
from vlmrec.data.sequences import Histories, Sequences
from vlmrec.models.sasrec import SASRec
from vlmrec.models.sequence import SequenceRecommender
from vlmrec.models.spec import CatalogShape, TrainingData
from vlmrec.train.loop import train
from vlmrec.train.options import TrainOptions

ROOT = Path(__file__).resolve().parents[1]
GOAL = 4.0
LARGE = 1024
COLUMNS = (
    "data",
    "threads",
    "steps",
    "ms_per_step",
    "floor_ms",
    "ratio",
    "large_floor_ms",
    "large_ratio",
    "padding",
    "goal",
)
# Users of an epoch (Beauty: a fifth of its 22,363), items, median and spread of the lengths,
# batch size, dropout.
CASES: dict[str, dict[str, Any]] = {
    "ml-100k": {"users": 943, "items": 1682, "median": 64, "spread": 1.0, "batch": 64, "drop": 0.2},
    "Beauty": {
        "users": 4472,
        "items": 12101,
        "median": 6,
        "spread": 0.6,
        "batch": 256,
        "drop": 0.5,
    },
}
TOY = {"users": 64, "items": 100, "median": 8, "spread": 0.6, "batch": 16, "drop": 0.2}


def made_up_histories(users: int, items: int, median: float, spread: float) -> Histories:
    """Returns histories with log-normal lengths (at least 3 events) and popular items."""
    rng = np.random.default_rng(0)
    lengths = np.maximum(np.exp(rng.normal(np.log(median), spread, users)).astype(np.int64), 3)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    drawn = 1 + (rng.random(offsets[-1]) ** 2 * items).astype(np.int32)
    return Sequences(drawn, offsets, np.zeros(len(drawn), dtype=np.int64)).whole()


class _Observed:
    """Batches that remember their shapes."""

    def __init__(self, batches: NextItemBatches) -> None:
        self._batches = batches
        self.epochs: list[list[tuple[int, int, int]]] = []

    def plan(self, epoch: int) -> list[Window]:
        self.epochs.append([])
        return list(self._batches.plan(epoch))

    def build(self, window: Window, epoch: int, step: int) -> TrainingBatch:
        batch = self._batches.build(window, epoch, step)
        rows, length = batch.items.shape
        self.epochs[-1].append((rows, length, int((window.length - 1).sum())))
        return batch


def measure(case: dict[str, Any], epochs: int, seconds: float) -> dict[str, Any]:
    """Returns time and floor of the steps of one case, with the threads torch has now.

    Args:
        case: One of `CASES`.
        epochs: Epochs after the first, which warms everything up; the fastest counts.
        seconds: How long each product is timed.
    """
    spec = SASRec(dropout=case["drop"])
    histories = made_up_histories(*(case[name] for name in ("users", "items", "median", "spread")))
    model = _model(spec, histories, case["items"])
    batches = _Observed(NextItemBatches(histories, spec.max_len, case["batch"], Streams(0)))
    options = TrainOptions(epochs=epochs + 1, batch_size=case["batch"], device="cpu")
    lines = train(model, batches, _NO_VALIDATION, options, label="step", quiet=True).lines
    per_epoch = np.diff([line["seconds"] for line in lines])
    shapes = [_shape(spec, case["items"], *one) for one in batches.epochs[-1]]
    measured = rates(_typical(shapes), seconds)
    large = gemm_rate(LARGE, LARGE, LARGE, seconds=seconds)
    floor = sum(floor_seconds(shape, measured) for shape in shapes)
    work = sum(multiply_adds(shape) for shape in shapes)
    n, best = len(shapes), float(per_epoch.min())
    padded = sum(shape.rows * shape.length for shape in shapes)
    return {
        "threads": torch.get_num_threads(),
        "steps": n,
        "ms_per_step": best / n * 1e3,
        "floor_ms": floor / n * 1e3,
        "ratio": best / floor,
        "large_floor_ms": work / large / n * 1e3,
        "large_ratio": best * large / work,
        "goal": f"<= {GOAL:g}",
        "seconds_of_epochs": per_epoch.tolist(),
        "padding": 1 - sum(shape.positions for shape in shapes) / padded,
        "multiply_adds_per_step": work // n,
        "giga_multiply_adds_per_second": {
            **{name: rate / 1e9 for name, rate in measured.items()},
            f"large square ({LARGE})": large / 1e9,
        },
        "typical_shape": vars(_typical(shapes)),
    }


def profile(case: dict[str, Any], n_rows: int = 20) -> list[dict[str, Any]]:
    """Returns the operations of an epoch that take most of the processor's time."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recording

    spec = SASRec(dropout=case["drop"])
    histories = made_up_histories(*(case[name] for name in ("users", "items", "median", "spread")))
    model = _model(spec, histories, case["items"])
    batches = NextItemBatches(histories, spec.max_len, case["batch"], Streams(0))
    options = TrainOptions(epochs=1, batch_size=case["batch"], device="cpu")
    with recording(activities=[ProfilerActivity.CPU]) as found:
        train(model, batches, _NO_VALIDATION, options, label="profile", quiet=True)
    events = sorted(found.key_averages(), key=lambda one: -one.self_cpu_time_total)
    whole = sum(one.self_cpu_time_total for one in events)
    return [
        {
            "operation": one.key,
            "calls": one.count,
            "ms": one.self_cpu_time_total / 1e3,
            "share": one.self_cpu_time_total / whole,
        }
        for one in events[:n_rows]
    ]


_NO_VALIDATION = Validation("NDCG@10", lambda: 0.0)


def _model(spec: SASRec, histories: Histories, n_items: int) -> SequenceRecommender:
    shape = CatalogShape(n_items)
    model = spec.build(shape)
    model.initialise(Streams(0), torch.device("cpu"))
    known = np.arange(1, n_items + 1, dtype=np.int64)
    model.prepare(TrainingData(histories, shape, known))
    return model


def _shape(spec: SASRec, items: int, rows: int, length: int, positions: int) -> StepShape:
    return StepShape(
        rows, length, positions, items, spec.dim, spec.hidden, spec.n_heads, spec.n_layers
    )


def _typical(shapes: list[StepShape]) -> StepShape:
    """Returns the shape of the median number of positions: the one that rates are taken at."""
    return sorted(shapes, key=lambda shape: shape.positions)[len(shapes) // 2]


def _in_a_process(options: argparse.Namespace, name: str, threads: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.training_step", "--one", name, str(threads)]
    command += ["--quick"] * options.quick
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    answer = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )
    return json.loads(answer.stdout)


def _one(options: argparse.Namespace) -> dict[str, Any]:
    name, threads = options.one
    torch.set_num_threads(int(threads))
    case = TOY if options.quick else CASES[name]
    found = measure(case, 1 if options.quick else 5, 0.01 if options.quick else 0.5)
    return {"data": name, **found, "profile": profile(case)}


def main() -> None:
    """Measures all cases, prints tables, writes the result."""
    parser = options_parser("training_step", __doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_one(options)))
        return
    machine = describe_machine()
    del machine["torch_threads"]  # every row has its own
    names = ["toy"] if options.quick else list(CASES)
    rows: list[dict[str, Any]] = []
    for name in names:
        for threads in options.threads:
            rows.append(_in_a_process(options, name, threads))
            print(format_table(rows[-1:], COLUMNS), flush=True)
    print("\n" + format_table(rows, COLUMNS))
    print(f"\nwhere the time goes: {rows[0]['data']}, {rows[0]['threads']} thread(s)")
    print(format_table(rows[0]["profile"][:12], ("operation", "calls", "ms", "share")))
    result = {"machine": machine, "case_sizes": CASES, "rows": rows}
    write_result(result_path("training_step", options), result)


if __name__ == "__main__":
    main()
