"""A row of a comparison, read from the run folders that are finished."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from vlmrec.core.columns import ITEM_ID, RANK, USER_ID
from vlmrec.core.errors import ArtifactError
from vlmrec.data.splits import Split
from vlmrec.evaluation.evaluator import RANK_FILTERED
from vlmrec.evaluation.metrics import parse_metric
from vlmrec.evaluation.over_seeds import OverSeeds, over_seeds
from vlmrec.evaluation.sampled import n_unseen, sampled_metric
from vlmrec.evaluation.significance import Estimate, PairedDifference
from vlmrec.pipeline.evaluation import RANK_AMONG_ALL, RANK_LIFTED
from vlmrec.pipeline.planned_runs import PlannedRun
from vlmrec.pipeline.recipes import N_SAMPLED, Recipe, Row
from vlmrec.pipeline.scenario_ranks import is_measured, read_measured
from vlmrec.pipeline.scenarios import Scenario


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


class RowReader:
    """Reads run folders, and watches that all were tested on the same cases.

    Args:
        recipe: Of the table.
        scenario: One of its scenarios.
        split: Data of the scenario.
        folder: Of the run folders.

    Attributes:
        users: ``[n]`` which cases belong to the same user; None until a row was read.
        protocol: How test cases are ranked, in words.
    """

    def __init__(self, recipe: Recipe, scenario: Scenario, split: Split, folder: Path) -> None:
        self._recipe = recipe
        self._scenario = scenario
        self._split = split
        self._folder = folder
        self._cases: pl.DataFrame | None = None
        self._chosen = np.zeros(0, dtype=np.bool_)
        self.users: np.ndarray | None = None
        self.protocol = ""

    @cached_property
    def _n_unseen(self) -> np.ndarray:
        return n_unseen(self._split.test, self._split.dataset.n_items)[self._chosen]

    def row(self, row: Row, runs: Mapping[int, PlannedRun]) -> ComparedRow:
        """Returns a row over the runs that are finished.

        Raises:
            ArtifactError: A run is damaged, or was tested on other cases.
        """
        done = {
            seed: run
            for seed, run in runs.items()
            if is_measured(self._folder / run.name, self._scenario)
        }
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
        info, table = read_measured(self._folder / name, self._scenario)
        cases = table.select(USER_ID, ITEM_ID)
        if self._cases is None:
            self._cases = cases
            self._chosen = self._scenario.chosen(cases, self._split)
            tested = cases[USER_ID].to_numpy()[self._chosen]
            self.users = np.unique(tested, return_inverse=True)[1]
            self.protocol = str(info["metrics"][self._figures]["protocol"])
            if len(tested) < cases.height:
                self.protocol += f", of which {len(tested):,} count"
        elif not self._cases.equals(cases):
            raise ArtifactError(
                f"The run in '{self._folder / name}' was tested on other cases than the others.",
                "Remove it, and compare again.",
            )
        return info, table.filter(self._chosen)

    @property
    def _figures(self) -> str:
        """Which figures of a run's record are about the cases of this scenario."""
        if self._scenario.about_known_items:
            return "warm_among_all"
        overruled = self._scenario.among_all and self._split.test_candidates is not None
        return "test_among_all" if overruled else "test"

    @property
    def _columns(self) -> list[str]:
        """Names of the column of ranks for each metric."""
        recipe = self._recipe
        among_all = RANK if self._figures != "test_among_all" else RANK_AMONG_ALL
        column = RANK_LIFTED if self._scenario.lifted else among_all
        filtered = len(recipe.filtered_metrics) + len(recipe.sampled_metrics)
        return [column] * len(recipe.metrics) + [RANK_FILTERED] * filtered

    def _per_case(self, table: pl.DataFrame) -> np.ndarray:
        """Returns ``[n, M]``, the columns of the table for each case of one run."""
        recipe = self._recipe
        for missing in set(self._columns) - set(table.columns):
            raise ArtifactError(
                f"A run in '{self._folder}' has no column '{missing}' in its test cases.",
                "It was measured by an older version or another protocol: remove the runs, and "
                "compare again.",
            )
        plain = zip(self._columns, (*recipe.metrics, *recipe.filtered_metrics), strict=False)
        found = [parse_metric(name).per_case(table[one].to_numpy()) for one, name in plain]
        if recipe.sampled_metrics:
            ranks = table[RANK_FILTERED].to_numpy()
            found += [
                sampled_metric(parse_metric(name), ranks, self._n_unseen, N_SAMPLED)
                for name in recipe.sampled_metrics
            ]
        return np.column_stack(found)


def _numbers(one: Estimate) -> dict[str, float | None]:
    return {
        name: None if math.isnan(value) else value
        for name, value in (("mean", one.mean), ("low", one.low), ("high", one.high))
    }
