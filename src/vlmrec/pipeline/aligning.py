"""From a catalogue to a vision-language model that sees: a short image-text alignment."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from vlmrec.core.config import StrictConfig
from vlmrec.core.device import choose_device
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.core.files import read_json_object, write_json
from vlmrec.core.progress import bar
from vlmrec.core.protocols import Ranker, Validation
from vlmrec.core.random import Streams
from vlmrec.data.catalog import Catalog
from vlmrec.data.dataset import Dataset
from vlmrec.data.row_batches import RowBatches
from vlmrec.data.sequences import Histories, Sequences
from vlmrec.data.splits import Cases
from vlmrec.evaluation.evaluator import Evaluation, evaluate_ranker
from vlmrec.items.cache import VectorCache
from vlmrec.models.image_text import ImageTextAlignment
from vlmrec.objectives.pair_contrast import PairContrast
from vlmrec.train.checkpoint import Checkpoints
from vlmrec.train.loop import train
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.saving import write_vlm
from vlmrec.vlm.visual_cache import VisualCache

RECORD = "alignment.json"
_METRICS = ("Recall@1", "Recall@10", "MRR@10")


class AlignOptions(StrictConfig):
    """Options of one alignment."""

    vlm: VlmOptions = VlmOptions()
    """How the model is fed."""
    tuning: TuningOptions = TuningOptions(kind="connectors")
    """Which weights learn; the projector alone leaves the vectors of texts as they are."""
    objective: PairContrast = PairContrast()
    """The contrastive loss."""
    train: TrainOptions = TrainOptions(
        epochs=30, batch_size=128, learning_rate=1e-3, patience=5, valid_metric="Recall@10"
    )
    """How long and how fast; `batch_size` counts pairs."""
    chunk: int = Field(default=128, ge=1)
    """Prompts held in memory at a time (gradient cache)."""
    holdout: float = Field(default=0.1, gt=0, lt=1)
    """Share of the pairs that are not learned from: they choose the epoch and give the score."""


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Items with both a text and a readable picture, and which of them are learned from."""

    texts: list[str]
    pictures: list[Path]
    learned: np.ndarray
    held_out: np.ndarray


