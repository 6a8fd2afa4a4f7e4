"""`vlmrec align`: a catalogue's own pictures and words teach a model to see."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def align(
    folder: Annotated[Path, typer.Argument(help="Dataset folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Checkpoint folder to write.")],
    encoder: Annotated[
        str,
        typer.Option(
            help="Vision-language model to start from: 'compact', 'tiny', a checkpoint folder, or "
            "a hub id (owner/model@revision)."
        ),
    ] = "compact",
    field: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to read, repeatable, in this order; default: title, lists, description."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="An option, as key=value (train.epochs, tuning.kind, vlm.visual_tokens, ...); "
            "repeatable.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an alignment that is already there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Teach a vision-language model what a catalogue's pictures mean, and store it.

    The same command continues a run that was interrupted or killed.
    """
    from vlmrec.core.config import merge, parse_assignments
    from vlmrec.data.dataset import Dataset
    from vlmrec.pipeline.aligning import AlignOptions
    from vlmrec.pipeline.aligning import align as run

    chosen = merge(AlignOptions().model_dump(), parse_assignments(settings or []))
    options = AlignOptions.parse(chosen, "the alignment")
    record = run(
        Dataset.load(folder),
        out,
        encoder=encoder,
        options=options,
        text_fields=field,
        overwrite=overwrite,
    )
    if as_json:
        typer.echo(json.dumps(record, indent=2))
    else:
        _print_summary(out, record)


def _print_summary(out: Path, record: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    pairs, found = record["pairs"], record["picture_to_text"]
    console.print(
        f"[bold]{escape(str(out))}[/]  {record['encoder']} aligned on {pairs['learned']:,} "
        f"pictures with texts, {record['epochs']} epochs, {record['training_seconds']} s"
    )
    table = Table(f"picture -> its text among {found['candidates']:,}", box=None)
    for name in found["chance"]:
        table.add_column(name, justify="right")
    for row in ("held out, before", "held out", "learned from"):
        table.add_row(row, *(f"{found[row][name][0]:.3f}" for name in found["chance"]))
    table.add_row("chance", *(f"{value:.3f}" for value in found["chance"].values()))
    console.print(table)
