"""`vlmrec tune`: the options of a recipe's rows, searched with the same budget for each."""

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer


def tune(
    space: Annotated[
        Path,
        typer.Argument(help="Recipe of a table whose rows have a 'search' (YAML)."),
    ],
    data: Annotated[Path, typer.Option("--data", "-d", help="Dataset folder.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder of trials and tables; recipes may share it."),
    ],
    trials: Annotated[
        int | None, typer.Option(help="Trials of each row, instead of the recipe's.")
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(help="Begin no trial of a row after so many hours of training it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search the options of a recipe's rows, on validation cases only.

    Every row gets the same budget. Of several scenarios the first one counts. The same command
    continues after a kill, and goes on with a larger budget. What was found is written to
    OUT/SPACE/ as text, Markdown and JSON, and as a recipe for vlmrec compare.
    """
    from vlmrec.data.dataset import Dataset
    from vlmrec.pipeline.tuned import Tuned
    from vlmrec.pipeline.tuning import require_optuna
    from vlmrec.pipeline.tuning import tune as search
    from vlmrec.pipeline.tuning_page import TUNED, as_text, write_tuned
    from vlmrec.pipeline.tuning_plan import read_tuning

    require_optuna()
    _require_one_process()
    planned = read_tuning(space, trials=trials, hours=hours)
    name = data.resolve().name
    split = planned.recipe.scenarios[0].split_of(name, {name: Dataset.load(data)})
    folder = out / space.stem
    rows = search(
        planned,
        split,
        out,
        folder / "study.log",
        say=lambda text: typer.echo(text, err=True),
    )
    found = Tuned(
        planned,
        tuple(rows),
        dataset=data.resolve().name,
        fingerprints={"dataset": split.dataset.fingerprint, "split": split.fingerprint},
        optuna=version("optuna"),
    )
    write_tuned(found, folder)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        typer.echo(as_text(found))
        typer.echo(
            f"\nThe comparison with these options and the recipe's seeds:\n"
            f"vlmrec compare {folder / TUNED} --data {data} --out {folder}",
            err=True,
        )


def _require_one_process() -> None:
    from vlmrec.core.errors import ConfigError

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "vlmrec tune was started on several processes; it runs on one.",
            "Start it without torchrun or accelerate.",
        )
