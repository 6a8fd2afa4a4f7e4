"""What the finished runs of a recipe show: a row for each model, over its seeds and users."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from vlmrec.bundle import is_complete, read_ranks
from vlmrec.core.columns import ITEM_ID, RANK, USER_ID
from vlmrec.core.errors import ArtifactError
from vlmrec.data.splits import Split
from vlmrec.evaluation.evaluator import RANK_FILTERED
from vlmrec.evaluation.metrics import parse_metric
from vlmrec.evaluation.over_seeds import OverSeeds, over_seeds, paired_differences
from vlmrec.evaluation.sampled import n_unseen, sampled_metric
from vlmrec.evaluation.significance import Estimate, PairedDifference, holm
from vlmrec.pipeline.evaluation import RANK_AMONG_ALL
from vlmrec.pipeline.planned_runs import Plan, PlannedRun
from vlmrec.pipeline.recipes import N_SAMPLED, Recipe, Row


@dataclass(frozen=True, eq=False)
class ComparedRow:
    """One row over the seeds that are finished.

    Attributes:
        row: Of the recipe.
        runs: Seed -> name of the run folder, finished ones only.
        found: Means with intervals; None where no seed is finished.
        differences: Metric -> by how much the row exceeds the baseline; None for the baseline
            itself, and where not the same seeds of both are finished.
        p_values: Metric -> that of the difference, corrected for the number of rows (Holm).
        loss: What was minimised.
        max_len: Longest history that the model reads; None where it has no such limit.
        seconds_per_epoch: Mean over seeds; None for models that are counted.
        best_epochs: Of each seed, from 1; none for models that are counted.
    """

    row: Row
    runs: Mapping[int, str]
    found: OverSeeds | None = None
    differences: Mapping[str, PairedDifference] | None = None
    p_values: Mapping[str, float] = field(default_factory=dict[str, float])
    loss: str = ""
    max_len: int | None = None
    seconds_per_epoch: float | None = None
    best_epochs: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain JSON values."""
        found = self.found
        metrics = (
            {}
            if found is None
            else {
                name: {**_numbers(one), "seeds": list(found.by_seed[name])}
                for name, one in found.estimates.items()
            }
        )
        gaps = self.differences
        return {
            "label": self.row.label,
            "group": self.row.group,
            "model": self.row.model,
            "runs": {str(seed): name for seed, name in self.runs.items()},
            "metrics": metrics,
            "difference": None
            if gaps is None
            else {
                name: {
                    **_numbers(gap),
                    "p_value": gap.p_value,
                    "p_value_holm": self.p_values[name],
                    "effect_size": gap.effect_size,
                }
                for name, gap in gaps.items()
            },
            "published": self.row.published,
            "loss": self.loss,
            "max_len": self.max_len,
            "seconds_per_epoch": self.seconds_per_epoch,
            "best_epochs": list(self.best_epochs),
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """The rows of a recipe, and how they were measured.

    Attributes:
        recipe: What was asked for.
        dataset: Name of the data.
        fingerprints: Of "dataset" and "split".
        seeds: That were asked for.
        rows: In the order of the recipe.
        protocol: How test cases are ranked, in words; empty where nothing is finished.
        n_users: Whose cases were ranked.
        preparation: What was left out of the raw data, in words.
    """

    recipe: Recipe
    dataset: str
    fingerprints: Mapping[str, str]
    seeds: tuple[int, ...]
    rows: tuple[ComparedRow, ...]
    protocol: str = ""
    n_users: int = 0
    preparation: str = ""

    @property
    def unfinished(self) -> int:
        """Number of runs that the table waits for."""
        return sum(len(self.seeds) - len(one.runs) for one in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain JSON values."""
        recipe = self.recipe
        return {
            "title": recipe.title,
            "dataset": {"name": self.dataset, "fingerprint": self.fingerprints["dataset"]},
            "split": {"name": recipe.split, "fingerprint": self.fingerprints["split"]},
            "cases": recipe.cases,
            "filter_seen": recipe.filter_seen,
            "protocol": self.protocol,
            "n_users": self.n_users,
            "preparation": self.preparation,
            "confidence": 0.95,
            "metrics": list(recipe.columns),
            "seeds": list(self.seeds),
            "baseline": recipe.baseline.label,
            "unfinished": self.unfinished,
            "rows": [one.to_json() for one in self.rows],
        }


def compare_finished(
    recipe: Recipe,
    plan: Plan,
    split: Split,
    folder: Path,
    *,
    dataset: str,
    seeds: Sequence[int],
) -> Comparison:
    """Returns the comparison of all runs that are finished; nothing is trained.

    Args:
        recipe: Of the table.
        plan: Its runs.
        split: Data.
        folder: Of the run folders.
        dataset: Name of the data.
        seeds: That were asked for.

    Raises:
        ArtifactError: A run is damaged, or runs were tested on different cases.
    """
    reader = _Reader(recipe, split, folder)
    rows = [reader.row(row, plan.rows[row.label]) for row in recipe.rows]
    base = next(one for one in rows if one.row is recipe.baseline)
    return Comparison(
        recipe=recipe,
        dataset=dataset,
        fingerprints={"dataset": split.dataset.fingerprint, "split": split.fingerprint},
        seeds=tuple(seeds),
        rows=_corrected([_against(base, one, reader.users) for one in rows]),
        protocol=reader.protocol,
        n_users=0 if reader.users is None else len(np.unique(reader.users)),
        preparation=_preparation(split.dataset.manifest),
    )


def _preparation(manifest: Mapping[str, Any]) -> str:
    """Returns which events were left out before splitting, as far as the folder knows."""
    cleaning = manifest.get("source", {}).get("cleaning")
    if cleaning is None:
        return ""
    users = max(cleaning["min_user"], cleaning["min_history"])
    told = [f"users with at least {users} events"]
    if cleaning["min_item"] > 1:
        told.append(f"items with at least {cleaning['min_item']} (a core, taken before the split)")
    if cleaning["min_rating"] is not None:
        told.append(f"ratings of at least {cleaning['min_rating']:g}")
    if cleaning["repeats"] != "keep":
        told.append(f"the {cleaning['repeats']} of repeated events")
    return "kept were " + ", ".join(told)


class _Reader:
    """Reads run folders, and watches that all were tested on the same cases."""

    def __init__(self, recipe: Recipe, split: Split, folder: Path) -> None:
        self._recipe = recipe
        self._split = split
        self._folder = folder
        self._cases: pl.DataFrame | None = None
        self.users: np.ndarray | None = None
        self.protocol = ""

    @cached_property
    def _n_unseen(self) -> np.ndarray:
        return n_unseen(self._split.test, self._split.dataset.n_items)

    def row(self, row: Row, runs: Mapping[int, PlannedRun]) -> ComparedRow:
        done = {seed: run for seed, run in runs.items() if is_complete(self._folder / run.name)}
        names = {seed: run.name for seed, run in done.items()}
        if not done:
            return ComparedRow(row, names)
        records, ranks = zip(*(self._read(name) for name in names.values()), strict=True)
        values = np.stack([self._per_case(one) for one in ranks])  # [S, n, M]
        spec = next(iter(done.values())).spec(self._folder)
        training = [record["training"] for record in records]
        epochs = [
            one["training_seconds"] / max(one["epochs"], 1) for one in training if "epochs" in one
        ]
        return ComparedRow(
            row,
            names,
            found=over_seeds(
                values, self._recipe.columns, users=self.users, address=("comparison",)
            ),
            loss=spec.describe_loss(),
            max_len=getattr(spec, "max_len", None),
            seconds_per_epoch=float(np.mean(epochs)) if epochs else None,
            best_epochs=tuple(one["best_epoch"] for one in training if "best_epoch" in one),
        )

    def _read(self, name: str) -> tuple[dict[str, Any], pl.DataFrame]:
        info, table = read_ranks(self._folder / name)
        cases = table.select(USER_ID, ITEM_ID)
        if self._cases is None:
            self._cases = cases
            self.users = np.unique(cases[USER_ID].to_numpy(), return_inverse=True)[1]
            self.protocol = str(info["metrics"][self._recipe.cases]["protocol"])
        elif not self._cases.equals(cases):
            raise ArtifactError(
                f"The run in '{self._folder / name}' was tested on other cases than the others.",
                "Remove it, and compare again.",
            )
        return info, table

    def _per_case(self, table: pl.DataFrame) -> np.ndarray:
        """Returns ``[n, M]``, the columns of the table for each case of one run."""
        recipe = self._recipe
        column = RANK if recipe.cases == "test" else RANK_AMONG_ALL
        wanted = [(column, name) for name in recipe.metrics]
        wanted += [(RANK_FILTERED, name) for name in recipe.filtered_metrics]
        needed = {name for name, _ in wanted} | (
            {RANK_FILTERED} if recipe.sampled_metrics else set()
        )
        for missing in needed - set(table.columns):
            raise ArtifactError(
                f"A run in '{self._folder}' has no column '{missing}' in its test cases.",
                "It was measured by an older version or another protocol: remove the runs, and "
                "compare again.",
            )
        found = [parse_metric(name).per_case(table[one].to_numpy()) for one, name in wanted]
        if recipe.sampled_metrics:
            ranks = table[RANK_FILTERED].to_numpy()
            found += [
                sampled_metric(parse_metric(name), ranks, self._n_unseen, N_SAMPLED)
                for name in recipe.sampled_metrics
            ]
        return np.column_stack(found)


def _against(base: ComparedRow, one: ComparedRow, users: np.ndarray | None) -> ComparedRow:
    if one is base or one.found is None or base.found is None:
        return one
    if one.runs.keys() != base.runs.keys():
        return one
    gaps = paired_differences(base.found.cases, one.found.cases, users=users)
    return replace(one, differences=gaps)


def _corrected(rows: list[ComparedRow]) -> tuple[ComparedRow, ...]:
    """Returns the rows with p-values that bear in mind how many rows are compared."""
    places = [i for i, one in enumerate(rows) if one.differences is not None]
    found: list[dict[str, float]] = [{} for _ in rows]
    gaps = [dict(rows[i].differences or {}) for i in places]
    for name in gaps[0] if gaps else ():
        for i, value in zip(places, holm([gap[name].p_value for gap in gaps]), strict=True):
            found[i][name] = value
    return tuple(replace(one, p_values=values) for one, values in zip(rows, found, strict=True))


def _numbers(one: Estimate) -> dict[str, float | None]:
    return {
        name: None if math.isnan(value) else value
        for name, value in (("mean", one.mean), ("low", one.low), ("high", one.high))
    }
