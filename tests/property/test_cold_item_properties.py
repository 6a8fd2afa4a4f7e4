"""The warm half of the cold-item split, and its rehearsal, against plain loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.test_split_properties import dataset_of
from tests.reference.splits_oracle import by_user

from vlmrec.core.errors import DataError
from vlmrec.data.cold_items import RehearsalOptions, rehearsal

quick = settings(max_examples=40, deadline=None)
events = st.tuples(st.sampled_from("uvw"), st.sampled_from("abcdefgh"), st.integers(0, 30))
rows_of_logs = st.lists(events, min_size=15, max_size=60)


def told(data, cases):
    """Returns (user, history, target) of each case in external ids."""
    names = data.items.to_external
    histories = cases.histories
    return {
        (
            data.users.to_external([user])[0],
            tuple(names(histories.sequences.items[start:stop])),
            names([target])[0],
        )
        for user, start, stop, target in zip(
            histories.users, histories.start, histories.stop, cases.targets, strict=True
        )
    }


def plain_late_cases(rows, cold, last, *, warm):
    found = set()
    for user, events in by_user(rows).items():
        items = [item for item, _ in events]
        for place in range(int(len(items) * (1 - last)), len(items)):
            past = tuple(item for item in items[:place] if item not in cold)
            if past and (items[place] not in cold) == warm:
                found.add((user, past, items[place]))
    return found


@quick
@given(rows_of_logs, st.integers(0, 3), st.sampled_from([0.3, 0.5]))
def test_warm_targets_stand_beside_cold_ones(rows, seed, last):
    data = dataset_of(rows)
    try:
        split = data.cold_items(share=0.4, last=last, seed=seed)
    except DataError:
        return  # too few events; that it is said is tested elsewhere
    cold = set(data.items.to_external(split.test_candidates))
    every = plain_late_cases(rows, cold, last, warm=True)
    warm = told(data, split.test_warm)
    assert warm <= every
    assert len(split.test_warm) <= len(split.test)
    assert len(split.test_warm) == len(split.test) or warm == every
    # Nothing that was trained on or chosen by is asked for again.
    learned = dict(zip(split.train.users, split.train.stop, strict=True))
    histories = split.test_warm.histories
    for user, stop in zip(histories.users, histories.stop, strict=True):
        assert stop > learned.get(user, -1)


@quick
@given(rows_of_logs, st.integers(0, 3), st.sampled_from(["cold-item", "leave-one-out"]))
def test_a_rehearsal_holds_nothing_but_training_events(rows, seed, name):
    data = dataset_of(rows)
    try:
        split = data.leave_one_out() if name == "leave-one-out" else data.cold_items(0.3, 0.3)
        inner = rehearsal(split, RehearsalOptions(share=0.4, last=0.5, seed=seed))
    except DataError:
        return  # too few events; that it is said is tested elsewhere
    played = set(inner.test_candidates)
    learned = {
        user: split.train.sequences.items[start:stop].tolist()
        for user, start, stop in zip(
            split.train.users, split.train.start, split.train.stop, strict=True
        )
    }
    for cases in (inner.test, inner.test_warm, inner.valid):
        histories = cases.histories
        for row, user in enumerate(cases.users):
            own = histories.sequences.items[histories.start[row] : histories.stop[row]].tolist()
            assert own == [i for i in learned[user] if i not in played][: len(own)]
            assert cases.targets[row] in learned[user]
    assert not np.isin(inner.train.flat(), inner.test_candidates).any()
    if split.test_candidates is not None:
        assert not played & set(split.test_candidates)
    assert set(inner.training_items) | played == set(
        split.training_items if split.training_items is not None else range(1, data.n_items + 1)
    )
    assert inner.fingerprint != split.fingerprint
