"""Models that can be taken apart keep the promises of the suite."""

import tempfile
from pathlib import Path

import torch

from vlmrec.core.content_change import ContentChange
from vlmrec.models import ContentKNN, SASRec, SASRecContent
from vlmrec.models.spec import Recommender
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.multimodal import MultimodalContract
from vlmrec.testing.worlds import small_dataset, write_noise_vectors
from vlmrec.train.options import TrainOptions


def fitted(spec) -> Recommender:
    options = TrainOptions(epochs=1, device="cpu")
    return fit(spec, small_dataset().leave_one_out(), options=options, quiet=True).model


class TestSASRecContent(MultimodalContract):
    def model(self) -> Recommender:
        return self._model

    use_ids = False

    @classmethod
    def setup_class(cls):
        with tempfile.TemporaryDirectory() as folder:
            files = write_noise_vectors(small_dataset(), Path(folder))
            cls._model = fitted(SASRecContent(dim=4, max_len=4, use_ids=cls.use_ids, **files))


class TestSASRecContentWithIds(TestSASRecContent):
    use_ids = True

    test_an_item_without_its_only_modality_has_the_zero_vector = None  # its learned vector stays

    def test_ids_stay_when_all_content_is_gone(self):
        model = self.model()
        absent = ContentChange.absent(model.n_items)
        view = model.ranker_with({"text": absent, "image": absent})
        assert torch.equal(view.item_vectors[1:], model.items.ids[1:])


class TestContentKNN(TestSASRecContent):
    @classmethod
    def setup_class(cls):
        with tempfile.TemporaryDirectory() as folder:
            files = write_noise_vectors(small_dataset(), Path(folder))
            cls._model = fitted(ContentKNN(max_len=4, **files))


def test_a_model_of_ids_reads_nothing_that_could_be_changed():
    assert fitted(SASRec(dim=4, max_len=4)).modalities == ()
