import numpy as np
import pytest

from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches
from vlmrec.data.negatives import UniformNegatives
from vlmrec.testing.worlds import small_dataset


@pytest.fixture
def histories():
    return small_dataset().leave_one_out().train


def batches_over(histories, **changes):
    return NextItemBatches(
        histories, **{"max_len": 4, "batch_size": 5, "streams": Streams(0), **changes}
    )


def built(batches, epoch):
    return [batches.build(window, epoch, step) for step, window in enumerate(batches.plan(epoch))]


def test_an_epoch_has_one_window_of_every_user_with_two_events(histories):
    rows = [batch.users.tolist() for batch in built(batches_over(histories), 0)]
    users = [user for row in rows for user in row]
    assert sorted(users) == histories.users[histories.lengths >= 2].tolist()
    sizes = sorted(len(row) for row in rows)
    assert sizes[1:] == [5] * (len(sizes) - 1)
    assert sizes[0] == len(users) - 5 * (len(sizes) - 1)


def test_a_window_is_a_piece_of_the_users_history_and_its_targets_follow(histories):
    walks = {
        int(user): histories.sequences.items[start:stop].tolist()
        for user, start, stop in zip(histories.users, histories.start, histories.stop, strict=True)
    }
    starts = set()
    for epoch in range(6):
        for batch in built(batches_over(histories), epoch):
            assert batch.items.shape == batch.targets.shape
            assert batch.negatives is None
            for user, items, targets in zip(
                batch.users.tolist(), batch.items.tolist(), batch.targets.tolist(), strict=True
            ):
                n = sum(item != 0 for item in items)
                assert items[n:] == targets[n:] == [0] * (len(items) - n)
                window = [*items[:n], targets[n - 1]]
                assert window[1:] == targets[:n]
                walk = walks[user]
                assert len(window) == min(len(walk), 5)
                places = [i for i in range(len(walk)) if walk[i : i + len(window)] == window]
                assert places
                if len(walk) > 5:
                    starts.add(places[0])
    assert len(starts) > 1  # windows begin at random places


def test_rows_of_like_length_are_together(histories):
    def padding(pool):
        batches = batches_over(histories, max_len=50)
        return sum(int((batch.items == 0).sum()) for batch in built(batches, 0)) if pool else None

    lengths = np.minimum(histories.lengths[histories.lengths >= 2] - 1, 50)
    shuffled = Streams(0).numpy("x").permutation(lengths)
    mixed = sum(
        int((part.max() - part).sum())
        for part in np.array_split(shuffled, range(5, len(shuffled), 5))
    )
    assert padding(True) < mixed / 2


def test_seed_and_epoch_decide_a_batch(histories):
    def items(epoch, **changes):
        return [batch.items.tolist() for batch in built(batches_over(histories, **changes), epoch)]

    assert items(3) == items(3)
    assert items(3) != items(4)
    assert items(3) != items(3, streams=Streams(1))


def test_a_batch_needs_nothing_that_went_before(histories):
    sampler = UniformNegatives.over(np.arange(1, 24), histories)
    batches = batches_over(histories, negatives=sampler, n_negatives=2)
    whole = built(batches, 1)
    last = len(whole) - 1
    alone = batches.build(batches.plan(1)[last], 1, last)
    assert alone.items.equal(whole[last].items)
    assert alone.negatives is not None
    assert alone.negatives.equal(whole[last].negatives)
    assert not alone.negatives.equal(batches.build(batches.plan(1)[last], 1, last + 1).negatives)


def test_negatives_have_the_shape_that_was_asked_for(histories):
    sampler = UniformNegatives.over(np.arange(1, 24), histories)
    own = built(batches_over(histories, negatives=sampler, n_negatives=3), 0)[0]
    assert own.negatives.shape == (*own.items.shape, 3)
    shared = batches_over(histories, negatives=sampler, n_negatives=3, shared_negatives=True)
    assert built(shared, 0)[0].negatives.shape == (3,)


@pytest.mark.parametrize("max_len", [3, 4, 50])
def test_every_target_of_an_epoch_weighs_the_same(histories, max_len):
    batches = built(batches_over(histories, max_len=max_len), 0)
    counts = [int((batch.targets != 0).sum()) for batch in batches]
    usual = {batch.usual_count for batch in batches}
    assert len(usual) == 1
    assert usual.pop() == pytest.approx(sum(counts) / len(counts))
    assert len(set(counts)) > 1
    assert batches[0].to("cpu").usual_count == batches[0].usual_count
