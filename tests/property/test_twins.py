"""Twins found without comparing all pairs are those that comparing all pairs finds."""

from itertools import combinations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from vlmrec.data.catalog import Catalog
from vlmrec.data.checks.near_pictures import PicturePrint, near_pictures
from vlmrec.data.checks.near_words import near_titles
from vlmrec.data.checks.twins import SharedKeys, Twins

# Few words, so that many titles are near each other; all are long enough to stand alone.
WORDS = st.lists(st.sampled_from("abcdefghij"), min_size=3, max_size=9)


def catalog_of(titles: list[str]) -> Catalog:
    table = pl.DataFrame({"title": titles})
    return Catalog(table.with_columns(description=pl.lit(None, dtype=pl.String)), None)


@given(st.lists(WORDS.filter(lambda words: len(set(words)) >= 3), min_size=1, max_size=25))
def test_near_titles(titles):
    sets = [set(words) for words in titles]
    near = np.zeros(len(sets), dtype=bool)
    for a, b in combinations(range(len(sets)), 2):
        if 5 * len(sets[a] & sets[b]) >= 4 * len(sets[a] | sets[b]):
            near[[a, b]] = True
    found = near_titles(catalog_of([" ".join(words) for words in titles]))
    assert found.complete
    assert found.among().tolist() == near.tolist()


@given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 63), max_size=8)), max_size=25))
def test_near_prints(changes):
    rng = np.random.default_rng(0)
    bases = [int(rng.integers(0, 1 << 63)) for _ in range(4)]
    bits = [bases[base] ^ sum(1 << k for k in flipped) for base, flipped in changes]
    thumbnail = np.arange(256, dtype=np.uint8)
    near = [
        any(a != b and (one ^ other).bit_count() <= 6 for b, other in enumerate(bits))
        for a, one in enumerate(bits)
    ]
    found = near_pictures([PicturePrint(one, thumbnail) for one in bits])
    assert found.among().tolist() == near


@given(
    st.lists(st.integers(-1, 4), min_size=1, max_size=12),
    st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda p: p[0] < p[1])),
    st.data(),
)
def test_twins_among_some_rows(groups, pairs, data):
    n = len(groups)
    others = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    present = [pair for pair in sorted(pairs) if max(pair) <= max(groups)]
    twins = Twins(np.array(groups), np.array(present, dtype=np.int64).reshape(-1, 2))

    def alike(a: int, b: int) -> bool:
        both = groups[a], groups[b]
        return min(both) >= 0 and (both[0] == both[1] or tuple(sorted(both)) in pairs)

    expected = [any(a != b and others[b] and alike(a, b) for b in range(n)) for a in range(n)]
    assert twins.among(others).tolist() == expected
    for row in range(n):
        twin = twins.twin_of(row)
        assert (twin is not None) == any(row != b and alike(row, b) for b in range(n))
        assert twin is None or alike(row, twin)


def test_pairs_come_in_pieces_and_the_most_frequent_key_is_left_out(monkeypatch):
    monkeypatch.setattr("vlmrec.data.checks.twins._PAIRS_AT_A_TIME", 4)
    keys = SharedKeys(np.array([7] * 5 + [8] * 3 + [9]), np.arange(9))
    pieces, whole = keys.pairs(100)
    found = [tuple(pair) for piece in pieces for pair in piece.tolist()]
    assert whole
    assert sorted(found) == [*combinations(range(5), 2), *combinations(range(5, 8), 2)]
    pieces, whole = keys.pairs(9)
    assert not whole
    assert np.concatenate(list(pieces)).tolist() == [[5, 6], [5, 7], [6, 7]]


def test_titles_without_blanks_are_compared_by_pairs_of_signs():
    titles = ["新款女士夏季连衣裙长款", "新款女士夏季连衣裙短款", "男士运动鞋透气轻便"]
    assert near_titles(catalog_of(titles)).among().tolist() == [False, False, False]
    titles[1] = "新款女士夏季连衣裙长"
    assert near_titles(catalog_of(titles)).among().tolist() == [True, True, False]


def test_short_titles_are_read_with_the_description():
    table = pl.DataFrame(
        {"title": ["Ring", "ring", "Ring"], "description": ["red gold", "GOLD, red", "blue tin"]}
    )
    assert near_titles(Catalog(table, None)).among().tolist() == [True, True, False]


def test_pictures_with_equal_bits_but_other_looks_are_no_twins():
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 256, (2, 256), dtype=np.uint8)
    prints = [PicturePrint(5, thumbnails[0]), PicturePrint(5, thumbnails[1]), None]
    assert not near_pictures(prints).among().any()


def test_prints_that_differ_in_six_bytes_are_still_found():
    thumbnail = np.arange(256, dtype=np.uint8)
    for places in combinations(range(8), 6):
        other = sum(1 << (8 * place) for place in places)
        prints = [PicturePrint(bits, thumbnail) for bits in (0, other)]
        assert near_pictures(prints).among().all(), places
