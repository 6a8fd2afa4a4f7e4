"""Training what a table still lacks, run by run, and writing the table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from vlmrec.bundle import RUN, is_complete
from vlmrec.core.errors import VlmrecError
from vlmrec.core.files import atomic_file, read_json_object, write_json
from vlmrec.data.splits import Split
from vlmrec.pipeline.comparison import Comparison
from vlmrec.pipeline.comparison_page import as_latex, as_markdown, as_text
from vlmrec.pipeline.fit_once import fit_once
from vlmrec.pipeline.planned_runs import Plan, PlannedRun

RUNS = "runs"
"""Folder of the run folders, below the output folder."""


def train_missing(
    plan: Plan,
    split: Split,
    folder: Path,
    labels: Sequence[str],
    *,
    filter_seen: bool = False,
    quiet: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Trains all runs of some rows, and what they need, that are not finished.

    Args:
        plan: The runs.
        split: Data.
        folder: Of the run folders.
        labels: Of the rows.
        filter_seen: Leave items of the history out of the ranking.
        quiet: Show no progress of a run's own training.
        say: Takes a line before each run: which one, and the time left.

    Raises:
        VlmrecError: A run failed; the message says which.
        KeyboardInterrupt: After Ctrl-C, when everything was saved.
    """
    runs = plan.runs(labels)
    missing = [run for run in runs if not is_complete(folder / run.name)]
    if len(missing) < len(runs):
        say(f"{len(runs) - len(missing)} of {len(runs)} runs are finished already.")
    for number, run in enumerate(missing):
        left = expected_seconds(missing[number:], runs, folder)
        time = "" if left is None else f"; about {format_duration(left)} left"
        say(f"[{number + 1}/{len(missing)}] {run.label} ({run.name}){time}")
        try:
            fit_once(
                run.spec(folder),
                split,
                folder / run.name,
                run.options,
                filter_seen=filter_seen,
                quiet=quiet,
            )
        except VlmrecError as error:
            # The kind of the error stays; a table has many runs, so it says which one it was.
            error.args = (f"{run.label}: {error}",)
            error.problem = f"{run.label}: {error.problem}"
            raise


def expected_seconds(
    missing: Sequence[PlannedRun], runs: Sequence[PlannedRun], folder: Path
) -> float | None:
    """Returns about how long the missing runs will take, None where nothing is finished.

    A run is expected to take as long as the same one with other seeds, else as runs of the same
    model, else as all.

    Args:
        missing: Runs to come.
        runs: All runs of the table.
        folder: Of the run folders.
    """
    known = [(run, _seconds(folder / run.name)) for run in runs if is_complete(folder / run.name)]
    if not known:
        return None

    def expected(run: PlannedRun) -> float:
        same = [seconds for one, seconds in known if one.digest == run.digest]
        alike = [seconds for one, seconds in known if one.kind is run.kind]
        return fmean(same or alike or [seconds for _, seconds in known])

    return sum(map(expected, missing))


def format_duration(seconds: float) -> str:
    """Returns a duration in the unit that suits it.

    >>> format_duration(40), format_duration(300), format_duration(20_000)
    ('40 s', '5 min', '5.6 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Writes ``table.txt``, ``.md``, ``.tex`` and ``comparison.json``, each whole or not at all.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    pages = {
        "table.txt": as_text(comparison),
        "table.md": as_markdown(comparison),
        "table.tex": as_latex(comparison),
    }
    for name, text in pages.items():
        with atomic_file(folder / name) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    write_json(folder / "comparison.json", comparison.to_json())


def _seconds(folder: Path) -> float:
    return float(read_json_object(folder / RUN)["training"]["wall_seconds"])
