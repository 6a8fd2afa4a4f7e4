"""`vlmrec index`: builds the index of a run, measures it and stores it with the run."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def index(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    kind: Annotated[
        Literal["auto", "exact", "flat", "ivf-pq", "hnsw", "milvus"],
        typer.Option(help="auto chooses by catalogue size and memory; milvus is at --url."),
    ] = "auto",
    url: Annotated[
        str | None,
        typer.Option(help="Vector database, http://HOST:PORT; its token: VLMREC_MILVUS_TOKEN."),
    ] = None,
    collection: Annotated[
        str, typer.Option(help="How the name of the collection there begins.")
    ] = "vlmrec",
    memory: Annotated[
        str | None,
        typer.Option(help="What it may take, such as 2GB; default: a quarter of the machine's."),
    ] = None,
    recall: Annotated[
        float, typer.Option(help="Share of the true 10 best that is to be found.")
    ] = 0.95,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Build what finds the best of many items fast, and measure what it misses."""
    from vlmrec.core.memory import parse_bytes
    from vlmrec.index.choosing import IndexOptions
    from vlmrec.pipeline.indexing import FOLDER, build_index
    from vlmrec.pipeline.run import Run

    budget = None if memory is None else parse_bytes(memory)
    given = {"kind": kind, "memory": budget, "recall": recall, "url": url, "collection": collection}
    options = IndexOptions.parse(given, "the index")
    record = build_index(Run.load(run), options, folder=run / FOLDER).record
    if as_json:
        typer.echo(record.model_dump_json(indent=2))
        return
    from vlmrec.core.memory import format_bytes

    typer.echo(f"{record.kind}: {record.reason}.")
    if record.kind != "exact":
        found = ", ".join(f"{share:.1%} of the {k} best" for k, share in record.recall.items())
        where = format_bytes(record.bytes)
        if record.milvus is not None:
            where = f"collection '{record.milvus.collection}' at {record.milvus.url}"
        typer.echo(f"Built in {record.seconds:.1f} s, {where}; it finds {found}.")
        if record.recall[min(record.recall)] < recall:
            typer.echo(f"That is less than the {recall:.0%} asked for: --kind flat misses none.")
    typer.echo(f"written: {run / FOLDER}")
