"""Trains this project's SASRec on prepared arrays and records time, validation and ranks.

python -m benchmarks.workers.vlmrec_sasrec DATA.npz OPTIONS.json OUT_FOLDER
"""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.workers.handover import handed_over, n_targets
from benchmarks.workers.run_log import RunLog
from vlmrec.core.protocols import TrainingBatch, Validation
from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches, Window
from vlmrec.data.sequences import Histories, Sequences
from vlmrec.data.splits import Cases
from vlmrec.evaluation.evaluator import evaluate_ranker
from vlmrec.evaluation.ranking import rank_targets
from vlmrec.models.sasrec import SASRec
from vlmrec.models.sequence import SequenceRecommender
from vlmrec.models.spec import CatalogShape, TrainingData
from vlmrec.train.loop import train
from vlmrec.train.options import TrainOptions

METRICS = ("NDCG@10", "Recall@10", "MRR@10")


class OutOfTimeError(Exception):
    """The run has used up its seconds."""


class _Timed:
    """Batches whose first plan ends the preparation and starts the clock.

    What the loop sets up before (libraries that load at first use, the optimiser) counts as
    preparation, as what happens before the first epoch does on the other sides.
    """

    def __init__(self, batches: NextItemBatches, log: RunLog) -> None:
        self._batches = batches
        self._log = log

    def plan(self, epoch: int) -> Sequence[Window]:
        if epoch == 0:
            self._log.go()
        return self._batches.plan(epoch)

    def build(self, window: Window, epoch: int, step: int) -> TrainingBatch:
        return self._batches.build(window, epoch, step)


def histories(data: dict[str, np.ndarray], part: str) -> Histories:
    """Returns the "train", "valid" or "test" histories of the arrays."""
    n = len(data["items"])
    sequences = Sequences(data["items"], np.array([0, n]), np.zeros(n, dtype=np.int64))
    start, stop = data[f"{part}_start"], data[f"{part}_stop"]
    return Histories(sequences, data[f"{part}_users"], start, stop)


def cases(data: dict[str, np.ndarray], part: str) -> Cases:
    """Returns the "valid" or "test" cases of the arrays."""
    return Cases(histories(data, part), data[f"{part}_targets"])


def run(data: dict[str, np.ndarray], options: dict[str, Any], out: Path) -> None:
    """Trains with the given options and writes the record of the run."""
    torch.set_num_threads(options["threads"])
    log = RunLog("vlmrec", options, out)
    log.begin()
    names = ("dim", "n_layers", "n_heads", "max_len", "dropout", "hidden")
    spec = SASRec.model_validate({name: options[name] for name in names if name in options})
    shape, streams = CatalogShape(int(data["n_items"])), Streams(options["seed"])
    model = spec.build(shape)
    model.initialise(streams, torch.device("cpu"))
    known = np.arange(1, shape.n_items + 1, dtype=np.int64)
    training = TrainingData(histories(data, "train"), shape, known)
    model.prepare(training)
    rows, width = options["batch_size"], options["max_len"]
    batches = NextItemBatches(training.histories, width, rows, streams)
    valid, test = cases(data, "valid"), cases(data, "test")

    def measure() -> float:
        log.end_epoch()
        ranker = model.ranker()
        log.validated(rank_targets(ranker, valid).ranks, rank_targets(ranker, test).ranks)
        if log.stopped == "seconds":
            raise OutOfTimeError
        log.go()
        return log.valid[-1]

    names = ("epochs", "batch_size", "learning_rate", "patience", "seed")
    chosen = {name: options[name] for name in names}
    settings = TrainOptions.model_validate({**chosen, "device": "cpu"})
    with contextlib.suppress(OutOfTimeError):
        validation = Validation(METRICS[0], measure)
        train(model, _Timed(batches, log), validation, settings, label="", quiet=True)
    seconds, with_intervals = _evaluation(model, test, log)
    log.write(
        evaluation_seconds=seconds,
        evaluation_with_intervals_seconds=with_intervals,
        parameters=sum(weight.numel() for weight in model.parameters()),
        known_items=shape.n_items,
        hidden=spec.hidden,
        steps_per_epoch=len(batches.plan(0)),
        targets_per_epoch=n_targets(data),
        batch=f"{rows} histories, or pieces of at most {width} targets of longer ones",
        loss=spec.describe_loss(),
        torch=torch.__version__,
        threads=torch.get_num_threads(),
    )


def _evaluation(model: SequenceRecommender, test: Cases, log: RunLog) -> tuple[float, float]:
    """Returns seconds of evaluating all users, and with 1,000 bootstrap resamples besides."""
    seconds, _ = log.evaluate(
        lambda: evaluate_ranker(model.ranker(), test, metrics=METRICS, n_resamples=1)
    )
    start = time.perf_counter()
    evaluate_ranker(model.ranker(), test, metrics=METRICS)
    return seconds, time.perf_counter() - start


if __name__ == "__main__":
    run(*handed_over())
