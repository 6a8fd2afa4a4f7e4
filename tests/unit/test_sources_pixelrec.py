"""PixelRec: item before user, gaps in the item information, counters, covers."""

from pathlib import Path

import pytest
from PIL import Image

from vlmrec.core.errors import DataError
from vlmrec.data.sources.pixelrec import read_pixelrec
from vlmrec.data.sources.raw_tables import RawTables

T = 1_350_000_000
LOG = f"item_id,user_id,timestamp\ni72138,u2,{T + 5}\ni1,u2,{T}\ni72138,u1,{T}\n"
INFO = (
    "item_id,view_number,comment_number,title,tag,description\n"
    'i72138,5.0,1.0,"Cat, dog","Game","Two\nlines, ""quoted"""\n'
    "i1,,,Only a title,,\n"
    "i192714,7.0,2.0,,Music,Tune &gt; words\n"
)


def said(raw: RawTables) -> str:
    return "\n".join(f"{note.kind} {note.sentence}" for note in raw.notes)


@pytest.fixture
def folder(tmp_path) -> Path:
    """As in the authors' repository: the item information has the name of the log."""
    root = tmp_path / "pixel"
    for part, text in (("dataset", LOG), ("information", INFO)):
        (root / part).mkdir(parents=True)
        (root / part / "Pixel200K.csv").write_text(text, encoding="utf-8")
    (root / "covers").mkdir()
    Image.new("RGB", (4, 4)).save(root / "covers" / "i1.jpg")
    (root / "notes.csv").write_text("a,b\n1,2\n")
    return root


def test_a_folder(folder):
    raw = read_pixelrec(folder)
    assert raw.interactions.rows() == [
        ("u2", "i72138", T + 5),
        ("u2", "i1", T),
        ("u1", "i72138", T),
    ]
    assert raw.items.columns == ["item_id", "title", "tag", "description", "image"]
    assert raw.items.rows() == [
        ("i72138", "Cat, dog", "Game", 'Two lines, "quoted"', None),
        ("i1", "Only a title", None, None, "i1.jpg"),
        ("i192714", None, "Music", "Tune > words", None),
    ]
    assert raw.images == folder / "covers"
    for sentence in (
        "dropped 'Pixel200K.csv': 2 columns not read, since such counts were taken over all time",
        "'view_number', 'comment_number'",
        "1 item without a title",
        "1 item without a tag",
        "1 item without a description",
        "1 file of the dataset not read: 'notes.csv'",
        "kept 1 item without an interaction: 'i192714'",
    ):
        assert sentence in said(raw)


def test_files_by_name_and_an_older_copy_without_descriptions(tmp_path):
    (tmp_path / "interaction.csv").write_text(LOG)
    (tmp_path / "item_info.csv").write_text("item_id,title,tag\ni1,A,B\n")
    log = tmp_path / "interaction.csv"
    bare = read_pixelrec(log)
    assert bare.items.columns == ["item_id", "image"]
    assert "warning No file of item information" in said(bare)
    raw = read_pixelrec(log, items=tmp_path / "item_info.csv")
    assert raw.items["title"].to_list() == ["A", None]
    assert "'item_info.csv': 1 item without a description." in said(raw)
    assert raw.files == (log, tmp_path / "item_info.csv")


def test_folders_that_leave_a_choice_or_none(folder):
    (folder / "Pixel1M.csv").write_text(LOG)
    with pytest.raises(DataError, match=r"2 files of interactions: 'Pixel1M\.csv', 'dataset/Pixel"):
        read_pixelrec(folder)
    (folder / "Pixel1M.csv").write_text(INFO)
    with pytest.raises(DataError, match=r"2 files of item information: .* one with --items"):
        read_pixelrec(folder)
    for name in ("Pixel1M.csv", "dataset/Pixel200K.csv"):
        (folder / name).unlink()
    message = r"holds 'notes\.csv', 'information/.*; expected were a \.csv with the header item_id,"
    with pytest.raises(DataError, match=message):
        read_pixelrec(folder)


def test_files_of_another_form(folder):
    log = folder / "dataset" / "Pixel200K.csv"
    with pytest.raises(DataError, match=r"notes\.csv' has a, b; expected was a header with item_"):
        read_pixelrec(log, items=folder / "notes.csv")
    log.write_text(LOG.split("\n", 1)[1])
    with pytest.raises(DataError, match=r"has no header; expected was a header with item_id, user"):
        read_pixelrec(log)
    log.write_text(LOG + f",u3,{T}\n")
    with pytest.raises(DataError, match=r"1 row .* has no item_id; first in line 5"):
        read_pixelrec(log)
    assert read_pixelrec(log, drop_invalid=True).interactions.height == 3
