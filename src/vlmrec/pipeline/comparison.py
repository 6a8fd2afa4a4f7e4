"""What the finished runs of a recipe show: a row for each model, over its seeds and users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vlmrec.evaluation.over_seeds import paired_differences
from vlmrec.evaluation.significance import holm
from vlmrec.pipeline.compared_row import ComparedRow, RowReader
from vlmrec.pipeline.recipes import Recipe
from vlmrec.pipeline.scenarios import Scenario
from vlmrec.pipeline.settings import Setting


@dataclass(frozen=True, eq=False)
class Comparison:
    """The rows of a recipe on one dataset in one scenario, and how they were measured.

    Attributes:
        recipe: What was asked for.
        scenario: Which of its scenarios.
        dataset: Name of the data.
        fingerprints: Of "dataset" and "split".
        seeds: That were asked for.
        rows: In the order of the recipe.
        protocol: How test cases are ranked, in words; empty where nothing is finished.
        n_users: Whose cases were ranked.
        preparation: What was left out of the raw data, in words.
    """

    recipe: Recipe
    scenario: Scenario
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
        return {
            "dataset": {"name": self.dataset, "fingerprint": self.fingerprints["dataset"]},
            "scenario": self.scenario.model_dump(mode="json"),
            "split": self.fingerprints["split"],
            "protocol": self.protocol,
            "n_users": self.n_users,
            "preparation": self.preparation,
            "unfinished": self.unfinished,
            "rows": [one.to_json() for one in self.rows],
        }


def to_json(blocks: Sequence[Comparison]) -> dict[str, Any]:
    """Returns the comparisons of one recipe as plain JSON values."""
    recipe, seeds = blocks[0].recipe, blocks[0].seeds
    return {
        "title": recipe.title,
        "filter_seen": recipe.filter_seen,
        "confidence": 0.95,
        "metrics": list(recipe.columns),
        "seeds": list(seeds),
        "baseline": recipe.baseline.label,
        "blocks": [one.to_json() for one in blocks],
    }


def compare_finished(
    recipe: Recipe, settings: Sequence[Setting], folder: Path, seeds: Sequence[int]
) -> list[Comparison]:
    """Returns the comparisons of all runs that are finished; nothing is trained.

    Args:
        recipe: Of the table.
        settings: Data, scenarios and runs.
        folder: Of the run folders.
        seeds: That were asked for.

    Raises:
        ArtifactError: A run is damaged, or runs were tested on different cases.
    """
    return [_compared(recipe, one, folder, tuple(seeds)) for one in settings]


def _compared(recipe: Recipe, one: Setting, folder: Path, seeds: tuple[int, ...]) -> Comparison:
    split = one.split
    reader = RowReader(recipe, one.scenario, split, folder)
    rows = [reader.row(row, one.plan.rows[row.label]) for row in recipe.rows]
    base = next(row for row in rows if row.row is recipe.baseline)
    return Comparison(
        recipe=recipe,
        scenario=one.scenario,
        dataset=one.dataset,
        fingerprints={"dataset": split.dataset.fingerprint, "split": split.fingerprint},
        seeds=seeds,
        rows=_corrected([_against(base, row, reader.users) for row in rows]),
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
