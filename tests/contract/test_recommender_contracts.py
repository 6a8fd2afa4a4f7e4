"""Every model passes the shipped suite, in all the ways in which it can be configured."""

from pathlib import Path

from vlmrec.models import (
    FPMC,
    MODELS,
    BERT4Rec,
    ContentKNN,
    DuoRec,
    GRU4Rec,
    ItemKNN,
    Popularity,
    SASRec,
    SASRecContent,
)
from vlmrec.objectives import (
    BinaryCrossEntropy,
    FullCrossEntropy,
    GeneralizedBinaryCrossEntropy,
    SampledSoftmax,
)
from vlmrec.objectives.sequence_contrast import SequenceContrast
from vlmrec.scoring import ScoringConfig
from vlmrec.testing.recommenders import RecommenderContract
from vlmrec.testing.worlds import small_dataset, write_noise_vectors


class TestPopularity(RecommenderContract):
    def make_spec(self, dataset, folder):
        return Popularity()


class TestItemKNN(RecommenderContract):
    def make_spec(self, dataset, folder):
        return ItemKNN(max_len=3, n_neighbours=10)


class TestContentKNN(RecommenderContract):
    def make_spec(self, dataset, folder):
        return ContentKNN(max_len=3, **write_noise_vectors(dataset, folder))


class TestContentKNNOfWordsAlone(RecommenderContract):
    def make_spec(self, dataset, folder):
        return ContentKNN(text=write_noise_vectors(dataset, folder)["text"], image=None)


class TestSASRec(RecommenderContract):
    def make_spec(self, dataset, folder):
        return SASRec(dim=8, hidden=16, max_len=8)


class TestSASRecWithNegatives(RecommenderContract):
    def make_spec(self, dataset, folder):
        objective = BinaryCrossEntropy(n_negatives=3)
        return SASRec(dim=8, hidden=16, max_len=8, norm="pre", objective=objective)


class TestSASRecWithCalibratedLoss(RecommenderContract):
    def make_spec(self, dataset, folder):
        objective = GeneralizedBinaryCrossEntropy(n_negatives=4)
        return SASRec(dim=8, hidden=16, max_len=8, objective=objective)


class TestSASRecCosine(RecommenderContract):
    def make_spec(self, dataset, folder):
        scoring = ScoringConfig(kind="cosine", temperature=0.2, learnable=True)
        objective = FullCrossEntropy(tile_columns=7)
        return SASRec(dim=8, hidden=16, max_len=8, scoring=scoring, objective=objective)


class TestSASRecOnFrozenVectors(RecommenderContract):
    def make_spec(self, dataset, folder):
        vectors = write_noise_vectors(dataset, folder)["text"]
        return SASRec(dim=8, hidden=16, max_len=8, vectors=vectors, vectors_dim=4)


class TestGRU4Rec(RecommenderContract):
    def make_spec(self, dataset, folder):
        return GRU4Rec(dim=8, hidden=12, max_len=8)


class TestGRU4RecOnTunedVectors(RecommenderContract):
    def make_spec(self, dataset, folder):
        objective = SampledSoftmax(n_negatives=5)
        given = {"vectors": "random:6", "vectors_mode": "tuned", "vectors_dim": None}
        return GRU4Rec(dim=8, hidden=8, n_layers=2, max_len=8, objective=objective, **given)


class TestFPMC(RecommenderContract):
    def make_spec(self, dataset, folder):
        return FPMC(dim=32, max_len=8)


class TestFPMCWithFullCrossEntropy(RecommenderContract):
    def make_spec(self, dataset, folder):
        return FPMC(dim=32, max_len=8, objective=FullCrossEntropy())


class TestBERT4Rec(RecommenderContract):
    causal = False

    def make_spec(self, dataset, folder):
        return BERT4Rec(dim=8, hidden=16, max_len=8, mask_prob=0.3)


class TestBERT4RecWithNegatives(RecommenderContract):
    causal = False

    def make_spec(self, dataset, folder):
        objective = GeneralizedBinaryCrossEntropy(n_negatives=5, shared_negatives=True)
        return BERT4Rec(dim=8, hidden=16, max_len=8, norm="pre", objective=objective)


class TestDuoRec(RecommenderContract):
    def make_spec(self, dataset, folder):
        return DuoRec(dim=8, hidden=16, max_len=8)


class TestDuoRecWithNegatives(RecommenderContract):
    def make_spec(self, dataset, folder):
        contrast = SequenceContrast(mode="us", similarity="cosine", temperature=0.5)
        objective = SampledSoftmax(n_negatives=5)
        return DuoRec(dim=8, hidden=16, max_len=8, contrast=contrast, objective=objective)


class TestSASRecContent(RecommenderContract):
    def make_spec(self, dataset, folder):
        return SASRecContent(dim=8, hidden=16, max_len=8, **write_noise_vectors(dataset, folder))


class TestSASRecContentWithIds(RecommenderContract):
    def make_spec(self, dataset, folder):
        files = write_noise_vectors(dataset, folder)
        objective = SampledSoftmax(n_negatives=5)
        return SASRecContent(
            dim=8, max_len=8, text=files["text"], image=None, use_ids=True, objective=objective
        )


def test_every_model_has_a_suite(tmp_path):
    data = small_dataset()
    suites = [kind() for kind in globals().values() if is_suite(kind)]
    here = {suite.make_spec(data, tmp_path).name for suite in suites}
    beside = {one for one in MODELS if Path(__file__).with_name(f"test_{one}_contract.py").exists()}
    assert here | beside == set(MODELS)


def is_suite(kind) -> bool:
    return (
        isinstance(kind, type)
        and issubclass(kind, RecommenderContract)
        and kind.__module__ == (__name__)
    )
