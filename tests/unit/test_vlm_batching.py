from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vlmrec.vlm.batching import buckets, distinct

lengths = st.lists(st.integers(1, 50), max_size=40)


@given(lengths, st.integers(1, 200), st.booleans())
def test_every_row_is_in_one_batch_within_the_budget(rows, budget, by_length):
    batches = list(buckets(rows, budget, by_length=by_length))
    assert sorted(row for batch in batches for row in batch) == list(range(len(rows)))
    for batch in batches:
        widest = max(rows[row] for row in batch) if by_length else max(rows)
        assert batch
        assert len(batch) == 1 or len(batch) * widest <= budget


@given(lengths, st.integers(1, 200))
def test_no_batch_has_room_for_the_next_row(rows, budget):
    batches = list(buckets(rows, budget))
    for batch, following in pairwise(batches):
        assert (len(batch) + 1) * rows[following[0]] > budget


def test_similar_lengths_share_a_batch():
    assert list(buckets([9, 2, 8, 3, 2], 18)) == [[1, 4, 3], [2, 0]]


def test_without_buckets_rows_keep_their_order_and_are_as_wide_as_the_longest():
    assert list(buckets([1, 9, 1, 1, 1], 18, by_length=False)) == [[0, 1], [2, 3], [4]]


def test_a_row_beyond_the_budget_is_alone():
    assert list(buckets([3, 30, 2], 5)) == [[2], [0], [1]]
    assert list(buckets([], 5)) == list(buckets([], 5, by_length=False)) == []


@given(st.lists(st.integers(0, 5)))
def test_distinct_values_give_all_values_back(values):
    unique, where = distinct(values)
    assert [unique[place] for place in where] == values
    assert unique == list(dict.fromkeys(values))
