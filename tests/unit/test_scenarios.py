"""Splits with new people, sessions in random order, catalogues with gaps."""

import numpy as np
import polars as pl
import pytest

from vlmrec.core.columns import IMAGE
from vlmrec.core.content_change import dealt_anew, taken_away
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.cold_items import LateItemOptions, late_item_split
from vlmrec.data.cold_users import ColdUserOptions, LateUserOptions, cold_users, late_users
from vlmrec.data.content_gaps import ContentGap, open_gap
from vlmrec.data.dataset import Dataset
from vlmrec.data.named_splits import SPLITS, split_by
from vlmrec.data.shuffled_sessions import shuffle_sessions
from vlmrec.pipeline.scenarios import SCENARIOS, Scenario, scenario_named
from vlmrec.testing.worlds import small_dataset


def growing_dataset():
    """Returns people who come one after the other, to a shop that goes on adding items."""
    rng = np.random.default_rng(4)
    rows = [
        (f"u{user}", f"i{int(time * rng.random()) // 8}", int(time))
        for user in range(40)
        for time in np.sort(rng.integers(10 * user, 400, size=9))
    ]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Dataset.from_frames(log)


def of_user(dataset, user):
    log = dataset.sequences
    return slice(log.offsets[user], log.offsets[user + 1])


@pytest.mark.parametrize("by_time", [False, True])
def test_people_who_are_tested_are_not_learned_from(by_time):
    data = small_dataset(n_users=40)
    split = late_users(data, LateUserOptions()) if by_time else cold_users(data, ColdUserOptions())
    assert split.notes["cold_users"] == 8
    assert set(split.valid.users) == set(split.train.users)
    assert not set(split.test.users) & set(split.train.users)
    log = data.sequences
    last = log.offsets[split.test.users] - 1
    assert np.array_equal(split.test.targets, log.items[last])
    assert np.array_equal(split.test.histories.stop, last)
    assert np.array_equal(split.test.histories.start, log.offsets[split.test.users - 1])
    assert np.array_equal(split.train.stop, split.valid.histories.stop)


def test_nothing_learned_is_later_than_the_first_event_of_a_new_user():
    days = {"a": [0, 1, 2, 9], "b": [1, 2, 3], "c": [5, 6], "d": [4, 5, 7], "e": [7, 8, 10]}
    rows = [(user, f"i{day % 4}", day * 86_400) for user, many in days.items() for day in many]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    data = Dataset.from_frames(log)
    split = late_users(data, LateUserOptions(share=0.4))
    tested = set(data.users.to_external(split.test.users))
    assert tested == {"c", "e"}
    times = data.sequences.timestamps
    first = min(times[of_user(data, user - 1)][0] for user in split.test.users)
    learned = np.concatenate([split.train.stop, split.valid.histories.stop])
    assert times[learned].max() < first, "validation targets stand behind their histories"
    assert data.users.to_external(split.valid.users) == ["a", "b"], "d had one event until then"


def test_items_that_came_last_are_tested_and_nothing_learned_is_later():
    data = growing_dataset()
    split = late_item_split(data, LateItemOptions(share=0.4))
    log = data.sequences
    moment = np.sort(log.timestamps)[int(log.n_events * 0.6)]
    first = {item: log.timestamps[log.items == item].min() for item in np.unique(log.items)}
    new = sorted(item for item, time in first.items() if time >= moment)
    assert new
    assert split.test_candidates.tolist() == new
    assert set(split.test.targets) <= set(new)
    assert not set(split.training_items) & set(new)
    assert not set(split.test_warm.targets) & set(new)
    for part in (split.train, split.valid.histories, split.test.histories):
        assert not set(part.flat()) & set(new), "histories hold warm items only"
    learned = split.valid.histories
    assert learned.sequences.timestamps[learned.stop].max() < moment, "validation targets, too"
    assert split.fingerprint != data.cold_items().fingerprint


def test_options_of_new_people_tell_splits_apart_and_too_few_people_are_refused():
    data = small_dataset(n_users=40)
    prints = {
        cold_users(data, ColdUserOptions()).fingerprint,
        cold_users(data, ColdUserOptions(seed=1)).fingerprint,
        late_users(data, LateUserOptions()).fingerprint,
        data.leave_one_out().fingerprint,
    }
    assert len(prints) == 4
    with pytest.raises(DataError, match=r"cold-user split leaves nothing.*Two events of a user"):
        cold_users(small_dataset(n_users=1), ColdUserOptions())


