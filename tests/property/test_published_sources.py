"""Whatever stands in the lines of a published file: a stated error, or exactly the right rows."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from vlmrec.core.errors import DataError
from vlmrec.data.sources.id_text_lines import read_id_text_lines
from vlmrec.data.sources.movielens import read_movielens

T = 978_300_760
GOOD = [f"{k}::{k}::5::{T + k}" for k in range(5)]
FIELDS = st.tuples(
    st.sampled_from(["u1", " u 2 ", "007", "", "\u00e9"]),
    st.sampled_from(["1", "a:b", "x;y", "   ", '"']),
    st.sampled_from(["5", "", "4.5", "good"]),
    st.sampled_from([str(T), f" {T} ", "", "soon", "-5", "99999999999999"]),
)
SIGNS = st.text(st.sampled_from(list('a1,:; "|\u00e9&<>\u2028\x0b')), max_size=12)
LINES = st.lists(FIELDS.map("::".join) | SIGNS, max_size=4)


def right_row(line: str) -> tuple[str, str, int, float | None] | None:
    """Returns what a line says, None where it has a mistake."""
    user, item, rating, time = (field.strip() for field in line.split("::"))
    if not user or not item or rating == "good" or time != str(T):
        return None
    return user, item, T, float(rating) if rating else None


@settings(max_examples=60, deadline=None)
@given(LINES, st.sampled_from(["utf-8", "latin-1"]))
def test_ratings_are_right_or_refused(lines: list[str], encoding: str):
    text = "\n".join([*GOOD, *lines]) + "\n"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ratings.dat").write_bytes(text.encode(encoding, "replace"))
        (folder / "movies.dat").write_text("1::A (1999)::Drama\n")
        filled = [line for line in lines if line]
        try:
            rows = read_movielens(folder, drop_invalid=True).interactions.rows()
        except DataError:
            assert any(len(line.split("::")) != 4 for line in filled)
            return
    expected = [row for line in filled if (row := right_row(line)) is not None]
    assert rows[5:] == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["1", "22", "x", '"3"', "", " 4 "]), SIGNS), min_size=1))
def test_titles_are_right_or_counted(pairs: list[tuple[str, str]]):
    lines = [",".join(pair) for pair in pairs]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "titles.csv"
        path.write_text("\n".join(lines), encoding="utf-8", newline="")
        try:
            table = read_id_text_lines(path, "title", drop_invalid=True)
        except DataError:
            assert not any(item.strip(' "').isdecimal() for item, _ in pairs)
            return
    firsts: dict[str, str] = {}
    for item, text in pairs:
        if item.strip(' "').isdecimal():
            firsts.setdefault(item.strip(' "'), text)
    assert table.frame["item_id"].to_list() == list(firsts)
    for title, text in zip(table.frame["title"], firsts.values(), strict=True):
        plain = not set(text) & set('<>&"')
        assert not plain or (title or "") == " ".join(text.split())
    bad = len(pairs) - sum(item.strip(' "').isdecimal() for item, _ in pairs)
    assert sum(n.count for n in table.notes if "without a number" in n.sentence) == bad
