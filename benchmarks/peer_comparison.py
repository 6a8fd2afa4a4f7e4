"""What finished runs of several libraries say about each other: times, accuracy, memory, goals."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlmrec.core.random import Streams
from vlmrec.evaluation.metrics import ndcg, parse_metric
from vlmrec.evaluation.significance import bootstrap_means, paired_bootstrap

OURS = "vlmrec"
NEAR = 0.95
TIME_GOALS = {"rectools": 0.5, "recbole": 0.1}
EVALUATION_GOAL = 0.5
MEMORY_GOAL = 1.0
K = 10


@dataclass(frozen=True, eq=False)
class Run:
    """One finished training.

    Attributes:
        side: Which library.
        seed: Of its random numbers.
        record: What the run noted.
        ranks: Of every user, where validation was best: "valid" and "test"; after the last
            epoch: "last_test".
    """

    side: str
    seed: int
    record: dict[str, Any]
    ranks: dict[str, np.ndarray]

    @property
    def best(self) -> float:
        """The best validation NDCG@10."""
        return max(self.record["valid"])

    def seconds_to(self, target: float) -> float | None:
        """Returns the training seconds until validation first reached `target`."""
        pairs = zip(self.record["training_seconds"], self.record["valid"], strict=True)
        return next((seconds for seconds, value in pairs if value >= target), None)


def read_run(side: str, seed: int, folder: Path) -> Run:
    """Returns the run that a worker wrote into `folder`."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    with np.load(folder / "ranks.npz") as stored:
        return Run(side, seed, record, {name: stored[name] for name in stored.files})


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """Returns rows of all runs on one dataset, a summary of each side, and each peer's goals."""
    rows: list[dict[str, Any]] = []
    for seed in sorted({run.seed for run in runs}):
        of_seed = [run for run in runs if run.seed == seed]
        target = min(run.best for run in of_seed)
        rows += [_row(run, target) for run in of_seed]
    sides = list(dict.fromkeys(run.side for run in runs))
    peers = [side for side in sides if side != OURS] if OURS in sides else []
    return {
        "rows": rows,
        "sides": [_side([run for run in runs if run.side == side]) for side in sides],
        "against": [_against(peer, runs, rows) for peer in peers],
    }


def _row(run: Run, target: float) -> dict[str, Any]:
    record = run.record
    lengths = np.diff([0.0, *record["training_seconds"]])
    copied = (
        "stopped",
        "best_epoch",
        "evaluation_seconds",
        "peak_mib",
        "peak_preparation_mib",
        "peak_training_mib",
        "peak_evaluation_mib",
        "baseline_mib",
        "wall_seconds",
    )
    return {
        "side": run.side,
        "seed": run.seed,
        "s_per_epoch": float(np.median(lengths)),
        "epochs": len(record["valid"]),
        "target_valid": target,
        "s_to_target": run.seconds_to(target),
        "s_to_near": run.seconds_to(NEAR * target),
        "best_valid": run.best,
        "test": float(ndcg(run.ranks["test"], K).mean()),
        "prepare_s": record["preparation_seconds"],
        **{name: record[name] for name in copied},
        "metric_difference": _metric_difference(run),
        "curve": [
            [round(seconds, 3), round(value, 6)]
            for seconds, value in zip(record["training_seconds"], record["valid"], strict=True)
        ],
    }


def _metric_difference(run: Run) -> float | None:
    """Returns how far the library's own test metrics are from ours of the same model."""
    own = run.record.get("own_metrics")
    if own is None:
        return None
    ranks = run.ranks["last_test"]
    ours = {name: float(parse_metric(name).per_case(ranks).mean()) for name in own}
    return max(abs(ours[name] - own[name]) for name in own)


def _per_user(runs: Sequence[Run]) -> np.ndarray:
    return np.mean([ndcg(run.ranks["test"], K) for run in runs], axis=0)


def _side(runs: Sequence[Run]) -> dict[str, Any]:
    values = _per_user(runs)
    estimate = bootstrap_means(values[:, None], streams=Streams(0))[0]
    facts = ("batch", "loss", "parameters", "known_items", "hidden")
    counts = ("steps_per_epoch", "targets_per_epoch", "torch", "threads")
    record = runs[0].record
    return {
        "side": runs[0].side,
        "seeds": [run.seed for run in runs],
        "test": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        **{name: record[name] for name in (*facts, *counts)},
    }


def _against(peer: str, runs: Sequence[Run], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns ratios of ours to the peer's, paired by seed, and whether goals are held."""
    ours = {run.seed: run for run in runs if run.side == OURS}
    theirs = {run.seed: run for run in runs if run.side == peer and run.seed in ours}
    if not theirs:
        return {"peer": peer, "goals": []}
    seeds = sorted(theirs)
    by_run = {(row["side"], row["seed"]): row for row in rows}

    def ratio(name: str) -> float:
        pairs = ((by_run[OURS, seed][name], by_run[peer, seed][name]) for seed in seeds)
        return statistics.median(mine / other for mine, other in pairs)

    pair_targets = {seed: min(ours[seed].best, theirs[seed].best) for seed in seeds}
    pair_times = [
        (ours[seed].seconds_to(target) or 0.0) / (theirs[seed].seconds_to(target) or 1.0)
        for seed, target in pair_targets.items()
    ]
    difference = paired_bootstrap(
        _per_user([theirs[seed] for seed in seeds]),
        _per_user([ours[seed] for seed in seeds]),
        streams=Streams(0),
    )
    found = {
        "time": ratio("s_to_target"),
        "evaluation": ratio("evaluation_seconds"),
        "memory": ratio("peak_mib"),
    }
    limits = {"time": TIME_GOALS[peer], "evaluation": EVALUATION_GOAL, "memory": MEMORY_GOAL}
    goals = [
        {"ratio": name, "goal": limits[name], "found": found[name], "held": value <= limits[name]}
        for name, value in found.items()
    ]
    goals.append(
        {
            "ratio": "test NDCG@10 not below, within the interval of the difference",
            "goal": 0.0,
            "found": difference.high,
            "held": difference.high >= 0,
        }
    )
    return {
        "peer": peer,
        "seeds": seeds,
        "time_ratio_near": ratio("s_to_near"),
        "time_ratio_at_target_of_the_pair": statistics.median(pair_times),
        "time_ratio_of_epochs": ratio("s_per_epoch"),
        "training_memory_ratio": ratio("peak_training_mib"),
        "test_difference": asdict(difference),
        "goals": goals,
    }