def test_every_split_has_a_name():
    data = growing_dataset()
    assert [split_by(data, name).name for name in SPLITS] == list(SPLITS)
    with pytest.raises(ConfigError, match=r"no split 'cold-users'. Did you mean 'cold-user'"):
        split_by(data, "cold-users")


def test_sessions_are_shuffled_inside_and_nowhere_else():
    pause, rng = 100, np.random.default_rng(0)
    sittings = [(user, sitting) for user in range(6) for sitting in range(4)]
    rows = [
        (f"u{user}", f"i{user}-{sitting}-{k}", sitting * 10_000 + 10 * k)
        for user, sitting in sittings
        for k in range(int(rng.integers(1, 9)))
    ]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    data = Dataset.from_frames(log)
    mixed = shuffle_sessions(data, pause=pause, seed=3)
    assert np.array_equal(mixed.sequences.timestamps, data.sequences.timestamps)
    names = [each.items.to_external(each.sequences.items) for each in (data, mixed)]
    sitting_of = [[name.rsplit("-", 1)[0] for name in each] for each in names]
    assert sitting_of[0] == sitting_of[1]
    assert sorted(names[0]) == sorted(names[1])
    moved = sum(a != b for a, b in zip(*names, strict=True))
    assert moved > len(rows) / 3
    for each in ("valid", "test"):
        before, after = (getattr(one.leave_one_out(), each).targets for one in (data, mixed))
        assert np.array_equal(before, after)
    again = shuffle_sessions(data, pause=pause, seed=3)
    assert again.fingerprint == mixed.fingerprint != data.fingerprint
    assert np.array_equal(shuffle_sessions(data, pause=0).sequences.items, data.sequences.items)


def test_a_gap_takes_words_or_pictures_and_leaves_the_rest():
    items = pl.DataFrame(
        {
            "item_id": [f"i{k}" for k in range(10)],
            "title": [f"title {k}" for k in range(10)],
            "genres": [[f"g{k}"] for k in range(10)],
            "image": [f"{k}.jpg" for k in range(10)],
        }
    )
    log = pl.DataFrame({"user_id": ["u"] * 10, "item_id": items["item_id"], "timestamp": range(10)})
    data = Dataset.from_frames(log, items)
    half = open_gap(data, ContentGap(modality="text", share=0.5)).catalog
    assert sum(text == "" for text in half.texts()) == 5
    assert half.table[IMAGE].equals(data.catalog.table[IMAGE])
    whole = data.catalog.texts()
    assert all(text in ("", whole[k]) for k, text in enumerate(half.texts()))
    wrong = open_gap(data, ContentGap(modality="text", kind="wrong")).catalog.texts()
    assert sorted(wrong) == sorted(whole)
    assert not any(a == b for a, b in zip(wrong, whole, strict=True))
    blind = open_gap(data, ContentGap(modality="image", share=0.3))
    assert blind.catalog.table[IMAGE].null_count() == 3
    assert blind.catalog.texts() == whole
    assert blind.fingerprint != data.fingerprint


def test_more_gaps_contain_fewer_and_a_share_deals_among_itself():
    less, more = (taken_away(20, share, np.random.default_rng(1)) for share in (0.2, 0.6))
    assert set(np.flatnonzero(less == 0)) < set(np.flatnonzero(more == 0))
    shown = dealt_anew(20, 0.3, np.random.default_rng(1)).numpy()
    moved = np.flatnonzero(shown != np.arange(21))
    assert len(moved) == 6
    assert set(shown[moved]) == set(moved)


def test_scenarios_have_names_and_words():
    assert scenario_named("test-without-texts").gap_in_test == ContentGap(modality="text")
    with pytest.raises(ConfigError, match=r"no scenario 'cold-users'. Did you mean 'cold-user'"):
        scenario_named("cold-users")
    told = {one.describe() for one in SCENARIOS.values()}
    assert len(told) == len(SCENARIOS), "no two read the same"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lifted": True}, "split 'leave-one-out' keeps no items from training"),
        ({"split": "cold-item", "lifted": True}, "among all items only. Add 'among: all items'"),
        (
            {
                "split": "cold-item",
                "among": "all items",
                "gap_in_test": {"modality": "text"},
            },
            r"among the items that training never saw, .* among all items\. Leave one of them out",
        ),
    ],
)
def test_a_scenario_that_makes_no_sense_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        Scenario.parse({"name": "mine", **given}, "the scenario")
