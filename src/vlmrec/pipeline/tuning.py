"""The study of each row: options are proposed, tried, pruned, and remembered across a kill.

All that a trial depends on follows from the seed and the trials before it, so a tuning that was
killed goes on with the trials it would have had. Test cases are taken out of the split before
anything is trained: nothing in here could look at them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vlmrec.bundle import is_complete
from vlmrec.core.claims import claimed
from vlmrec.core.errors import ConfigError, MissingExtraError
from vlmrec.data.splits import Split
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.planned_runs import PlannedRun, plan
from vlmrec.pipeline.recipes import Row
from vlmrec.pipeline.search_space import Space
from vlmrec.pipeline.study_file import open_study_file
from vlmrec.pipeline.trial_run import (
    forget,
    is_tried,
    run_trial,
    so_far_of,
    validations,
)
from vlmrec.pipeline.tuned import TrialRecord, TunedRow, told
from vlmrec.pipeline.tuning_plan import TuningPlan
from vlmrec.pipeline.tuning_proposals import propose

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

TRIALS, STAGES = "trials", "stages"
"""Folders of the trials and of what they build on, below the output folder."""
_RECORD = "record"


def tune(
    planned: TuningPlan,
    split: Split,
    out: Path,
    study: Path,
    *,
    quiet: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> list[TunedRow]:
    """Tries options for every row that has a search, and returns what was found.

    Args:
        planned: What varies, and the budget.
        split: Data; its test cases are not looked at.
        out: Folder of trials and stages; tunings may share it.
        study: File that remembers the trials (an Optuna journal).
        quiet: Show no progress of a trial's own training.
        say: Takes a line before each trial.

    Raises:
        MissingExtraError: Optuna is not installed.
        ConfigError: A row cannot be trained as it stands.
        BusyError: Another process is tuning with this file.
        KeyboardInterrupt: After Ctrl-C, when everything was saved.
    """
    require_optuna()
    blind = replace(split, test=split.test.subset(np.zeros(0, dtype=np.int64)))
    found: list[TunedRow] = []
    with claimed(study), open_study_file(study) as storage:
        for label in planned.spaces:
            one = _RowStudy(planned, label, blind, out, storage, quiet, say)
            found.append(one.run())
    return found


def require_optuna() -> None:
    """Raises MissingExtraError where Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise MissingExtraError("optuna", "tune", "vlmrec tune") from None


