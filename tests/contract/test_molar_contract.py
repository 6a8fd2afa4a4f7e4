"""Molar's second stage passes the suite of all recommenders, whatever makes its users."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from tests.pictured import pictured_dataset

from vlmrec.core.protocols import Monitored, Multimodal, PersonalRanker
from vlmrec.models import FPMC, Mirm, Molar
from vlmrec.models.mirm_tasks import MirmTasks
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.multimodal import MultimodalContract
from vlmrec.testing.recommenders import RecommenderContract
from vlmrec.train.options import TrainOptions

UNTAUGHT = MirmTasks(image_text=None, attributes=None, behaviour=None)


def earlier(spec, split, folder: Path) -> str:
    """Returns the run folder of an earlier stage, trained once on the split that it is for."""
    out = folder / f"{spec.name}-{split.fingerprint}"
    if not out.exists():
        options = TrainOptions(epochs=1, batch_size=7, device="cpu")
        fit(spec, split, out, options=options, quiet=True)
    return str(out)


class TestMolar(RecommenderContract):
    stored_endings = RecommenderContract.stored_endings | {".jinja", ".txt"}
    change: ClassVar[dict[str, Any]] = {}

    def make_spec(self, dataset, folder):
        split = dataset.leave_one_out()
        mirm = earlier(Mirm(backbone="tiny", tasks=UNTAUGHT), split, folder)
        return Molar.parse({"mirm": mirm, "max_len": 8, **self.change}, "the model")

    def test_protocols(self):
        assert isinstance(self.run.model, Monitored)
        assert isinstance(self.run.model, Multimodal)


class TestMolarLastItem(TestMolar):
    change: ClassVar[dict[str, Any]] = {
        "readout": "last",
        "objective": {"kind": "sampled-softmax", "n_negatives": 4},
    }


class TestMolarSASRec(TestMolar):
    change: ClassVar[dict[str, Any]] = {
        "dueg": "sasrec",
        "dim": 8,
        "hidden": 16,
        "objective": {"kind": "cross-entropy"},
    }


class TestMolarFPMC(TestMolar):
    change: ClassVar[dict[str, Any]] = {"dueg": "fpmc", "dim": 8}

    def test_it_knows_users(self):
        assert isinstance(self.run.ranker(), PersonalRanker)


class TestMolarJoint(TestMolar):
    change: ClassVar[dict[str, Any]] = {"items": "joint"}
    learning_rate = 1e-4


class TestMolarRefreshed(TestMolar):
    change: ClassVar[dict[str, Any]] = {
        "items": "refresh",
        "refresh_every": 3,
        "dueg": "sasrec",
        "dim": 8,
        "hidden": 16,
    }

    def training_score(self, history, target, user=0):
        """Returns the score that the loss would see just after a refresh."""
        vectors = self.run.model.vectors
        vectors.steps.zero_()
        vectors.train()
        with torch.no_grad():
            vectors.pair(torch.tensor([1]), torch.tensor([1]))  # refreshes the table
        vectors.eval()
        return super().training_score(history, target, user)


class TestMolarAligned(TestMolar):
    rows_stand_alone = False

    def make_spec(self, dataset, folder):
        teacher = earlier(FPMC(dim=5), dataset.leave_one_out(), folder)
        spec = super().make_spec(dataset, folder)
        changes = {"alignment": {"teacher": teacher, "items": 0.1}}
        return Molar.parse(spec.model_dump() | changes, "the model")


class TestMolarTakenApart(MultimodalContract):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _train(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("apart")
        split = pictured_dataset(folder / "pictures", gaps=False).leave_one_out()
        mirm = earlier(Mirm(backbone="tiny"), split, folder)
        options = TrainOptions(epochs=1, device="cpu")
        cls.fitted = fit(Molar(mirm=mirm, max_len=4), split, options=options, quiet=True)

    def model(self):
        return self.fitted.model
