import polars as pl
import pytest

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.cleaning import CleaningOptions, clean, resolve_repeats
from vlmrec.data.sources.raw_tables import RawTables


def raw(rows: list[tuple], rating: bool = False) -> RawTables:
    names = ["user_id", "item_id", "timestamp"] + (["rating"] if rating else [])
    log = pl.DataFrame(rows, schema=names, orient="row")
    items = log.select(pl.col("item_id").unique(maintain_order=True))
    return RawTables(log, items, None, ())


def test_equal_rows_count_once_but_differing_ratings_do_not():
    rows = [("u", "a", 1, 5.0), ("u", "a", 1, 5.0), ("u", "a", 1, 4.0), ("u", "b", 2, 1.0)]
    done = clean(raw(rows, rating=True), CleaningOptions())
    assert done.interactions.height == 3
    dropped = [note for note in done.notes if note.kind == "dropped"]
    assert [note.count for note in dropped] == [1]
    assert "1 row that repeat" in dropped[0].sentence


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("keep", [7, 3, 3, 1]), ("first", [1, 3]), ("last", [7, 3])],
)
def test_repeats_are_meant_in_time(rule, expected):
    rows = [("u", "a", 7), ("u", "b", 3), ("u", "b", 3), ("u", "a", 1)]
    kept, notes = resolve_repeats(raw(rows).interactions, rule)
    assert sorted(kept["timestamp"].to_list()) == sorted(expected)
    assert notes[0].count == 2
    assert notes[0].kind == ("kept" if rule == "keep" else "dropped")


def test_short_users_are_dropped_and_their_items_stay_in_the_catalogue():
    rows = [("u", x, 1) for x in "abc"] + [("v", "z", 1), ("v", "a", 2)]
    done = clean(raw(rows), CleaningOptions())
    assert done.interactions["user_id"].unique().to_list() == ["u"]
    assert done.items["item_id"].to_list() == ["a", "b", "c", "z"]
    assert any("1 user, 1 item and their 2 interactions" in note.sentence for note in done.notes)


def test_min_item_empties_the_catalogue_too():
    rows = [(user, item, 1) for user in "uvw" for item in "abc"] + [("u", "rare", 2)]
    done = clean(raw(rows), CleaningOptions(min_item=2))
    assert done.items["item_id"].to_list() == ["a", "b", "c"]


def test_ratings_below_the_threshold_or_absent_are_dropped():
    rows = [
        ("u", "a", 0, 5),
        ("u", "b", 1, 4),
        ("u", "c", 2, 3),
        ("u", "d", 3, None),
        ("u", "e", 4, 4),
    ]
    done = clean(raw(rows, rating=True), CleaningOptions(min_rating=4))
    assert done.interactions["item_id"].to_list() == ["a", "b", "e"]


def test_a_rating_threshold_needs_ratings():
    with pytest.raises(ConfigError, match=r"--min-rating 4 .* no ratings.*--rating"):
        clean(raw([("u", "a", 1)]), CleaningOptions(min_rating=4))


def test_nothing_left_says_which_step_took_it():
    with pytest.raises(DataError, match=r"No interaction is left\. 2 users, .*fewer than 3 events"):
        clean(raw([("u", "a", 1), ("v", "a", 1)]), CleaningOptions())


def test_ties_are_counted():
    done = clean(raw([("u", "a", 1), ("u", "b", 1), ("u", "c", 2)]), CleaningOptions())
    assert any("2 interactions (66.7%) share user and time" in note.sentence for note in done.notes)
