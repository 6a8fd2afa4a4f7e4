"""What a training step of Molar costs, by stage and by how item vectors are had.

    python -m benchmarks.molar [--data FOLDER] [--quick]

FOLDER is a dataset with texts and pictures; without it a shop is generated. `compact` is fully
tuned in both stages. The variants take turns, so that load falls on all of them alike; the least
seconds of some repeats count. Memory is what the weights, gradients and optimiser of a variant
hold (`state_mib`) and how far the process grows above that during a step (`rise_mib`). An epoch is
one pass over the examples (stage 1) or one window of every user (stage 2).
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmarks.machine import describe_machine
from benchmarks.memory import peak_mib, reset_peak
from benchmarks.report import format_table, options_parser, result_path, write_result
from benchmarks.vlm import made_up_shop
from vlmrec.core.columns import PADDING_ID
from vlmrec.core.protocols import Trainable, TrainingBatch
from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset
from vlmrec.data.splits import Split
from vlmrec.items.cache import VectorCache
from vlmrec.models import Mirm, ModelSpec, Molar
from vlmrec.models.item_model import ItemModel
from vlmrec.models.molar_items import MolarItems
from vlmrec.models.molar_recommender import MolarRecommender
from vlmrec.models.spec import Recommender, TrainingData
from vlmrec.pipeline.content import gather_content
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.learning import prepared_model
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.model import VisionLanguageModel

Ready = tuple[Recommender, TrainingData]

COLUMNS = ("variant", "step_s", "ratio", "against", "steps", "epoch_s", "state_mib", "rise_mib")
_SHORT = {"max_len": 10, "targets_per_user": 1}
STAGE_2: dict[str, dict[str, Any]] = {
    "stage 2, frozen, last place": {"readout": "last"},
    "stage 2, frozen, [User] behind every place": {},
    "stage 2, frozen, one target, history 10": _SHORT,
    "stage 2, refresh, one target, history 10": {**_SHORT, "items": "refresh"},
    "stage 2, joint, one target, history 10": {**_SHORT, "items": "joint"},
}
_JOINT = "stage 2, joint, one target, history 10"
_UNCACHED = "without cached visual features"
_EVERY = "each occurrence read"


@dataclass(frozen=True, eq=False)
class Variant:
    """One way to do a step.

    Attributes:
        step: Does one and returns its seconds.
        n_steps: Of an epoch.
        against: The variant that its seconds are compared with.
        state_mib: Weights of four bytes, and for those that learn gradient and two moments.
    """

    step: Callable[[], float]
    n_steps: int
    against: str
    state_mib: float


class EveryOccurrence(MolarItems):
    """Reads an item as often as it occurs in a batch, to see what reading it once saves."""

    occurrences: Tensor

    def pair(self, history: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the vectors of both sets, out of those of all occurrences."""
        places = {item: row for row, item in enumerate(self.occurrences.tolist())}
        every = self(self.occurrences)
        return tuple(every[[places[item] for item in ids.tolist()]] for ids in (history, keys))


def variants(dataset: Dataset, work: Path, *, quick: bool) -> dict[str, Variant]:
    """Returns every variant, ready to step."""
    split = dataset.leave_one_out()
    rows = 4 if quick else 32
    backbone = "tiny" if quick else "compact"
    taught = Mirm.parse({"backbone": backbone, "vlm": {"dtype": "mixed"}}, "mirm")
    found: dict[str, Variant] = {}
    first = "stage 1, 32 examples"
    found[first] = stepping(built(taught, split, work), rows, first)
    seeing = built(taught, split, work)
    seeing = without_cache(seeing, cast("ItemModel", seeing[0]).reader.vlm)
    found[f"stage 1, {_UNCACHED}"] = stepping(seeing, rows, first)

    off = {"image_text": None, "attributes": None, "behaviour": None}
    plain = taught.model_copy(update={"tasks": taught.tasks.model_copy(update=off)})
    fit(plain, split, work / "mirm", options=TrainOptions(device="cpu"), quiet=True)
    base = {"mirm": str(work / "mirm"), "vlm": {"dtype": "mixed"}}
    for name, changes in STAGE_2.items():
        spec = Molar.parse({**base, **changes}, "molar")
        found[name] = stepping(built(spec, split, work), rows, "stage 2, frozen, last place")
    joint = Molar.parse({**base, **STAGE_2[_JOINT]}, "molar")
    seeing = built(joint, split, work)
    seeing = without_cache(seeing, cast("MolarRecommender", seeing[0]).item_model.reader.vlm)
    found[f"{_JOINT}, {_UNCACHED}"] = stepping(seeing, rows, _JOINT)
    found[f"{_JOINT}, {_EVERY}"] = stepping(
        reading_all(built(joint, split, work), rows), rows, _JOINT
    )
    return found


