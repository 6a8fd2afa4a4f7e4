"""`vlmrec inspect`: what is in a dataset folder, and the leak and fairness card."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from vlmrec.data.checks.check import DataCheck
    from vlmrec.data.inspection import Inspection, Spread

_FILE_WIDTH = 140
_STYLES = {"fail": "bold red", "warn": "bold yellow", "pass": "green", "skipped": "dim"}


def inspect(
    folder: Annotated[Path, typer.Argument(help="Dataset folder.")],
    pictures: Annotated[
        bool | None,
        typer.Option(
            "--pictures/--no-pictures",
            help="Decode every picture, to find damaged and near-duplicate ones; default: where "
            "there are at most 5,000.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show what is in a dataset, and a card of what can make results on it wrong."""
    from vlmrec.data.dataset import Dataset
    from vlmrec.data.inspection import inspect_dataset

    found = inspect_dataset(Dataset.load(folder), decode_pictures=pictures)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_FILE_WIDTH)
    console.print(f"[bold]{escape(str(folder))}[/]  fingerprint {found.fingerprint[:12]}\n")
    console.print(_facts(found))
    console.print(_card(found.card))
    counts = Counter(check.verdict for check in found.card)
    console.print("\n" + ", ".join(f"{counts[verdict]} {verdict}" for verdict in _STYLES))


def _card(card: "tuple[DataCheck, ...]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    unmade: dict[str, list[str]] = {}
    for check in card:
        if check.verdict == "skipped":
            unmade.setdefault(check.found, []).append(check.name)
            continue
        text = escape(check.found)
        if check.advice:
            text += f"\n[dim]-> {escape(check.advice)}[/]"
        table.add_row(f"[{_STYLES[check.verdict]}]{check.verdict}[/]", check.name, text)
    for why, names in unmade.items():
        table.add_row("[dim]skipped[/]", "", f"{escape(why)}: {', '.join(names)}")
    return table


def _facts(found: "Inspection") -> "Table":
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for section in (_size_rows, _content_rows, _time_rows):
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
    odd = ", ".join(f"{count:,} {kind}" for kind, count in found.pictures.oddities.items())
    if odd:
        rows.append(("odd pictures", odd))
    return rows


def _time_rows(found: "Inspection") -> list[tuple[str, str]]:
    time = found.time
    if not time.real:
        return [("time", f"positions {time.first:,} to {time.last:,}, no real times")]
    return [("time", f"{_day(time.first)} to {_day(time.last)} (UTC)")]


def _day(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).date().isoformat()
