"""Trains this project's SASRec on prepared arrays and records time, validation and test.

python -m benchmarks.workers.vlmrec_sasrec DATA.npz OPTIONS.json OUT_FOLDER
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import memory
from benchmarks.workers.clock import TrainingClock
from vlmrec.core.protocols import Ranker, TrainingBatch, Validation
from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches, Window
from vlmrec.data.sequences import Histories, Sequences
from vlmrec.data.splits import Cases
from vlmrec.evaluation.evaluator import evaluate_ranker
from vlmrec.models.sasrec import SASRec
from vlmrec.models.spec import CatalogShape, TrainingData
from vlmrec.train.loop import train
from vlmrec.train.options import TrainOptions

METRIC = "NDCG@10"


def histories(data: dict[str, np.ndarray], part: str) -> Histories:
    """Returns the "train", "valid" or "test" histories of the arrays."""
    n = len(data["items"])
    sequences = Sequences(data["items"], np.array([0, n]), np.zeros(n, dtype=np.int64))
    start, stop = data[f"{part}_start"], data[f"{part}_stop"]
    return Histories(sequences, data[f"{part}_users"], start, stop)


def cases(data: dict[str, np.ndarray], part: str) -> Cases:
    """Returns the "valid" or "test" cases of the arrays."""
    return Cases(histories(data, part), data[f"{part}_targets"])


def ndcg(ranker: Ranker, asked: Cases) -> float:
    """Returns NDCG@10 among the whole catalogue, seen items not filtered."""
    return evaluate_ranker(ranker, asked, metrics=[METRIC], n_resamples=1).metrics[METRIC].mean


class _Timed:
    """Batches whose first plan ends the preparation and starts the clock.

    What the loop sets up before (libraries that load at first use, the optimiser) counts as
    preparation, as what happens before the first epoch does on the other side.
    """

    def __init__(self, batches: NextItemBatches, clock: TrainingClock) -> None:
        self._batches = batches
        self._clock = clock
        self._begun = time.perf_counter()
        self.preparation = 0.0

    def plan(self, epoch: int) -> Sequence[Window]:
        if epoch == 0:
            self.preparation = time.perf_counter() - self._begun
            self._clock.go()
        return self._batches.plan(epoch)

    def build(self, window: Window, epoch: int, step: int) -> TrainingBatch:
        return self._batches.build(window, epoch, step)


def run(data: dict[str, np.ndarray], options: dict[str, Any]) -> dict[str, Any]:
    """Trains with the given options and returns the record of the run."""
    torch.set_num_threads(options["threads"])
    n_items = int(data["n_items"])
    valid, test = cases(data, "valid"), cases(data, "test")
    before = memory.resident_mib()
    memory.reset_peak()
    clock = TrainingClock()
    prepared = time.perf_counter()
    names = ("dim", "n_layers", "n_heads", "max_len", "dropout", "hidden")
    spec = SASRec.model_validate({name: options[name] for name in names if name in options})
    shape, streams = CatalogShape(n_items), Streams(options["seed"])
    model = spec.build(shape)
    model.initialise(streams, torch.device("cpu"))
    known = np.arange(1, n_items + 1, dtype=np.int64)
    training = TrainingData(histories(data, "train"), shape, known)
    model.prepare(training)
    batches = NextItemBatches(
        training.histories, options["max_len"], options["batch_size"], streams
    )
    timed = _Timed(batches, clock)
    built = time.perf_counter() - prepared
    tests: list[float] = []
    values: list[float] = []

    def measure() -> float:
        clock.end_epoch()
        ranker = model.ranker()
        values.append(ndcg(ranker, valid))
        tests.append(ndcg(ranker, test))
        clock.go()
        return values[-1]

    names = ("epochs", "batch_size", "learning_rate", "patience", "seed")
    chosen = {name: options[name] for name in names}
    settings = TrainOptions.model_validate({**chosen, "device": "cpu"})
    train(model, timed, Validation("NDCG@10", measure), settings, label="vlmrec")
    return {
        "preparation_seconds": built + timed.preparation,
        "training_seconds": clock.seconds,
        "valid": values,
        "test": tests,
        "peak_mib": memory.peak_mib(),
        "baseline_mib": before,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "known_items": n_items,
        "steps_per_epoch": len(batches.plan(0)),
        "hidden": spec.hidden,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Reads the arrays and options that the command line names, writes ``record.json``."""
    data_path, options_path, folder = map(Path, sys.argv[1:4])
    with np.load(data_path) as arrays:
        data = {name: arrays[name] for name in arrays.files}
    record = run(data, json.loads(options_path.read_text()))
    (folder / "record.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main()
