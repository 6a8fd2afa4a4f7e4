"""Input that cannot be used: each case has one message that says where and what to do."""

import re
from datetime import time
from pathlib import Path

import polars as pl
import pytest

from vlmrec.core.errors import DataError
from vlmrec.data.sources.columns_guess import ColumnNames
from vlmrec.data.sources.files import FileSource, read_files
from vlmrec.data.sources.sequence_lines import read_sequences

T = 1_500_000_000
HEAD = "user_id,item_id,timestamp\n"
ROW = f"u1,i1,{T}\n"


def refused(path: Path, message: str, **options) -> None:
    with pytest.raises(DataError, match=message):
        read_files(FileSource(paths=(path,), **options))


CASES = {
    "empty": ("log.csv", "", r"'.*log\.csv' is empty"),
    "header only": ("log.csv", HEAD, r"has a header and no rows"),
    "misnamed": (
        "log.csv",
        f"usr,item_id,timestamp\n{ROW}",
        r"no column for the user\. Found: usr, item_id, timestamp\. The nearest is 'usr': "
        r"name it with --user usr",
    ),
    "no time": ("log.csv", "user,item,price\nu,i,5\n", r"no column for the time.*with --time COL"),
    "too few fields": (
        "log.csv",
        HEAD + ROW * 3 + "u1,i1\n" + ROW,
        r"Line 5 of '.*log\.csv' has 2 fields where 3 were expected: 'u1,i1'",
    ),
    "too many fields": ("log.csv", HEAD + ROW + "u,i,1,2\n", r"Line 3 .* has 4 fields where 3"),
    "ragged with quotes": ("log.csv", HEAD + f'"u1","a\nb",{T}\nu,i\n', r"Line 4 .* has 2 fields"),
    "a quote that is not closed": (
        "log.csv",
        f'user,item,ts,note\nu1,i1,{T},x\nu1,i2,{T},"12 inch\nu2,i1,{T},y\n',
        r"The record that begins on line 3 of '.*log\.csv' cannot be read: .*mend the quotes",
    ),
    "a quote that a later field closes": (
        "log.csv",
        f'user,item,ts,note\nu1,i1,{T},"a,b"\nu1,i2,{T},"12 inch\nu2,i1,{T},"good, yes"\n',
        r"The record that begins on line 3 of '.*log\.csv' cannot be read: ',' expected",
    ),
    "mixed separators": (
        "log.csv",
        HEAD + ROW + f"u1;i1;{T}\n",
        r"mixes separators: line 3 is cut by semicolon, the first line by comma",
    ),
    "one column": ("log.csv", "user\nu1\n", r"single column; its first line is 'user'"),
    "same name twice": ("log.csv", "user,item,item,ts\nu,i,j,1\n", r"two columns named 'item'"),
    "no number in time": (
        "log.csv",
        HEAD + ROW * 9 + "u1,i1,soon\n",
        r"1 row of '.*' has no readable time; first in line 11 of 'log\.csv' "
        r"\(user_id = 'u1', item_id = 'i1', timestamp = 'soon'\).*--drop-invalid",
    ),
    "negative time": (
        "log.csv",
        HEAD + ROW + "u1,i1,-5\nu2,i1,-6\n",
        r"2 rows of '.*' have a negative time \(before 1970\); first in line 3",
    ),
    "two units": ("log.csv", HEAD + ROW * 2 + f"u,i,{T * 1000}\n", r"another unit than seconds; f"),
    "null user": (
        "log.csv",
        HEAD + ROW + f",i1,{T}\n",
        r"1 row .* has no user_id; first in line 3",
    ),
    "null item": ("log.csv", HEAD + f"u1, ,{T}\n", r"1 row .* has no item_id; first in line 2"),
    "rating in words": (
        "log.csv",
        f"user_id,item_id,rating,timestamp\nu,i,good,{T}\n",
        r"has a rating that is not a number; first in line 2",
    ),
    "broken JSON": (
        "log.jsonl",
        '{"user": 1, "item": 2, "ts": 3}\n{"user": 1, "item": \n',
        r"Line 2 of '.*log\.jsonl' is broken JSON",
    ),
    "JSON but no object": (
        "log.jsonl",
        '{"user": 1, "item": 2, "ts": 3}\n5\n',
        r"Line 2 of '.*' is a JSON int, not an object: '5'",
    ),
    "no Parquet": ("log.parquet", "PAR", r"'.*log\.parquet' cannot be read as Parquet"),
    "unknown suffix": ("log.xlsx", "x", r"unknown suffix '\.xlsx'\. Read are \.csv, \.tsv"),
    "items only": (
        "log.csv",
        "item_id,title\n1,x\n",
        r"No file holds interactions .*'log\.csv' has",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_with_a_message(tmp_path, case):
    name, text, message = CASES[case]
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    refused(path, f"(?s){message}")


def test_damaged_utf8_is_named_by_line_and_byte(tmp_path):
    path = tmp_path / "log.csv"
    good = HEAD + "é,è,1\n" * 3
    path.write_bytes(good.encode() + b"x\xff,i,1\n")
    offset = len(good.encode()) + 1
    refused(path, rf"Line 5 of '.*' cannot be read as utf-8: byte {offset} of the file is 0xff")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_the_place_of_damage_does_not_depend_on_how_files_are_cut(tmp_path, monkeypatch, encoding):
    monkeypatch.setattr("vlmrec.data.sources.text_encoding._CHUNK", 3)
    path = tmp_path / "log.csv"
    good = (HEAD + "é,é,1\n").encode(encoding)
    path.write_bytes(good + {"utf-8": b"\xff,i,1\n", "utf-16-le": b"\x00\xdc,\x00"}[encoding])
    refused(path, rf"Line 3 .* as {encoding}: byte {len(good):,} of", encoding=encoding)


def test_a_named_encoding_is_taken_at_its_word(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(HEAD.encode() + b"caf\xe9,i,1\n")
    refused(path, r"Line 2 .* cannot be read as utf-8: byte 29", encoding="utf-8")
    refused(path, r"--encoding utf-9: there is no such encoding", encoding="utf-9")
    raw = read_files(FileSource(paths=(path,), encoding="latin-1"))
    assert raw.interactions["user_id"].to_list() == ["caf\u00e9"]


@pytest.mark.parametrize("name", ["base64", "rot13", "no-such"])
def test_what_is_no_encoding_of_text(tmp_path, name):
    (tmp_path / "log.csv").write_text(HEAD + ROW)
    refused(tmp_path / "log.csv", f"--encoding {name}: there is no such", encoding=name)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_byte_order_mark_alone_is_an_empty_file(tmp_path, mark):
    (tmp_path / "log.csv").write_bytes(mark)
    refused(tmp_path / "log.csv", r"log\.csv' is empty")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("user_id", [["a"], ["b"]], r"'user_id' of '.*' holds List\(String\), no user_id.*text or"),
        ("item_id", [{"a": 1}, {"a": 2}], r"holds Struct.*, no item_id"),
        ("timestamp", [time(1), time(2)], r"holds Time, no timestamp\. Expected are numbers or da"),
        ("rating", [True, False], r"holds Boolean, no rating\. Expected are numbers\."),
        ("rating", [1.0, float("inf")], r"1 row .* has a rating that is not a number"),
        ("event", [b"\xff", b"a"], r"holds Binary, no event"),
        ("user_id", [1.0, 1e20], r"1 row .* has no user_id.*up to 2\^53; store ids as text"),
        ("item_id", [1.0, float("nan")], r"1 row .* has no item_id"),
    ],
)
def test_columns_of_another_type(tmp_path, column, values, message):
    columns = {"user_id": ["u", "v"], "item_id": ["i", "j"], "timestamp": [T, T]}
    pl.DataFrame({**columns, column: values}).write_parquet(tmp_path / "log.parquet")
    refused(tmp_path / "log.parquet", f"(?s){message}")


def test_a_binary_file_is_no_text(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"user,item\0\n")
    refused(path, r"is not a text file: byte 9 is zero")


def test_a_cut_gzip_file(tmp_path):
    import gzip

    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress((HEAD + ROW * 500).encode())[:-20])
    refused(path, r"is a damaged gzip file")


