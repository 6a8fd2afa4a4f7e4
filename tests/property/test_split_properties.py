"""Splits equal plain loops on any log, and never let the future into training."""

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.reference import splits_oracle

from vlmrec.core.errors import DataError
from vlmrec.data.dataset import Dataset

rows_of_logs = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3", "0u"]),
        st.sampled_from(["a", "b", "c", "01", "1"]),
        st.integers(0, 12),
    ),
    min_size=1,
    max_size=40,
)
quick = settings(max_examples=60, deadline=None)


def dataset_of(rows):
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Dataset.from_frames(frame)


def told(cases, data):
    items = cases.histories.sequences.items
    users = data.users.to_external(cases.users)
    return [
        (
            user,
            tuple(
                data.items.to_external(items[cases.histories.start[i] : cases.histories.stop[i]])
            ),
            data.items.to_external(cases.targets[i : i + 1])[0],
        )
        for i, user in enumerate(users)
    ]


def trained(histories, data):
    items = histories.sequences.items
    users = data.users.to_external(histories.users)
    return {
        user: data.items.to_external(items[histories.start[i] : histories.stop[i]])
        for i, user in enumerate(users)
    }


def check(split, data, expected):
    train, valid, test = expected
    assert trained(split.train, data) == train
    assert sorted(told(split.valid, data)) == sorted(valid)
    assert sorted(told(split.test, data)) == sorted(test)


@quick
@given(rows_of_logs)
def test_leave_one_out_is_the_plain_loop(rows):
    data = dataset_of(rows)
    expected = splits_oracle.leave_one_out(rows)
    if not expected[2]:
        with pytest.raises(DataError, match="No user has the 3 events"):
            data.leave_one_out()
        return
    split = data.leave_one_out()
    check(split, data, expected)
    learned = set()
    for start, stop in zip(split.train.start, split.train.stop, strict=True):
        learned |= set(range(start, stop))
    held_out = {*split.valid.histories.stop.tolist(), *split.test.histories.stop.tolist()}
    assert not learned & held_out
    assert len(learned) + len(held_out) == len(rows)


@quick
@given(rows_of_logs, st.sampled_from(["first", "last", "all"]), st.sampled_from([0.1, 0.25, 0.4]))
def test_global_time_is_the_plain_loop_and_never_looks_ahead(rows, rule, share):
    data = dataset_of(rows)
    times = sorted(time for _, _, time in rows)
    cut_valid = times[int(len(times) * (1 - share - share))]
    cut_test = times[int(len(times) * (1 - share))]
    expected = splits_oracle.global_time(rows, cut_valid, cut_test, rule)
    if not expected[1] or not expected[2]:
        with pytest.raises(DataError, match="holds no target"):
            data.global_time(share, share, rule)
        return
    split = data.global_time(share, share, rule)
    check(split, data, expected)
    stamps = data.sequences.timestamps
    learned = [
        stamps[i]
        for start, stop in zip(split.train.start, split.train.stop, strict=True)
        for i in range(start, stop)
    ]
    chosen_by = stamps[split.valid.histories.stop]
    tested = stamps[split.test.histories.stop]
    assert not learned or max(learned) < min(*chosen_by, *tested)
    assert max(chosen_by) < min(tested)


@quick
@given(rows_of_logs, st.integers(0, 3), st.sampled_from([0.3, 0.5]))
def test_cold_items_are_the_plain_loop_and_never_trained_on(rows, seed, last):
    data = dataset_of(rows)
    assume(data.n_items >= 2)
    try:
        split = data.cold_items(share=0.4, last=last, seed=seed)
    except DataError as error:
        assert "leaves nothing to test or to train" in str(error)  # noqa: PT017
        return
    cold = set(data.items.to_external(split.test_candidates))
    check(split, data, splits_oracle.cold_items(rows, cold, last))
    assert not np.isin(split.train.flat(), split.test_candidates).any()
    assert not np.isin(split.valid.targets, split.test_candidates).any()
    assert np.isin(split.test.targets, split.test_candidates).all()
    known = np.concatenate([split.training_items, split.test_candidates])
    assert sorted(known.tolist()) == list(range(1, data.n_items + 1))
