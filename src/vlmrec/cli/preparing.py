"""What the ways of `vlmrec prepare` share: options, writing the folder, saying what was done."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlmrec.core.files import sha256_of
from vlmrec.data.cleaning import CleaningOptions, RepeatsRule, clean
from vlmrec.data.dataset import Dataset
from vlmrec.data.notes import Note
from vlmrec.data.sources.raw_tables import RawTables

if TYPE_CHECKING:
    from rich.console import Console

_CLEANING, READING, COLUMNS = "What is left out", "Reading", "Columns"

Out = Annotated[Path, typer.Option("--out", "-o", help="Dataset folder to write.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the dataset folder where it exists.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
MinUser = Annotated[
    int,
    typer.Option(
        min=1,
        help="Drop users with fewer events; with --min-item again and again until both hold.",
        rich_help_panel=_CLEANING,
    ),
]
MinItem = Annotated[
    int,
    typer.Option(
        min=1,
        help="Drop items with fewer events, from the catalogue too.",
        rich_help_panel=_CLEANING,
    ),
]
MinHistory = Annotated[
    int,
    typer.Option(
        min=1,
        help="Drop users with fewer events; leave-one-out needs 3.",
        rich_help_panel=_CLEANING,
    ),
]
Repeats = Annotated[
    RepeatsRule,
    typer.Option(
        help="Of several events of one user with one item, which to keep (keep = all).",
        rich_help_panel=_CLEANING,
    ),
]
MinRating = Annotated[
    float | None,
    typer.Option(help="Drop interactions with a lower rating.", rich_help_panel=_CLEANING),
]
DropInvalid = Annotated[
    bool,
    typer.Option(
        "--drop-invalid",
        help="Drop rows without id or readable time (and count them) instead of stopping.",
        rich_help_panel=_CLEANING,
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(help="Encoding of text files; default: found out.", rich_help_panel=READING),
]
Separator = Annotated[
    str | None,
    typer.Option(help="Separator of text files; default: found out.", rich_help_panel=READING),
]
UserColumn = Annotated[str | None, typer.Option(help="The users.", rich_help_panel=COLUMNS)]
ItemColumn = Annotated[str | None, typer.Option(help="The items.", rich_help_panel=COLUMNS)]
RatingColumn = Annotated[str | None, typer.Option(help="Ratings.", rich_help_panel=COLUMNS)]
TitleColumn = Annotated[str | None, typer.Option(help="Titles.", rich_help_panel=COLUMNS)]
TimeColumn = Annotated[
    str | None, typer.Option("--time", help="The times.", rich_help_panel=COLUMNS)
]


def write_dataset(
    kind: str,
    raw: RawTables,
    cleaning: CleaningOptions,
    out: Path,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Cleans the tables, writes the dataset folder and prints what was done to get there."""
    tables = clean(raw, cleaning)
    del raw  # of large logs, one copy is enough
    source: dict[str, Any] = {
        "kind": kind,
        "files": [
            {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in tables.files
        ],
        "cleaning": cleaning.model_dump(),
        "notes": [note.as_dict() for note in tables.notes],
    }
    dataset = Dataset.from_frames(tables.interactions, tables.items, tables.images)
    saved = dataset.save(out, overwrite=overwrite, source=source)
    if as_json:
        typer.echo(json.dumps({"folder": str(out), **saved.manifest}, indent=2))
        return
    _print_report(saved, out, tables.notes)


def _print_report(dataset: Dataset, out: Path, notes: tuple[Note, ...]) -> None:
    from rich.markup import escape

    console = report_console()
    print_notes(notes, console)
    counts = dataset.manifest["counts"]
    console.print(
        f"\n[bold]{escape(str(out))}[/]: {counts['users']:,} users, {counts['items']:,} items, "
        f"{counts['interactions']:,} interactions; {counts['items_with_text']:,} items with text, "
        f"{counts['items_with_image']:,} with a picture."
    )
    console.print(f"Look at it with: vlmrec inspect {escape(str(out))}")


def print_notes(notes: tuple[Note, ...], console: "Console") -> None:
    """Prints what was understood, changed, kept and dropped, one line each."""
    from rich.markup import escape

    styles = {"took": "cyan", "changed": "blue", "kept": "green", "dropped": "yellow"}
    for note in notes:
        style = styles.get(note.kind, "bold red")
        console.print(f"[{style}]{note.kind:>8}[/]  {escape(note.sentence)}")


def report_console() -> "Console":
    """Returns where reports go: long lines are not broken, numbers not coloured."""
    from rich.console import Console

    return Console(soft_wrap=True, highlight=False)