def test_a_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "clicks.csv").write_text(HEAD + ROW)
    refused(tmp_path / "click.csv", r"does not exist\. Did you mean 'clicks\.csv'\?")
    refused(tmp_path / "no" / "click.csv", r"there is no folder '.*no'")
    refused(tmp_path, r"is a folder; a file was expected\. It holds clicks\.csv\.")


def test_a_file_without_permission(tmp_path, monkeypatch):
    path = tmp_path / "clicks.csv"
    path.write_text(HEAD + ROW)
    monkeypatch.setattr("vlmrec.data.sources.reading.os.access", lambda *_: False)
    refused(path, r"clicks\.csv' may not be read\. Change its permissions")


def test_a_missing_or_empty_picture_folder(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text(HEAD + ROW)
    refused(path, r"image folder '.*nowhere' does not exist", images=tmp_path / "nowhere")
    refused(path, r"image folder '.*' holds no picture", images=tmp_path)


def test_a_wrong_column_option(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text(HEAD + ROW)
    message = re.escape("--time tiemstamp: no file has a column 'tiemstamp'.") + ".*'timestamp'"
    refused(path, message, names=ColumnNames(time="tiemstamp"))


def test_logs_that_do_not_belong_together(tmp_path):
    (tmp_path / "a.csv").write_text(HEAD + ROW)
    (tmp_path / "b.csv").write_text(f"user_id,item_id,rating,timestamp\nu,i,4,{T}\n")
    with pytest.raises(DataError, match=r"'a\.csv' and 'b\.csv' both look like interactions"):
        read_files(FileSource(paths=(tmp_path / "a.csv", tmp_path / "b.csv")))


def test_sequence_lines(tmp_path):
    path = tmp_path / "s.txt"
    path.write_text("u1 007 7 007\n\nu2\tb\nu3\nu1 c\n")
    raw = read_sequences(path)
    assert sorted(raw.interactions.rows()) == [
        ("u1", "007", 0),
        ("u1", "007", 2),
        ("u1", "7", 1),
        ("u1", "c", 3),
        ("u2", "b", 0),
    ]
    said = " ".join(note.sentence for note in raw.notes)
    assert "not real times" in said
    assert "1 line with a user and no item." in said
    assert "1 line of a user who had one already" in said
    assert "1 blank line" in said


def test_lines_without_sequences(tmp_path):
    path = tmp_path / "s.txt"
    path.write_text("u1\nu2\n")
    with pytest.raises(DataError, match=r"holds no sequence.*'u1'.*user item item"):
        read_sequences(path)