def align(
    dataset: Dataset,
    out: Path,
    *,
    encoder: str = "compact",
    options: AlignOptions | None = None,
    text_fields: Sequence[str] | None = None,
    cache: VectorCache | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Trains a vision-language model on a catalogue's own pictures and words, and stores it.

    Interactions are not looked at. A run that was killed is continued by the same call.

    Args:
        dataset: Whose catalogue.
        out: Checkpoint folder to write; `vlmrec.vlm.loading.load_vlm` reads it.
        encoder: Model to start from.
        options: What learns, how long and how fast.
        text_fields: Columns to read; default: see `Catalog.default_text_fields`.
        cache: In whose folder visual features are kept; default the user's cache folder.
        overwrite: Replace a finished alignment in `out`.
        quiet: Say nothing on stderr.

    Returns:
        The record that stands in ``alignment.json``.

    Raises:
        DataError: `out` is taken, or too few items have both a text and a picture.
        ConfigError: Nothing learns, or an option does not fit the model.
    """
    options = options or AlignOptions()
    config = _config(dataset, encoder, options, text_fields)
    _refuse_taken(out, config["hash"], overwrite=overwrite)
    device = choose_device(options.train.device).device
    seed = options.train.seed
    model = load_vlm(encoder, options.vlm, options.tuning, device=device, seed=seed)
    if not any(weight.requires_grad and weight.numel() for weight in model.parameters()):
        raise ConfigError(
            f"With tuning.kind={options.tuning.kind} nothing of the model learns.",
            "Use --set tuning.kind=connectors (compact, tiny) or lora.",
        )
    if not model.vision_learns:
        folder = (cache or VectorCache()).folder
        model.use_visual_cache(VisualCache(folder, model.visual_identity()))
    pairs = _pairs(dataset.catalog, model, text_fields, options, quiet=quiet)
    task = ImageTextAlignment(model, pairs.texts, pairs.pictures, options.objective, options.chunk)
    metrics = tuple(dict.fromkeys([*_METRICS, options.train.valid_metric]))
    before = _measured(task.ranker(), pairs.held_out, pairs, metrics)
    write_json(out / RECORD, config)

    def measure() -> float:
        measured = _measured(task.ranker(), pairs.held_out, pairs, metrics, n_resamples=1)
        return measured.metrics[options.train.valid_metric].mean

    result = train(
        task,
        RowBatches(pairs.learned, options.train.batch_size, Streams(seed), at_least=2),
        Validation(options.train.valid_metric, measure),
        options.train,
        label=f"align {encoder}",
        folder=out,
        config_hash=config["hash"],
        quiet=quiet,
    )
    ranker = task.ranker()
    record = {
        **config,
        "pairs": {"learned": len(pairs.learned), "held_out": len(pairs.held_out)},
        "picture_problems": model.picture_problems,
        "cut": model.report.cuts(),
        "epochs": result.progress.epoch,
        "best_epoch": result.progress.best_epoch + 1,
        "training_seconds": round(result.progress.seconds, 2),
        "picture_to_text": {
            "candidates": len(pairs.texts),
            "held out, before": _shown(before),
            "held out": _shown(_measured(ranker, pairs.held_out, pairs, metrics)),
            "learned from": _shown(_measured(ranker, pairs.learned, pairs, metrics)),
            "chance": dict(before.chance),
        },
    }
    _finish(model, out, record)
    return record


def _pairs(
    catalog: Catalog,
    model: VisionLanguageModel,
    text_fields: Sequence[str] | None,
    options: AlignOptions,
    *,
    quiet: bool,
) -> _Pairs:
    texts, paths = catalog.texts(text_fields), catalog.image_paths()
    both = [(text, path) for text, path in zip(texts, paths, strict=True) if text.strip() and path]
    found: list[tuple[str, Path]] = []
    with bar("seeing pictures", quiet=quiet) as advance:
        for start in range(0, len(both), 64):
            part = both[start : start + 64]
            seen = model.image_features([path for _, path in part])
            found += [pair for pair, one in zip(part, seen, strict=True) if one is not None]
            advance(min(start + 64, len(both)), len(both))
    n_held = max(round(options.holdout * len(found)), 1)
    if len(found) - n_held < 2:
        raise DataError(
            f"{len(found)} items have both a text and a readable picture; at least 3 are needed "
            "to align a model.",
            "Add pictures, or see what 'vlmrec inspect' says of them.",
        )
    order = Streams(options.train.seed).numpy("held out pairs").permutation(len(found)) + 1
    held_out, learned = np.sort(order[:n_held]), np.sort(order[n_held:])
    return _Pairs([text for text, _ in found], [path for _, path in found], learned, held_out)


def _measured(
    ranker: Ranker,
    rows: np.ndarray,
    pairs: _Pairs,
    metrics: tuple[str, ...],
    *,
    n_resamples: int = 1000,
) -> Evaluation:
    """Returns how well the pictures of some pairs find their texts among those of all pairs."""
    n = len(rows)
    offsets = np.arange(n + 1)
    sequences = Sequences(rows.astype(np.int32), offsets, np.zeros(n, dtype=np.int64))
    histories = Histories(sequences, np.arange(1, n + 1), offsets[:-1], offsets[1:])
    candidates = np.arange(1, len(pairs.texts) + 1)
    cases = Cases(histories, rows)
    return evaluate_ranker(
        ranker, cases, metrics=metrics, candidates=candidates, n_resamples=n_resamples
    )


def _shown(measured: Evaluation) -> dict[str, list[float]]:
    """Returns mean, lower and upper bound of each metric."""
    return {
        name: [round(value, 5) for value in (one.mean, one.low, one.high)]
        for name, one in measured.metrics.items()
    }


def _config(
    dataset: Dataset, encoder: str, options: AlignOptions, text_fields: Sequence[str] | None
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "encoder": encoder,
        "options": options.model_dump(mode="json"),
        "text_fields": list(text_fields or dataset.catalog.default_text_fields()),
        "dataset_fingerprint": dataset.fingerprint,
    }
    text = json.dumps(config, sort_keys=True)
    return {**config, "hash": hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}


def _refuse_taken(out: Path, config_hash: str, *, overwrite: bool) -> None:
    """Raises DataError where `out` holds anything but an unfinished alignment of this kind."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    found = read_json_object(out / RECORD) if (out / RECORD).is_file() else {}
    if found and overwrite:
        Checkpoints(out, config_hash).clear()
        return
    if not found:
        raise DataError(
            f"The output '{out}' exists and holds something else than an alignment.",
            "Choose another --out.",
        )
    if "picture_to_text" in found or found.get("hash") != config_hash:
        state = "a finished" if "picture_to_text" in found else "an unfinished, different"
        raise DataError(
            f"The output folder '{out}' holds {state} alignment.",
            "Choose another --out, or replace it with --overwrite.",
        )


def _finish(model: VisionLanguageModel, out: Path, record: dict[str, Any]) -> None:
    """Moves the model's files into `out`; the record, last of all, says that it is whole."""
    with tempfile.TemporaryDirectory(prefix=".model.", dir=out) as temporary:
        write_vlm(model, Path(temporary))
        for path in Path(temporary).iterdir():
            path.replace(out / path.name)
    write_json(out / RECORD, record)
    Checkpoints(out, record["hash"]).clear()
