"""A tuning for people and for `vlmrec compare`: a table with its caption, and a recipe."""

import textwrap
from pathlib import Path
from typing import Any

import yaml

from vlmrec.core.files import atomic_file, write_json
from vlmrec.evaluation.grid import Block, Cell, Grid, Line
from vlmrec.pipeline.tuned import TrialRecord, Tuned, TunedRow, told

TUNED = "tuned.yaml"
"""Name of the recipe that a tuning writes."""
_WIDTH = 100


def as_text(tuned: Tuned) -> str:
    """Returns the page for a terminal of 100 columns."""
    notes = [
        textwrap.fill(note, _WIDTH, initial_indent="- ", subsequent_indent="  ")
        for note in _notes(tuned)
    ]
    return "\n\n".join([_title(tuned), _grid(tuned).to_text(), "\n".join(notes)])


def as_markdown(tuned: Tuned) -> str:
    """Returns the page in Markdown."""
    notes = [f"- {note}" for note in _notes(tuned)]
    return "\n\n".join([f"# {_title(tuned)}", _grid(tuned).to_markdown(), "\n".join(notes)])


def as_recipe(tuned: Tuned) -> str:
    """Returns the recipe of the comparison that follows, as the text of a file."""
    tuning = tuned.plan.tuning
    head = [
        f"# dataset: {tuned.dataset} (fingerprint {tuned.fingerprints['dataset']})",
        f"# protocol: {tuned.plan.recipe.scenarios[0].name}; written by vlmrec tune",
        f"# Options: the best of up to {tuning.trials} trials of each row, seed {tuning.seed},",
        f"# by {' and '.join(tuned.metrics)} on validation cases. Test cases were not looked at.",
    ]
    given = tuned.recipe().model_dump(mode="json", exclude_unset=True)
    given["rows"] = [{"label": row["label"], **_filled(row)} for row in given["rows"]]
    given = _filled(given)
    return "\n".join(head) + "\n" + yaml.safe_dump(given, sort_keys=False, allow_unicode=True)


def write_tuned(tuned: Tuned, folder: Path) -> None:
    """Writes ``table.txt``, ``table.md``, ``tuning.json`` and ``tuned.yaml``.

    Raises:
        DataError: The folder is read-only or the disk is full.
    """
    pages = {
        "table.txt": as_text(tuned) + "\n",
        "table.md": as_markdown(tuned) + "\n",
        TUNED: as_recipe(tuned),
    }
    for name, text in pages.items():
        with atomic_file(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_json(folder / "tuning.json", tuned.to_json())


def _filled(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if value != {}}


def _title(tuned: Tuned) -> str:
    return f"{tuned.plan.recipe.title}: tuning"


def _grid(tuned: Tuned) -> Grid:
    blocks = (
        Block(f"validation {' / '.join(tuned.metrics)}", ("as it stands", "best")),
        Block("trials", ("done", "pruned", "failed")),
        Block("training", ("seconds",)),
    )
    lines = [Line(one.space.row.label, _cells(one)) for one in tuned.rows]
    return Grid(tuned.plan.recipe.layout.corner, blocks, tuple(lines))


def _cells(one: TunedRow) -> tuple[Cell, ...]:
    first = one.trials[0] if one.trials else None
    counts = (one.count("done"), one.count("pruned"), one.count("failed"))
    texts = [_number(first), _number(one.best), *map(str, counts), f"{one.seconds:.1f}"]
    return tuple(Cell(text) for text in texts)


def _number(trial: TrialRecord | None) -> str:
    return "-" if trial is None or trial.result is None else f"{trial.result.value:.4f}"


def _notes(tuned: Tuned) -> list[str]:
    return [
        *(_about_best(one) for one in tuned.rows),
        _about_budget(tuned),
        _about_method(tuned),
        f"Score of a trial: its best {' or '.join(tuned.metrics)} on validation cases. Test cases "
        "were not looked at; the best of many validation scores is too good, so compare by test "
        f"with the seeds of {TUNED}.",
        f"Data: {tuned.dataset} (fingerprint {tuned.fingerprints['dataset']}), "
        f"{tuned.plan.recipe.scenarios[0].describe()}.",
        *_about_rest(tuned),
    ]


def _about_best(one: TunedRow) -> str:
    label, best = one.space.row.label, one.best
    if best is None:
        return f"{label}: no trial came to its end; stays as it is."
    if best.number == 0:
        return f"{label}: nothing better than the row as it stands ({told(best.options)})."
    return f"{label}: {told(best.options)} (trial {best.number})."


def _about_budget(tuned: Tuned) -> str:
    tuning = tuned.plan.tuning
    hours = "" if tuning.hours is None else f", none begun after {tuning.hours:g} h of training"
    many = f"{tuning.trials} trials" if tuning.trials > 1 else "1 trial"
    return f"Budget, the same for every row: {many}{hours}; trial 0 is the row as it stands."


def _about_method(tuned: Tuned) -> str:
    tuning = tuned.plan.tuning
    pruning = "No trial is pruned."
    if tuning.pruning == "median":
        pruning = (
            "Pruned: trials whose best value so far is below the median of finished ones at that "
            f"epoch; not before epoch {tuning.warmup + 1}, nor before those are {tuning.startup}."
        )
    return (
        f"Sampler: TPE of Optuna {tuned.optuna}, at random until the number of finished trials is "
        f"{tuning.startup}; seed {tuning.seed} of sampler and trials. {pruning}"
    )


def _about_rest(tuned: Tuned) -> list[str]:
    rows = tuned.plan.recipe.rows
    still = [row.label for row in rows if row.label not in tuned.plan.spaces]
    used_up = [one.space.row.label for one in tuned.rows if one.exhausted]
    failed = [
        f"{one.space.row.label}, trial {trial.number}: {trial.problem}"
        for one in tuned.rows
        for trial in one.trials
        if trial.outcome == "failed"
    ]
    notes = [f"Not tuned: {'; '.join(still)}."] if still else []
    if used_up:
        notes.append(f"Every combination was tried, fewer than the budget: {'; '.join(used_up)}.")
    return notes + [f"Failed: {text}" for text in failed]
