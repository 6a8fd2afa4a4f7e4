"""One trial of a tuning: trained, and measured on validation cases only."""

import shutil
from pathlib import Path
from typing import Any

from vlmrec.core.config import StrictConfig
from vlmrec.core.files import read_json_object, write_json
from vlmrec.data.splits import Split
from vlmrec.models.spec import ModelSpec
from vlmrec.pipeline.learning import begin
from vlmrec.train.checkpoint import Checkpoints
from vlmrec.train.log import read_lines
from vlmrec.train.loop import Watch
from vlmrec.train.options import TrainOptions

_RESULT = "trial.json"
_VALID = "valid "


class TrialResult(StrictConfig):
    """What a trial showed."""

    metric: str
    """What is measured on validation cases."""
    value: float
    """Its best value."""
    epochs: int = 0
    """Passes that were trained."""
    best_epoch: int | None = None
    """After which the value was best, from 1; null for models that are counted."""
    seconds: float = 0.0
    """Of training, over all sittings, without validation."""


def run_trial(
    spec: ModelSpec,
    split: Split,
    folder: Path,
    options: TrainOptions,
    *,
    filter_seen: bool = False,
    watch: Watch | None = None,
    quiet: bool = False,
) -> TrialResult:
    """Returns what a trial showed, trained unless that is done; a killed one goes on.

    Args:
        spec: The model.
        split: Data.
        folder: Of the trial. It ends with the result and the log, without weights.
        options: Training, with the seed.
        filter_seen: Leave items of the history out of the ranking.
        watch: May end training early; the result of such a trial is not stored.
        quiet: Say nothing on stderr.

    Raises:
        ConfigError: An option does not go with the data.
        FloatingPointError: The loss became infinite.
        KeyboardInterrupt: After Ctrl-C, when everything was saved.
    """
    if is_tried(folder):
        return TrialResult.parse(read_json_object(folder / _RESULT), f"'{folder / _RESULT}'")
    ended_early: list[int] = []

    def watched(epochs: int, value: float) -> bool:
        if watch is not None and watch(epochs, value):
            ended_early.append(epochs)
        return bool(ended_early)

    with begin(spec, split, folder, options, filter_seen=filter_seen, quiet=quiet) as learner:
        went = learner.learn(watch=watched, quiet=quiet)
        name = learner.validation().name
        if went is None or went.progress.best is None:
            result = TrialResult(metric=name, value=learner.validation().measure())
        else:
            result = TrialResult(
                metric=name,
                value=went.progress.best,
                epochs=went.progress.epoch,
                best_epoch=went.progress.best_epoch + 1,
                seconds=round(went.progress.seconds, 3),
            )
        if not ended_early:
            write_json(folder / _RESULT, result.model_dump())
            Checkpoints(folder, learner.config["hash"]).clear()
    return result


def is_tried(folder: Path) -> bool:
    """Returns whether a trial came to its end in the folder."""
    return (folder / _RESULT).is_file()


def validations(folder: Path) -> list[tuple[int, float]]:
    """Returns the epochs done and the value at each validation so far, of a trial's log."""
    return [
        (line["epoch"] + 1, float(value))
        for line in read_lines(folder)
        for name, value in line.items()
        if name.startswith(_VALID)
    ]


def so_far_of(folder: Path) -> TrialResult:
    """Returns what a trial that was validated has shown until now, of its log."""
    lines: list[dict[str, Any]] = read_lines(folder)
    found = validations(folder)
    name = next(name for line in lines for name in line if name.startswith(_VALID))
    value, epoch = max((value, -epoch) for epoch, value in found)
    return TrialResult(
        metric=name.removeprefix(_VALID),
        value=value,
        epochs=found[-1][0],
        best_epoch=-epoch,
        seconds=float(lines[-1]["seconds"]),
    )


def forget(folder: Path) -> None:
    """Removes the folder of a trial that was ended early, or failed."""
    shutil.rmtree(folder, ignore_errors=True)
