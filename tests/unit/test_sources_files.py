import gzip
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from vlmrec.data.sources.columns_guess import ColumnNames
from vlmrec.data.sources.files import FileSource, read_files
from vlmrec.data.sources.raw_tables import RawTables

T = 1_500_000_000
LOG = f"userId,movieId,timestamp\nu1,007,{T}\nu2,7,{T + 1}\nu1,a b,{T + 2}\n"


def read(*paths: Path, **options) -> RawTables:
    return read_files(FileSource(paths=paths, **options))


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def said(raw: RawTables) -> str:
    return "\n".join(f"{note.kind} {note.sentence}" for note in raw.notes)


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "::"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("packed", [False, True])
def test_every_layout_gives_the_same_rows(tmp_path, separator, header, packed):
    text = LOG if header else LOG.split("\n", 1)[1]
    data = text.replace(",", separator).encode()
    path = tmp_path / ("log.csv.gz" if packed else "log.csv")
    path.write_bytes(gzip.compress(data) if packed else data)
    raw = read(path)
    assert raw.interactions.rows() == [("u1", "007", T), ("u2", "7", T + 1), ("u1", "a b", T + 2)]
    assert ("no header" in said(raw)) is not header
    assert ("gzip" in said(raw)) is packed


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_encodings_are_found_and_said(tmp_path, encoding):
    log = write(tmp_path / "log.csv", LOG)
    title = "Caf\u00e9 \u201cZ\u201d" if encoding != "latin-1" else "Caf\u00e9"
    items = write(tmp_path / "items.csv", f"movieId,title\n007,{title}\n", encoding)
    raw = read(log, items)
    assert raw.items["title"][0] == title
    assert f"'items.csv': {encoding}" in said(raw)


def test_quotes_and_line_ends_inside_fields(tmp_path):
    log = write(tmp_path / "log.csv", LOG)
    text = 'movieId,title,description\r\n007,"A ""big"", wet\r\ncup",x\r\n7,12" pipe,y\r\n'
    raw = read(log, write(tmp_path / "items.csv", text))
    assert raw.items["title"].to_list()[:2] == ['A "big", wet cup', '12" pipe']


def test_quotes_that_mean_inches(tmp_path):
    text = 'movieId\ttitle\tprice\n007\t"12 pipe\t3\n7\tcup\t4\n'
    raw = read(write(tmp_path / "log.csv", LOG), write(tmp_path / "items.tsv", text))
    assert raw.items["title"].to_list()[:2] == ['"12 pipe', "cup"]
    assert raw.items["price"].to_list()[:2] == [3, 4]


def test_two_characters_between_fields_leave_quotes_alone(tmp_path):
    text = f'u1::i"1::{T}\nu2::i2::{T}\n'
    for encoding in (None, "latin-1"):
        raw = read(write(tmp_path / "log.dat", text), encoding=encoding)
        assert raw.interactions["item_id"].to_list() == ['i"1', "i2"]


def test_ratings_without_header_stand_beside_the_time(tmp_path):
    path = write(tmp_path / "u.data", f"196\t242\t3\t{T}\n186\t302\t4\t{T}\n")
    assert read(path).interactions.rows() == [("196", "242", T, 3.0), ("186", "302", T, 4.0)]


def test_a_column_order_without_header_can_be_told(tmp_path):
    path = write(tmp_path / "x.csv", f"i1,u1,{T}\n")
    raw = read(path, names=ColumnNames(user="2", item="1"))
    assert raw.interactions.rows() == [("u1", "i1", T)]


def test_json_lines_and_parquet_agree(tmp_path):
    lines = (
        '{"uid": 1, "iid": "007", "ts": 1587051114941, "extra": {"a": 1}}\n'
        '{"uid": "2", "iid": "8", "ts": 1587051115000}\n'
    )
    from_json = read(write(tmp_path / "log.jsonl", lines))
    frame = pl.DataFrame({"uid": [1, 2], "iid": ["007", "8"], "ts": [1587051114941, 1587051115000]})
    frame.write_parquet(tmp_path / "log.parquet")
    assert from_json.interactions.equals(read(tmp_path / "log.parquet").interactions)
    assert from_json.interactions.rows() == [("1", "007", 1587051114), ("2", "8", 1587051115)]
    assert "1 column not needed: 'extra'" in said(from_json)
    as_list = "[" + ",".join(lines.split("\n")[:2]).replace('"uid": 1', '"uid": "1"') + "]"
    assert read(write(tmp_path / "l.json", as_list)).interactions.equals(from_json.interactions)


