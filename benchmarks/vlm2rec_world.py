"""VLM2Rec's claim in a world where it must show: what each loss does to the weaker modality.

    python -m benchmarks.vlm2rec_world --runs FOLDER [--seeds 0 1 2] [--only NAME ...]

Each seed draws a world of its own (`vlmrec.data.two_tastes`), the toy's weights and all of
training. Prints means over seeds for every loss and view, and which bands hold. Each run is a
folder in --runs: a study that was stopped goes on, and several processes may share one (--only,
--seeds). --table prints what is finished and writes the result.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.report import result_path, write_result
from benchmarks.studies import show_study, study_parser
from vlmrec.core.errors import DataError
from vlmrec.data.dataset import Dataset
from vlmrec.data.two_tastes import TwoTastesConfig
from vlmrec.pipeline.branch_losses import IMAGE_ALONE, PLAIN, WEAK_PENALISED
from vlmrec.pipeline.branch_study import (
    FUSED,
    IMAGE,
    SHUFFLED,
    StudyRow,
    study_folder,
    study_run,
    study_table,
)
from vlmrec.pipeline.two_tastes import (
    LOSSES,
    TRAINING,
    make_two_tastes,
    two_tastes_models,
)

QUICK = (IMAGE_ALONE, PLAIN, WEAK_PENALISED)


def world(runs: Path, seed: int, *, quick: bool) -> Path:
    """Returns the folder of a seed's world, made where it is not there yet."""
    folder = runs / f"world-seed{seed}"
    config = TwoTastesConfig(n_items=40, n_users=60) if quick else None
    if not folder.is_dir():
        try:
            make_two_tastes(folder, seed, config)
        except DataError:  # another process made it meanwhile
            Dataset.load(folder)
    return folder


def bands(rows: list[StudyRow]) -> list[dict[str, Any]]:
    """Returns each band with what was found, as far as its runs are there."""
    found = {(row.variant, view): one.mean for row in rows for view, one in row.estimates.items()}
    plain = {view: found.get((PLAIN, view)) for view in (FUSED, IMAGE, SHUFFLED)}
    mended = {view: found.get((WEAK_PENALISED, view)) for view in plain}
    alone = found.get((IMAGE_ALONE, FUSED))
    parts = (
        ("InfoNCE: image branch / image alone", "<=", 0.40, plain[IMAGE], alone),
        ("InfoNCE: image branch", "<=", 0.06, plain[IMAGE], 1.0),
        ("WPCL: image branch / InfoNCE's", ">=", 4.0, mended[IMAGE], plain[IMAGE]),
        ("WPCL: text shuffled / InfoNCE's", ">=", 2.5, mended[SHUFFLED], plain[SHUFFLED]),
        ("WPCL: fused / InfoNCE's", ">=", 0.92, mended[FUSED], plain[FUSED]),
    )
    lines = []
    for name, sign, bound, value, base in parts:
        if value is None or not base:
            continue
        ratio = value / base
        held = ratio <= bound if sign == "<=" else ratio >= bound
        lines.append({"band": f"{name} {sign} {bound:g}", "found": ratio, "held": held})
    return lines


def train_missing(options: argparse.Namespace) -> None:
    """Makes the worlds and trains what is not finished."""
    names = QUICK if options.quick else LOSSES
    training = TRAINING.model_copy(update={"epochs": 1}) if options.quick else TRAINING
    for seed in options.seeds:
        folder = world(options.runs, seed, quick=options.quick)
        split = Dataset.load(folder).leave_one_out()
        models = two_tastes_models(folder)
        for name in options.only or names:
            print(f"{name}, seed {seed} ...", flush=True)
            out = study_folder(options.runs, name, seed)
            seeded = training.model_copy(update={"seed": seed})
            study_run(models[name], split, out, seeded, filter_seen=True, quiet=True)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Trains what is missing, prints the table and returns it."""
    if not options.table:
        train_missing(options)
    rows = study_table(options.runs, two_tastes_models(options.runs), options.seeds)
    found = show_study(rows)
    checked = bands(rows)
    for one in checked:
        print(f"{'held' if one['held'] else 'BROKEN'}  {one['band']}: {one['found']:.3f}")
    return {**found, "bands": checked}


def main() -> None:
    """Runs the study, prints the table, writes the result."""
    parser = study_parser("vlm2rec_world", __doc__, "runs/two-tastes")
    parser.add_argument("--only", nargs="+", choices=LOSSES, help="train these losses only")
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    found = run(options)
    training = TRAINING.model_dump(mode="json")
    result = {"machine": describe_machine(), "training": training, **found}
    write_result(result_path("vlm2rec_world", options), result)


if __name__ == "__main__":
    main()
