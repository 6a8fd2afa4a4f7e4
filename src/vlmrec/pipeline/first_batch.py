"""Every run of a table up to its first batch: what cannot run fails in minutes, not in hours."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from vlmrec.data.dataset import Dataset
from vlmrec.data.few_users import few_users
from vlmrec.pipeline.comparing import train_missing
from vlmrec.pipeline.recipes import Recipe, Trained
from vlmrec.pipeline.settings import settings_of

_Part = TypeVar("_Part", bound=Trained)
_ONE_BATCH = {"epochs": 1, "epoch_steps": 1}


def run_first_batches(
    recipe: Recipe,
    datasets: Mapping[str, Dataset],
    folder: Path,
    labels: Sequence[str],
    say: Callable[[str], None] = lambda text: None,
) -> int:
    """Trains every run of some rows for one batch on a few users, and ranks their test cases.

    Models are loaded and built as they are; only the data are few, so the memory that a full
    batch or the whole catalogue takes is not tried.

    Args:
        recipe: Of the table; the first of its seeds is used.
        datasets: By name.
        folder: Where the runs lie until all have come through; what lies there is not run again.
        labels: Of the rows.
        say: Takes a line before each run.

    Returns:
        The number of runs.

    Raises:
        VlmrecError: A run failed; the message says which.
        KeyboardInterrupt: After Ctrl-C.
    """
    short = one_batch_of(recipe)
    settings = settings_of(short, {name: few_users(data) for name, data in datasets.items()})
    train_missing(settings, folder, labels, filter_seen=short.filter_seen, quiet=True, say=say)
    return len({run.name for one in settings for run in one.plan.runs(labels)})


def one_batch_of(recipe: Recipe) -> Recipe:
    """Returns the recipe with its first seed, every row and stage trained for one batch."""

    def short(part: _Part) -> _Part:
        return part.model_copy(update={"train": part.train | _ONE_BATCH})

    return recipe.model_copy(
        update={
            "seeds": recipe.seeds[:1],
            "stages": {name: short(stage) for name, stage in recipe.stages.items()},
            "rows": tuple(short(row) for row in recipe.rows),
        }
    )
