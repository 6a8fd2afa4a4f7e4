"""Recipes of comparisons: which models with which options, and how their table looks.

A recipe is a YAML file. Its rows are models; what several rows build on (a fine-tuned backbone,
a teacher) is a stage, trained before them. "@NAME" in a row's options stands for the run folder
of that stage with the same seed; "like: NAME" takes over what a stage says, and the row's own
options are laid over it.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self, cast

from pydantic import Field, field_serializer, field_validator, model_validator

from vlmrec.core.config import StrictConfig, read_config_file
from vlmrec.core.errors import ConfigError, nearest
from vlmrec.evaluation.metrics import parse_metrics
from vlmrec.pipeline.scenarios import SCENARIOS, Scenario, scenario_named
from vlmrec.pipeline.stages import Options, references, stage_order, write_out

Published = dict[str, dict[str, float]]


class Trained(StrictConfig):
    """A model with its options, as `vlmrec train` takes them."""

    model: str
    """Name of the model."""
    set: Options = Field(default_factory=dict[str, Any])
    """Options of the model; "@NAME" stands for the run folder of a stage."""
    train: Options = Field(default_factory=dict[str, Any])
    """Options of training, laid over those of the recipe."""


class Stage(Trained):
    """What rows build on."""

    seeds: Literal["each", "first"] = "each"
    """Train it with each seed, or with the recipe's first seed for all."""


class Row(Trained):
    """One row of the table."""

    label: str = Field(min_length=1)
    """What the row is called."""
    group: str | None = None
    """Heading above rows that belong together."""
    baseline: bool = False
    """Whether the other rows are compared with this one; default: the first row."""
    published: Published = Field(default_factory=dict[str, dict[str, float]])
    """Dataset -> metric -> the published number."""

    @field_validator("published")
    @classmethod
    def _known_metrics(cls, given: Published) -> Published:
        return {
            dataset: {parse_metrics([name])[0].name: value for name, value in numbers.items()}
            for dataset, numbers in given.items()
        }


N_SAMPLED = 100
"""Random items that the target competes with in `sampled_metrics`."""


class Layout(StrictConfig):
    """How the table looks."""

    corner: str = "model"
    """Heading of the first column."""
    published: tuple[str, ...] = ()
    """Datasets whose published numbers are shown beside ours, where none has our data's name."""
    blocks: tuple[Literal["published", "intervals", "training"], ...] = (
        "published",
        "intervals",
        "training",
    )
    """What is shown besides the means."""
    intervals: tuple[str, ...] | None = None
    """Metrics with a block of intervals and differences; null = all."""


