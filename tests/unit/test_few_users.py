"""A dataset cut down to a few users keeps their last events and no other items."""

import polars as pl
from tests.pictured import pictured_dataset

from vlmrec.core.columns import ITEM_ID, USER_ID
from vlmrec.data.few_users import few_users
from vlmrec.testing.worlds import small_dataset


def test_last_events_of_users_spread_over_the_data():
    whole = small_dataset()
    few = few_users(whole, users=3, events=4)
    names = list(whole.users.names)
    assert few.n_users == 3
    assert {names[0], names[-1]} <= set(few.users.names)
    before, after = whole.to_interactions(), few.to_interactions()
    for user in few.users.names:
        kept = after.filter(pl.col(USER_ID) == user)
        assert kept.equals(before.filter(pl.col(USER_ID) == user).tail(4))
    assert set(few.items.names) == set(after[ITEM_ID])
    assert few.n_items < whole.n_items


def test_words_and_pictures_stay(tmp_path):
    whole = pictured_dataset(tmp_path)
    few = few_users(whole, users=2, events=3)
    paths = dict(zip(whole.items.names, whole.catalog.image_paths(), strict=True))
    texts = dict(zip(whole.items.names, whole.catalog.texts(), strict=True))
    assert few.catalog.image_paths() == [paths[name] for name in few.items.names]
    assert few.catalog.texts() == [texts[name] for name in few.items.names]
    assert any(few.catalog.image_paths())


def test_small_data_stay_as_they_are():
    whole = small_dataset()
    few = few_users(whole, users=10_000, events=10_000)
    assert few.to_interactions().sort(USER_ID).equals(whole.to_interactions().sort(USER_ID))
