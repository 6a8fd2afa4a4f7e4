"""Molar solves worlds in which one kind of signal alone tells the next item; without it, not.

Settings were found on other seeds than the one tested; the bands hold for all worlds alike.
Only in the world of order are item vectors frozen: it is enough there that items differ. In the
others the first stage cannot know what goes together, so the item model learns on (joint).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import molar_worlds as worlds
from tests.molar_worlds import MolarWorld

from vlmrec.core.protocols import Ranker
from vlmrec.data.sequences import Histories, Sequences
from vlmrec.data.splits import Cases, Split
from vlmrec.evaluation.evaluator import evaluate_ranker
from vlmrec.models import Mirm, ModelSpec, Molar, SASRec
from vlmrec.models.mirm_tasks import MirmTasks
from vlmrec.models.stored import load_model
from vlmrec.pipeline.fitting import fit
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.options import TuningOptions, VlmOptions
from vlmrec.vlm.toy import ToyOptions, make_toy

pytestmark = pytest.mark.slow
SEED = 7
MAX_LEN = 5
WHOLE = TuningOptions(kind="full", vision=True)
FEEDING = VlmOptions(pictures_per_batch=256, tokens_per_batch=16384)
PROMPTS = (
    "Sum up this item. Item information: This is a picture of an item. Describe the item in a few "
    "sentences. This is Somebody chose these items, oldest first. Give the title of the item "
    "chosen next. 1. 2. 3."
)
SAMPLED: dict[str, Any] = {"kind": "sampled-softmax", "n_negatives": 128}
SETTINGS: dict[str, dict[str, Any]] = {
    "picture": {"items": "joint", "objective": SAMPLED, "rate": 1e-3, "epochs": 26},
    "text": {"items": "joint", "objective": SAMPLED, "rate": 2e-3, "epochs": 14},
    "order": {"objective": {"kind": "cross-entropy"}, "max_len": 3, "layers": 2, "epochs": 40},
    "ids": {"items": "joint", "weight": 1.0, "epochs": 20},
}
"""By world; the rest is alike. Order needs two layers: what b becomes depends on a's kind."""
LIKE = {
    "picture": worlds.picture_world,
    "text": worlds.text_world,
    "order": worlds.order_world,
    "ids": worlds.id_world,
}


