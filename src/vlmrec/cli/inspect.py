"""`vlmrec inspect`: what is in a dataset folder, and what in it needs attention."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from vlmrec.data.inspection import Inspection, Spread


def inspect(
    folder: Annotated[Path, typer.Argument(help="Dataset folder.")],
    pictures: Annotated[
        bool,
        typer.Option("--pictures", help="Decode every picture, to find truncated ones (slow)."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show counts, coverage, time ties, duplicates and leaks of a dataset."""
    from vlmrec.data.dataset import Dataset
    from vlmrec.data.inspection import inspect_dataset
    from vlmrec.data.inspection_warnings import warnings_of

    found = inspect_dataset(Dataset.load(folder), decode_pictures=pictures)
    warnings = warnings_of(found)
    if as_json:
        report = found.as_dict() | {"warnings": [note.as_dict() for note in warnings]}
        typer.echo(json.dumps(report, indent=2))
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    console.print(f"[bold]{escape(str(folder))}[/]  fingerprint {found.fingerprint[:12]}\n")
    console.print(_table(found))
    console.print()
    for note in warnings:
        console.print(f"[bold yellow]![/] {escape(note.sentence)}")
    if not warnings:
        console.print("[green]Nothing needs attention.[/]")


def _table(found: "Inspection") -> "Table":
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for section in (_size_rows, _content_rows, _time_rows, _repeat_rows, _test_rows):
        for name, text in section(found):
            table.add_row(name, text)
        table.add_row("", "")
    return table


def _size_rows(found: "Inspection") -> list[tuple[str, str]]:
    density = found.interactions / (found.users * found.items)
    return [
        ("users", f"{found.users:,}"),
        ("items", f"{found.items:,} ({found.items_without_interactions:,} never interacted with)"),
        ("interactions", f"{found.interactions:,} ({density:.2%} of all user-item pairs)"),
        ("interactions per user", _spread(found.per_user)),
        ("interactions per item", _spread(found.per_item)),
    ]


def _spread(spread: "Spread") -> str:
    return (
        f"min {spread.min:,}, median {spread.median:,.0f}, mean {spread.mean:,.1f}, "
        f"max {spread.max:,}"
    )


def _content_rows(found: "Inspection") -> list[tuple[str, str]]:
    rows = [
        (
            f"items with {name}",
            f"{part.items:,} ({part.item_share:.2%} of items, {part.interaction_share:.2%} of "
            "interactions)",
        )
        for name, part in found.coverage.items()
    ]
    rows.append(("", ", ".join(f"{k}: {n:,}" for k, n in found.modalities.items())))
    if found.pictures.named:
        looked = "decoded" if found.pictures.decoded else "headers read; --pictures decodes them"
        trouble = found.pictures.problems | found.pictures.oddities
        what = ", ".join(f"{count:,} {kind}" for kind, count in trouble.items())
        rows.append(("pictures", f"{what or 'all in order'} ({looked})"))
    return rows


def _time_rows(found: "Inspection") -> list[tuple[str, str]]:
    time = found.time
    span = f"{_day(time.first)} to {_day(time.last)} (UTC)"
    if not time.real:
        span = f"positions {time.first:,} to {time.last:,}, no real times"
    ends = f"{time.users_with_tied_end:,} of {found.users:,}"
    return [
        ("time", span),
        ("tied in time", f"{time.tied_share:.1%} of interactions share user and time"),
        ("last two tied", f"{ends} users"),
    ]


def _day(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).date().isoformat()


def _repeat_rows(found: "Inspection") -> list[tuple[str, str]]:
    repeats = found.repeats
    return [
        ("exact duplicates", f"{repeats.exact_duplicates:,} interactions"),
        ("repeated pairs", f"{repeats.repeated_pairs:,} interactions (same user, same item)"),
        ("same words", f"{repeats.same_words:,} items share title and description"),
        ("same picture", f"{repeats.same_picture:,} items share a picture"),
    ]


def _test_rows(found: "Inspection") -> list[tuple[str, str]]:
    tests = found.leave_one_out
    if tests is None:
        return [("leave-one-out", "impossible: no user has three events")]
    early = f"{tests.before_training_end:.1%} older than the newest training event"
    if not found.time.real:
        early = "no real times, so no check of future knowledge"
    return [
        ("leave-one-out", f"{tests.targets:,} test targets, one a user"),
        ("", early),
        ("", f"{tests.in_history:,} already in the user's history"),
        ("", f"{tests.unseen_in_training:,} never seen in training"),
    ]
