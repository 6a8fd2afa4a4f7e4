import numpy as np
import pytest

from vlmrec.core.random import Streams
from vlmrec.data.negatives import PopularNegatives, UniformNegatives, popularity_odds
from vlmrec.data.sequences import Sequences
from vlmrec.testing.worlds import small_dataset


@pytest.fixture
def train():
    return small_dataset().leave_one_out().train


def test_no_negative_is_in_the_users_training_history(train):
    sampler = UniformNegatives.over(np.arange(1, 24), train)
    drawn = sampler.per_position(train.users, 20, 5, Streams(0).numpy("x"))
    assert drawn.shape == (len(train), 20, 5)
    for row, (start, stop) in enumerate(zip(train.start, train.stop, strict=True)):
        assert not np.isin(drawn[row], train.sequences.items[start:stop]).any()


def test_every_other_item_is_drawn_about_as_often(train):
    sampler = UniformNegatives.over(np.arange(1, 24), train)
    user = train.users[:1]
    drawn = sampler.per_position(user, 1000, 20, Streams(0).numpy("x"))
    seen = set(train.subset(np.array([0])).flat().tolist())
    counts = np.bincount(drawn.ravel(), minlength=24)
    allowed = [item for item in range(1, 24) if item not in seen]
    assert counts[allowed].min() > 0.85 * 20_000 / len(allowed)
    assert counts[allowed].sum() == 20_000


def test_only_items_of_the_pool_are_drawn(train):
    pool = np.array([2, 3, 11])
    sampler = UniformNegatives.over(pool, train, exclude="nothing")
    drawn = sampler.per_position(train.users, 4, 9, Streams(0).numpy("x"))
    assert set(np.unique(drawn)) == {2, 3, 11}
    shared = sampler.shared(50, Streams(0).numpy("x"))
    assert sorted(shared) == [2, 3, 11]


def test_shared_negatives_are_distinct(train):
    sampler = UniformNegatives.over(np.arange(1, 24), train)
    shared = sampler.shared(10, Streams(0).numpy("x"))
    assert len(np.unique(shared)) == 10


def test_a_user_who_has_everything_does_not_hang():
    events = Sequences(np.array([1, 2], np.int32), np.array([0, 2]), np.array([1, 2]))
    sampler = UniformNegatives.over(np.array([1, 2]), events.whole())
    drawn = sampler.per_position(np.array([1]), 3, 2, Streams(0).numpy("x"))
    assert np.isin(drawn, [1, 2]).all()


@pytest.mark.parametrize("shared", [True, False])
def test_popular_negatives_come_as_often_as_their_odds_say(train, shared):
    pool = np.arange(1, 21)  # some items of the histories are not to be drawn
    sampler = PopularNegatives.by_popularity(pool, train, 0.5, "nothing")
    rng = Streams(0).numpy("x")
    drawn = (
        sampler.shared(60_000, rng)
        if shared
        else sampler.per_position(train.users[:6], 100, 100, rng).ravel()
    )
    odds = popularity_odds(pool, train, 0.5)
    counts = np.bincount(train.flat(), minlength=24)[1:21]
    np.testing.assert_allclose(odds / odds[0], ((counts + 1) / (counts[0] + 1)) ** 0.5)
    assert odds.mean() == pytest.approx(1)
    found = np.bincount(drawn, minlength=24)
    assert found[1:21].sum() == 60_000
    np.testing.assert_allclose(found[1:21] / 3000, odds, rtol=0.1)


def test_popular_negatives_leave_out_the_users_own(train):
    sampler = PopularNegatives.by_popularity(np.arange(1, 24), train, 1.0)
    drawn = sampler.per_position(train.users, 20, 5, Streams(0).numpy("x"))
    for row, (start, stop) in enumerate(zip(train.start, train.stop, strict=True)):
        assert not np.isin(drawn[row], train.sequences.items[start:stop]).any()


def test_power_zero_draws_all_alike(train):
    np.testing.assert_array_equal(popularity_odds(np.arange(1, 24), train, 0.0), np.ones(23))
