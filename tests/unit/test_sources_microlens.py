"""MicroLens: pairs with and without times, titles with bare commas, categories, covers."""

from pathlib import Path

import pytest
from PIL import Image

from vlmrec.core.errors import DataError
from vlmrec.data.sources.microlens import read_microlens
from vlmrec.data.sources.raw_tables import RawTables

T = 1_583_378_629
STEM = "MicroLens-100k"
PAIRS = f"user,item,timestamp\n1,3,{T}552\n1,2,{T + 7}000\n2,3,{T}001\n2,9,{T + 1}999\n"
TITLES = '1,Unseen\n3,One, two,three &amp; four\n2,"Quoted, ""well"""\n2,Again\n7,\n'
TAGS = "id,category\n3,Movie reviews\n2,Music, songs\n"
SEQUENCES = "1\t3 2\n2\t3 9\n"


def said(raw: RawTables) -> str:
    return "\n".join(f"{note.kind} {note.sentence}" for note in raw.notes)


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "ml" / f"{STEM}_covers").mkdir(parents=True)
    names = {
        f"{STEM}_pairs.csv": PAIRS,
        f"{STEM}_pairs.tsv": SEQUENCES,
        f"{STEM}_title_en.csv": TITLES,
        "tags_to_summary.csv": TAGS,
        f"{STEM}_likes_and_views.txt": "3\t5\t6\n",
        "readme.txt": "x",
    }
    for name, text in names.items():
        (tmp_path / "ml" / name).write_text(text, encoding="utf-8")
    Image.new("RGB", (4, 4)).save(tmp_path / "ml" / f"{STEM}_covers" / "3.jpg")
    return tmp_path / "ml"


def test_a_folder(folder):
    raw = read_microlens(folder)
    assert raw.interactions.rows() == [
        ("1", "3", T),
        ("1", "2", T + 7),
        ("2", "3", T),
        ("2", "9", T + 1),
    ]
    assert raw.items.select("item_id", "title", "category", "image").rows() == [
        ("1", "Unseen", None, None),
        ("3", "One, two,three & four", "Movie reviews", "3.jpg"),
        ("2", 'Quoted, "well"', "Music, songs", None),
        ("7", None, None, None),
        ("9", None, None, None),
    ]
    assert raw.images == folder / f"{STEM}_covers"
    assert [path.name for path in raw.files] == [
        f"{STEM}_pairs.csv",
        f"{STEM}_title_en.csv",
        "tags_to_summary.csv",
    ]
    for sentence in (
        "times in milliseconds",
        "_title_en.csv': utf-8, cut at the first comma, no header; 4 items with title.",
        "_title_en.csv': HTML taken out of 1 text.",
        "1 line with an item id that had a line already (the first counts): '2'.",
        "'tags_to_summary.csv': utf-8, cut at the first comma, a header; 2 items with category.",
        "likes_and_views.txt' is not read: likes and views were counted over all time",
        f"3 files of the dataset not read: '{STEM}_likes_and_views.txt', '{STEM}_pairs.tsv'",
        "kept 1 item with interactions but without a row in the items: '9'.",
    ):
        assert sentence in said(raw)


@pytest.mark.parametrize("header", ["item,title\n", "id,title\r\n", '"item","title"\n', "\ufeff"])
def test_titles_with_a_header_or_none(folder, header):
    path = folder / "titles.csv"
    path.write_bytes((header + TITLES).encode())
    raw = read_microlens(folder, titles=path)
    titles = dict(raw.items.select("item_id", "title").iter_rows())
    assert titles["1"] == "Unseen"
    assert titles["3"] == "One, two,three & four"


def test_sequences_without_times(folder):
    raw = read_microlens(folder / f"{STEM}_pairs.tsv", titles=folder / f"{STEM}_title_en.csv")
    assert raw.interactions.rows() == [
        ("1", "3", 0),
        ("1", "2", 1),
        ("2", "3", 0),
        ("2", "9", 1),
    ]
    assert raw.images is None
    assert "category" not in raw.items.columns
    assert "not real times" in said(raw)
    (folder / f"{STEM}_pairs.csv").unlink()
    assert read_microlens(folder).interactions.equals(raw.interactions)


def test_only_what_is_named_is_read_beside_a_file(folder):
    raw = read_microlens(folder / f"{STEM}_pairs.csv")
    assert raw.items["item_id"].to_list() == ["3", "2", "9"]
    assert "warning No file of titles: the videos have no words." in said(raw)


def test_lines_without_an_id(folder):
    path = folder / f"{STEM}_title_en.csv"
    path.write_text("1,One\n\nand on, and on\n2\n", encoding="utf-8")
    message = r"has 2 lines without a number .*; first line 3: 'and on, and on'.*--drop-invalid"
    with pytest.raises(DataError, match=message):
        read_microlens(folder)
    raw = read_microlens(folder, drop_invalid=True)
    assert raw.items.filter(raw.items["title"].is_not_null())["title"].to_list() == ["One"]
    assert "dropped 'MicroLens-100k_title_en.csv': 2 lines without a number" in said(raw)
    path.write_text("item,title\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"title_en\.csv' has no rows"):
        read_microlens(folder)


def test_folders_that_leave_a_choice_or_none(folder, tmp_path):
    other = folder / "MicroLens-50k_pairs.csv"
    other.write_text(PAIRS)
    names = r"'MicroLens-100k_pairs\.csv', 'MicroLens-50k_pairs\.csv'"
    with pytest.raises(DataError, match=rf"holds 2 files of pairs: {names}\. Give the file"):
        read_microlens(folder)
    other.unlink()
    (folder / f"{STEM}_titles.csv").write_text(TITLES)
    with pytest.raises(DataError, match=r"holds 2 files of titles: .* Name one with --titles"):
        read_microlens(folder)
    (folder / "covers").mkdir()
    with pytest.raises(DataError, match=r"2 folders of pictures: .* Name one with --images"):
        read_microlens(folder, titles=folder / f"{STEM}_titles.csv")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "x.csv").touch()
    with pytest.raises(DataError, match=r"holds 'x\.csv'; expected were MicroLens-\.\.\._pairs"):
        read_microlens(empty)


def test_pairs_without_their_header(folder):
    (folder / f"{STEM}_pairs.csv").write_text(f"1,3,{T}552\n")
    with pytest.raises(DataError, match=r"has no header; expected was a header with user, item"):
        read_microlens(folder)
