"""`vlmrec export recbole`: a dataset folder -> RecBole's atomic files."""

import json
from pathlib import Path
from typing import Annotated

import typer


def export_recbole(
    folder: Annotated[Path, typer.Argument(metavar="DATA", help="Dataset folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    name: Annotated[
        str | None,
        typer.Option(help="Of the files, NAME.inter and NAME.item; default: that of the folder."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the folder where it exists.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a dataset as RecBole's atomic files."""
    from vlmrec.cli.preparing import print_notes, report_console
    from vlmrec.core.files import refuse_existing
    from vlmrec.data.recbole_files import write_recbole
    from vlmrec.data.stored_events import load_with_events

    refuse_existing(out, overwrite=overwrite)
    dataset = load_with_events(folder)
    written = write_recbole(dataset, out, name, overwrite=overwrite)
    if as_json:
        result = {
            "folder": str(out),
            "files": [
                {"name": file, "fields": list(fields)} for file, fields in written.fields.items()
            ],
            "interactions": dataset.sequences.n_events,
            "items": dataset.n_items,
            "notes": [note.as_dict() for note in written.notes],
        }
        typer.echo(json.dumps(result, indent=2))
        return
    from rich.markup import escape

    console = report_console()
    print_notes(written.notes, console)
    counts = (dataset.sequences.n_events, dataset.n_items)
    for count, (file, fields) in zip(counts, written.fields.items(), strict=True):
        line = f"[bold]{escape(str(out / file))}[/]: {count:,} lines of {escape(', '.join(fields))}"
        console.print(line)
    stem = written.interactions.stem
    if stem == out.resolve().name:
        console.print(f"RecBole: dataset={escape(stem)}, data_path={escape(str(out.parent))}")
    else:
        console.print(f"RecBole looks for these files in a folder named {escape(stem)}.")
