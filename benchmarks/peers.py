"""SASRec here, in RecTools 0.19 and in RecBole 1.2.1: the same work, timed and measured alike.

    python -m benchmarks.peers [--data DIR] [--beauty FILE] [--seeds 0,1,2] [--peer NAME ...]
        [--epochs N] [--max-seconds S] [--threads 2] [--work DIR [--resume | --stored]] [--quick]

All sides get our leave-one-out split as a file, the same sizes, dropout, learning rate, full
cross-entropy, number of threads and rule of stopping; each run is a process of its own, one after
the other. All validate after every epoch while the clock stands still. Time is training seconds
until validation NDCG@10 first reaches the lowest of the sides' best values of that seed. Ranks of
every user are written, and NDCG@10 of all sides comes from them by this project's metrics. Each
library also evaluates all users in its own way, which is timed apart. What stays different (what
a batch and an epoch are, padding, start of weights) is what each library is; see
docs/explanation/peers.md.

RecTools and RecBole get environments of their own, made below --environments.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.peer_comparison import NEAR, OURS, Run, compare, read_run
from benchmarks.peer_data import PeerData, chosen_data, toy_data, write_events
from benchmarks.peer_environments import FOLDER, PEERS, peer_python
from benchmarks.report import format_table, options_parser, result_path, write_result
from benchmarks.workers.handover import EVENTS

ROOT = Path(__file__).resolve().parents[1]
SIDES = (OURS, *PEERS)
SETTINGS: dict[str, Any] = {
    "dim": 64,
    "n_layers": 2,
    "n_heads": 2,
    "hidden": 64,  # RecTools has no other width of the feed-forward layers than `dim`
    "max_len": 50,
    "learning_rate": 1e-3,
    "epochs": 200,
    "patience": 8,  # epochs that take every target once; RecTools stays with popularity for four
}
TOY: dict[str, Any] = {"dim": 16, "hidden": 16, "epochs": 3, "max_len": 8}
TIMES = ("side", "seed", "s_per_epoch", "epochs", "stopped", "s_to_target", "best_valid", "test")
MEASURES = ("evaluation_seconds", "peak_mib", "prepare_s", "metric_difference")
FACTS = ("side", "test", "low", "high", "steps_per_epoch", "targets_per_epoch", "known_items")


def run_side(
    side: str, python: Path, data: Path, settings: dict[str, Any], folder: Path, *, resume: bool
) -> Run:
    """Returns one training run, which happens in a process of its own.

    Args:
        side: One of `SIDES`.
        python: Interpreter of its environment.
        data: What `arrays_of` gave, as .npz.
        settings: Options of all sides, with "seed", "threads" and "max_seconds".
        folder: Where the run puts its files.
        resume: Take a finished run of the same settings as it is, and go on with one that was
            ended from outside (RecTools and RecBole keep each epoch; ours takes minutes).
    """
    if resume and is_finished(settings, folder):
        return read_run(side, settings["seed"], folder)
    if not (resume and is_same(settings, folder)):
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").unlink(missing_ok=True)
    options = folder / "options.json"
    options.write_text(json.dumps(settings), encoding="utf-8")
    threads = str(settings["threads"])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    paths = [str(path.resolve()) for path in (data, options, folder)]
    command = [str(python), "-m", f"benchmarks.workers.{side}_sasrec", *paths]
    subprocess.run(command, check=True, cwd=folder, env=environment)
    return read_run(side, settings["seed"], folder)


def is_finished(settings: dict[str, Any], folder: Path) -> bool:
    """Returns whether `folder` holds a finished run of these settings, whatever its time limit."""
    return (folder / "record.json").exists() and is_same(settings, folder)


def is_same(settings: dict[str, Any], folder: Path) -> bool:
    """Returns whether the run in `folder` was begun with these settings, whatever its limit."""
    options = folder / "options.json"
    if not options.exists():
        return False
    stored = json.loads(options.read_text(encoding="utf-8"))
    return {**stored, "max_seconds": None} == {**settings, "max_seconds": None}


def measure(
    data: PeerData, options: argparse.Namespace, pythons: dict[str, Path], work: Path
) -> dict[str, Any]:
    """Returns the comparison of all chosen sides and seeds on one dataset.

    Args:
        data: What all are trained on.
        options: Of the command line.
        pythons: Interpreter of each chosen side.
        work: Folder for runs.
    """
    folder = work / data.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "data.npz"
    np.savez(path, **data.arrays)
    write_events(data.arrays, folder / EVENTS)
    settings = {**SETTINGS, **data.options, **(TOY if options.quick else {})}
    settings |= {"threads": options.threads, "max_seconds": options.max_seconds}
    if options.epochs is not None:
        settings["epochs"] = options.epochs
    runs: list[Run] = []
    for seed in options.seeds:
        for side, python in pythons.items():
            one, own = {**settings, "seed": seed}, folder / f"{side}-{seed}"
            if options.stored and not is_finished(one, own):
                continue
            resume = options.resume or options.stored
            runs.append(run_side(side, python, path, one, own, resume=resume))
    return {"data": data.name, "settings": settings, **compare(runs)}


def show(result: dict[str, Any]) -> None:
    """Prints the comparison on one dataset."""
    print(f"\n{result['data']}\n{format_table(result['rows'], TIMES + MEASURES)}\n")
    print(format_table(result["sides"], FACTS))
    for one in result["against"]:
        for goal in one["goals"]:
            verdict = "held" if goal["held"] else "NOT held"
            print(
                f"against {one['peer']}: {goal['ratio']}: {goal['found']:.3f} "
                f"(goal {goal['goal']:g}): {verdict}"
            )


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _options() -> argparse.Namespace:
    parser = options_parser("peers", __doc__)
    parser.add_argument("--data", type=Path, help="dataset folder (default: ml-100k-mm)")
    parser.add_argument("--beauty", type=Path, help="file of sequence lines")
    parser.add_argument(
        "--peer", action="append", choices=SIDES, help="only this side; may be given again"
    )
    parser.add_argument("--seeds", type=_seeds, default=[0, 1, 2], help="such as 0,1,2")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, help=f"at most so many ({SETTINGS['epochs']})")
    parser.add_argument(
        "--max-seconds",
        type=float,
        help="a run ends with the epoch in which it has taken so long, validation included",
    )
    parser.add_argument("--environments", type=Path, default=FOLDER, help="of the peers")
    parser.add_argument("--work", type=Path, help="folder for runs (default: a temporary one)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="take finished runs in --work as they are, go on with those that were ended",
    )
    parser.add_argument(
        "--stored", action="store_true", help="train nothing: compare the finished runs in --work"
    )
    return parser.parse_args()


def main() -> None:
    """Trains all sides, prints tables, writes the result."""
    options = _options()
    sides = [side for side in SIDES if options.peer is None or side in options.peer]
    pythons = {
        side: peer_python(PEERS[side], options.environments) if side in PEERS else sys.executable
        for side in sides
    }
    if options.quick:
        options.seeds = options.seeds[:1]
    chosen = [toy_data()] if options.quick else chosen_data(options.data, options.beauty)
    machine = describe_machine(options.threads)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        for data in chosen:
            work = options.work or Path(temporary)
            results.append(measure(data, options, pythons, work))
            show(results[-1])
    result = {
        "machine": machine,
        "peers": {side: PEERS[side].package for side in sides if side in PEERS},
        "target": "the lowest of the sides' best validation NDCG@10 of a seed; "
        f"'near' is {NEAR:g} of it",
        "results": results,
    }
    write_result(result_path("peers", options), result)


if __name__ == "__main__":
    main()
