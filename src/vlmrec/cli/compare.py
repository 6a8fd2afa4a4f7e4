"""`vlmrec compare`: the models of a recipe over seeds, datasets and scenarios, in one table."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vlmrec.data.dataset import Dataset
    from vlmrec.pipeline.recipes import Recipe


def compare(
    recipe: Annotated[Path, typer.Argument(help="Recipe of a table (YAML, with 'rows').")],
    data: Annotated[
        list[Path],
        typer.Option("--data", "-d", help="Dataset folder; repeatable, each gets its columns."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder of runs and tables; recipes may share it."),
    ],
    seeds: Annotated[
        str | None, typer.Option(help="Seeds instead of the recipe's, such as 0,1,2.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Train only the row of this label; repeatable."),
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Train nothing; show what is finished.")
    ] = False,
    first_batch: Annotated[
        bool,
        typer.Option(
            "--first-batch",
            help="Only try every run on a few users for one batch; keep nothing.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Train the models of a recipe that are not finished, and compare all in one table.

    The same command continues after a kill. The table is also written to OUT/RECIPE/ as text,
    Markdown, LaTeX and JSON, and as a page with pictures, report.html.
    """
    from accelerate import PartialState

    from vlmrec.pipeline.comparing import RUNS, train_missing, write_comparison
    from vlmrec.pipeline.comparison import compare_finished, to_json
    from vlmrec.pipeline.comparison_page import as_text
    from vlmrec.pipeline.comparison_report import report_comparison
    from vlmrec.pipeline.recipes import read_recipe
    from vlmrec.pipeline.settings import settings_of

    asked = read_recipe(recipe)
    chosen = asked.seeds if seeds is None else parse_seeds(seeds)
    datasets = load_datasets(data)
    settings = settings_of(asked, datasets, chosen)
    labels = only or [row.label for row in asked.rows]
    settings[0].plan.runs(labels)  # refuses an unknown label, with --table as well
    runs = out / RUNS
    if first_batch:
        tried = asked.model_copy(update={"seeds": chosen})
        _try_first_batches(tried, datasets, out / recipe.stem / "first-batch", labels)
        return
    if not table:
        train_missing(
            settings,
            runs,
            labels,
            filter_seen=asked.filter_seen,
            say=lambda text: typer.echo(text, err=True),
        )
        if not PartialState().is_main_process:
            return  # several processes, one table
    found = compare_finished(asked, settings, runs, chosen)
    write_comparison(found, out / recipe.stem)
    report_comparison(out / recipe.stem / "report.html", found, settings, runs)
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=2))
    else:
        typer.echo(as_text(found))
        typer.echo(f"\nTable: {out / recipe.stem}", err=True)


def _try_first_batches(
    recipe: "Recipe", datasets: "Mapping[str, Dataset]", folder: Path, labels: "Sequence[str]"
) -> None:
    import shutil

    from accelerate import PartialState

    from vlmrec.pipeline.first_batch import run_first_batches

    n_runs = run_first_batches(
        recipe, datasets, folder, labels, say=lambda text: typer.echo(text, err=True)
    )
    if PartialState().is_main_process:
        shutil.rmtree(folder)
        typer.echo(f"All {n_runs} runs came through their first batch and ranked the test cases.")


def load_datasets(folders: "Sequence[Path]") -> "dict[str, Dataset]":
    """Returns the datasets by the names of their folders.

    Raises:
        ConfigError: Two folders have the same name.
        DataError: There is no dataset in a folder.
    """
    from vlmrec.core.errors import ConfigError
    from vlmrec.data.dataset import Dataset

    found: dict[str, Dataset] = {}
    for folder in folders:
        name = folder.resolve().name
        if name in found:
            raise ConfigError(
                f"Two datasets are called '{name}'; the table tells them apart by their folders.",
                "Rename one of the folders.",
            )
        found[name] = Dataset.load(folder)
    return found


def parse_seeds(text: str) -> tuple[int, ...]:
    """Returns the seeds in a list such as "0,1,2".

    Raises:
        ConfigError: A part is no whole number, or stands twice.
    """
    from vlmrec.core.errors import ConfigError

    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(
            f"'--seeds {text}' is no list of different whole numbers.",
            "Write for example --seeds 0,1,2.",
        )
    return seeds
