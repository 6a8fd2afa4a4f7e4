"""A bar with the time left, on stderr, for work whose steps can be counted."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

Advance = Callable[[int, int], None]
"""Told how many steps are done, and of how many."""


@contextmanager
def bar(what: str, *, quiet: bool = False) -> Generator[Advance]:
    """Yields a callback that moves a bar; off a terminal it prints one line at the end.

    Args:
        what: What is being done.
        quiet: Show nothing.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(stderr=True, quiet=quiet, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    count = 0
    with Progress(*columns, console=console, transient=True, disable=quiet) as shown:
        task = shown.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            nonlocal count
            count = total
            shown.update(task, completed=done, total=total)

        yield advance
    if count and not console.is_terminal:
        console.print(f"{what}: {count:,} done", soft_wrap=True)
