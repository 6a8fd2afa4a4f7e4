"""Training what a table still lacks, run by run, and writing the table."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from statistics import fmean

from vlmrec.bundle import RUN, is_complete
from vlmrec.core.claims import BusyError
from vlmrec.core.errors import VlmrecError
from vlmrec.core.files import atomic_file, read_json_object, write_json
from vlmrec.pipeline.comparison import Comparison, to_json
from vlmrec.pipeline.comparison_page import as_latex, as_markdown, as_text
from vlmrec.pipeline.fit_once import fit_once
from vlmrec.pipeline.planned_runs import PlannedRun
from vlmrec.pipeline.scenario_ranks import is_measured, measure
from vlmrec.pipeline.settings import Setting
from vlmrec.pipeline.shared_work import shared_work, trains_together

RUNS = "runs"
"""Folder of the run folders, below the output folder."""


def train_missing(
    settings: Sequence[Setting],
    folder: Path,
    labels: Sequence[str],
    *,
    filter_seen: bool = False,
    quiet: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Trains all runs of some rows, and what they need, that are not finished; measures them.

    Several calls may work on one folder at the same time; they share the runs.

    Args:
        settings: Data, scenarios and runs.
        folder: Of the run folders.
        labels: Of the rows.
        filter_seen: Leave items of the history out of the ranking.
        quiet: Show no progress of a run's own training.
        say: Takes a line before each run: which one, and the time left.

    Raises:
        VlmrecError: A run failed; the message says which.
        KeyboardInterrupt: After Ctrl-C, when everything was saved.
    """
    wanted = {run.name: (run, one) for one in settings for run in one.plan.runs(labels)}
    runs = [run for run, _ in wanted.values()]
    missing = [run for run in runs if not is_complete(folder / run.name)]
    if len(missing) < len(runs):
        say(f"{len(runs) - len(missing)} of {len(runs)} runs are finished already.")
    several = len({one.dataset for one in settings}) > 1
    for run in shared_work(missing, folder, say):
        left = [one for one in missing if not is_complete(folder / one.name)]
        seconds = expected_seconds(left, runs, folder)
        time = "" if seconds is None else f"; about {format_duration(seconds)} left"
        one = wanted[run.name][1]
        label = f"{run.label}, {one.dataset}" if several else run.label
        say(f"[{len(missing) - len(left) + 1}/{len(missing)}] {label} ({run.name}){time}")
        # Another process may be faster; those that train together must not go different ways.
        passed_over = () if trains_together() else (BusyError,)
        with _named(label), contextlib.suppress(*passed_over):
            fit_once(
                run.spec(folder),
                one.split,
                folder / run.name,
                run.options,
                filter_seen=filter_seen,
                quiet=quiet,
            )
    _measure_missing(settings, folder, labels, filter_seen=filter_seen, say=say)


def _measure_missing(
    settings: Sequence[Setting],
    folder: Path,
    labels: Sequence[str],
    *,
    filter_seen: bool,
    say: Callable[[str], None],
) -> None:
    """Ranks the test cases anew where a scenario shows the models other content in the test."""
    for one in settings:
        gap = one.scenario.gap_in_test
        rows = [one.plan.rows[label] for label in labels] if gap is not None else []
        for run in (run for row in rows for run in row.values()):
            path = folder / run.name
            if gap is None or is_measured(path, one.scenario):
                continue
            say(f"{run.label}: tested where {gap.describe()}")
            with _named(run.label):
                if not measure(path, gap, one.split, filter_seen=filter_seen):
                    say(f"{run.label} cannot be shown other content than it was trained with.")


@contextlib.contextmanager
def _named(label: str) -> Generator[None]:
    """Puts the name of a run into its errors: a table has many. The kind of the error stays."""
    try:
        yield
    except VlmrecError as error:
        error.args = (f"{label}: {error}",)
        error.problem = f"{label}: {error.problem}"
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


def write_comparison(parts: Sequence[Comparison], folder: Path) -> None:
    """Writes ``table.txt``, ``.md``, ``.tex`` and ``comparison.json``, each whole or not at all.

    Args:
        parts: The comparisons of one recipe, in the order of datasets and scenarios.
        folder: Where to.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    pages = {
        "table.txt": as_text(parts),
        "table.md": as_markdown(parts),
        "table.tex": as_latex(parts),
    }
    for name, text in pages.items():
        with atomic_file(folder / name) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    write_json(folder / "comparison.json", to_json(parts))


def _seconds(folder: Path) -> float:
    return float(read_json_object(folder / RUN)["training"]["wall_seconds"])
