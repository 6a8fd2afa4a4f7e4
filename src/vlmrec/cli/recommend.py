"""`vlmrec recommend`: next items for a history of item ids, or for everybody in a file."""

from pathlib import Path
from typing import Annotated

import typer


def recommend(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    history: Annotated[
        str | None, typer.Option(help="Item ids, oldest first, separated by commas.")
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            help="Instead: a file (CSV, TSV, JSON Lines, Parquet) with a row an event, or a row "
            "a person and a column history; or a dataset folder."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="With --batch: Parquet file of the lists.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many items.")] = 10,
    keep_seen: Annotated[
        bool, typer.Option("--keep-seen", help="Items of the history may be recommended again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print rows as JSON.")] = False,
) -> None:
    """Recommend what comes next after a history, also for people never seen in training."""
    from vlmrec.core.errors import ConfigError

    if (history is None) == (batch is None):
        raise ConfigError("Give either --history (one person) or --batch (a file of many).")
    if batch is not None:
        _recommend_all(run, batch, out, k, keep_seen=keep_seen, as_json=as_json)
        return
    from vlmrec.cli.tables import print_recommendations
    from vlmrec.pipeline.recommending import recommend as next_items

    if out is not None:
        raise ConfigError("--out belongs to --batch.", "Leave it out, or give a file of many.")
    items = [part.strip() for part in (history or "").split(",") if part.strip()]
    table = next_items(run, items, k=k, filter_seen=not keep_seen)
    if as_json:
        typer.echo(table.drop("user_id").write_json())
    else:
        print_recommendations(table)


def _recommend_all(
    folder: Path, batch: Path, out: Path | None, k: int, *, keep_seen: bool, as_json: bool
) -> None:
    import json
    from dataclasses import asdict

    from vlmrec.core.errors import ConfigError
    from vlmrec.core.files import atomic_file
    from vlmrec.core.progress import bar
    from vlmrec.pipeline.batch_lists import BatchCounts, lists_for, write_lists
    from vlmrec.pipeline.people import people_of
    from vlmrec.pipeline.run import Run

    if out is None or out.suffix != ".parquet":
        raise ConfigError("--batch writes a Parquet file.", "Name it with --out LISTS.parquet.")
    model, counts = Run.load(folder), BatchCounts()
    people = people_of(batch, model.vocabulary)
    with atomic_file(out) as temporary, bar("people", quiet=False) as advance:
        lists = lists_for(
            model, people, counts, k=k, filter_seen=not keep_seen, on_progress=advance
        )
        write_lists(lists, temporary)
    if as_json:
        typer.echo(json.dumps({"out": str(out), **asdict(counts)}))
        return
    typer.echo(f"{out}: lists of {k} for {counts.answered:,} of {counts.people:,} people.")
    if counts.unknown:
        typer.echo(f"{counts.unknown:,} events were with items that the run does not know.")
    if counts.answered < counts.people:
        typer.echo(f"{counts.people - counts.answered:,} people have no item that it knows.")
