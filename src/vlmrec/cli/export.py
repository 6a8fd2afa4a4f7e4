"""`vlmrec export`: what other software reads, of a run or of a dataset."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the folder where it exists.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def build_export_app() -> typer.Typer:
    """Returns the group of the verbs that write files for other software."""
    from vlmrec.cli.export_recbole import export_recbole

    app = typer.Typer(
        no_args_is_help=True, help="Write vectors, a graph or a dataset for other software."
    )
    app.command("vectors")(export_vectors)
    app.command("onnx")(export_onnx)
    app.command("recbole")(export_recbole)
    return app


def export_vectors(
    run: Folder,
    out: Out,
    users: Annotated[
        Path | None,
        typer.Option(
            help="Write user vectors as well: of a dataset folder, or of a file as vlmrec "
            "recommend --batch reads."
        ),
    ] = None,
    form: Annotated[
        Literal["parquet", "npy", "safetensors"],
        typer.Option("--format", help="Of the files; ids of the last two stand beside them."),
    ] = "parquet",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write item and user vectors whose inner product is the model's score."""
    from dataclasses import asdict

    from vlmrec.core.progress import bar
    from vlmrec.pipeline.exported_vectors import export_vectors as write

    with bar("people", quiet=users is None) as advance:
        done = write(run, out, users=users, format=form, overwrite=overwrite, on_progress=advance)
    if as_json:
        typer.echo(json.dumps({"out": str(out), **asdict(done)}))
        return
    typer.echo(f"{out / f'items.{form}'}: {done.items:,} vectors of {done.width} numbers")
    if users is None:
        return
    typer.echo(f"{out / f'users.{form}'}: {done.users:,} vectors of {done.width} numbers")
    if done.personal:
        typer.echo("They hold what the model learned of each user besides the history.")
    if done.unknown:
        typer.echo(f"{done.unknown:,} events were with items that the run does not know.")
    if done.left_out:
        typer.echo(f"{done.left_out:,} people have no item that it knows, and no vector.")


def export_onnx(
    run: Folder, out: Out, overwrite: Overwrite = False, as_json: AsJson = False
) -> None:
    """Write the user encoder as an ONNX graph, with item vectors, ids and how to use them."""
    from dataclasses import asdict

    from vlmrec.pipeline.exported_onnx import export_onnx as write

    done = write(run, out, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps({"out": str(out), **asdict(done)}))
        return
    typer.echo(
        f"{out}: a graph that reads the latest {done.max_len} items of a history, and "
        f"{done.items:,} item vectors of {done.width} numbers"
    )
    typer.echo(
        f"onnxruntime and the model agree on {done.compared} histories to within "
        f"{done.largest_difference:.1e}. How to use it: {out / 'README.md'}"
    )
