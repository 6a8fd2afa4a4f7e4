"""What helps items that training never saw into lists, and what that costs the others.

    python -m benchmarks.new_items --data FOLDER --runs FOLDER [--seeds 0 1 2] [--only NAME ...]

Trains `recipes/ml-100k-mm/sasrec-content.yaml` on the cold-item split under each loss and without
pictures, and once more on a rehearsal of that split in which other training items play new ones,
drawn anew for each seed. How much new items are helped is chosen on the rehearsals, as the most
that costs the others at most 5 % there, and then read off the test cases. Each run is a folder in
--runs and what was measured of it a file beside it: a study that was stopped goes on. --table
trains nothing, prints what is finished and writes the result.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.machine import describe_machine
from benchmarks.report import format_table, options_parser, result_path, write_result
from benchmarks.vlm import made_up_shop
from vlmrec.bundle import is_complete
from vlmrec.core.config import read_config_file
from vlmrec.core.files import read_json_object, write_json
from vlmrec.core.protocols import Ranker
from vlmrec.data.cold_items import RehearsalOptions, rehearsal
from vlmrec.data.dataset import Dataset
from vlmrec.data.splits import Split
from vlmrec.evaluation.help_grid import ranks_with_help
from vlmrec.evaluation.metrics import parse_metrics
from vlmrec.models.sasrec_content import SASRecContent
from vlmrec.objectives import FullCrossEntropy, SampledSoftmax
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.new_items import NewItems, offsets_for, with_new_vectors
from vlmrec.pipeline.run import Run
from vlmrec.train.options import TrainOptions

RECIPE = Path(__file__).parents[1] / "recipes" / "ml-100k-mm" / "sasrec-content.yaml"
METRIC = "NDCG@10"
COST = 0.05
"""Share of the warm targets' NDCG@10 that may be lost on the rehearsal."""
LEARNERS: dict[str, dict[str, Any]] = {
    "cross-entropy": {"objective": FullCrossEntropy()},
    "sampled, log Q": {"objective": SampledSoftmax(n_negatives=512, popularity=0.5)},
    "sampled by popularity": {
        "objective": SampledSoftmax(n_negatives=512, popularity=0.5, corrected=False)
    },
    "words alone": {"image": None},
    "words alone, log Q": {
        "image": None,
        "objective": SampledSoftmax(n_negatives=512, popularity=0.5),
    },
}
"""What each does otherwise than the recipe."""
EXPOSURES = (0.05, 0.1, 0.15, *(step / 40 for step in range(8, 21)), 1.0)
NEVER = -1e4
"""An offset that puts new items behind all others."""
QUOTAS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
PLACES = {"": NewItems(neighbours=0), "neighbours": NewItems()}
"""How the vectors of new items are made."""
WAYS = ("offset", "quota", "neighbours + offset", "neighbours + quota")


class Remembered:
    """A ranker whose queries are made once for several views of the same histories.

    New items stand in no history, so their vectors change scores and no query.
    """

    def __init__(self, ranker: Ranker, queries: dict[bytes, Tensor]) -> None:
        self._ranker, self._queries = ranker, queries
        self.n_items, self.max_len, self.device = ranker.n_items, ranker.max_len, ranker.device

    def encode(self, histories: Tensor) -> Tensor:
        """Returns the queries ``[B, D]``."""
        key = histories.numpy().tobytes()
        if key not in self._queries:
            self._queries[key] = self._ranker.encode(histories)
        return self._queries[key]

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start]``."""
        return self._ranker.score(queries, start, stop)


def curves(run: Run, split: Split, pool: NDArray[np.int64] | None) -> dict[str, Any]:
    """Returns, for each way, NDCG@10 of both kinds of targets by how much new items are helped.

    Args:
        run: Of the split.
        split: With cases about new items and about others.
        pool: Which items compete, or None for all.
    """
    n_train = split.train.item_counts(split.dataset.n_items)
    assert split.test_candidates is not None
    new = np.isin(np.arange(len(n_train)), split.test_candidates)
    steps = [*((0.0, *EXPOSURES)), *QUOTAS]
    assert run.item_vectors is not None
    assert split.test_warm is not None
    found: dict[str, Any] = {}
    queries: dict[bytes, Tensor] = {}
    for place, way in PLACES.items():
        vectors = with_new_vectors(way, run.model, run.item_vectors, n_train, new)
        ranker = Remembered(run.model.ranker(vectors), queries)
        offsets = offsets_for((0.0, *EXPOSURES), ranker, n_train, new, pool)
        cold, warm = (
            _ndcg(
                ranks_with_help(ranker, cases, new, offsets=offsets, quotas=QUOTAS, candidates=pool)
            )
            for cases in (split.test, split.test_warm)
        )
        every = [
            {"help": step, "cold": c, "warm": w}
            for step, c, w in zip(steps, cold, warm, strict=True)
        ]
        if not place:
            unseen = ranks_with_help(
                ranker, split.test_warm, new, offsets=(NEVER,), candidates=pool
            )
            found["never shown"] = [{"help": 0.0, "cold": 0.0, "warm": _ndcg(unseen)[0]}]
        name = f"{place} + " if place else ""
        found[f"{name}offset"] = every[: len(offsets)]
        found[f"{name}quota"] = [every[0], *every[len(offsets) :]]
    return found


def _ndcg(ranks: NDArray[np.float64]) -> list[float]:
    (metric,) = parse_metrics([METRIC])
    return [float(metric.per_case(column).mean()) for column in ranks.T]


def recipe() -> tuple[SASRecContent, TrainOptions]:
    """Returns the recipe's model and training."""
    given = read_config_file(RECIPE)
    training = {name: given.pop(name) for name in TrainOptions.model_fields if name in given}
    return SASRecContent.parse(given, str(RECIPE)), TrainOptions.parse(training, str(RECIPE))


