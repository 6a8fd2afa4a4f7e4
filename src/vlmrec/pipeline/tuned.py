"""What a tuning found: the trials of each row, the best of them, and the recipe that follows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from vlmrec.core.config import StrictConfig
from vlmrec.pipeline.recipes import Recipe, Row
from vlmrec.pipeline.search_space import Space
from vlmrec.pipeline.trial_run import TrialResult
from vlmrec.pipeline.tuning_plan import TuningPlan

Outcome = Literal["done", "pruned", "failed"]


class TrialRecord(StrictConfig):
    """One trial, as it is remembered."""

    number: int
    """From 0, which is the row as it stands."""
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    """What was tried, by path."""
    outcome: Outcome
    """Whether it came to its end, was pruned, or could not be trained."""
    result: TrialResult | None = None
    """What it showed; null where it failed."""
    run: str = ""
    """Name of its folder."""
    problem: str = ""
    """Why it failed."""

    @property
    def seconds(self) -> float:
        """Time of training."""
        return 0.0 if self.result is None else self.result.seconds


@dataclass(frozen=True, eq=False)
class TunedRow:
    """One row after its tuning.

    Attributes:
        space: The row as it stands, and what varied.
        trials: In order.
        exhausted: Whether every combination was tried before the budget was used up.
    """

    space: Space
    trials: tuple[TrialRecord, ...]
    exhausted: bool = False

    @property
    def best(self) -> TrialRecord | None:
        """The trial of the best value on validation, the earlier of equals; None if all failed."""
        done = [one for one in self.trials if one.outcome == "done"]
        return max(done, key=_value, default=None)

    @property
    def row(self) -> Row:
        """The row with its best options."""
        best = self.best
        if best is None or best.number == 0:
            return self.space.row
        return self.space.row_with(best.options)

    @property
    def seconds(self) -> float:
        """Time of training, over all trials."""
        return sum(one.seconds for one in self.trials)

    def count(self, outcome: Outcome) -> int:
        """Returns the number of trials that ended so."""
        return sum(one.outcome == outcome for one in self.trials)

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain JSON values."""
        best = self.best
        return {
            "label": self.space.row.label,
            "model": self.space.row.model,
            "search": {
                one.path: one.among.model_dump(mode="json") for one in self.space.parameters
            },
            "best": None if best is None else best.model_dump(mode="json"),
            "trials": [one.model_dump(mode="json") for one in self.trials],
            "done": self.count("done"),
            "pruned": self.count("pruned"),
            "failed": self.count("failed"),
            "exhausted": self.exhausted,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, eq=False)
class Tuned:
    """The rows of a recipe after their tuning, and how it was done.

    Attributes:
        plan: What was asked for.
        rows: Those that have a search, in the order of the recipe.
        dataset: Name of the data.
        fingerprints: Of "dataset" and "split".
        optuna: Version of Optuna.
    """

    plan: TuningPlan
    rows: tuple[TunedRow, ...]
    dataset: str
    fingerprints: Mapping[str, str] = field(default_factory=dict[str, str])
    optuna: str = ""

    @property
    def metrics(self) -> tuple[str, ...]:
        """What trials were scored by, each once."""
        results = [trial.result for row in self.rows for trial in row.trials]
        return tuple(dict.fromkeys(one.metric for one in results if one is not None))

    def recipe(self) -> Recipe:
        """Returns the comparison with the options that were found."""
        found = {one.space.row.label: one.row for one in self.rows}
        rows = tuple(found.get(row.label, row) for row in self.plan.recipe.rows)
        return self.plan.recipe.model_copy(update={"rows": rows})

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain JSON values."""
        return {
            "title": self.plan.recipe.title,
            "dataset": {"name": self.dataset, "fingerprint": self.fingerprints["dataset"]},
            "scenario": self.plan.recipe.scenarios[0].name,
            "split": self.fingerprints["split"],
            "filter_seen": self.plan.recipe.filter_seen,
            "tuning": self.plan.tuning.model_dump(mode="json"),
            "sampler": f"TPE of Optuna {self.optuna}",
            "metrics": list(self.metrics),
            "test": "not looked at",
            "rows": [one.to_json() for one in self.rows],
        }


def told(options: Mapping[str, Any]) -> str:
    """Returns options for people.

    >>> told({"dim": 64, "objective": {"kind": "bce"}, "norm": "pre"})
    'dim 64, objective {"kind": "bce"}, norm pre'
    """
    texts = {
        path: value if isinstance(value, str) else json.dumps(value)
        for path, value in options.items()
    }
    return ", ".join(f"{path} {text}" for path, text in texts.items())


def _value(trial: TrialRecord) -> float:
    return float("-inf") if trial.result is None else trial.result.value
