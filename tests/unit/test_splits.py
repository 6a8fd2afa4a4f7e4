import numpy as np
import polars as pl
import pytest

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.dataset import Dataset
from vlmrec.testing.worlds import small_dataset, small_items, small_log


def test_a_worked_example_of_leave_one_out():
    frame = pl.DataFrame(
        {
            "user_id": ["u", "u", "v", "u", "u", "v"],
            "item_id": ["d", "a", "x", "b", "c", "y"],
            "timestamp": [9, 1, 1, 2, 2, 5],
        }
    )
    data = Dataset.from_frames(frame)
    split = data.leave_one_out()
    assert data.items.to_external(split.train.flat()) == ["a", "b", "x", "y"]
    assert data.items.to_external(split.valid.targets) == ["c"]
    assert data.items.to_external(split.test.targets) == ["d"]
    assert data.items.to_external(split.test.histories.flat()) == ["a", "b", "c"]
    assert split.notes == {"users_with_fewer_than_3_events_not_tested": 1}
    assert split.training_items is None


def test_too_short_a_log_is_said():
    data = Dataset.from_frames({"user_id": ["u"], "item_id": ["a"], "timestamp": [1]})
    with pytest.raises(DataError, match="No user has the 3 events that leave-one-out needs"):
        data.leave_one_out()
    with pytest.raises(DataError, match="holds no target with a history"):
        data.global_time()
    with pytest.raises(DataError, match="leaves nothing to test or to train"):
        data.cold_items()


def test_shares_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(ConfigError, match="leave nothing to train on"):
        small_dataset().global_time(0.5, 0.5)
    with pytest.raises(ValueError, match="less than 1"):
        small_dataset().cold_items(share=1.5)


def test_a_fingerprint_changes_with_data_protocol_and_options():
    data = small_dataset()
    other = Dataset.from_frames(small_log(seed=1), small_items())
    prints = [
        data.leave_one_out().fingerprint,
        other.leave_one_out().fingerprint,
        data.global_time().fingerprint,
        data.global_time(target="all").fingerprint,
        data.cold_items().fingerprint,
        data.cold_items(seed=1).fingerprint,
    ]
    assert len(set(prints)) == len(prints)
    assert data.leave_one_out().fingerprint == small_dataset().leave_one_out().fingerprint


def test_cases_and_histories_can_be_cut():
    split = small_dataset().leave_one_out()
    few = split.test.subset(np.array([3, 1]))
    assert few.targets.tolist() == split.test.targets[[3, 1]].tolist()
    assert few.users.tolist() == split.test.users[[3, 1]].tolist()
    assert split.train.latest(2).lengths.max() == 2
