"""Every objective passes the shipped suite, in each of its forms."""

import typing

import pytest
import torch
from tests.reference.objectives_oracle import (
    plain_bce,
    plain_bpr,
    plain_cross_entropy,
    plain_sampled_softmax,
)

from vlmrec.core.errors import ConfigError
from vlmrec.objectives import (
    AnyObjective,
    BayesianPersonalizedRanking,
    BinaryCrossEntropy,
    FullCrossEntropy,
    SampledSoftmax,
)
from vlmrec.objectives import softmax as softmax_file
from vlmrec.testing.objectives import ObjectiveContract


class TestFullCrossEntropy(ObjectiveContract):
    def make_objective(self):
        return FullCrossEntropy()

    def oracle(self, queries, keys, targets, negatives):
        return plain_cross_entropy(queries, keys, targets)


class TestFullCrossEntropyInTiles(TestFullCrossEntropy):
    """Slices of four items, blocks of 64 rows: every path, none of them even."""

    @pytest.fixture(autouse=True)
    def _small_blocks(self, monkeypatch):
        monkeypatch.setattr(softmax_file, "_TILE_ELEMENTS", 1)

    def make_objective(self):
        return FullCrossEntropy(tile_columns=4)


class TestFullCrossEntropyInRowBlocks(TestFullCrossEntropy):
    @pytest.fixture(autouse=True)
    def _small_blocks(self, monkeypatch):
        monkeypatch.setattr(softmax_file, "_TILE_ELEMENTS", 1)


class TestBinaryCrossEntropy(ObjectiveContract):
    def make_objective(self):
        return BinaryCrossEntropy(n_negatives=3)

    def oracle(self, queries, keys, targets, negatives):
        return plain_bce(queries, keys, targets, negatives)


class TestBayesianPersonalizedRanking(ObjectiveContract):
    def make_objective(self):
        return BayesianPersonalizedRanking(n_negatives=3)

    def oracle(self, queries, keys, targets, negatives):
        return plain_bpr(queries, keys, targets, negatives)


class TestSampledSoftmax(ObjectiveContract):
    def make_objective(self):
        return SampledSoftmax(n_negatives=6)

    def oracle(self, queries, keys, targets, negatives):
        return plain_sampled_softmax(queries, keys, targets, negatives)


class TestSampledSoftmaxPerPosition(TestSampledSoftmax):
    def make_objective(self):
        return SampledSoftmax(n_negatives=6, shared_negatives=False)


def test_every_objective_has_a_suite():
    union, *_ = typing.get_args(AnyObjective)
    suites = [
        kind
        for kind in globals().values()
        if isinstance(kind, type) and issubclass(kind, ObjectiveContract)
    ]
    covered = {type(kind().make_objective()) for kind in suites if kind is not ObjectiveContract}
    assert covered == set(typing.get_args(union))


def test_a_worked_example():
    # Scores 0 and ln 3: softmax 1/4 and 3/4; sigmoid(ln 3) = 3/4, sigmoid(0) = 1/2.
    queries = torch.tensor([[1.0]])
    keys = torch.tensor([[1.0], [3.0]]).log()
    three = torch.tensor([1])
    ln = torch.log(torch.tensor([4 / 3, 2.0]))
    torch.testing.assert_close(FullCrossEntropy()(queries, keys, three, None).total, ln[0])
    other = torch.tensor([[0]])
    torch.testing.assert_close(
        BinaryCrossEntropy()(queries, keys, three, other).total, ln[0] + ln[1]
    )
    torch.testing.assert_close(SampledSoftmax()(queries, keys, three, other[0]).total, ln[0])
    # The difference of the scores is ln 3 as well.
    bpr = BayesianPersonalizedRanking()
    torch.testing.assert_close(bpr(queries, keys, three, other).total, ln[0])


def test_senseless_options_are_refused():
    with pytest.raises(ConfigError, match=r"'tile_columns'.*greater than or equal to 1"):
        FullCrossEntropy.parse({"tile_columns": 0}, "a test")
    with pytest.raises(ConfigError, match=r"'n_negatives'.*greater than or equal to 1"):
        BinaryCrossEntropy.parse({"n_negatives": 0}, "a test")
