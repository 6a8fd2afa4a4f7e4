"""From a specification and a split to a trained, measured run."""

import os
import platform
import resource
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from accelerate import PartialState

from vlmrec.core.columns import ITEM_ID, TITLE, USER_ID
from vlmrec.data.splits import Split
from vlmrec.items.cache import VectorCache
from vlmrec.models.spec import ModelSpec, Recommender
from vlmrec.pipeline.content import describe
from vlmrec.pipeline.evaluation import evaluate_split
from vlmrec.pipeline.learning import Learner, begin
from vlmrec.pipeline.lessons import losses_now, taught_record
from vlmrec.pipeline.reporting import report_run
from vlmrec.pipeline.run import Run, vectors_of
from vlmrec.train.checkpoint import Checkpoints
from vlmrec.train.loop import TrainingResult
from vlmrec.train.options import TrainOptions


def fit(
    spec: ModelSpec,
    split: Split,
    out: str | os.PathLike[str] | None = None,
    *,
    options: TrainOptions | None = None,
    overwrite: bool = False,
    filter_seen: bool = False,
    cache: VectorCache | None = None,
    test: bool = True,
    quiet: bool = False,
) -> Run:
    """Trains a model, measures it on the test cases, and returns (and stores) the run.

    A run that was killed is continued when the same call is made again, and ends with the same
    weights, on a CPU to the last bit.

    Args:
        spec: Which model, with its hyper-parameters.
        split: What to learn from, choose by and test on.
        out: Run folder; without it nothing is stored and nothing can be resumed.
        options: How long and how fast.
        overwrite: Replace a run that is already in `out`.
        filter_seen: Leave items of the history out when validation and test cases are ranked.
        cache: Where frozen vectors are kept; default: the user's cache folder.
        test: Measure on the test cases and write the report; without it no test case is
            looked at, and the run says nothing of how good it is.
        quiet: Say nothing on stderr.

    Raises:
        DataError: `out` is taken, read-only, or the disk is full.
        BusyError: Another process is training there.
        ConfigError: An option does not go with the data.
        KeyboardInterrupt: After Ctrl-C, when everything was saved.
    """
    options = options or TrainOptions()
    started = time.perf_counter()
    folder = None if out is None else Path(out)
    with begin(
        spec,
        split,
        folder,
        options,
        overwrite=overwrite,
        filter_seen=filter_seen,
        cache=cache,
        quiet=quiet,
    ) as learner:
        return _trained_and_stored(learner, started, test=test, quiet=quiet)


def _trained_and_stored(learner: Learner, started: float, *, test: bool, quiet: bool) -> Run:
    spec, split, folder, options = learner.spec, learner.split, learner.folder, learner.options
    filter_seen: bool = learner.config["filter_seen"]
    model, config, processes = learner.model, learner.config, PartialState()
    # Also when a run goes on: the weights of its checkpoint are only taken in below.
    before = losses_now(model) if processes.is_main_process else {}
    result = learner.learn(quiet=quiet)
    model.settle()
    ranker = model.ranker()
    measured = evaluate_split(ranker, split, filter_seen=filter_seen, model=model) if test else None
    info = {
        **config,
        "content": describe(spec.content(), learner.content),
        "text_fields": split.dataset.catalog.default_text_fields(),
        "loss": spec.describe_loss(),
        "device": str(learner.device),
        "metrics": {} if measured is None else measured.to_json(),
        "training": _training_facts(result, model, time.perf_counter() - started),
        **taught_record(model, before, options.seed, split.dataset),
        "versions": _versions(),
    }
    run = Run(spec, model.cpu(), vectors_of(ranker), _items(split), info, folder)
    if measured is not None:
        warm = measured.warm_cases
        run = replace(
            run,
            ranks=_named(split, measured.cases),
            warm_ranks=None if warm is None else _named(split, warm),
        )
    if folder is not None and processes.is_main_process:
        if measured is not None:
            lines = [] if result is None else result.lines
            report_run(folder / "report.html", run, split, measured, lines)
        run.save(folder)
        Checkpoints(folder, config["hash"]).clear()
    processes.wait_for_everyone()
    return run


def _items(split: Split) -> Any:
    counts = split.train.item_counts(split.dataset.n_items)[1:]
    table = split.dataset.catalog.table.select(ITEM_ID, TITLE)
    return table.with_columns(n_train=np.asarray(counts))


def _named(split: Split, table: pl.DataFrame) -> pl.DataFrame:
    """Returns a table of cases with external ids."""
    users = split.dataset.users.to_external(table[USER_ID].to_numpy())
    items = split.dataset.items.to_external(table[ITEM_ID].to_numpy())
    return table.with_columns(pl.Series(USER_ID, users), pl.Series(ITEM_ID, items))


def _training_facts(
    result: TrainingResult | None, model: Recommender, wall_seconds: float
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "wall_seconds": round(wall_seconds, 2),
        "peak_memory_mib": round(_peak_memory() / 2**20, 1),
        "threads": torch.get_num_threads(),
    }
    if result is not None:
        facts["epochs"] = result.progress.epoch
        facts["best_epoch"] = result.progress.best_epoch + 1
        facts["best_valid"] = result.progress.best
        facts["training_seconds"] = round(result.progress.seconds, 2)
    return facts


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024  # Linux counts in KiB


def _versions() -> dict[str, str]:
    names = ("vlmrec", "torch", "numpy", "polars", "accelerate", "safetensors")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