@dataclass(frozen=True)
class Lab:
    """A world on disk with the toy that learns it; runs are kept by what they are named."""

    world: MolarWorld
    split: Split
    folder: Path

    @classmethod
    def open(cls, world: MolarWorld, folder: Path) -> "Lab":
        split = worlds.write_world(world, folder / "pictures").leave_one_out()
        layers = SETTINGS[world.name].get("layers", 1)
        options = ToyOptions(picture_side=worlds.SIDE, spread=0.1, n_layers=layers)
        make_toy([*world.titles, PROMPTS], folder / "toy", options, seed=world.seed)
        return cls(world, split, folder)

    def fitted(self, name: str, spec: ModelSpec, epochs: int, rate: float, size: int) -> Ranker:
        options = TrainOptions(
            epochs=epochs, valid_every=epochs, batch_size=size, learning_rate=rate,
            schedule="cosine", warmup_steps=30, device="cpu", seed=self.world.seed,
        )  # fmt: skip
        seen = self.world.filter_seen
        run = fit(
            spec, self.split, self.folder / name, options=options, filter_seen=seen, quiet=True
        )
        return run.ranker()

    def stage_1(self, inputs: str = "both") -> Ranker:
        """Teaches item vectors by questions; what is taken together is not asked for."""
        tasks = MirmTasks(history=3)
        if self.world.name == "ids":
            tasks = tasks.model_copy(update={"behaviour": None})
        epochs = 4 if len(self.world.titles) < 200 else 1
        spec = Mirm.parse(
            {
                "backbone": str(self.folder / "toy"), "vlm": FEEDING, "tuning": WHOLE,
                "inputs": inputs, "tasks": tasks, "chunk": 1024,
            },
            "a test",
        )  # fmt: skip
        return self.fitted(f"mirm-{inputs}", spec, epochs, 3e-3, 64)

    def teacher(self) -> Ranker:
        spec = SASRec(dim=48, n_layers=1, hidden=96, max_len=MAX_LEN, dropout=0.1)
        return self.fitted("teacher", spec, 25, 3e-3, 32)

    def stage_2(self, inputs: str = "both", name: str = "molar", **changes: Any) -> Ranker:
        """Trains on the item vectors of `inputs`, drawn towards the teacher."""
        chosen = {
            "max_len": MAX_LEN,
            "weight": 0.1,
            "rate": 3e-3,
            **SETTINGS[self.world.name],
            **changes,
        }
        _, epochs, rate, weight = (
            chosen.pop(key, None) for key in ("layers", "epochs", "rate", "weight")
        )
        aligned = {"teacher": str(self.folder / "teacher"), "weight": weight} if weight else None
        spec = Molar.parse(
            {
                "mirm": str(self.folder / f"mirm-{inputs}"),
                "item_tuning": WHOLE, "alignment": aligned, **chosen,
            },
            "a test",
        )  # fmt: skip
        return self.fitted(f"{name}-{inputs}", spec, epochs, rate, 16)

    def molar(self, inputs: str = "both") -> Ranker:
        self.stage_1(inputs)
        if not (self.folder / "teacher").exists():
            self.teacher()
        return self.stage_2(inputs)

    def share(self, ranker: Ranker, cases: Cases | None = None) -> float:
        """Returns where a ranker stands between chance (0) and one that knows the plan (1)."""
        world = self.world
        found = evaluate_ranker(
            ranker,
            cases or self.split.test,
            metrics=[world.metric],
            filter_seen=world.filter_seen,
            candidates=np.unique(self.split.test.targets) if world.among_last else None,
            n_resamples=1,
        )
        reached = found.metrics[world.metric].mean
        return (reached - world.floor) / (world.reachable - world.floor)

    def solves(self, ranker: Ranker) -> bool:
        return self.share(ranker) >= 0.5

    def fails(self, ranker: Ranker, cases: Cases | None = None) -> bool:
        return self.share(ranker, cases) <= 0.15


def without_order(cases: Cases) -> Cases:
    """Returns the cases with each history in random order."""
    past = cases.histories
    items = np.asarray(past.sequences.items).copy()
    rng = np.random.default_rng(0)
    for start, stop in zip(past.start, past.stop, strict=True):
        items[start:stop] = rng.permutation(items[start:stop])
    mixed = Sequences(items, past.sequences.offsets, past.sequences.timestamps)
    return Cases(Histories(mixed, past.users, past.start, past.stop), cases.targets)


@pytest.mark.parametrize(("signal", "other"), [("picture", "text"), ("text", "image")])
def test_what_one_modality_alone_tells_is_learned_from_it_only(signal, other, tmp_path):
    lab = Lab.open(LIKE[signal](SEED), tmp_path / "world")
    assert lab.solves(lab.molar())
    assert lab.fails(load_model(lab.folder / "teacher").ranker()), "every item is taken once"
    assert lab.fails(lab.molar(other))


def test_order_is_learned_from_the_last_two_items(tmp_path):
    lab = Lab.open(LIKE["order"](SEED), tmp_path / "world")
    molar = lab.molar()
    assert lab.solves(molar)
    assert lab.fails(molar, without_order(lab.split.test))
    chain = lab.stage_2(name="fpmc", dueg="fpmc")
    assert lab.share(chain) <= 0.35, "the latest item leaves one candidate in three"


def test_what_goes_together_by_ids_alone_is_learned_unless_items_are_alike(tmp_path):
    world = LIKE["ids"](SEED)
    lab = Lab.open(world, tmp_path / "world")
    assert lab.fails(lab.stage_1()), "contents as they are tell nothing"
    lab.teacher()
    assert lab.solves(lab.stage_2())
    alike = Lab.open(worlds.all_alike(world), tmp_path / "alike")
    assert alike.fails(alike.molar())


@pytest.mark.parametrize("name", ["text", "order", "ids"])
def test_events_dealt_anew_teach_nothing(name, tmp_path):
    lab = Lab.open(worlds.with_shuffled_events(LIKE[name](SEED)), tmp_path / "world")
    assert lab.fails(lab.molar())
