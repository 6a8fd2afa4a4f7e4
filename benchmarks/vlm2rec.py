"""What the losses of VLM2Rec add to a training step over plain InfoNCE.

    python -m benchmarks.vlm2rec [--data FOLDER] [--quick]

FOLDER is a dataset with texts and pictures; without it a shop is generated. One `compact` with
LoRA, one batch of histories; the losses take turns, so that load falls on all of them alike, and
the least seconds of some repeats count. Peak memory is the largest resident size of the process
during a step. Goal: WPCL + CRTR cost at most 10 % more.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_machine
from benchmarks.memory import peak_mib, reset_peak
from benchmarks.report import format_table, options_parser, result_path, write_result
from benchmarks.vlm import made_up_shop
from vlmrec.core.protocols import TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset
from vlmrec.models.two_branches import TwoBranchRecommender
from vlmrec.models.vlm2rec import VLM2Rec
from vlmrec.pipeline.branch_losses import branch_losses
from vlmrec.pipeline.evaluation import training_data
from vlmrec.vlm.options import VlmOptions

COLUMNS = ("loss", "step_s", "ratio", "goal", "peak_mib")
PLAIN = {"wpcl": None, "crtr": None, "measure_every": 0}
LOSSES: dict[str, dict[str, Any]] = {
    **branch_losses(),
    "InfoNCE, gradient shares measured": {"measure_every": 1},
}


def prepared(dataset: Dataset, backbone: str, folder: Path) -> TwoBranchRecommender:
    """Returns the model that all losses train in turn."""
    spec = VLM2Rec(backbone=backbone, vlm=VlmOptions(pooling="mean"), **PLAIN)
    data = training_data(dataset.leave_one_out())
    model = TwoBranchRecommender(spec)
    model.initialise(Streams(0), torch.device("cpu"))
    model.prepare(replace(data, catalog=dataset.catalog, cache=folder))
    model.train()
    return model


def a_batch(model: TwoBranchRecommender, dataset: Dataset, rows: int) -> TrainingBatch:
    """Returns the first training batch."""
    data = training_data(dataset.leave_one_out())
    batches = model.batches(data, Streams(0), batch_size=rows, epochs=1)
    return batches.build(batches.plan(0)[0], 0, 0)


def stepping(
    model: TwoBranchRecommender, spec: VLM2Rec, batch: TrainingBatch, optimizer: torch.optim.AdamW
) -> Callable[[], float]:
    """Returns a function that does one step under a loss and returns its seconds."""

    def step() -> float:
        model.spec = spec
        start = time.perf_counter()
        loss = model.training_loss(batch)
        (loss.total / loss.count).backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - start

    return step


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Lets the losses take turns and returns a row for each."""
    work = Path(tempfile.mkdtemp(prefix="vlmrec-bench-"))
    try:
        dataset = (
            made_up_shop(work / "shop", quick=options.quick)
            if options.data is None
            else Dataset.load(options.data)
        )
        model = prepared(dataset, "tiny" if options.quick else "compact", work / "visual")
        batch = a_batch(model, dataset, 4 if options.quick else 32)
        learning = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=1e-6)
        base = model.spec
        steps = {
            name: stepping(model, base.model_copy(update=changes), batch, optimizer)
            for name, changes in LOSSES.items()
        }
        return _rows(steps, repeats=1 if options.quick else options.repeats)
    finally:
        shutil.rmtree(work)


def _rows(steps: dict[str, Callable[[], float]], repeats: int) -> list[dict[str, Any]]:
    for step in steps.values():
        step()  # warms up
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    peaks: dict[str, float] = {}
    for _ in range(repeats):
        for name, step in steps.items():
            reset_peak()
            seconds[name].append(step())
            peaks[name] = max(peaks.get(name, 0.0), peak_mib())
    plain = min(seconds["InfoNCE"])
    goals = {"WPCL + CRTR": "<= 1.10"}
    return [
        {
            "loss": name,
            "step_s": min(times),
            "ratio": min(times) / plain,
            "goal": goals.get(name, ""),
            "peak_mib": round(peaks[name]),
        }
        for name, times in seconds.items()
    ]


def main() -> None:
    """Measures, prints a table, writes the result."""
    parser = options_parser("vlm2rec", __doc__)
    parser.add_argument("--data", type=Path, help="dataset folder with texts and pictures")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each loss")
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    rows = measure(options)
    print(format_table(rows, COLUMNS))
    result = {"machine": describe_machine(), "rows": rows}
    write_result(result_path("vlm2rec", options), result)


if __name__ == "__main__":
    main()
