"""Rows with twins: what a twin is, and that a resumed run draws the same."""

import numpy as np
import pytest

from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches
from vlmrec.data.twin_batches import TargetIndex, TwinBatches
from vlmrec.testing.worlds import small_dataset


@pytest.fixture
def histories():
    return small_dataset().leave_one_out().train


def make(histories, max_len=4, seed=1):
    return TwinBatches.over(NextItemBatches(histories, max_len, 5, Streams(seed)))


def rows_of(batches, epoch):
    """Yields width of the batch, past, target and twin of every row of an epoch."""
    for step, window in enumerate(batches.plan(epoch)):
        batch = batches.build(window, epoch, step)
        assert batch.twins is not None
        for row, place in enumerate(batch.twins.places.tolist()):
            past = batch.items[row, : place + 1].tolist()
            twin = batch.twins.items[row]
            n = int((twin != 0).sum())
            assert not twin[n:].any()
            target = int(batch.targets[row, place])
            yield batch.items.shape[1], past, target, twin[:n].tolist()


def pasts_of(histories):
    """Returns every training history's start that an item follows, by that item."""
    found = {}
    for start, stop in zip(histories.start, histories.stop, strict=True):
        walk = histories.sequences.items[start:stop].tolist()
        for i in range(1, len(walk)):
            found.setdefault(walk[i], []).append(walk[:i])
    return found


@pytest.mark.parametrize("max_len", [1, 4, 20])
def test_a_twin_is_another_training_history_that_the_same_item_follows(histories, max_len):
    pasts = pasts_of(histories)
    others, places = 0, set()
    for epoch in range(8):
        for width, past, target, twin in rows_of(make(histories, max_len), epoch):
            assert target
            assert width <= max_len
            assert 0 not in past
            places.add(len(past))
            if len(pasts[target]) == 1:
                assert twin == past
            else:
                assert twin in [past[-width:] for past in pasts[target]]
                others += twin != past
    assert others
    assert places == set(range(1, max(places) + 1))  # every place of a window is drawn


def test_a_target_is_never_its_own_twin_while_there_are_others(histories):
    index = TargetIndex.over(histories)
    events = index.events(np.arange(len(index.keys)))
    items = histories.sequences.items[events].astype(np.int64)
    counts = np.bincount(items)[items]
    seen = np.zeros((len(items), len(items)), dtype=bool)
    for draw in range(200):
        drawn = index.draw(events, items, Streams(draw).numpy("twins"))
        seen[np.arange(len(items)), drawn] = True
        assert (items[drawn] == items).all()
    own = seen.diagonal()
    assert (own == (counts == 1)).all()
    few = (counts > 1) & (counts < 8)
    assert few.any()
    assert (seen.sum(axis=1)[few] == counts[few] - 1).all()  # each of the others is drawn


def test_no_history_reaches_beyond_the_training_rows(histories):
    index = TargetIndex.over(histories)
    inside = set()
    for start, stop in zip(histories.start.tolist(), histories.stop.tolist(), strict=True):
        inside |= {(start, event) for event in range(start + 1, stop)}
    events = index.events(np.arange(len(index.keys))).tolist()
    assert set(zip(index.begin.tolist(), events, strict=True)) == inside


def test_a_batch_follows_from_seed_epoch_and_step(histories):
    assert list(rows_of(make(histories), 3)) == list(rows_of(make(histories), 3))
    assert list(rows_of(make(histories), 3)) != list(rows_of(make(histories), 4))
    assert list(rows_of(make(histories), 3)) != list(rows_of(make(histories, seed=2), 3))
    plain = make(histories).windows
    window = plain.plan(3)[0]
    first, second = (make(histories).build(window, 3, step).twins for step in (0, 1))
    assert not (first.places.equal(second.places) and first.items.equal(second.items))
    for step, window in enumerate(plain.plan(2)):
        one, other = plain.build(window, 2, step), make(histories).build(window, 2, step)
        assert one.items.equal(other.items)
        assert one.targets.equal(other.targets)
