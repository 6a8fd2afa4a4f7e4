"""VLM2Rec's item vectors as the start of sequential models, against the vectors they replace.

    python -m benchmarks.vlm2rec_vectors --data FOLDER --study FOLDER --runs FOLDER [--seeds 0 1 2]

SASRec and GRU4Rec start from random vectors, from those of the backbone as it is, and from those
of the runs that `benchmarks.vlm2rec_real` left in --study; frozen under a linear adapter, or tuned
with it. Beside them stand models that learn a vector for each item. All have one learning rate,
one budget and stop by validation. Each run is a folder in --runs, so that a study that was stopped
goes on. --table prints what is finished and writes the result.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.machine import describe_machine
from benchmarks.report import format_table, result_path, write_result
from benchmarks.studies import study_parser
from benchmarks.vlm2rec_real import RECIPE, read_recipe
from vlmrec.bundle import is_complete
from vlmrec.core.columns import RANK
from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset
from vlmrec.data.splits import Split
from vlmrec.evaluation.metrics import parse_metrics
from vlmrec.evaluation.significance import bootstrap_means
from vlmrec.models import GRU4Rec, SASRec
from vlmrec.pipeline.branch_losses import PLAIN, with_losses
from vlmrec.pipeline.branch_study import study_folder
from vlmrec.pipeline.fit_once import fit_once
from vlmrec.train.options import TrainOptions

MODELS = {"sasrec": SASRec, "gru4rec": GRU4Rec}
TRAINED = (PLAIN, "WPCL + CRTR")  # losses of the study
TRAINING = TrainOptions(learning_rate=3e-3, epochs=25, patience=4, device="cpu")
MODES = ("frozen", "tuned")
_WIDTH = 768  # of random vectors: as many numbers as those of the two branches of `compact`
COLUMNS = ("model", "vectors", "mode", "seeds", "NDCG@10", "low", "high")


def starts(options: argparse.Namespace, seed: int) -> dict[tuple[str, str], dict[str, Any]]:
    """Returns the options of each start, by the vectors' name and by whether they are tuned."""
    named = {"random": f"random:{_WIDTH}:{seed}", "raw backbone": str(options.runs / "raw")}
    named |= {loss: str(study_folder(options.study, loss, seed)) for loss in TRAINED}
    found: dict[tuple[str, str], dict[str, Any]] = {("learned", ""): {}}
    for mode in options.modes:
        for name, source in named.items():
            if source.startswith("random:") or is_complete(Path(source)):
                found[name, mode] = {"vectors": source, "vectors_mode": mode}
    return found


def keep_untrained(options: argparse.Namespace, split: Split) -> None:
    """Writes the run folder of the backbone as it is, unless it is there."""
    base, training = read_recipe(RECIPE, quick=False)
    plain = with_losses(base, {PLAIN: {}})[PLAIN]
    untrained = training.model_copy(update={"epochs": 0})
    fit_once(plain, split, options.runs / "raw", untrained)


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Trains what is missing and returns the rows of the table."""
    split = Dataset.load(options.data).leave_one_out()
    if not options.table:
        keep_untrained(options, split)
    done: dict[tuple[str, str, str], list[Path]] = {}
    for seed in options.seeds:
        for model, kind in MODELS.items():
            for (vectors, mode), changes in starts(options, seed).items():
                out = study_folder(options.runs, f"{model} {vectors} {mode}", seed)
                if not options.table:
                    print(f"{model}, {vectors} {mode}, seed {seed} ...", flush=True)
                    seeded = TRAINING.model_copy(update={"seed": seed})
                    fit_once(kind.parse(changes, model), split, out, seeded, quiet=True)
                if is_complete(out):
                    done.setdefault((model, vectors, mode), []).append(out)
    return [row(*key, folders) for key, folders in done.items()]


def row(model: str, vectors: str, mode: str, folders: list[Path]) -> dict[str, Any]:
    """Returns mean and interval over users of the seeds' mean."""
    (measure,) = parse_metrics(["NDCG@10"])
    ranks = [pl.read_parquet(one / "test_ranks.parquet")[RANK].to_numpy() for one in folders]
    values = np.stack([measure.per_case(one) for one in ranks])
    address = (model, vectors, mode)
    (found,) = bootstrap_means(values.mean(axis=0)[:, None], streams=Streams(0), address=address)
    return {
        "model": model,
        "vectors": vectors,
        "mode": mode,
        "seeds": " ".join(f"{value:.4f}" for value in values.mean(axis=1)),
        "NDCG@10": found.mean,
        "low": found.low,
        "high": found.high,
    }


def main() -> None:
    """Runs the study, prints the table, writes the result."""
    parser = study_parser("vlm2rec_vectors", __doc__, "runs/vlm2rec-vectors")
    parser.add_argument("--data", type=Path, required=True, help="dataset folder")
    parser.add_argument("--study", type=Path, required=True, help="runs of vlm2rec_real")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    options = parser.parse_args()
    if options.quick:
        parser.error("there is no toy size: it needs the runs of benchmarks.vlm2rec_real")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    rows = run(options)
    print(format_table(rows, COLUMNS))
    training = TRAINING.model_dump(mode="json")
    result = {"machine": describe_machine(), "training": training, "rows": rows}
    write_result(result_path("vlm2rec_vectors", options), result)


if __name__ == "__main__":
    main()
