"""From a recipe to run folders: each is named by all that its run depends on.

Equal model, options, seed, split and filter give the same name, so rows, stages and tables that
share an output folder share runs; anything else gives another name, so nothing is mixed up.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vlmrec.core.config import merge
from vlmrec.core.errors import ConfigError, nearest
from vlmrec.data.splits import Split
from vlmrec.models import model_class
from vlmrec.models.spec import ModelSpec
from vlmrec.pipeline.recipes import Recipe, Trained
from vlmrec.pipeline.stages import Options, put_in, references
from vlmrec.train.options import TrainOptions

_NOT_A_RESULT = {"seed", "device", "tensorboard"}


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """A run to be trained, or found.

    Attributes:
        name: Of its folder.
        label: Of the row or stage that asked first, for people.
        kind: Model class.
        given: Options of the model as the recipe has them, "@NAME" left in place.
        options: Of training, with the seed.
        needs: Stage -> the run that "@NAME" stands for.
    """

    name: str
    label: str
    kind: type[ModelSpec]
    given: Options
    options: TrainOptions
    needs: "Mapping[str, PlannedRun]"

    def spec(self, folder: Path) -> ModelSpec:
        """Returns the specification, naming runs in `folder` for its stages."""
        paths = {stage: str((folder / run.name).resolve()) for stage, run in self.needs.items()}
        return self.kind.parse(put_in(self.given, paths), self.label)

    @property
    def digest(self) -> str:
        """What the runs of all seeds have in common."""
        return self.name.rpartition("-seed")[0]


@dataclass(frozen=True, eq=False)
class Plan:
    """All runs of a table.

    Attributes:
        rows: Label of a row -> seed -> its run.
    """

    rows: Mapping[str, Mapping[int, PlannedRun]]

    def runs(self, labels: Iterable[str]) -> list[PlannedRun]:
        """Returns the runs of some rows and what they need, in the order to train them.

        The whole table comes with the first seed before the second one begins.

        Raises:
            ConfigError: There is no such row.
        """
        order: dict[str, PlannedRun] = {}

        def add(run: PlannedRun) -> None:
            for needed in run.needs.values():
                add(needed)
            order.setdefault(run.name, run)

        chosen = [self._row(label) for label in labels]
        for seed in dict.fromkeys(seed for row in chosen for seed in row):
            for row in chosen:
                add(row[seed])
        return list(order.values())

    def _row(self, label: str) -> Mapping[int, PlannedRun]:
        if label not in self.rows:
            raise ConfigError(f"The recipe has no row '{label}'.", nearest(label, self.rows))
        return self.rows[label]


def plan(recipe: Recipe, split: Split, seeds: Iterable[int] | None = None) -> Plan:
    """Returns every run of a recipe; all options are checked before anything is trained.

    Args:
        recipe: Of the table.
        split: Data.
        seeds: Instead of the recipe's.

    Raises:
        ConfigError: A model or an option is unknown.
    """
    planner = _Planner(recipe, split)
    chosen = recipe.seeds if seeds is None else tuple(seeds)
    return Plan(
        {
            row.label: {seed: planner.run(row, row.label, seed) for seed in chosen}
            for row in recipe.rows
        }
    )


def parse_part(
    recipe: Recipe, part: Trained, label: str, seed: int = 0
) -> tuple[ModelSpec, TrainOptions]:
    """Returns what a row or stage asks for; "@NAME" stays in its place.

    Args:
        recipe: Whose options of training hold for all.
        part: The row or stage.
        label: What messages call it.
        seed: Of training.

    Raises:
        ConfigError: The model or an option is unknown, or a value is wrong.
    """
    kind = model_class(part.model)
    where = f"'{label}' ({kind.name})"
    merged = {**merge(recipe.train, part.train), "seed": seed}
    return kind.parse(part.set, where), TrainOptions.parse(merged, f"training {where}")


class _Planner:
    def __init__(self, recipe: Recipe, split: Split) -> None:
        self._recipe = recipe
        self._split = split

    def run(self, part: Trained, label: str, seed: int) -> PlannedRun:
        spec, options = parse_part(self._recipe, part, label, seed)
        kind = type(spec)
        needs = {name: self._stage(name, seed) for name in references(part.set)}
        name = f"{kind.name}-{self._digest(spec, options, needs)}-seed{seed}"
        return PlannedRun(name, f"{label}, seed {seed}", kind, part.set, options, needs)

    def _stage(self, name: str, seed: int) -> PlannedRun:
        stage = self._recipe.stages[name]
        own = seed if stage.seeds == "each" else self._recipe.seeds[0]
        return self.run(stage, f"stage {name}", own)

    def _digest(
        self, spec: ModelSpec, options: TrainOptions, needs: Mapping[str, PlannedRun]
    ) -> str:
        # A stage that is trained once for all seeds is told apart from one for each of them.
        shared = {name: self._recipe.stages[name].seeds == "first" for name in needs}
        tokens = {name: run.name if shared[name] else run.digest for name, run in needs.items()}
        facts = [
            spec.name,
            put_in(spec.model_dump(mode="json"), tokens),
            options.model_dump(mode="json", exclude=_NOT_A_RESULT),
            self._split.fingerprint,
            self._recipe.filter_seen,
        ]
        text = json.dumps(facts, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
