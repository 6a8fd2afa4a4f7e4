"""VLM2Rec passes the suite of all recommenders, whichever way it reads."""

import pytest
import torch
from tests.pictured import pictured_dataset

from vlmrec.core.protocols import Monitored, Multimodal, TrainingBatch
from vlmrec.models import VLM2Rec
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.multimodal import MultimodalContract
from vlmrec.testing.recommenders import RecommenderContract
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.options import VlmOptions

OFF = {"wpcl": None, "crtr": None}


class TestVLM2Rec(RecommenderContract):
    rows_stand_alone = False
    stored_endings = RecommenderContract.stored_endings | {".jinja", ".txt"}

    def make_spec(self, dataset, folder):
        return VLM2Rec(backbone="tiny", max_len=8, history_prefix="", chunk=5)

    def training_score(self, history, target):
        """Returns the cosine that the loss is computed from."""
        model = self.run.model.eval()
        items = torch.as_tensor(history)[None].long()
        with torch.no_grad():
            asked = model.reader.histories(items)
            told = model.reader.items(torch.tensor([target]))
        return float(asked.fused() @ told.fused().T)

    def test_protocols(self):
        assert isinstance(self.run.model, Monitored)
        assert isinstance(self.run.model, Multimodal)

    def test_whole_windows_teach_what_their_prefixes_teach(self):
        model = self.run.model.eval()
        users = torch.ones(1, dtype=torch.int64)
        window = TrainingBatch(torch.tensor([[3, 9, 4]]), torch.tensor([[9, 4, 7]]), users)
        rows = TrainingBatch(
            torch.tensor([[3, 0, 0], [3, 9, 0], [3, 9, 4]]),
            torch.tensor([[9, 0, 0], [0, 4, 0], [0, 0, 7]]),
            users.repeat(3),
        )
        whole, apart = model.training_loss(window), model.training_loss(rows)
        assert whole.count == apart.count == 3
        assert torch.allclose(whole.total, apart.total, atol=1e-5)


class TestVLM2RecInternal(TestVLM2Rec):
    def make_spec(self, dataset, folder):
        return VLM2Rec(
            backbone="tiny",
            max_len=8,
            fusion="internal",
            vlm=VlmOptions(pooling="mean"),
            n_negatives=4,
            **OFF,
        )


class TestVLM2RecTextAlone(TestVLM2Rec):
    def make_spec(self, dataset, folder):
        return VLM2Rec(backbone="tiny", max_len=8, inputs="text", scoring="sum", **OFF)


class TestVLM2RecTakenApart(MultimodalContract):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _train(cls, tmp_path_factory):
        split = pictured_dataset(tmp_path_factory.mktemp("pictures"), gaps=False).leave_one_out()
        options = TrainOptions(epochs=1, device="cpu")
        cls.fitted = fit(VLM2Rec(backbone="tiny", max_len=4), split, options=options, quiet=True)

    def model(self):
        return self.fitted.model


@pytest.mark.parametrize("change", [{"fusion": "internal"}, {"inputs": "image"}])
def test_losses_that_compare_branches_need_two(change):
    with pytest.raises(ValueError, match="wpcl, crtr compare two branches"):
        VLM2Rec(**change)
