import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmrec.core.errors import DataError
from vlmrec.data.vocabulary import Vocabulary


@given(st.lists(st.text(max_size=4), unique=True, min_size=1, max_size=30))
def test_ids_go_both_ways(names):
    vocabulary = Vocabulary(pl.Series(names, dtype=pl.String))
    ids = vocabulary.to_internal(names)
    assert ids.tolist() == list(range(1, len(names) + 1))
    assert vocabulary.to_external(ids) == names


def test_ids_are_strings_to_the_letter():
    vocabulary = Vocabulary(pl.Series(["007", "7", "07", " 7"]))
    assert vocabulary.to_internal(["7", " 7", "7 ", "007"]).tolist() == [2, 4, 0, 1]
    assert len(vocabulary) == 4


def test_an_id_twice_or_none_is_refused():
    with pytest.raises(DataError, match="item id 'b' occurs more than once"):
        Vocabulary(pl.Series(["a", "b", "b"]))
    with pytest.raises(DataError, match="1 user ids are null"):
        Vocabulary(pl.Series(["a", None]), "user")


def test_unknown_names_are_said_with_the_nearest():
    small = Vocabulary(pl.Series(["apple", "pear"]))
    assert small.require(["pear", "apple", "pear"]).tolist() == [2, 1, 2]
    with pytest.raises(DataError, match=r"Unknown item id 'aple'.*Did you mean 'apple'"):
        small.require(["pear", "aple"])
    large = Vocabulary(pl.Series([f"B{n:05d}" for n in range(5000)]))
    with pytest.raises(DataError, match=r"none of the 5,000 known items\. Did you mean 'B00012'"):
        large.require(["B00012x"])
    with pytest.raises(DataError, match=r"Known ids look like 'B00000'"):
        large.require(["zzz"])


def test_nothing_asked_nothing_given():
    vocabulary = Vocabulary(pl.Series(["a"]))
    assert vocabulary.to_internal([]).dtype == np.int64
    assert vocabulary.to_internal([]).tolist() == []
    assert vocabulary.to_external(np.array([], dtype=np.int64)) == []
