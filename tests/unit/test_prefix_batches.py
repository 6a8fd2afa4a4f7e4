"""Rows of one target each: what is drawn, and that a resumed run draws the same."""

import numpy as np
import pytest

from vlmrec.core.random import Streams
from vlmrec.data.negatives import UniformNegatives
from vlmrec.data.prefix_batches import PrefixBatches
from vlmrec.testing.worlds import small_dataset


@pytest.fixture
def histories():
    return small_dataset().leave_one_out().train


def make(histories, **options):
    given = {"max_len": 3, "batch_size": 4, "epochs": 5, "streams": Streams(1), **options}
    return PrefixBatches(histories, **given)


def rows_of(batches, epoch):
    """Yields user, history and target of every row of an epoch."""
    for step, window in enumerate(batches.plan(epoch)):
        batch = batches.build(window, epoch, step)
        for user, items, targets in zip(batch.users, batch.items, batch.targets, strict=True):
            items, targets = items[items > 0].tolist(), targets.tolist()
            place = len(items) - 1
            assert [i for i, target in enumerate(targets) if target] == [place]
            yield int(user), items, targets[place]


def test_every_row_is_the_start_of_its_users_history(histories):
    log = {
        int(user): histories.sequences.items[start:stop].tolist()
        for user, start, stop in zip(histories.users, histories.start, histories.stop, strict=True)
    }
    rows = list(rows_of(make(histories, targets_per_user=2, batch_size=5), 0))
    assert len(rows) == sum(min(len(past) - 1, 2) for past in log.values() if len(past) > 1)
    for user, items, target in rows:
        past = log[user]
        ends = [i for i in range(1, len(past)) if past[i] == target]
        assert any(past[max(0, i - 3) : i] == items for i in ends)


def test_targets_of_a_user_differ_in_an_epoch_and_between_epochs(histories):
    whole = make(histories, targets_per_user=50, batch_size=50)
    per_user: dict[int, int] = {}
    for user, _, _ in rows_of(whole, 0):
        per_user[user] = per_user.get(user, 0) + 1
    lengths = dict(zip(histories.users.tolist(), histories.lengths.tolist(), strict=True))
    assert per_user == {user: n - 1 for user, n in lengths.items() if n > 1}
    one = make(histories)
    epochs = [sorted(rows_of(one, epoch)) for epoch in range(4)]
    assert epochs[0] != epochs[1]
    assert list(rows_of(one, 1)) == list(rows_of(make(histories), 1))


def test_progress_negatives_and_lonely_rows(histories):
    sampler = UniformNegatives.over(np.arange(1, 24), histories, "nothing")
    n_rows = int((histories.lengths >= 2).sum())
    batches = make(histories, batch_size=n_rows - 1, negatives=sampler, n_negatives=6)
    plan = batches.plan(2)
    assert [len(window.users) for window in plan] == [n_rows - 1]  # the last row is alone
    first = batches.build(plan[0], 2, 0)
    assert first.progress == pytest.approx(2 / 5)
    assert first.negatives is not None
    assert len(set(first.negatives.tolist())) == 6
    assert batches.build(plan[0], 4, 1).progress == pytest.approx(4.5 / 5)
