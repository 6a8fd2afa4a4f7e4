"""Every objective passes the shipped suite, in each of its forms."""

import typing

import pytest
import torch
from tests.reference.objectives_oracle import (
    plain_bce,
    plain_bpr,
    plain_cross_entropy,
    plain_gbce,
    plain_sampled_softmax,
)

from vlmrec.core.errors import ConfigError
from vlmrec.objectives import (
    AnyObjective,
    BayesianPersonalizedRanking,
    BinaryCrossEntropy,
    FullCrossEntropy,
    GeneralizedBinaryCrossEntropy,
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


class TestGeneralizedBinaryCrossEntropy(ObjectiveContract):
    shared = False

    def make_objective(self):
        drawn = {"n_negatives": 6, "shared_negatives": self.shared}
        return GeneralizedBinaryCrossEntropy(**drawn, calibration=0.75).over(41)

    def oracle(self, queries, keys, targets, negatives):
        return plain_gbce(queries, keys, targets, negatives, n_items=41, t=0.75)


class TestGeneralizedBinaryCrossEntropyWithSharedNegatives(TestGeneralizedBinaryCrossEntropy):
    shared = True


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


class TestSampledSoftmaxSkippingSimilar(ObjectiveContract):
    """In few dimensions many keys are alike."""

    def make_objective(self):
        return SampledSoftmax(n_negatives=6, skip_similar=0.3)

    def oracle(self, queries, keys, targets, negatives):
        return plain_sampled_softmax(queries, keys, targets, negatives, skip_similar=0.3)


class TestSampledSoftmaxSkippingSimilarPerPosition(TestSampledSoftmaxSkippingSimilar):
    def make_objective(self):
        return SampledSoftmax(n_negatives=6, shared_negatives=False, skip_similar=0.3)


class LogQ(SampledSoftmax):
    """Corrected for negatives of which some are drawn more often than others."""

    def __call__(self, queries, keys, targets, negatives, odds=None):
        odds = None if negatives is None else self.odds_of(negatives)
        return super().__call__(queries, keys, targets, negatives, odds)

    @staticmethod
    def odds_of(negatives):
        return 0.2 + negatives.double() % 5  # by the item, as popularity is


class TestSampledSoftmaxWithLogQ(ObjectiveContract):
    def make_objective(self):
        return LogQ(n_negatives=6)

    def oracle(self, queries, keys, targets, negatives):
        odds = LogQ.odds_of(torch.arange(len(keys)))
        return plain_sampled_softmax(queries, keys, targets, negatives, odds=odds)

    def test_order_of_rows_and_items_changes_nothing(self):
        """Only of rows here: the suite renames the items, but not their odds."""
        queries, keys, targets, negatives = self.draw(10, 6, 3, seed=16)
        order = torch.randperm(10, generator=torch.Generator().manual_seed(2))
        one = self.make_objective()(queries, keys, targets, negatives)
        drawn = negatives if negatives.dim() == 1 else negatives[order]
        other = self.make_objective()(queries[order], keys, targets[order], drawn)
        torch.testing.assert_close(other.total, one.total)


class TestSampledSoftmaxWithLogQPerPosition(TestSampledSoftmaxWithLogQ):
    def make_objective(self):
        return LogQ(n_negatives=6, shared_negatives=False)


def test_log_q_is_left_out_where_it_is_not_wanted_or_all_are_drawn_alike():
    drawn = torch.Generator().manual_seed(0)
    queries, keys = (torch.randn(n, 3, generator=drawn) for n in (4, 9))
    rest = (queries, keys, torch.tensor([0, 1, 2, 3]), torch.tensor([4, 5, 6]))
    plain = SampledSoftmax()(*rest).total
    odds = torch.tensor([0.5, 2.0, 1.0])
    assert torch.equal(SampledSoftmax(corrected=False)(*rest, odds).total, plain)
    assert torch.equal(SampledSoftmax()(*rest, torch.ones(3)).total, plain)
    assert not torch.equal(SampledSoftmax()(*rest, odds).total, plain)


def test_log_q_makes_sampled_sums_right_on_average():
    """Drawn by Q and corrected, the negatives' share of the softmax is that of uniform ones."""
    drawn = torch.Generator().manual_seed(1)
    scores = torch.randn(40, generator=drawn)
    odds = torch.rand(40, generator=drawn) + 0.1
    odds = odds / odds.mean()
    picked = torch.multinomial(odds, 400_000, replacement=True, generator=drawn)
    corrected = (scores - odds.log())[picked].exp().mean()
    torch.testing.assert_close(corrected, scores.exp().mean(), rtol=0.02, atol=0)


def test_every_objective_has_a_suite():
    union, *_ = typing.get_args(AnyObjective)
    suites = [
        kind
        for kind in globals().values()
        if isinstance(kind, type) and issubclass(kind, ObjectiveContract)
    ]
    covered = {type(kind().make_objective()) for kind in suites if kind is not ObjectiveContract}
    assert covered - {LogQ} == set(typing.get_args(union))


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


def test_a_calibrated_loss_lies_between_plain_and_sampling_rate():
    """beta is 1 at t = 0 and alpha = N / (I - 1) at t = 1; two of four others: alpha = 1/2."""
    betas = [
        GeneralizedBinaryCrossEntropy(calibration=t).over(5).beta(2) for t in (0.0, 0.5, 0.75, 1.0)
    ]
    assert betas == [1.0, 0.75, 0.625, 0.5]
    whole = GeneralizedBinaryCrossEntropy(calibration=1.0).over(5)
    assert whole.beta(4) == whole.beta(400) == 1.0
    assert GeneralizedBinaryCrossEntropy().over(1).beta(1) == 1.0


def test_the_calibrated_probability_is_the_true_one():
    """The optimum of the expected loss at t = 1 is the share of clicks, and above it at t = 0.

    One of four items is clicked with p = .4, the others with .2; N = 1 of the three others is
    drawn for each click, so that a score's gradient is 0 where p beta (1 - s) = (1 - p) s / 3.
    """
    clicked = torch.tensor([0.4, 0.2, 0.2, 0.2], dtype=torch.float64)
    learned = []
    for t in (0.0, 1.0):
        loss = GeneralizedBinaryCrossEntropy(n_negatives=1, calibration=t).over(4)
        scores = torch.zeros(4, 1, dtype=torch.float64, requires_grad=True)
        query = torch.ones(1, 1, dtype=torch.float64)
        optimizer = torch.optim.LBFGS([scores], max_iter=200, line_search_fn="strong_wolfe")

        def closure(loss=loss, scores=scores, query=query, optimizer=optimizer):
            optimizer.zero_grad()
            total = sum(
                clicked[i] / 3 * loss(query, scores, torch.tensor([i]), torch.tensor([[j]])).total
                for i in range(4)
                for j in range(4)
                if i != j
            )
            total.backward()
            return total

        optimizer.step(closure)
        learned.append(scores.detach()[:, 0].sigmoid())
    assert (learned[0] > clicked + 0.1).all()  # overconfident
    torch.testing.assert_close(learned[1], clicked, atol=1e-4, rtol=1e-4)


def test_a_calibrated_loss_asks_for_the_size_of_the_catalogue():
    one = torch.ones(1, 1)
    with pytest.raises(ValueError, match="does not know the size of the catalogue"):
        GeneralizedBinaryCrossEntropy()(one, one, torch.tensor([0]), torch.tensor([[0]]))


def test_senseless_options_are_refused():
    with pytest.raises(ConfigError, match=r"'tile_columns'.*greater than or equal to 1"):
        FullCrossEntropy.parse({"tile_columns": 0}, "a test")
    with pytest.raises(ConfigError, match=r"'n_negatives'.*greater than or equal to 1"):
        BinaryCrossEntropy.parse({"n_negatives": 0}, "a test")
    with pytest.raises(ConfigError, match=r"'calibration'.*less than or equal to 1"):
        GeneralizedBinaryCrossEntropy.parse({"calibration": 1.5}, "a test")