def measured(
    split: Split,
    pool: NDArray[np.int64] | None,
    folder: Path,
    learner: str,
    options: argparse.Namespace,
) -> dict[str, Any] | None:
    """Returns the curves of a model on a split; None where --table finds nothing."""
    beside = folder.with_suffix(".json")
    if not beside.is_file():
        run = _trained(split, folder, learner, options)
        if run is None:
            return None
        write_json(beside, curves(run, split, pool))
    return read_json_object(beside)


def _trained(split: Split, folder: Path, learner: str, options: argparse.Namespace) -> Run | None:
    if is_complete(folder):
        return Run.load(folder)
    if options.table:
        return None
    print(f"{folder.name} ...", flush=True)
    spec, training = recipe()
    changes: dict[str, Any] = {"seed": int(folder.name.rsplit("seed", 1)[1])}
    changes |= {"epochs": 1} if options.quick else {}
    return fit(
        spec.model_copy(update=LEARNERS[learner]),
        split,
        folder,
        options=training.model_copy(update=changes),
        test=False,
        quiet=True,
    )


def chosen(rehearsed: Sequence[Mapping[str, Any]], way: str) -> float:
    """Returns how much help costs at most `COST` on the rehearsals of all seeds together."""
    every = [one[way] for one in rehearsed]
    plain = np.mean([one["offset"][0]["warm"] for one in rehearsed])
    affordable = 0.0
    for steps in zip(*every, strict=True):
        if np.mean([step["warm"] for step in steps]) >= plain * (1 - COST):
            affordable = max(affordable, steps[0]["help"])
    return affordable


def rows_of(
    learner: str, rehearsed: list[dict[str, Any]], tested: list[dict[str, Any]]
) -> list[Any]:
    """Returns the table's rows of one model: means over seeds."""
    plain, unseen = (
        float(np.mean([one[way][0]["warm"] for one in tested])) for way in ("offset", "never shown")
    )

    def row(way: str, amount: float) -> dict[str, Any]:
        at = [step for one in tested for step in one[way] if step["help"] == amount]
        warm = float(np.mean([step["warm"] for step in at]))
        return {
            "model": learner,
            "seeds": len(tested),
            "new items": way if amount else "as they are",
            "help": amount,
            "cold": float(np.mean([step["cold"] for step in at])),
            "warm": warm,
            "warm lost, %": 100 * (1 - warm / plain),
            "to showing none, %": 100 * (1 - warm / unseen),
            "cold by seed": [round(step["cold"], 4) for step in at],
        }

    return [row("offset", 0.0), *(row(way, chosen(rehearsed, way)) for way in WAYS)]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Trains what is missing, prints the table and returns it."""
    data = made_up_shop(options.runs / "shop", quick=True) if options.quick else None
    split = (data or Dataset.load(options.data)).cold_items()
    rows: list[Any] = []
    steps: dict[str, Any] = {}
    for learner in options.only or LEARNERS:
        found: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for seed in options.seeds:
            name = learner.replace(", ", "-").replace(" ", "-")
            tests = measured(split, None, options.runs / f"{name}-seed{seed}", learner, options)
            folder = options.runs / f"{name}-rehearsal-seed{seed}"
            inner = rehearsal(split, RehearsalOptions(seed=seed))
            other = measured(inner, split.training_items, folder, learner, options)
            if tests is not None and other is not None:
                found.append((other, tests))
        if found:
            rehearsed, tested = map(list, zip(*found, strict=True))
            rows += rows_of(learner, rehearsed, tested)
            steps[learner] = {"rehearsal": rehearsed, "test": tested}
    columns = ["model", "seeds", "new items", "help", "cold", "warm", "warm lost, %"]
    columns.append("to showing none, %")
    print(format_table(rows, columns), flush=True)
    return {
        "metric": f"{METRIC} among all items",
        "seeds": options.seeds,
        "cases": len(split.test),
        "rows": rows,
        "steps": steps,
        "machine": describe_machine(),
    }


def main() -> None:
    """Runs the study and writes its result."""
    parser = options_parser("new_items", __doc__)
    parser.add_argument("--data", type=Path, help="dataset folder (not with --quick)")
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=list(LEARNERS), help="these models")
    parser.add_argument("--table", action="store_true", help="train nothing")
    options = parser.parse_args()
    result = run(options)
    write_result(result_path("new_items", options), result)


if __name__ == "__main__":
    main()
