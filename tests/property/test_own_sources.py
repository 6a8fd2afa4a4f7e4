"""Whatever stands in a shop's files: a stated error, or exactly the rows that were written."""

import csv
import io
import json
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmrec.core.errors import DataError
from vlmrec.data.sources.files import FileSource, read_files
from vlmrec.data.sources.pixelrec import read_pixelrec
from vlmrec.data.sources.raw_tables import RawTables
from vlmrec.data.sources.sequence_lines import read_sequences

T = 1_600_000_000
HEAD = ["user_id", "item_id", "timestamp", "rating"]
GOOD = [[f"u{k}", f"i{k}", str(T + k), "4"] for k in range(4)]
NAMES = st.sampled_from(["u1", "007", ' "x" ', "a,b", "c\nd", "", "\u00e9"])
TIMES = st.sampled_from([str(T), f" {T}.5 ", "", "soon", "-5", "nan"])
RATINGS = st.sampled_from(["5", "4.5", "", "nan", "inf", "good"])
WORDS = st.text(st.sampled_from(list('ab1,"\n\r\t ;|\u00e9\u2028')), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda one: st.lists(one, max_size=2) | st.dictionaries(st.text(max_size=2), one, max_size=2),
    max_leaves=4,
)


def read(folder: Path, name: str, content: bytes | str, **options: Any) -> RawTables | None:
    """Returns what a file holds, or None where it was refused."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        return read_files(FileSource(paths=(path,), **options))
    except DataError as error:
        refusal = str(error)
    assert name in refusal
    return None


def as_csv(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def right_row(row: list[str]) -> tuple[str, str, int, float | None] | None:
    """Returns what a row says, None where it has a mistake."""
    user, item = (" ".join(cell.split("\n")).strip() for cell in row[:2])
    if not user or not item or row[2].strip() not in (str(T), f"{T}.5"):
        return None
    if row[3] in ("good", "inf"):
        return None
    return user, item, T, float(row[3]) if row[3] not in ("", "nan") else None


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES, TIMES, RATINGS).map(list), max_size=5))
def test_rows_of_a_table_are_right_or_left_out(rows: list[list[str]]):
    with tempfile.TemporaryDirectory() as folder:
        raw = read(Path(folder), "log.csv", as_csv([HEAD, *GOOD, *rows]), drop_invalid=True)
    assert raw is not None
    expected = [found for row in [*rows] if (found := right_row(row)) is not None]
    assert raw.interactions.rows()[4:] == expected


@settings(max_examples=120, deadline=None)
@given(st.text(st.sampled_from(list('u1i,,"\n;\t 5\u00e9')), max_size=30), st.integers(0, 120))
def test_signs_thrown_into_a_table_never_swallow_rows(signs: str, at: int):
    text = as_csv([HEAD, *GOOD, *GOOD])
    damaged = text[:at] + signs + text[at:]
    with tempfile.TemporaryDirectory() as folder:
        raw = read(Path(folder), "log.csv", damaged, drop_invalid=True)
    if raw is None:
        return
    told = sum(note.count for note in raw.notes if note.kind == "dropped")
    spanning = sum(damaged.count("\n") for note in raw.notes if "several lines" in note.sentence)
    lines = sum(bool(line.strip()) for line in damaged.split("\n"))
    assert raw.interactions.height + told + spanning >= lines - 1


@settings(max_examples=150, deadline=None)
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(HEAD, VALUES)), min_size=1, max_size=3))
def test_any_json_is_read_or_refused(rows: list[dict[str, Any]]):
    lines = "\n".join(json.dumps(row) for row in rows)
    with tempfile.TemporaryDirectory() as name:
        for file, content in (("log.jsonl", lines), ("log.json", json.dumps(rows))):
            raw = read(Path(name), file, content, drop_invalid=True)
            assert raw is None or raw.interactions.height <= len(rows)


COLUMNS = st.sampled_from(
    [
        pl.Series(["a", "b"]),
        pl.Series(["a", None], dtype=pl.Categorical()),
        pl.Series([1.0, float("nan")]),
        pl.Series([1.5, float("inf")]),
        pl.Series([1e20, 1.0]),
        pl.Series([2**53 + 1, T]),
        pl.Series([True, None]),
        pl.Series([b"\xff", b"a"]),
        pl.Series([["a"], []]),
        pl.Series([{"a": 1}, None]),
        pl.Series([None, None]),
        pl.Series([timedelta(1), timedelta(2)]),
        pl.Series([T, T + 1]).cast(pl.Datetime("ms")),
        pl.Series([1, 2]).cast(pl.Time),
        pl.Series(["1.5", "2"]).cast(pl.Decimal(10, 2)),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.tuples(COLUMNS, COLUMNS, COLUMNS, COLUMNS, COLUMNS))
def test_any_types_of_parquet_are_read_or_refused(columns: tuple[pl.Series, ...]):
    named = [one.alias(name) for one, name in zip(columns, [*HEAD, "event"], strict=True)]
    out = io.BytesIO()
    pl.DataFrame(named).write_parquet(out)
    with tempfile.TemporaryDirectory() as name:
        raw = read(Path(name), "log.parquet", out.getvalue(), drop_invalid=True)
    if raw is not None:
        assert raw.interactions["user_id"].null_count() == 0
        assert set(raw.interactions["user_id"]) <= {"a", "b", "1", "1.5", "2.00", "1.50"} | {
            str(2**53 + 1),
            str(T),
        }


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), WORDS, WORDS), min_size=1, max_size=4))
def test_words_of_pixelrec_are_those_that_were_written(rows: list[tuple[str, str, str]]):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = [["item_id", "user_id", "timestamp"], *([k, "u", str(T)] for k in "abc")]
        (folder / "log.csv").write_text(as_csv(log))
        info = [["item_id", "title", "tag", "description"]]
        info += [[item, title, "t", words] for item, title, words in rows]
        (folder / "info.csv").write_text(as_csv(info), newline="")
        raw = read_pixelrec(folder)
    firsts: dict[str, tuple[str, str]] = {}
    for item, title, words in rows:
        firsts.setdefault(item, (title, words))
    found = {row["item_id"]: row for row in raw.items.iter_rows(named=True)}
    assert raw.interactions.height == 3
    for item, (title, words) in firsts.items():
        assert (found[item]["title"] or "").split() == title.split()
        assert (found[item]["description"] or "").split() == words.split()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["1", "02", "x", "\u00e9,3"]), max_size=4), max_size=4))
def test_sequences_are_those_that_were_written(lines: list[list[str]]):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "s.txt"
        path.write_text("9 8 7\n" + "\n".join(" ".join(line) for line in lines) + "\n")
        raw = read_sequences(path)
    events = [("9", "8"), ("9", "7")]
    for line in lines:
        user, *items = " ".join(line).replace(",", " ").split() or [""]
        events += [(user, item) for item in items]
    assert raw.interactions.select("user_id", "item_id").rows() == events
