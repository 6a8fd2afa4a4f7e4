"""From a specification and a split to a trained, measured run."""

import hashlib
import json
import os
import platform
import resource
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState

from vlmrec.core.columns import ITEM_ID, TITLE
from vlmrec.core.device import choose_device
from vlmrec.core.protocols import BatchSource, Validation
from vlmrec.core.random import Streams
from vlmrec.data.splits import Split
from vlmrec.evaluation.evaluator import evaluate_ranker
from vlmrec.evaluation.metrics import parse_metrics
from vlmrec.items.cache import VectorCache
from vlmrec.items.content import ContentVectors
from vlmrec.models.spec import ModelSpec, Recommender, TrainingData
from vlmrec.models.stored import stage_identities
from vlmrec.pipeline.content import describe, gather_content, raw
from vlmrec.pipeline.evaluation import SplitEvaluation, evaluate_split, training_data
from vlmrec.pipeline.lessons import losses_now, taught_record
from vlmrec.pipeline.reporting import report_run
from vlmrec.pipeline.run import Run, vectors_of
from vlmrec.pipeline.run_folder import open_folder, refuse_finished
from vlmrec.train.checkpoint import Checkpoints
from vlmrec.train.loop import TrainingResult, train
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
        quiet: Say nothing on stderr.

    Raises:
        DataError: `out` is taken, read-only, or the disk is full.
        ConfigError: An option does not go with the data.
        KeyboardInterrupt: After Ctrl-C, when everything was saved.
    """
    options = options or TrainOptions()
    parse_metrics([options.valid_metric])  # a misspelt name is found before anything is trained
    started = time.perf_counter()
    folder = None if out is None else Path(out)
    if folder is not None:
        refuse_finished(folder, overwrite=overwrite)  # before anything is encoded
    device = choose_device(options.device)
    dataset = split.dataset
    stages = stage_identities(spec.stages())
    wanted = spec.content()
    content = gather_content(
        wanted,
        dataset.catalog,
        dataset.items.names.to_list(),
        cache=cache or VectorCache(),
        device=device.device,
        quiet=quiet,
    )
    config = _config(spec, options, split, content, stages, filter_seen)
    # Refuses what cannot be built, before the folder is opened.
    model, data = prepared_model(spec, options.seed, split, content, device.device, cache)
    # Told before anything else asks for it: accelerate fixes the device and the group only once.
    processes = PartialState(cpu=device.device.type == "cpu")
    if folder is not None and processes.is_main_process:
        open_folder(folder, config, overwrite=overwrite)
    processes.wait_for_everyone()  # nobody looks for checkpoints in a folder that is being emptied
    batches = model.batches(
        data, Streams(options.seed), batch_size=options.batch_size, epochs=options.epochs
    )
    # Also when a run goes on: the weights of its checkpoint are only taken in below.
    before = losses_now(model) if processes.is_main_process else {}
    result = None
    if batches is not None:
        result = _train(model, batches, spec, options, split, folder, config, quiet)
    model.settle()
    ranker = model.ranker()
    measured = evaluate_split(ranker, split, filter_seen=filter_seen)
    info = {
        **config,
        "content": describe(wanted, content),
        "text_fields": dataset.catalog.default_text_fields(),
        "loss": spec.describe_loss(),
        "device": str(device.device),
        "metrics": measured.to_json(),
        "training": _training_facts(result, model, time.perf_counter() - started),
        **taught_record(model, before, options.seed, dataset),
        "versions": _versions(),
    }
    run = Run(spec, model.cpu(), vectors_of(ranker), _items(split), info, folder)
    run = replace(run, ranks=_ranks(split, measured))
    if folder is not None and processes.is_main_process:
        lines = [] if result is None else result.lines
        report_run(folder / "report.html", run, split, measured, lines)
        run.save(folder)
        Checkpoints(folder, config["hash"]).clear()
    processes.wait_for_everyone()
    return run


def prepared_model(
    spec: ModelSpec,
    seed: int,
    split: Split,
    content: dict[str, ContentVectors],
    device: torch.device,
    cache: VectorCache | None = None,
) -> tuple[Recommender, TrainingData]:
    """Returns a model with its start weights, and what it may learn from.

    Args:
        spec: Which model.
        seed: Of everything random.
        split: Whose training part it sees.
        content: What `gather_content` found for ``spec.content()``.
        device: Where it is going to be trained.
        cache: In whose folder visual features are kept; default: the user's cache folder.
    """
    plain = training_data(split)
    shape = replace(plain.shape, widths={name: one.width for name, one in content.items()})
    folder = (cache or VectorCache()).folder
    catalog = split.dataset.catalog
    data = replace(plain, shape=shape, content=raw(content), catalog=catalog, cache=folder)
    model = spec.build(shape)
    model.initialise(Streams(seed), device)
    model.prepare(data)
    return model, data


def _train(
    model: Recommender,
    batches: BatchSource,
    spec: ModelSpec,
    options: TrainOptions,
    split: Split,
    folder: Path | None,
    config: dict[str, Any],
    quiet: bool,
) -> TrainingResult:
    def measure() -> float:
        found = evaluate_ranker(
            model.ranker(),
            split.valid,
            metrics=[options.valid_metric],
            filter_seen=config["filter_seen"],
            candidates=split.training_items,
            n_resamples=1,
        )
        return next(iter(found.metrics.values())).mean

    return train(
        model,
        batches,
        model.validation() or Validation(options.valid_metric, measure),
        options,
        label=spec.name,
        folder=folder,
        config_hash=config["hash"],
        quiet=quiet,
    )


def _config(
    spec: ModelSpec,
    options: TrainOptions,
    split: Split,
    content: dict[str, ContentVectors],
    stages: dict[str, str],
    filter_seen: bool,
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "model": spec.name,
        "spec": spec.model_dump(mode="json"),
        "options": options.model_dump(mode="json", exclude={"device", "tensorboard"}),
        "seed": options.seed,
        "filter_seen": filter_seen,
        "shape": {
            "n_items": split.dataset.n_items,
            "widths": {name: one.width for name, one in content.items()},
            "n_users": split.dataset.n_users,
        },
        "dataset": {"fingerprint": split.dataset.fingerprint, "folder": _folder_of(split)},
        "split": {"name": split.name, "fingerprint": split.fingerprint, "notes": split.notes},
    }
    identities = stages | {name: one.identity for name, one in content.items()}
    names = ("model", "spec", "options", "filter_seen")
    guarded = [*(config[name] for name in names), split.fingerprint, identities]
    text = json.dumps(guarded, sort_keys=True)
    config["hash"] = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return config


def _folder_of(split: Split) -> str | None:
    root = split.dataset.catalog.root
    return None if root is None else str(root.resolve())


def _items(split: Split) -> Any:
    counts = split.train.item_counts(split.dataset.n_items)[1:]
    table = split.dataset.catalog.table.select(ITEM_ID, TITLE)
    return table.with_columns(n_train=np.asarray(counts))


def _ranks(split: Split, measured: SplitEvaluation) -> Any:
    from vlmrec.core.columns import USER_ID

    table = measured.cases
    users = split.dataset.users.to_external(table[USER_ID].to_numpy())
    items = split.dataset.items.to_external(table[ITEM_ID].to_numpy())
    import polars as pl

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
