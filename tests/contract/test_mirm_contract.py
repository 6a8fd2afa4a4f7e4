"""Molar's item model passes the suite of all recommenders: its vectors can be ranked by."""

import pytest
from tests.pictured import pictured_dataset

from vlmrec.core.protocols import Monitored, Multimodal
from vlmrec.models import Mirm
from vlmrec.models.mirm_tasks import MirmTasks, TaskOptions
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.multimodal import MultimodalContract
from vlmrec.testing.recommenders import RecommenderContract
from vlmrec.train.options import TrainOptions

FEW = TaskOptions(n_examples=20)
TASKS = MirmTasks(image_text=FEW, attributes=FEW, behaviour=FEW, history=2)


class TestMirm(RecommenderContract):
    learns_histories = False
    stored_endings = RecommenderContract.stored_endings | {".jinja", ".txt"}

    def make_spec(self, dataset, folder):
        return Mirm(backbone="tiny", max_len=8, tasks=TASKS, chunk=5)

    def test_protocols(self):
        assert isinstance(self.run.model, Monitored)
        assert isinstance(self.run.model, Multimodal)


class TestMirmTakenApart(MultimodalContract):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _train(cls, tmp_path_factory):
        split = pictured_dataset(tmp_path_factory.mktemp("pictures"), gaps=False).leave_one_out()
        spec = Mirm(backbone="tiny", max_len=4, tasks=TASKS)
        cls.fitted = fit(spec, split, options=TrainOptions(epochs=1, device="cpu"), quiet=True)

    def model(self):
        return self.fitted.model


@pytest.mark.parametrize("inputs", ["text", "image"])
def test_one_modality_reads_nothing_of_the_other(inputs, tmp_path):
    split = pictured_dataset(tmp_path).leave_one_out()
    options = TrainOptions(epochs=1, device="cpu")
    spec = Mirm(backbone="tiny", tasks=TASKS).alone(inputs)
    run = fit(spec, split, options=options, quiet=True)
    assert run.model.modalities == (inputs,)
    lacking = {"text": [1, 3], "image": [2, 3]}[inputs]  # pictured_dataset: i00, i01, i02
    assert (~run.item_vectors.any(dim=1)).nonzero().flatten().tolist() == [0, *lacking]
    learned = run.model.learned()
    assert bool(learned["image_text"]) == (inputs == "image")
    assert learned["behaviour"]
    assert spec.alone({"text": "image", "image": "text"}[inputs]) is None
