"""Whether training a vision-language model on a dataset fits into memory, and how."""

from typing import Any

import torch

from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import ConfigError
from vlmrec.core.progress import Advance
from vlmrec.data.dataset import Dataset
from vlmrec.pipeline.advice import Estimate, judge
from vlmrec.pipeline.plans import RESERVE, Fitting, Plan
from vlmrec.pipeline.workload import Workload, sample_workload
from vlmrec.vlm.device_speed import measure_speed
from vlmrec.vlm.estimating import trace_step
from vlmrec.vlm.model import VisionLanguageModel
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.outline import feature_width, known_tokenizer, load_outline
from vlmrec.vlm.tracing import Speed


class EstimateOptions(StrictConfig):
    """What is estimated."""

    tuning: TuningOptions = TuningOptions()
    """Rank and targets of the plans with LoRA; a kind that is given is the one advised."""
    vlm: VlmOptions = VlmOptions()
    """How prompts become tokens and batches."""


def estimate_training(
    name: str,
    dataset: Dataset,
    memory: int,
    *,
    history: int = 10,
    batch: int = 32,
    options: EstimateOptions | None = None,
    device: torch.device | None = None,
    progress: Advance | None = None,
) -> Estimate:
    """Returns how contrastive training (history -> next item) could be done; loads no weights.

    Args:
        name: See `vlmrec.vlm.outline.load_outline`.
        dataset: What is trained on.
        memory: Bytes that may be used.
        history: Items of a history prompt.
        batch: Wanted rows of a step.
        options: Tuning and layout.
        device: Where it would run; one that is not here leaves the time open.
        progress: Told how many ways of tuning are done.

    Raises:
        ConfigError: The model's sizes are unknown, or an option does not fit.
        DataError: There is no history to learn from.
    """
    chosen = options or EstimateOptions()
    place = device or torch.device("cpu")
    _require_estimable(chosen.tuning)
    model = load_outline(name, chosen.vlm, TuningOptions(), place)
    work = sample_workload(dataset, model, history)
    speed = _speed(model, place)
    room = int(memory * (1 - RESERVE))
    plans = _plans(name, chosen, place, work, speed, room, batch, progress)
    asked = chosen.tuning.kind if "kind" in chosen.tuning.model_fields_set else None
    facts = _facts(name, model, work, memory, place, history, batch, speed)
    return judge(facts, plans, asked, room)


def _require_estimable(tuning: TuningOptions) -> None:
    if "kind" in tuning.model_fields_set and tuning.kind not in ("lora", "full"):
        raise ConfigError(
            f"tuning.kind={tuning.kind} was given; plans for 'lora' and 'full' are estimated.",
            "Leave it out, or choose one of them.",
        )
    if tuning.vision:
        raise ConfigError(
            "tuning.vision=true was given; the estimate is for a frozen vision tower, whose "
            "features are kept in a cache.",
            "Leave it out.",
        )


def _plans(
    name: str,
    options: EstimateOptions,
    device: torch.device,
    work: Workload,
    speed: Speed | None,
    room: int,
    batch: int,
    progress: Advance | None,
) -> list[Plan]:
    plans: list[Plan] = []
    ways = [(kind, again) for kind in ("full", "lora") for again in (False, True)]
    for done, (kind, again) in enumerate(ways, 1):
        tuning = options.tuning.model_copy(update={"kind": kind, "gradient_checkpointing": again})
        model = load_outline(name, options.vlm, tuning, device)
        width = feature_width(model.family)
        costs = trace_step(model, work.histories, work.items, width, speed)
        fitting = Fitting(costs, work, room)
        plans.append(fitting.plain(tuning, batch))
        if kind == "lora" and again:
            plans.append(fitting.in_chunks(tuning, batch))
        if progress is not None:
            progress(done, len(ways))
    return plans


def _speed(model: VisionLanguageModel, device: torch.device) -> Speed | None:
    """Returns the measured speed of the device, or None where it is not here."""
    if device.type == "cuda" and not torch.cuda.is_available():
        return None
    config: Any = getattr(model.family.language, "config", None)
    inner = getattr(config, "intermediate_size", 4 * model.width)
    return measure_speed(device, model.family.word_embeddings.weight.dtype, model.width, inner)


def _facts(
    name: str,
    model: VisionLanguageModel,
    work: Workload,
    memory: int,
    device: torch.device,
    history: int,
    batch: int,
    speed: Speed | None,
) -> dict[str, Any]:
    lengths = sorted(len(row) for row in work.histories)
    weights = model.family.network.parameters()
    return {
        "model": name,
        "family": model.family.name,
        "parameters": sum(one.numel() for one in weights),
        "dtype": str(model.family.word_embeddings.weight.dtype).removeprefix("torch."),
        "device": device.type,
        "memory_bytes": memory,
        "training_rows": work.rows,
        "sampled_rows": len(work.histories),
        "history": history,
        "batch": batch,
        "tokens_per_history": lengths[len(lengths) // 2],
        "longest_history": lengths[-1],
        "tokens_per_item": sorted(len(row) for row in work.items)[len(work.items) // 2],
        "tokens_per_picture": round(work.picture_tokens, 1),
        "rows_per_picture": round(work.picture_rows, 1),
        "items_with_picture": round(work.with_picture, 4),
        "tokenizer": "own" if known_tokenizer(model) else "4 letters a token",
        "tflops": None if speed is None else round(speed.operations / 1e12, 3),
        "longest_prompt_allowed": model.layout.max_tokens,
        "texts_cut": model.report.texts_cut,
        "pictures_dropped": model.report.pictures_dropped,
        "budgets": sorted(model.family.budgets),
    }
