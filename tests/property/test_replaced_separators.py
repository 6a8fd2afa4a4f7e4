"""The fast way to replace a separator does what the slow one does, line by line."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from vlmrec.core.errors import DataError
from vlmrec.data.sources import text_encoding
from vlmrec.data.sources.delimited_layout import Layout
from vlmrec.data.sources.delimited_lines import replace_separator, rewrite
from vlmrec.data.sources.text_encoding import TextFacts

FACTS = TextFacts("utf-8", compressed=False, quoted=False)
LAYOUT = Layout("::", quoting=False, header=("user", "item", "time"), has_header=False)
words = st.text(st.sampled_from("aé1: \t\u2028\x85\x1f\ufeff\r"), max_size=4)
lines = st.one_of(
    st.lists(words, min_size=3, max_size=3).map("::".join),
    st.lists(st.text("a1é", max_size=3), min_size=3, max_size=3).map("::".join),
    st.lists(words, max_size=4).map("::".join),
)


def outcome(read, path: Path, target: Path):
    """Returns counts and bytes, or the message."""
    try:
        found = read(path, target)
    except DataError as error:
        return str(error)
    return found, target.read_bytes()


@given(st.lists(lines, min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_the_fast_way_equals_the_slow_one(rows, end, ended):
    with TemporaryDirectory() as folder:
        path, target = Path(folder) / "ratings.dat", Path(folder) / "out.txt"
        path.write_bytes((end.join(rows) + (end if ended else "")).encode())
        slow = outcome(lambda path, out: rewrite(path, FACTS, LAYOUT, out), path, target)
        fast = outcome(lambda path, out: replace_separator(path, LAYOUT, out), path, target)
        if fast[0] is None:
            odd = any(sign in row for row in rows for sign in "\r\x1f\ufeff")
            assert odd or not all(rows) or not rows[-1]
        else:
            assert fast == slow


def test_lines_are_counted_over_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(text_encoding, "_CHUNK", 16)
    path = tmp_path / "ratings.dat"
    rows = [f"{user}::{user % 7}::{user * 3}" for user in range(50)]
    path.write_text("\n".join(rows))
    counted = replace_separator(path, LAYOUT, tmp_path / "out.txt")
    assert counted is not None
    assert counted.records == 50
    assert (tmp_path / "out.txt").read_text() == "\n".join(rows).replace("::", "\x1f") + "\n"
    rows[40] = "40::5"
    path.write_text("\n".join(rows))
    found = outcome(lambda path, out: replace_separator(path, LAYOUT, out), path, tmp_path / "o")
    assert found.startswith(f"Line 41 of '{path}' has 2 fields where 3 were expected: '40::5'.")
