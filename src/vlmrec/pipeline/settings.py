"""What a recipe is run on: each dataset in each scenario, split, with the runs it needs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vlmrec.data.dataset import Dataset
from vlmrec.data.splits import Split
from vlmrec.pipeline.planned_runs import Plan, plan
from vlmrec.pipeline.recipes import Recipe
from vlmrec.pipeline.scenarios import Scenario


@dataclass(frozen=True, eq=False)
class Setting:
    """One dataset in one scenario.

    Attributes:
        dataset: Name of the data.
        scenario: How they are learned from and tested.
        split: Of the data. Scenarios that differ in the test alone have the same one.
        plan: The runs of all rows; equal runs of other settings have the same name.
    """

    dataset: str
    scenario: Scenario
    split: Split
    plan: Plan


def settings_of(
    recipe: Recipe, datasets: Mapping[str, Dataset], seeds: Iterable[int] | None = None
) -> list[Setting]:
    """Returns the settings of a recipe, dataset by dataset; all options are checked.

    Args:
        recipe: Of the table.
        datasets: By name.
        seeds: Instead of the recipe's.

    Raises:
        ConfigError: A model or an option is unknown.
        DataError: A split leaves nothing to train or to test.
    """
    chosen = recipe.seeds if seeds is None else tuple(seeds)
    found: list[Setting] = []
    for name in datasets:
        made: dict[Scenario, tuple[Split, Plan]] = {}
        for scenario in recipe.scenarios:
            learned = scenario.without_test()
            if learned not in made:
                split = learned.split_of(name, datasets)
                made[learned] = split, plan(recipe, split, chosen)
            found.append(Setting(name, scenario, *made[learned]))
    return found
