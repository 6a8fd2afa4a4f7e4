"""A recipe whose rows are tuned: which options vary, and the budget that all rows share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field

from vlmrec.core.config import StrictConfig, read_config_file
from vlmrec.core.errors import ConfigError
from vlmrec.pipeline.planned_runs import parse_part
from vlmrec.pipeline.recipes import Recipe, recipe_of
from vlmrec.pipeline.search_space import Space, read_space
from vlmrec.pipeline.stages import Options

SEARCH, TUNING = "search", "tuning"


class Tuning(StrictConfig):
    """How options are searched; the same for every row."""

    trials: int = Field(default=20, ge=1)
    """Trials of each row; the first one is the row as it stands."""
    hours: float | None = Field(default=None, gt=0)
    """No trial of a row begins after so many hours of training it; null = no limit."""
    seed: int = 100
    """Of the sampler and of every trial; no seed of the comparison."""
    startup: int = Field(default=5, ge=1)
    """Trials of each row drawn at random before any is chosen or pruned by those before it."""
    pruning: Literal["median", "none"] = "median"
    """End a trial whose best value so far is below the median of finished trials at that epoch."""
    warmup: int = Field(default=2, ge=0)
    """Epochs of a trial in which it is never pruned."""


@dataclass(frozen=True)
class TuningPlan:
    """What a tuning will do.

    Attributes:
        recipe: The comparison as it stands.
        tuning: Budget and method.
        spaces: Label of a row -> what varies in it; rows without a search are missing.
    """

    recipe: Recipe
    tuning: Tuning
    spaces: Mapping[str, Space]


def read_tuning(path: Path, *, trials: int | None = None, hours: float | None = None) -> TuningPlan:
    """Returns the plan in a file: a recipe of `vlmrec compare` with ``search`` and ``tuning``.

    Args:
        path: The file.
        trials: Instead of the file's.
        hours: Instead of the file's.

    Raises:
        ConfigError: Something in it is unknown, missing or wrong.
    """
    given = read_config_file(path)
    where = f"recipe '{path}'"
    rows, searches = _without_search(given.get("rows"))
    budget = given.get(TUNING) or {}
    if not isinstance(budget, dict):
        raise ConfigError(f"'{TUNING}' of the {where} is {budget!r}; options were expected.")
    asked = {"trials": trials, "hours": hours}
    over = {name: value for name, value in asked.items() if value is not None}
    tuning = Tuning.parse({**cast("Options", budget), **over}, f"'{TUNING}' of the {where}")
    plain = {key: value for key, value in given.items() if key != TUNING}
    recipe = recipe_of(plain if rows is None else {**plain, "rows": rows}, where)
    if not any(search is not None for search in searches):
        raise ConfigError(
            f"No row of the {where} has a '{SEARCH}': there is nothing to tune.",
            "Write for example 'search: {dim: {values: [32, 64]}}' in a row.",
        )
    if tuning.seed in recipe.seeds:
        raise ConfigError(
            f"The seed {tuning.seed} of '{TUNING}' is one of the recipe's seeds.",
            "Options that were chosen with a seed look better with it: choose another.",
        )
    for row in recipe.rows:
        parse_part(recipe, row, row.label)
    spaces = {
        row.label: read_space(row, search, recipe)
        for row, search in zip(recipe.rows, searches, strict=True)
        if search is not None
    }
    return TuningPlan(recipe, tuning, spaces)


def _without_search(rows: object) -> tuple[list[Any] | None, list[Any]]:
    """Returns the rows of a comparison and the search of each; None where there are no rows."""
    if not isinstance(rows, list):
        return None, []
    listed = cast("list[Any]", rows)
    plain = [
        {key: value for key, value in row.items() if key != SEARCH} if _named(row) else row
        for row in listed
    ]
    return plain, [row.get(SEARCH) if _named(row) else None for row in listed]


def _named(row: object) -> bool:
    return isinstance(row, dict)
