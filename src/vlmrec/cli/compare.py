"""`vlmrec compare`: the models of a recipe over several seeds, in one table."""

import json
from pathlib import Path
from typing import Annotated

import typer


def compare(
    recipe: Annotated[Path, typer.Argument(help="Recipe of a table (YAML, with 'rows').")],
    data: Annotated[Path, typer.Option("--data", "-d", help="Dataset folder.")],
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Train the models of a recipe that are not finished, and compare all in one table.

    The same command continues after a kill. The table is also written to OUT/RECIPE/ as text,
    Markdown, LaTeX and JSON.
    """
    from accelerate import PartialState

    from vlmrec.cli.train import split_by
    from vlmrec.data.dataset import Dataset
    from vlmrec.pipeline.comparing import RUNS, train_missing, write_comparison
    from vlmrec.pipeline.comparison import compare_finished
    from vlmrec.pipeline.comparison_page import as_text
    from vlmrec.pipeline.planned_runs import plan
    from vlmrec.pipeline.recipes import read_recipe

    asked = read_recipe(recipe)
    chosen = asked.seeds if seeds is None else parse_seeds(seeds)
    split = split_by(Dataset.load(data), asked.split)
    planned = plan(asked, split, chosen)
    labels = only or [row.label for row in asked.rows]
    planned.runs(labels)  # refuses an unknown label, with --table as well
    runs = out / RUNS
    if not table:
        train_missing(
            planned,
            split,
            runs,
            labels,
            filter_seen=asked.filter_seen,
            say=lambda text: typer.echo(text, err=True),
        )
        if not PartialState().is_main_process:
            return  # several processes, one table
    name = data.resolve().name
    found = compare_finished(asked, planned, split, runs, dataset=name, seeds=chosen)
    write_comparison(found, out / recipe.stem)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        typer.echo(as_text(found))
        typer.echo(f"\nTable: {out / recipe.stem}", err=True)


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