class Recipe(StrictConfig):
    """One table: its models, its protocol, its looks."""

    title: str
    """Heading of the table."""
    dataset: str
    """Name of the data that the options were chosen for."""
    scenarios: tuple[Scenario, ...] = (SCENARIOS["leave-one-out"],)
    """What is learned from and asked in the test, by name or with fields of one's own; each has
    its columns."""
    filter_seen: bool = False
    """Leave items of the history out of the ranking."""
    metrics: tuple[str, ...] = ("NDCG@10", "Recall@10")
    """Columns, in the order of the table."""
    filtered_metrics: tuple[str, ...] = ()
    """More columns behind those: the same cases with items of the history left out."""
    sampled_metrics: tuple[str, ...] = ()
    """More columns: the target among 100 random unseen items, as many papers measure. Far higher
    than full ranking; for comparison with those papers only."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Each row is trained with each of them."""
    train: Options = Field(default_factory=dict[str, Any])
    """Options of training for all rows and stages."""
    stages: dict[str, Stage] = Field(default_factory=dict[str, Stage])
    """By name: what rows build on. Stages may build on stages."""
    rows: tuple[Row, ...]
    """In the order of the table."""
    layout: Layout = Layout()
    """How the table looks."""

    @field_validator("metrics", "filtered_metrics", "sampled_metrics")
    @classmethod
    def _known_metrics(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(metric.name for metric in parse_metrics(names)) if names else ()

    @field_validator("scenarios", mode="before")
    @classmethod
    def _known_scenarios(cls, given: object) -> object:
        if not isinstance(given, list | tuple):
            return given
        parts = cast("Iterable[object]", given)
        return tuple(scenario_named(one) if isinstance(one, str) else one for one in parts)

    @field_serializer("scenarios")
    def _named_scenarios(self, scenarios: tuple[Scenario, ...]) -> list[Any]:
        return [
            one.name
            if SCENARIOS.get(one.name) == one
            else one.model_dump(mode="json", exclude_unset=True)
            for one in scenarios
        ]

    @property
    def columns(self) -> tuple[str, ...]:
        """What the table shows of each row."""
        filtered = (f"{name} filtered" for name in self.filtered_metrics)
        sampled = (f"{name} of {N_SAMPLED} sampled" for name in self.sampled_metrics)
        return (*self.metrics, *filtered, *sampled)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _require_rows(self)
        _require_scenarios(self)
        stages = {name: stage.set for name, stage in self.stages.items()}
        stage_order(stages, stages)
        for row in self.rows:
            stage_order(stages, references(row.set), f"row '{row.label}'")
        for part in (self, *self.stages.values(), *self.rows):
            if "seed" in part.train:
                raise ConfigError(
                    "'seed' stands among the options of training in the recipe.",
                    "List all seeds in 'seeds'.",
                )
        _require_columns(self)
        return self

    @property
    def baseline(self) -> Row:
        """The row that the others are compared with."""
        return next((row for row in self.rows if row.baseline), self.rows[0])


def _require_scenarios(recipe: Recipe) -> None:
    names = [one.name for one in recipe.scenarios]
    if not names or len(set(names)) < len(names):
        raise ConfigError(
            f"'scenarios' of the recipe is {names}.",
            f"List at least one, each once. There are {', '.join(SCENARIOS)}.",
        )


def _require_columns(recipe: Recipe) -> None:
    """Raises ConfigError where columns do not go with the protocol."""
    for key in ("filtered_metrics", "sampled_metrics"):
        if not getattr(recipe, key):
            continue
        if recipe.filter_seen:
            raise ConfigError(
                f"'{key}' are columns beside unfiltered ones, but 'filter_seen' is on.",
                f"Leave out 'filter_seen', or '{key}'.",
            )
        for one in recipe.scenarios:
            if one.has_unknown_items:
                raise ConfigError(
                    f"'{key}' are of rankings of the whole catalogue, but the scenario "
                    f"'{one.name}' ranks items that training never saw.",
                    f"Leave out '{key}', or that scenario.",
                )
    shown = recipe.layout.intervals
    if shown is not None:
        for name in shown:
            if name not in recipe.columns:
                raise ConfigError(
                    f"'layout.intervals' names '{name}', which is no column.",
                    nearest(name, recipe.columns),
                )


def read_recipe(path: Path) -> Recipe:
    """Returns the recipe in a file.

    Raises:
        ConfigError: The file cannot be read, or something in it is unknown, missing or wrong.
    """
    return recipe_of(read_config_file(path), f"recipe '{path}'")


def recipe_of(given: Options, where: str) -> Recipe:
    """Returns the recipe that a mapping describes, as it stands in a file.

    Args:
        given: Keys and values.
        where: What it is called in messages.

    Raises:
        ConfigError: Something in it is unknown, missing or wrong.
    """
    if "rows" not in given:
        raise ConfigError(
            f"The {where} has no 'rows': it is no comparison.",
            "Recipes of one model are for: vlmrec train MODEL --config RECIPE",
        )
    rows = _list(given["rows"], f"'rows' of the {where}")
    stages = _mapping(given.get("stages", {}), f"'stages' of the {where}")
    for name, part in [*enumerate(rows, 1), *stages.items()]:
        _mapping(part, f"{_which(name, part)} of the {where}")
    stages, rows = write_out(stages, rows)
    for number, row in enumerate(rows, 1):
        name = f"{_which(number, row)} of the {where}"
        _require(row, ("label", "model"), name)
        Row.parse(row, name)
    for name, stage in stages.items():
        _require(stage, ("model",), f"stage '{name}' of the {where}")
        Stage.parse(stage, f"stage '{name}' of the {where}")
    _require(given, ("title", "dataset"), where)
    return Recipe.parse({**given, "stages": stages, "rows": rows}, where)


def _require_rows(recipe: Recipe) -> None:
    labels = [row.label for row in recipe.rows]
    if not labels:
        raise ConfigError("The recipe has no rows.", "A table needs at least one.")
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"Two rows are called '{label}'.", "Give each its own label.")
    if sum(row.baseline for row in recipe.rows) > 1:
        raise ConfigError("Several rows have 'baseline: true'.", "Mark one of them.")
    if not recipe.seeds or len(set(recipe.seeds)) < len(recipe.seeds):
        raise ConfigError(
            f"'seeds' of the recipe is {list(recipe.seeds)}.", "List at least one, each once."
        )


def _which(name: int | str, part: object) -> str:
    if isinstance(name, str):
        return f"stage '{name}'"
    label = part.get("label", name) if isinstance(part, dict) else name
    return f"row '{label}'"


def _require(value: object, keys: Iterable[str], where: str) -> None:
    given = _mapping(value, where)
    for key in keys:
        if key not in given:
            or_like = ", or 'like: STAGE'" if key == "model" else ""
            raise ConfigError(
                f"'{key}' is missing in {where}.", f"Write a line '{key}: ...'{or_like}."
            )


def _mapping(value: object, where: str) -> Options:
    if not isinstance(value, dict):
        raise ConfigError(
            f"{where[:1].upper()}{where[1:]} holds a {type(value).__name__}; "
            "a mapping of names to values was expected."
        )
    return cast("Options", value)


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError(f"{where} holds a {type(value).__name__}; a list was expected.")
    return cast("list[Any]", value)
