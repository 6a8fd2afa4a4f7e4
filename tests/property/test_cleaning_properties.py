import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.kcore_oracle import kcore

from vlmrec.data.cleaning import CleaningOptions, clean, drop_sparse, order_by_user_and_time
from vlmrec.data.sources.raw_tables import RawTables

events = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz"), st.integers(0, 4)),
    min_size=1,
    max_size=40,
)


def frame(rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    schema = {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


@settings(deadline=None)
@given(events, st.integers(1, 4), st.integers(1, 4))
def test_the_core_is_that_of_the_plain_oracle(rows, min_user, min_item):
    options = CleaningOptions(min_user=min_user, min_item=min_item, min_history=1)
    kept, notes = drop_sparse(frame(rows), options)
    expected = kcore([row[:2] for row in rows], min_user, min_item)
    assert kept.rows() == [rows[k] for k in expected]
    assert sum(note.count for note in notes) == len(rows) - len(expected)


@settings(deadline=None)
@given(events)
def test_order_is_stable_and_groups_users(rows):
    log = frame(rows).with_row_index("row")
    first = {}
    for user, _, _ in rows:
        first.setdefault(user, len(first))
    expected = sorted(range(len(rows)), key=lambda k: (first[rows[k][0]], rows[k][2], k))
    assert order_by_user_and_time(log)["row"].to_list() == expected


@settings(deadline=None)
@given(events)
def test_cleaning_twice_changes_nothing_more(rows):
    options = CleaningOptions(repeats="last", min_item=2, min_history=1)
    rows = [*rows, ("a", "u", 9), ("b", "u", 9)]  # so that something is left
    items = frame(rows).select(pl.col("item_id").unique(maintain_order=True))
    once = clean(RawTables(frame(rows), items, None, ()), options)
    twice = clean(once, options)
    assert twice.interactions.equals(once.interactions)
    assert twice.items.equals(once.items)
    pairs = once.interactions.select("user_id", "item_id")
    assert pairs.n_unique() == pairs.height
