"""`vlmrec push`: a run goes to a model hub, or into a folder laid out like one."""

from pathlib import Path
from typing import Annotated

import typer


def push(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    target: Annotated[
        str,
        typer.Argument(help="Folder to write, or hf://OWNER/NAME for a repository of the hub."),
    ],
    public: Annotated[
        bool, typer.Option("--public", help="Make a new repository one that all can read.")
    ] = False,
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="Of the commit in the repository.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the folder where it exists.")
    ] = False,
) -> None:
    """Share a run: model, items, hashes and a model card, without anybody's data."""
    from vlmrec.pipeline.hub import push as share

    done = share(run, target, public=public, message=message, overwrite=overwrite)
    typer.echo(f"{target}: {', '.join(done.files)}")
    typer.echo(f"left out: {', '.join(done.left_out) or 'nothing'}")
    typer.echo(f"To get it back: vlmrec pull {target} --out RUN")