def test_items_are_told_from_interactions_by_columns_in_any_order(tmp_path):
    items = write(
        tmp_path / "a.csv", "id,Name,Genres,code\n7,Cup,x|y,01\n7,Twin,z,02\n99,Pot,z,3\n"
    )
    raw = read(items, write(tmp_path / "b.csv", LOG))
    assert raw.items["item_id"].to_list() == ["7", "99", "007", "a b"]
    assert raw.items["title"].to_list() == ["Cup", "Pot", None, None]
    assert raw.items["Genres"].to_list()[:2] == [["x", "y"], ["z"]]
    assert raw.items["code"].to_list()[:2] == ["01", "3"]
    for sentence in (
        "dropped 'a.csv': 1 row with an item id that had a row already",
        "kept 1 item without an interaction: '99'.",
        "kept 2 items with interactions but without a row in the items: '007', 'a b'.",
        "warning 67% of the items in the interactions have no row",
    ):
        assert sentence in said(raw)


def test_several_logs_are_stacked_in_the_given_order(tmp_path):
    second = write(tmp_path / "b.csv", f"userId,movieId,timestamp\nu9,7,{T}\n")
    raw = read(second, write(tmp_path / "a.csv", LOG))
    assert raw.interactions["user_id"].to_list() == ["u9", "u1", "u2", "u1"]


def test_of_several_item_files_the_first_counts(tmp_path):
    log = write(tmp_path / "log.csv", LOG)
    first = write(tmp_path / "a.csv", "movieId,title\n7,Old\n")
    second = write(tmp_path / "b.csv", "movieId,title,price\n7,New,3\n007,Cup,4\n")
    raw = read(log, first, second)
    assert raw.items.rows()[:2] == [("7", "Old", None, None), ("007", "Cup", 4, None)]
    assert "dropped 1 item that an earlier file had already." in said(raw)


def test_blank_lines_are_dropped_and_counted(tmp_path):
    raw = read(write(tmp_path / "log.csv", LOG.replace("u2,7", "\n\r\nu2,7") + "\n"))
    assert raw.interactions["user_id"].to_list() == ["u1", "u2", "u1"]
    assert "dropped 'log.csv': 3 blank lines." in said(raw)


def test_bad_rows_can_be_dropped_and_are_counted(tmp_path):
    path = write(tmp_path / "log.csv", LOG + f",7,{T}\nu3,7,soon\nu3,7,-4\n")
    raw = read(path, drop_invalid=True)
    assert raw.interactions.height == 3
    assert "dropped 1 row with no user_id; first in line 5 of 'log.csv'" in said(raw)
    assert "1 row with no readable time; first in line 6" in said(raw)
    assert "1 row with a negative time (before 1970); first in line 7" in said(raw)


def picture(path: Path) -> None:
    Image.new("RGB", (4, 4), "red").save(path)


def test_pictures_by_id_by_path_and_without(tmp_path):
    folder = tmp_path / "pics"
    (folder / "sub").mkdir(parents=True)
    for name in ("007.jpg", "sub/seven.png", "stray.webp"):
        picture(folder / name)
    (folder / "a b.jpg").write_bytes(b"no picture")
    rows = (
        "007,x,\n7,y,pics/sub/seven.png\nn1,z,gone.png\nn2,z,https://x.org/a.jpg\nn3,z,../log.csv\n"
    )
    items = write(tmp_path / "items.csv", "movieId,title,image\n" + rows)
    raw = read(write(tmp_path / "log.csv", LOG), items, images=folder)
    found = dict(raw.items.select("item_id", "image").iter_rows())
    assert found == {
        **dict.fromkeys(("n1", "n2", "n3", "a b"), None),
        "007": "007.jpg",
        "7": "sub/seven.png",
    }
    assert dict(raw.items.select("item_id", "image_url").drop_nulls().iter_rows()) == {
        "n2": "https://x.org/a.jpg"
    }
    assert raw.images == folder
    for sentence in (
        "kept 1 image URL in column 'image_url': nothing is downloaded",
        "dropped 2 image paths without a file in 'pics': 'gone.png', '../log.csv'",
        "dropped 1 picture that cannot be opened: 'a b.jpg'",
        "dropped 1 picture in 'pics' of no known item: 'stray.webp'",
        "took 2 pictures for 6 items.",
    ):
        assert sentence in said(raw)
