"""Single values: times, ids, texts, column names."""

from datetime import date, datetime

import polars as pl
import pytest

from vlmrec.core.errors import DataError
from vlmrec.data.sources.columns_guess import ColumnNames, check_given_names, find_column
from vlmrec.data.sources.item_columns import _number_if_all
from vlmrec.data.sources.log_columns import string_ids
from vlmrec.data.sources.text_fields import clean_texts, clean_word_lists, readable
from vlmrec.data.sources.timestamps import looks_like_time, read_times

SECOND = 1_587_051_114


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([SECOND], "seconds"),
        ([SECOND * 1000 + 941], "milliseconds"),
        ([SECOND * 10**6 + 5], "microseconds"),
        ([SECOND * 10**9 + 5], "nanoseconds"),
        ([str(SECOND)], "seconds"),
        ([f"{SECOND}.75"], "seconds"),
        ([float(SECOND * 1000)], "milliseconds"),
        (["2020-04-16T15:31:54Z"], "dates"),
        (["2020-04-16 15:31:54"], "dates"),
        (["2020-04-16T17:31:54.941+02:00"], "dates"),
        (["2020-04-16T17:31:54+0200"], "dates"),
        (["2020/04/16 15:31:54 UTC"], "dates"),
        ([datetime(2020, 4, 16, 15, 31, 54)], "dates"),
    ],
)
def test_every_spelling_of_a_moment_is_the_same_second(values, unit):
    times = read_times(pl.Series(values))
    assert times.seconds.to_list() == [SECOND]
    assert times.unit == unit


@pytest.mark.parametrize("value", ["2020-04-16", date(2020, 4, 16), "04 16, 2020"])
def test_a_day_is_its_midnight_utc(value):
    assert read_times(pl.Series([value])).seconds.to_list() == [1_586_995_200]


def test_what_is_no_time_is_marked_and_null():
    times = read_times(pl.Series([str(SECOND), "soon", "", None, "-5"]))
    assert times.unreadable.to_list() == [False, True, True, True, False]
    assert times.negative.to_list() == [False, False, False, False, True]
    assert read_times(pl.Series([1.5e9, float("nan")])).unreadable.to_list() == [False, True]


def test_two_units_in_one_column_are_marked():
    times = read_times(pl.Series([SECOND, SECOND, SECOND * 1000, 0]))
    assert times.foreign.to_list() == [False, False, True, False]


def test_dates_written_as_one_number():
    for values in ([20200416, 20200417], ["20200416", "20200417"]):
        times = read_times(pl.Series(values))
        assert (times.unit, times.seconds[0]) == ("dates", 1_586_995_200)
    times = read_times(pl.Series([20200416153154, None]))
    assert (times.unit, times.seconds.to_list()) == ("dates", [SECOND, None])
    mostly = read_times(pl.Series([*range(20200401, 20200431), 20201331]))
    assert (mostly.unit, mostly.unreadable.sum()) == ("dates", 1)
    assert read_times(pl.Series([20200416, 20203333])).unit == "seconds"
    assert read_times(pl.Series([SECOND * 1000])).unit == "milliseconds"


def test_small_numbers_are_an_order():
    assert read_times(pl.Series([1, 2, 3])).seconds.to_list() == [1, 2, 3]
    assert not looks_like_time("3")
    assert looks_like_time("881250949")


def test_ids_keep_zeros_and_lose_only_a_float_tail():
    assert string_ids(pl.Series(["007", " 12 ", ""])).to_list() == ["007", "12", None]
    assert string_ids(pl.Series([7.0, None, 12.0])).to_list() == ["7", None, "12"]
    assert string_ids(pl.Series(["7.0", "12.0"])).to_list() == ["7", "12"]
    assert string_ids(pl.Series(["7.0", "12.5"])).to_list() == ["7.0", "12.5"]
    assert string_ids(pl.Series([7.0, float("nan"), 1e20])).to_list() == ["7", None, None]
    assert string_ids(pl.Series([7.5, float("inf")])).to_list() == ["7.5", None]
    assert string_ids(pl.Series(["v1.0", "v2.0"])).to_list() == ["v1.0", "v2.0"]


def test_html_goes_and_comparisons_stay():
    assert readable("Pr45&quot; <b>Wht</b><br/>3 &lt; 5") == 'Pr45" Wht 3 < 5'
    assert readable("<script>getTime()</script>Cup") == "Cup"
    texts, n_changed = clean_texts(pl.Series(["a &amp; b", "  x\n y ", "", None, "<p></p>"]))
    assert texts.to_list() == ["a & b", "x y", None, None, None]
    assert n_changed == 2


def test_word_lists_lose_blanks_and_html():
    lists, n_changed = clean_word_lists(pl.Series([["Action ", "", "R&amp;B"], [], None]))
    assert lists.to_list() == [["Action", "R&B"], [], None]
    assert n_changed == 1


def test_attributes_become_numbers_only_where_all_are():
    assert _number_if_all(pl.Series(["1", None, "30"])).to_list() == [1, None, 30]
    assert _number_if_all(pl.Series(["1.5", "2"])).to_list() == [1.5, 2.0]
    assert _number_if_all(pl.Series(["007", "12"])).dtype == pl.String
    assert _number_if_all(pl.Series(["1", "two"])).dtype == pl.String


@pytest.mark.parametrize(
    ("columns", "part", "expected"),
    [
        (["reviewerID", "asin", "unixReviewTime"], "user_id", "reviewerID"),
        (["asin", "parent_asin"], "item_id", "parent_asin"),
        (["User ID", "x"], "user_id", "User ID"),
        (["item_id:token", "timestamp:float"], "timestamp", "timestamp:float"),
        (["movieId"], "item_id", "movieId"),
        (["weight"], "rating", "weight"),
        (["userId", "user_id"], "user_id", "userId"),
        (["usr"], "user_id", None),
    ],
)
def test_aliases(columns, part, expected):
    assert find_column(part, columns) == expected


def test_an_explicit_name_or_number_wins():
    assert find_column("user_id", ["user_id", "buyer"], "buyer") == "buyer"
    assert find_column("user_id", ["column_1", "column_2"], "2") == "column_2"


def test_an_explicit_name_that_is_nowhere():
    message = r"--user userid: no file has a column 'userid'\. Did you mean 'user_id'\? Found: "
    with pytest.raises(DataError, match=message):
        check_given_names(ColumnNames(user="userid"), [["user_id", "item"]])
