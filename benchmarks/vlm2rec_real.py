"""VLM2Rec's claim on real data: what each loss does to the branches, and to the ranking.

    python -m benchmarks.vlm2rec_real --data FOLDER --runs FOLDER [--seeds 0 1 2] [--only NAME ...]

Trains `recipes/ml-100k-mm/vlm2rec.yaml` under every loss, ranks the test cases in every view,
and prints means over seeds with the intervals over users. Each run is a folder in --runs: a
study that was stopped goes on, and several processes may share one (--only, --seeds). --table
prints what is finished and writes the result.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.report import result_path, write_result
from benchmarks.studies import show_study, study_parser
from benchmarks.vlm import made_up_shop
from vlmrec.core.config import read_config_file
from vlmrec.data.dataset import Dataset
from vlmrec.models.vlm2rec import VLM2Rec
from vlmrec.objectives.unimodal_heads import UnimodalHeads
from vlmrec.objectives.wpcl import Wpcl
from vlmrec.pipeline.branch_losses import (
    PLAIN,
    WEAK_PENALISED,
    branch_losses,
    branches_alone,
    with_losses,
)
from vlmrec.pipeline.branch_study import (
    study_folder,
    study_run,
    study_table,
)
from vlmrec.train.options import TrainOptions

RECIPE = Path(__file__).parents[1] / "recipes" / "ml-100k-mm" / "vlm2rec.yaml"
LOSSES: dict[str, dict[str, Any]] = {
    **branch_losses(),
    **branches_alone(),
    "internal fusion": {"fusion": "internal"},
    "heads + WPCL": {"heads": UnimodalHeads(), "wpcl": Wpcl()},
    "WPCL, kappa 1": {"wpcl": Wpcl(kappa=1.0)},
    "WPCL, kappa rises to the end": {"wpcl": Wpcl(kappa=1.0, warmup=1.0)},
    "InfoNCE on the sum": {"scoring": "sum"},
    "WPCL on the sum": {"wpcl": Wpcl(), "scoring": "sum"},
}
QUICK = (PLAIN, WEAK_PENALISED)


def read_recipe(path: Path, *, quick: bool) -> tuple[VLM2Rec, TrainOptions]:
    """Returns the recipe's model and training."""
    given = read_config_file(path)
    training = {name: given.pop(name) for name in TrainOptions.model_fields if name in given}
    if quick:
        given |= {"backbone": "tiny", "max_len": 2, "vlm": {}, "tuning": {"kind": "lora"}}
        training |= {"epochs": 1, "valid_every": 1}
    return VLM2Rec.parse(given, str(path)), TrainOptions.parse(training, str(path))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Trains what is missing, prints the table and returns it."""
    base, training = read_recipe(RECIPE, quick=options.quick)
    chosen = with_losses(base, {n: LOSSES[n] for n in QUICK} if options.quick else LOSSES)
    dataset = (
        made_up_shop(options.runs / "shop", quick=True)
        if options.quick
        else Dataset.load(options.data)
    )
    split = dataset.leave_one_out()
    if not options.table:
        for name in options.only or chosen:
            for seed in options.seeds:
                print(f"{name}, seed {seed} ...", flush=True)
                seeded = training.model_copy(update={"seed": seed})
                out = study_folder(options.runs, name, seed)
                study_run(chosen[name], split, out, seeded, quiet=True)
    rows = study_table(options.runs, chosen, options.seeds)
    return show_study(rows)


def main() -> None:
    """Runs the study, prints the table, writes the result."""
    parser = study_parser("vlm2rec_real", __doc__, "runs/vlm2rec-real")
    parser.add_argument("--data", type=Path, help="dataset folder with texts and pictures")
    parser.add_argument("--only", nargs="+", choices=LOSSES, help="train these losses only")
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    found = run(options)
    result = {"machine": describe_machine(), "recipe": RECIPE.read_text("utf-8"), **found}
    write_result(result_path("vlm2rec_real", options), result)


if __name__ == "__main__":
    main()