class _RowStudy:
    def __init__(
        self,
        planned: TuningPlan,
        label: str,
        split: Split,
        out: Path,
        storage: Any,
        quiet: bool,
        say: Callable[[str], None],
    ) -> None:
        self._space: Space = planned.spaces[label]
        self._tuning = planned.tuning
        # Stages that are trained once are trained with the seed of the tuning, too.
        self._recipe = planned.recipe.model_copy(update={"seeds": (planned.tuning.seed,)})
        self._split = split
        self._out = out
        self._quiet = quiet
        self._say = say
        self._label = label
        self._study: Study = self._opened(storage)

    def run(self) -> TunedRow:
        """Returns what was found when the budget is used up."""
        self._take_back_unfinished()
        exhausted = False
        records = self._records()
        while not exhausted and not self._is_used_up(records):
            exhausted = not self._one_more(records)
            records = self._records()
        return TunedRow(self._space, tuple(records), exhausted)

    def _opened(self, storage: Any) -> "Study":
        import optuna

        tuning = self._tuning
        pruner = optuna.pruners.NopPruner()
        if tuning.pruning == "median":
            first = tuning.warmup + 1
            pruner = optuna.pruners.MedianPruner(tuning.startup, n_warmup_steps=first)
        method = tuning.model_dump(exclude={"trials", "hours"})
        varies = [(one.path, one.among.model_dump()) for one in self._space.parameters]
        now = self._planned(self._space.row).name
        facts = json.dumps([method, varies, now], sort_keys=True)
        digest = hashlib.blake2b(facts.encode(), digest_size=5).hexdigest()
        return optuna.create_study(
            storage=storage,
            study_name=f"{self._label} [{digest}]",
            direction="maximize",
            pruner=pruner,
            load_if_exists=True,
        )

    def _take_back_unfinished(self) -> None:
        """Ends trials that a kill left open; they are proposed again, and go on in their folder."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            record = trial.user_attrs.get(_RECORD)
            if record is None:
                self._study.tell(trial.number, state=TrialState.FAIL)
            else:
                self._tell(trial.number, TrialRecord.parse(record, "a trial"))

    def _records(self) -> list[TrialRecord]:
        """Returns all trials that count; those taken back, or proposed twice, have no record."""
        trials = self._study.get_trials(deepcopy=False)
        given = [trial.user_attrs[_RECORD] for trial in trials if _RECORD in trial.user_attrs]
        return [TrialRecord.parse(record, "a trial") for record in given]

    def _is_used_up(self, records: list[TrialRecord]) -> bool:
        spent, hours = sum(one.seconds for one in records), self._tuning.hours
        late = hours is not None and spent >= 3600 * hours
        return len(records) >= self._tuning.trials or late

    def _one_more(self, records: list[TrialRecord]) -> bool:
        """Tries one more combination; returns False where none is left."""
        number = len(records)
        tried = [one.options for one in records]
        proposed = propose(self._study, self._space, self._tuning, tried)
        if proposed is None:
            return False
        trial, options = proposed
        self._say(f"[{number + 1}/{self._tuning.trials}] {self._label}: {told(options)}")
        row = self._space.row if number == 0 else self._space.row_with(options)
        try:
            planned = self._planned(row)
            self._train_stages(planned)
            record = self._tried(planned, trial, number, options)
        except (ConfigError, FloatingPointError, torch.OutOfMemoryError) as error:
            if number == 0 and isinstance(error, ConfigError):
                raise
            record = TrialRecord(
                number=number, options=options, outcome="failed", problem=str(error)
            )
        self._say(_shown(record, records))
        trial.set_user_attr(_RECORD, record.model_dump(mode="json"))
        self._tell(trial.number, record)
        return True

    def _planned(self, row: Row) -> PlannedRun:
        recipe = self._recipe.model_copy(update={"rows": (row,)})
        return plan(recipe, self._split).rows[row.label][self._tuning.seed]

    def _train_stages(self, run: PlannedRun) -> None:
        folder = self._out / STAGES
        for stage in run.needs.values():
            self._train_stages(stage)
            if not is_complete(folder / stage.name):
                self._say(f"  first: {stage.label} ({stage.name})")
                fit(
                    stage.spec(folder),
                    self._split,
                    folder / stage.name,
                    options=stage.options,
                    filter_seen=self._recipe.filter_seen,
                    test=False,
                    quiet=self._quiet,
                )

    def _tried(
        self, run: PlannedRun, trial: "Trial", number: int, options: Mapping[str, Any]
    ) -> TrialRecord:
        folder = self._out / TRIALS / run.name
        reports = _Reports(trial, validations(folder))
        record = TrialRecord(number=number, options=dict(options), outcome="pruned", run=run.name)
        if reports.pruned and not is_tried(folder):  # a kill came before that was remembered
            result = so_far_of(folder)
            forget(folder)
            return record.model_copy(update={"result": result})
        try:
            found = run_trial(
                run.spec(self._out / STAGES),
                self._split,
                folder,
                run.options,
                filter_seen=self._recipe.filter_seen,
                watch=reports,
                quiet=self._quiet,
            )
        except (ConfigError, FloatingPointError, torch.OutOfMemoryError):
            forget(folder)
            raise
        outcome = "done" if is_tried(folder) else "pruned"
        if outcome == "pruned":
            forget(folder)
        return record.model_copy(update={"result": found, "outcome": outcome})

    def _tell(self, number: int, record: TrialRecord) -> None:
        from optuna.trial import TrialState

        states = {
            "done": TrialState.COMPLETE,
            "pruned": TrialState.PRUNED,
            "failed": TrialState.FAIL,
        }
        shown = record.result if record.outcome == "done" else None
        value = None if shown is None else shown.value
        self._study.tell(number, value, state=states[record.outcome])


class _Reports:
    """Tells the study of every validation, once, and whether to end the trial."""

    def __init__(self, trial: "Trial", so_far: list[tuple[int, float]]) -> None:
        self._trial = trial
        self._last = 0
        self.pruned = False
        for epochs, value in so_far:
            self(epochs, value)

    def __call__(self, epochs: int, value: float) -> bool:
        if epochs > self._last:  # an epoch that was logged but not saved is trained again
            self._trial.report(value, epochs)
            self._last = epochs
        self.pruned = self._trial.should_prune()
        return self.pruned


def _shown(record: TrialRecord, before: list[TrialRecord]) -> str:
    found = record.result
    if found is None:
        return f"  failed: {record.problem}"
    done = [one.result.value for one in before if one.outcome == "done" and one.result]
    best = f" (best before {max(done):.4f})" if done else ""
    ended = f", pruned after epoch {found.epochs}" if record.outcome == "pruned" else ""
    return f"  validation {found.metric} {found.value:.4f}{best}{ended}"
