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


def targets_of(batches, epoch):
    """Returns the event of each target of an epoch, with how many events its row has before it."""
    found = {}
    for window in batches.plan(epoch):
        for begin, length in zip(window.start.tolist(), window.length.tolist(), strict=True):
            for context in range(1, length):
                assert found.setdefault(begin + context, context) == context
    return found


@pytest.mark.parametrize("max_len", [1, 3, 4, 50])
def test_an_epoch_asks_for_each_event_once(histories, max_len):
    wanted = [
        event
        for start, stop in zip(histories.start, histories.stop, strict=True)
        for event in range(int(start) + 1, int(stop))
    ]
    batches = batches_over(histories, max_len=max_len)
    contexts = [targets_of(batches, epoch) for epoch in range(8)]
    for found in contexts:
        assert sorted(found) == sorted(wanted)
        assert max(found.values()) <= max_len
    sizes = sorted(len(window.users) for window in batches.plan(0))
    assert sizes[1:] == [5] * (len(sizes) - 1)
    # Over the epochs an event of a long history comes at several places of a row.
    if max_len in (3, 4):
        late = [
            int(stop) - 1
            for stop, n in zip(histories.stop, histories.lengths, strict=True)
            if n > 8
        ]
        assert all(len({found[event] for found in contexts}) > 1 for event in late)


def test_pieces_belong_to_their_users(histories):
    for window in batches_over(histories).plan(3):
        for user, begin, length in zip(window.users, window.start, window.length, strict=True):
            row = int(np.flatnonzero(histories.users == user)[0])
            assert histories.start[row] <= begin
            assert begin + length <= histories.stop[row]


def test_one_window_of_every_user_where_histories_are_not_taken_whole(histories):
    batches = batches_over(histories, whole=False)
    rows = [batch.users.tolist() for batch in built(batches, 0)]
    users = [user for row in rows for user in row]
    assert sorted(users) == histories.users[histories.lengths >= 2].tolist()
    counts = [int((batch.targets != 0).sum()) for batch in built(batches, 5)]
    assert sum(counts) == np.minimum(histories.lengths[histories.lengths >= 2] - 1, 4).sum()


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
                assert len(window) <= 5
                assert len(walk) > 5 or window == walk
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


def test_the_usual_number_of_targets_holds_for_later_epochs(histories):
    batches = batches_over(histories, max_len=3)
    counts = [
        int((batch.targets != 0).sum()) for epoch in range(1, 9) for batch in built(batches, epoch)
    ]
    usual = batches.build(batches.plan(0)[0], 0, 0).usual_count
    assert usual == pytest.approx(sum(counts) / len(counts), rel=0.1)
