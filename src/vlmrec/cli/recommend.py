"""`vlmrec recommend`: next items for a history of item ids."""

from pathlib import Path
from typing import Annotated

import typer


def recommend(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    history: Annotated[str, typer.Option(help="Item ids, oldest first, separated by commas.")],
    k: Annotated[int, typer.Option("-k", help="How many items.")] = 10,
    keep_seen: Annotated[
        bool, typer.Option("--keep-seen", help="Items of the history may be recommended again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print rows as JSON.")] = False,
) -> None:
    """Recommend what comes next after a history, also for people never seen in training."""
    from vlmrec.cli.tables import print_recommendations
    from vlmrec.pipeline.recommending import recommend as next_items

    items = [part.strip() for part in history.split(",") if part.strip()]
    table = next_items(run, items, k=k, filter_seen=not keep_seen)
    if as_json:
        typer.echo(table.drop("user_id").write_json())
    else:
        print_recommendations(table)
