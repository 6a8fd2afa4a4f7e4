import contextlib

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmrec.core.errors import ConfigError
from vlmrec.serve.filters import allowed_by

ITEMS = pl.DataFrame(
    {
        "title": ["Toy Story", "Jaws", None, 'Say "hi"', "Alien"],
        "year": [1995, 1975, 1999, None, 1979],
        "price": [1.5, 2.0, None, -3.0, 0.0],
        "genres": [["Comedy", "Animation"], ["Horror"], [], None, ["Horror", "Sci-Fi"]],
        "new": [True, False, None, True, False],
    }
)


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("year >= 1979", [0, 2, 4]),
        ("year = 1975", [1]),
        ("year != 1975", [0, 2, 4]),
        ("not year = 1975", [0, 2, 3, 4]),
        ("price < 1.75 and price > -3", [0, 4]),
        ("price <= -3.0", [3]),
        ('genres has "Horror"', [1, 4]),
        ('not genres has "Horror"', [0, 2, 3]),
        ('title has "i"', [3, 4]),
        ('title = "Say \\"hi\\""', [3]),
        ('title in ("Jaws", "Alien", "Psycho")', [1, 4]),
        ("year in (1975)", [1]),
        ("title is missing", [2]),
        ("genres is missing", [2, 3]),
        ("new = true", [0, 3]),
        ('year > 1970 and genres has "Horror" or new = true', [0, 1, 3, 4]),
        ('year > 1970 and (genres has "Sci-Fi" or new = true)', [0, 4]),
        ("NOT (year > 1980 OR year < 1976)", [3, 4]),
        ("not not new = true", [0, 3]),
        ("  year>1990  ", [0, 2]),
    ],
)
def test_what_is_allowed(expression, rows):
    assert allowed_by(expression, ITEMS).nonzero()[0].tolist() == rows


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "character 1: its end was given, the name of an attribute was expected"),
        ("yaer > 1990", "attribute 'yaer', which items do not have. Did you mean 'year'?"),
        ("year > ", "character 8: its end was given, a number"),
        ("year 1990", "character 6: '1990' was given, =, !="),
        ('year > "1990"', "compares the attribute 'year', a number, with \"1990\""),
        ("title = 5", "compares the attribute 'title', a text, with 5"),
        ("title = 'Jaws'", "is no part of an expression. Texts stand in double quotes"),
        ('genres = "Horror"', "'genres' is a list. Write: genres has"),
        ("genres has 3", "with 3"),
        ("year has 3", "'has' asks a list or a text; the attribute 'year' is a number"),
        ("(year > 1", "character 10: its end was given, ')' was expected"),
        ("year > 1)", "')' was given, 'and', 'or' or the end was expected"),
        ("year in 5", "'5' was given, '(' was expected"),
        ("year in (5", "',' or ')' was expected"),
        ("year is 5", "'missing' was expected"),
        ("year > 1; drop table items", "'; drop table items' is no part"),
        ("new = 1", "'new', true or false, with 1"),
        ("year > 12abc", "is no part of an expression"),
        ("year > 1 " * 300, "has 2,700 characters; expected at most 2,000"),
        ("(" * 50 + "year > 1" + ")" * 50, "nested more than 40 levels deep"),
        ("not " * 60 + "year > 1", "nested more than 40 levels deep"),
    ],
)
def test_what_cannot_be_read_is_said(expression, told):
    with pytest.raises(ConfigError) as raised:
        allowed_by(expression, ITEMS)
    assert told in str(raised.value)


PARTS = st.sampled_from(
    ["year", "genres", "title", "new", "has", "in", "is", "missing", "and", "or", "not", "(", ")",
     ",", "=", "<", ">=", "!=", "1990", "-2.5", '"Jaws"', "true", "\\", "'", '"', " ", "\n", "é"]
)  # fmt: skip


@given(st.lists(PARTS, max_size=12).map(" ".join) | st.text(max_size=30))
def test_whatever_is_given_is_an_answer_or_a_message(expression):
    with contextlib.suppress(ConfigError):
        assert allowed_by(expression, ITEMS).shape == (5,)
