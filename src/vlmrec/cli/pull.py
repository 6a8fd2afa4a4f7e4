"""`vlmrec pull`: a run comes from a model hub, or from a folder laid out like one."""

from pathlib import Path
from typing import Annotated

import typer


def pull(
    source: Annotated[
        str,
        typer.Argument(help="Folder that push wrote, or hf://OWNER/NAME, with @REVISION if any."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to write.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the folder where it exists.")
    ] = False,
) -> None:
    """Fetch a run that was pushed, and check every file of it."""
    from vlmrec.pipeline.hub import pull as fetch

    run = fetch(source, out, overwrite=overwrite)
    typer.echo(f"{out}: a run of {run.spec.name} with {run.items.height:,} items, all files sound")
