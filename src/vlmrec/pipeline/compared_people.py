"""Example users of a table: what the models of its rows recommend to the same few people.

This loads models, so it is bounded: a few users, a dozen rows, no model of billions of parameters.
A run that cannot be loaded is named, and costs no more than its own lists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vlmrec.bundle import RUN
from vlmrec.core.errors import VlmrecError
from vlmrec.core.files import read_json_object
from vlmrec.core.protocols import Multimodal
from vlmrec.data.sequences import IntArray
from vlmrec.data.splits import Split
from vlmrec.evaluation.report import ExamplePerson
from vlmrec.pipeline.compared_row import ComparedRow
from vlmrec.pipeline.compared_runs import full_name
from vlmrec.pipeline.comparison import Comparison
from vlmrec.pipeline.reporting import best_items, drawn_cases, shown_people
from vlmrec.pipeline.run import Run

N_PEOPLE = 4
ROWS_AT_MOST = 12
PARAMETERS_AT_MOST = 1_000_000_000
_SEED = 0


@dataclass(frozen=True, eq=False)
class ComparedPeople:
    """Example users, and what was met on the way.

    Attributes:
        people: With a list of each row.
        remarks: How they and the rows were chosen, and what is lacking, one sentence each.
        modalities: Label of a row -> what its model reads and can be taken apart by.
    """

    people: tuple[ExamplePerson, ...] = ()
    remarks: tuple[str, ...] = ()
    modalities: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def compare_people(comparison: Comparison, split: Split, folder: Path) -> ComparedPeople:
    """Returns test users drawn at random (not chosen), with the list of each row.

    Args:
        comparison: One dataset in one scenario.
        split: Its data.
        folder: Of the run folders.
    """
    finished = [one for one in comparison.rows if one.runs]
    chosen = _chosen(finished, comparison)
    if not chosen or not len(split.test):
        return ComparedPeople()
    cases = drawn_cases(split, seed=_SEED, n=N_PEOPLE)
    recipe = comparison.recipe
    pool = None if comparison.scenario.among_all else split.test_candidates
    known: dict[str, tuple[IntArray, np.ndarray]] = {}
    modalities: dict[str, tuple[str, ...]] = {}
    lacking: list[str] = []
    for one in chosen:
        try:
            run = _loaded(folder / first_run(one))
            known[full_name(one)] = best_items(
                run.ranker(), cases, filter_seen=recipe.filter_seen, candidates=pool
            )
        except VlmrecError as error:
            lacking.append(f"{one.row.label}: {error.problem}")
            continue
        except (
            ArithmeticError,
            LookupError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            # The table is worth more than its examples: it is shown, and the reason with it.
            reason = f"{type(error).__name__}: {error}"
            lacking.append(f"{one.row.label}: the run could not be loaded ({reason}).")
            continue
        if isinstance(run.model, Multimodal):
            modalities[one.row.label] = run.model.modalities
    people = shown_people(
        split.dataset,
        cases,
        {name: items for name, (items, _) in known.items()},
        {name: ranks for name, (_, ranks) in known.items()},
    )
    told = _told(comparison, len(cases), len(chosen), len(finished))
    lost = [f"Without a list: {problem}" for problem in lacking]
    return ComparedPeople(people if known else (), (*([told] if known else []), *lost), modalities)


def first_run(one: ComparedRow) -> str:
    """Returns the name of the run folder of a row's first finished seed."""
    return next(iter(one.runs.values()))


def _chosen(finished: Sequence[ComparedRow], comparison: Comparison) -> list[ComparedRow]:
    """Returns the first rows of the table, the baseline always among them."""
    base = comparison.recipe.baseline
    others = [one for one in finished if one.row is not base]
    kept = others[: ROWS_AT_MOST - (len(others) < len(finished))]
    return [one for one in finished if one in kept or one.row is base]


def _loaded(folder: Path) -> Run:
    size = int(read_json_object(folder / RUN)["training"]["parameters"])
    if size > PARAMETERS_AT_MOST:
        raise VlmrecError(
            f"its model of {size:,} parameters is too large to load for examples; "
            "the report.html in its run folder has some."
        )
    return Run.load(folder)


def _told(comparison: Comparison, n_people: int, n_shown: int, n_rows: int) -> str:
    left_out = "left out" if comparison.recipe.filter_seen else "not left out"
    rows = f"the first {n_shown} of {n_rows} rows" if n_shown < n_rows else "every finished row"
    intact = "" if comparison.scenario.gap_in_test is None else ", from the intact catalogue"
    return (
        f"{n_people} test users drawn at random, not chosen, with what the first seed of {rows} "
        f"would recommend{intact}. What a user had before is {left_out}, as in the table."
    )
