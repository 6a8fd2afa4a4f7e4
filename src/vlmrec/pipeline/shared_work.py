"""The runs of a table, taken by whichever process is free."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vlmrec.bundle import is_complete
from vlmrec.core.claims import is_claimed
from vlmrec.pipeline.planned_runs import PlannedRun

_PAUSE = 2.0
"""Seconds between looks at what other processes do."""


def shared_work(
    runs: Sequence[PlannedRun], folder: Path, say: Callable[[str], None]
) -> Iterator[PlannedRun]:
    """Yields runs to be trained now, until all are finished, by us or by others.

    A run comes when it is not finished, no other process is training it, and all that it builds
    on is finished. Where that holds for none, other processes are waited for.

    Args:
        runs: In the order to train them; what a run needs stands before it, or is finished.
        folder: Of the run folders.
        say: Takes a line when others have to be waited for.
    """
    told = False
    while left := [run for run in runs if not is_complete(folder / run.name)]:
        free = left if trains_together() else [run for run in left if _is_free(run, folder)]
        if free:
            told = False
            yield free[0]
            continue
        if not told:
            say(f"Waits for another process, which is training '{left[0].label}'.")
            told = True
        time.sleep(_PAUSE)


def trains_together() -> bool:
    """Returns whether this is one of several processes that train each run together."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def _is_free(run: PlannedRun, folder: Path) -> bool:
    ready = all(is_complete(folder / needed.name) for needed in run.needs.values())
    return ready and not is_claimed(folder / run.name)
