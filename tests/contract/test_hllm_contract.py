"""HLLM passes the suite of all recommenders, with items that learn and items that do not."""

from typing import Any, ClassVar

import pytest
from tests.pictured import pictured_dataset

from vlmrec.core.protocols import Monitored, Multimodal
from vlmrec.models import HLLM
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.multimodal import MultimodalContract
from vlmrec.testing.recommenders import RecommenderContract
from vlmrec.train.options import TrainOptions


class TestHLLM(RecommenderContract):
    stored_endings = RecommenderContract.stored_endings | {".jinja", ".txt"}
    learning_rate = 1e-3
    change: ClassVar[dict[str, Any]] = {
        "objective": {"n_negatives": 4, "skip_similar": None},
        "chunk": 5,
    }

    def make_spec(self, dataset, folder):
        return HLLM.parse({"backbone": "tiny", "max_len": 8, **self.change}, "the model")

    def test_protocols(self):
        assert isinstance(self.run.model, Monitored)
        assert isinstance(self.run.model, Multimodal)


class TestHLLMStandardised(TestHLLM):
    change: ClassVar[dict[str, Any]] = {"standardise": True, "objective": {"n_negatives": 4}}
    learning_rate = 1e-4


class TestHLLMFrozenItems(TestHLLM):
    change: ClassVar[dict[str, Any]] = {
        "items": "frozen",
        "objective": {"kind": "cross-entropy"},
        "user_tuning": {"kind": "lora"},
    }


class TestHLLMBinary(TestHLLM):
    change: ClassVar[dict[str, Any]] = {"objective": {"kind": "bce"}, "tuning": {"kind": "lora"}}


class TestHLLMTakenApart(MultimodalContract):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _train(cls, tmp_path_factory):
        split = pictured_dataset(tmp_path_factory.mktemp("pictures"), gaps=False).leave_one_out()
        spec = HLLM(backbone="tiny", inputs="both", max_len=4, standardise=True)
        cls.fitted = fit(spec, split, options=TrainOptions(epochs=1, device="cpu"), quiet=True)

    def model(self):
        return self.fitted.model