def built(spec: ModelSpec, split: Split, work: Path) -> Ready:
    """Returns a model that is ready to train, and what it learns from."""
    cache = VectorCache(work / "cache")
    names = split.dataset.items.names.to_list()
    content = gather_content(spec.content(), split.dataset.catalog, names, cache=cache)
    return prepared_model(spec, 0, split, content, torch.device("cpu"), cache)


def reading_all(ready: Ready, rows: int) -> Ready:
    """Returns the model with items that are read as often as they occur in the first batch."""
    model = cast("MolarRecommender", ready[0])
    batch, _ = first_batch(ready, rows)
    assert batch.negatives is not None
    wrong = batch.negatives[batch.targets != PADDING_ID].flatten()
    every = torch.cat([batch.items.flatten(), batch.targets[batch.targets != PADDING_ID], wrong])
    items = cast("Any", model.vectors)
    items.__class__ = EveryOccurrence
    items.occurrences = every
    vlm = model.item_model.reader.vlm
    vlm.options = vlm.options.model_copy(update={"deduplicate": False})
    return ready


def without_cache(ready: Ready, vlm: VisionLanguageModel) -> Ready:
    """Returns the model, whose vision tower looks at every picture again."""
    vlm.use_visual_cache(None)
    return ready


def stepping(ready: Ready, rows: int, against: str) -> Variant:
    """Returns the first training step of a model, to be done again and again."""
    model = ready[0]
    batch, n_steps = first_batch(ready, rows)
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-6, fused=True)
    n_learning = sum(weight.numel() for weight in learning)
    n_weights = sum(weight.numel() for weight in model.parameters())
    state = 4 * (n_weights + 3 * n_learning) / 2**20
    return Variant(lambda: one_step(model, batch, optimizer), n_steps, against, state)


def first_batch(ready: Ready, rows: int) -> tuple[TrainingBatch, int]:
    """Returns the first batch of a training, and the steps of an epoch."""
    model, data = ready
    batches = model.batches(data, Streams(0), batch_size=rows, epochs=1)
    assert batches is not None
    plan = batches.plan(0)
    return batches.build(plan[0], 0, 0), len(plan)


def one_step(model: nn.Module, batch: TrainingBatch, optimizer: torch.optim.AdamW) -> float:
    """Does one step and returns its seconds."""
    model.train()
    start = time.perf_counter()
    loss = cast("Trainable", model).training_loss(batch)
    (loss.total / loss.count).backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - start


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Lets the variants take turns and returns a row for each."""
    work = Path(tempfile.mkdtemp(prefix="vlmrec-bench-"))
    try:
        shop = work / "shop"
        dataset = (
            made_up_shop(shop, quick=options.quick)
            if options.data is None
            else Dataset.load(options.data)
        )
        ways = variants(dataset, work, quick=options.quick)
        return _rows(ways, repeats=1 if options.quick else options.repeats)
    finally:
        shutil.rmtree(work)


def _rows(ways: dict[str, Variant], repeats: int) -> list[dict[str, Any]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    rises = dict.fromkeys(ways, 0.0)
    for turn in range(repeats + 1):
        for name, way in ways.items():
            reset_peak()
            before = peak_mib()
            took = way.step()
            if turn:  # the first one warms up
                seconds[name].append(took)
                rises[name] = max(rises[name], peak_mib() - before)
    least = {name: min(times) for name, times in seconds.items()}
    return [
        {
            "variant": name,
            "step_s": least[name],
            "ratio": least[name] / least[way.against],
            "against": way.against,
            "steps": way.n_steps,
            "epoch_s": least[name] * way.n_steps,
            "state_mib": round(way.state_mib),
            "rise_mib": round(rises[name]),
        }
        for name, way in ways.items()
    ]


def main() -> None:
    """Measures, prints a table, writes the result."""
    parser = options_parser("molar", __doc__)
    parser.add_argument("--data", type=Path, help="dataset folder with texts and pictures")
    parser.add_argument("--repeats", type=int, default=3, help="steps of each variant")
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    rows = measure(options)
    print(format_table(rows, COLUMNS))
    result = {"machine": describe_machine(), "rows": rows}
    write_result(result_path("molar", options), result)


if __name__ == "__main__":
    main()
