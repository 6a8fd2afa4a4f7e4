"""`vlmrec evaluate`: a stored run on the test cases, with intervals, slices and anchors."""

import json
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Dataset folder; default: where the run was trained."),
    ] = None,
    filter_seen: Annotated[
        bool, typer.Option("--filter-seen", help="Leave seen items out of the ranking.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Rank the test cases of a run: metrics with intervals, slices, popularity and item-kNN."""
    from vlmrec.cli.stored_run import load_run_and_split
    from vlmrec.cli.tables import print_evaluation
    from vlmrec.pipeline.evaluation import evaluate_split

    loaded, split = load_run_and_split(run, data)
    measured = evaluate_split(loaded.ranker(), split, filter_seen=filter_seen, model=loaded.model)
    if as_json:
        typer.echo(json.dumps(measured.to_json(), indent=2))
    else:
        print_evaluation(loaded.info, measured)
