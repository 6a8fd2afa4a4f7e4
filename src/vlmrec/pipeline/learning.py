"""From a specification and a split to a model that has learned; no test case is looked at."""

import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from vlmrec.core.claims import claimed
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
from vlmrec.pipeline.content import gather_content, raw
from vlmrec.pipeline.evaluation import training_data
from vlmrec.pipeline.run_folder import open_folder, refuse_finished
from vlmrec.train.loop import TrainingResult, Watch, train
from vlmrec.train.options import TrainOptions


@dataclass(frozen=True, eq=False)
class Learner:
    """A model with its start weights, its data, and an open folder.

    Attributes:
        spec: Of the model.
        options: Of its training.
        split: What it learns from and is chosen by.
        folder: Where checkpoints and logs go, or None.
        config: What was asked for; its ``hash`` guards against continuing another run.
        content: Frozen vectors by modality.
        device: Where it learns.
        model: The model.
        batches: What it learns from, step by step; None if it counts, not learns.
    """

    spec: ModelSpec
    options: TrainOptions
    split: Split
    folder: Path | None
    config: dict[str, Any]
    content: dict[str, ContentVectors]
    device: torch.device
    model: Recommender
    batches: BatchSource | None

    def validation(self) -> Validation:
        """Returns what epochs are chosen by."""
        return self.model.validation() or Validation(self.options.valid_metric, self._measure)

    def learn(self, *, watch: Watch | None = None, quiet: bool = False) -> TrainingResult | None:
        """Trains the model, or goes on with it; it ends with its best weights.

        Args:
            watch: May end training early, after any validation.
            quiet: Say nothing on stderr.

        Returns:
            How it went, or None for a model that counts.

        Raises:
            KeyboardInterrupt: After Ctrl-C, when everything was saved.
        """
        if self.batches is None:
            return None
        return train(
            self.model,
            self.batches,
            self.validation(),
            self.options,
            label=self.spec.name,
            folder=self.folder,
            config_hash=self.config["hash"],
            watch=watch,
            quiet=quiet,
        )

    def _measure(self) -> float:
        found = evaluate_ranker(
            self.model.ranker(),
            self.split.valid,
            metrics=[self.options.valid_metric],
            filter_seen=self.config["filter_seen"],
            candidates=self.split.training_items,
            n_resamples=1,
        )
        return next(iter(found.metrics.values())).mean


@contextmanager
def begin(
    spec: ModelSpec,
    split: Split,
    folder: Path | None,
    options: TrainOptions,
    *,
    overwrite: bool = False,
    filter_seen: bool = False,
    cache: VectorCache | None = None,
    quiet: bool = False,
) -> Generator[Learner]:
    """Gives a model that can learn, or go on learning, in a folder that is ours until the end.

    Args:
        spec: Which model, with its hyper-parameters.
        split: What to learn from and choose by.
        folder: Run folder, or None to store nothing.
        options: How long and how fast.
        overwrite: Replace a run that is already in `folder`.
        filter_seen: Leave items of the history out when validation cases are ranked.
        cache: Where frozen vectors are kept; default: the user's cache folder.
        quiet: Say nothing on stderr.

    Raises:
        DataError: `folder` is taken, read-only, or the disk is full.
        BusyError: Another process is training there.
        ConfigError: An option does not go with the data.
    """
    parse_metrics([options.valid_metric])  # a misspelt name is found before anything is trained
    if folder is not None:
        refuse_finished(folder, overwrite=overwrite)  # before anything is encoded
    device = choose_device(options.device).device
    # Told before anything else asks for it: accelerate fixes the device and the group only once.
    processes = PartialState(cpu=device.type == "cpu")
    ours = folder if processes.is_main_process else None
    with nullcontext() if ours is None else claimed(ours):
        stages = stage_identities(spec.stages())
        content = gather_content(
            spec.content(),
            split.dataset.catalog,
            split.dataset.items.names.to_list(),
            cache=cache or VectorCache(),
            device=device,
            quiet=quiet,
        )
        config = _config(spec, options, split, content, stages, filter_seen)
        # Refuses what cannot be built, before the folder is opened.
        model, data = prepared_model(spec, options.seed, split, content, device, cache)
        if ours is not None:
            open_folder(ours, config, overwrite=overwrite)
        processes.wait_for_everyone()  # nobody looks for checkpoints in a folder being emptied
        batches = model.batches(
            data, Streams(options.seed), batch_size=options.batch_size, epochs=options.epochs
        )
        yield Learner(spec, options, split, folder, config, content, device, model, batches)


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
