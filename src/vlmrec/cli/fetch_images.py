"""`vlmrec fetch-images`: the pictures that a catalogue knows only by their addresses."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmrec.data.fetching.options import FetchOptions

if TYPE_CHECKING:
    from vlmrec.data.fetching.report import FetchReport

_DEFAULT = FetchOptions()
_POLITE, _LIMITS = "How politely", "What is taken"
_MARKS = {"fetched": "green", "missing": "yellow", "refused": "yellow", "broken": "yellow"}


def fetch_images(
    folder: Annotated[Path, typer.Argument(help="Dataset folder.")],
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Ask again for pictures that were missing, refused or broken; those that "
            "failed are asked for again in any case.",
        ),
    ] = False,
    rate: Annotated[
        float, typer.Option(help="Requests a second to one host.", rich_help_panel=_POLITE)
    ] = _DEFAULT.rate,
    per_host: Annotated[
        int, typer.Option(help="Connections to one host at a time.", rich_help_panel=_POLITE)
    ] = _DEFAULT.per_host,
    workers: Annotated[
        int,
        typer.Option(help="Connections at a time to all hosts together.", rich_help_panel=_POLITE),
    ] = _DEFAULT.workers,
    retries: Annotated[
        int,
        typer.Option(
            help="Further requests after a passing trouble, after 1, 2, 4, ... seconds or as "
            "long as the server asks.",
            rich_help_panel=_POLITE,
        ),
    ] = _DEFAULT.retries,
    timeout: Annotated[
        float,
        typer.Option(
            help="Seconds for one answer, from connecting to its last byte.",
            rich_help_panel=_POLITE,
        ),
    ] = _DEFAULT.timeout,
    max_bytes: Annotated[
        int, typer.Option(help="Largest file that is taken.", rich_help_panel=_LIMITS)
    ] = _DEFAULT.max_bytes,
    allow_private: Annotated[
        bool,
        typer.Option(
            "--allow-private",
            help="Also ask this machine and the local network; only for addresses that you trust.",
            rich_help_panel=_LIMITS,
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Download the pictures whose addresses stand in the items' column `image_url`."""
    from vlmrec.core.progress import bar
    from vlmrec.data.fetching.fetcher import fetch_images as fetch
    from vlmrec.train.interrupt import StepBoundary

    values = {
        "rate": rate,
        "per_host": per_host,
        "workers": workers,
        "retries": retries,
        "timeout": timeout,
        "max_bytes": max_bytes,
        "allow_private": allow_private,
    }
    options = FetchOptions.parse(values, "fetch-images")
    with bar("Fetching pictures") as advance, StepBoundary() as boundary:
        report = fetch(
            folder,
            options,
            again=again,
            advance=advance,
            stopping=lambda: boundary.wanted,
        )
        if boundary.wanted:
            raise KeyboardInterrupt
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), **report.as_dict()}, indent=2))
    else:
        _print_report(folder, report)


def _print_report(folder: Path, report: "FetchReport") -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"[bold]{escape(str(folder))}[/]: {report.with_address:,} items have an address of a "
        f"picture; {report.own:,} of them had a picture already."
    )
    for status, count in report.statuses.items():
        if count:
            console.print(f"[{_MARKS.get(status, 'bold red')}]{status:>8}[/]  {count:,}")
    console.print(
        f"{report.fetched_now:,} fetched now, {report.bytes_now / 1e6:,.1f} MB, with "
        f"{report.requests_now:,} requests."
    )
    for reason, count in report.reasons.items():
        console.print(f"[bold yellow]![/] {count:,} {escape(reason)}")
    if report.statuses["failed"]:
        console.print("The same command asks again for those that failed.")
