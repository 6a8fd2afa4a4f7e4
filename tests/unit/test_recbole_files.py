"""What is written for RecBole: each line of it, what is changed on the way, what is refused."""

import csv
import errno
import io
import json
from pathlib import Path

import polars as pl
import pytest

from vlmrec.core.errors import ArtifactError, DataError
from vlmrec.data.dataset import Dataset
from vlmrec.data.recbole_files import write_recbole
from vlmrec.data.sources.recbole import read_recbole
from vlmrec.data.stored_events import load_with_events

LOG = pl.DataFrame(
    {
        "user_id": ["b", "a", "b", "a"],
        "item_id": ["2", "1", "1", "3"],
        "timestamp": [1_500_000_000, 7, 1_500_000_000, 7],
        "rating": pl.Series([0.1, 5.0, None, 4.5], dtype=pl.Float32),
        "event": ["view", None, "buy", "view"],
    }
)
ITEMS = pl.DataFrame(
    {
        "item_id": ["1", "2", "3", "4"],
        "title": ["Cups & more", '12" "pipe"', None, 'tab\there\nand  "there"'],
        "genres": [["Drama", "Sci-Fi"], ["Ice cream,", ""], [], None],
        "year": [1995, None, 2001, 2_000_000_011],
        "price": [1.0, 0.25, float("nan"), None],
        "brand": ["Acme Corp", None, "", "x"],
        "new": [True, False, None, True],
        "rating": [4.5, 3.0, None, None],
        "emb": [[0.5, 1.0], [1.0, 2.0], None, []],
        "a b:c": ["x", "y", "z", None],
        "nested": [{"a": 1}, None, None, None],
        "void": pl.Series([[], [""], None, []], dtype=pl.List(pl.String)),
        "nothing": pl.Series([None] * 4, dtype=pl.String),
        "image": ["1.jpg", None, None, None],
    },
    strict=False,
)


def lines(path: Path) -> list[list[str]]:
    """Returns the fields as RecBole's reader, which knows quotes, sees them."""
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8")), delimiter="\t"))


def test_events_stand_by_user_and_time_and_equal_times_as_in_the_source(tmp_path):
    written = write_recbole(Dataset.from_frames(LOG, ITEMS), tmp_path / "shop")
    assert written.interactions == tmp_path / "shop" / "shop.inter"
    assert lines(written.interactions) == [
        ["user_id:token", "item_id:token", "timestamp:float", "rating:float", "event:token"],
        ["b", "2", "1500000000", "0.1", "view"],
        ["b", "1", "1500000000", "", "buy"],
        ["a", "1", "7", "5.0", ""],
        ["a", "3", "7", "4.5", "view"],
    ]


def test_items_have_types_and_every_change_is_said(tmp_path):
    written = write_recbole(Dataset.from_frames(LOG, ITEMS), tmp_path / "x", "shop")
    header, *rows = lines(tmp_path / "x" / "shop.item")
    assert tuple(header) == written.fields["shop.item"]
    assert [dict(zip(header, row, strict=True)) for row in rows[:2]] == [
        {
            "item_id:token": "1",
            "title:token_seq": "Cups & more",
            "genres:token_seq": "Drama Sci-Fi",
            "year:float": "1995",
            "price:float": "1.0",
            "brand:token": "Acme Corp",
            "new:token": "true",
            "item_rating:float": "4.5",
            "emb:float_seq": "0.5 1.0",
            "a_b_c:token": "x",
        },
        {
            "item_id:token": "2",
            "title:token_seq": '12" "pipe"',
            "genres:token_seq": "Ice_cream",
            "year:float": "",
            "price:float": "0.25",
            "brand:token": "",
            "new:token": "false",
            "item_rating:float": "3.0",
            "emb:float_seq": "1.0 2.0",
            "a_b_c:token": "y",
        },
    ]
    assert rows[3][:4] == ["4", 'tab here and "there"', "", "2000000011"]
    assert [(note.kind, note.count, note.sentence) for note in written.notes] == [
        ("changed", 1, "1 text of 'title': line ends, tabs and runs of blanks."),
        (
            "changed",
            1,
            "1 word of 'genres': blanks inside became underscores, commas at the end went.",
        ),
        ("dropped", 1, "1 value of 'price' that is no number: left empty."),
        ("changed", 1, "Column 'rating' is called 'item_rating'."),
        ("changed", 1, "Column 'a b:c' is called 'a_b_c'."),
        ("dropped", 1, "Column 'nested' (Struct({'a': Int64})) has no place in an atomic file."),
        ("dropped", 1, "Column 'image' (paths of pictures) has no place in an atomic file."),
    ]


def test_ids_that_break_lines_are_refused_and_odd_ones_named(tmp_path):
    for bad in ("a\tb", "a\nb", " a", "", "a\u2028b"):
        log = LOG.with_columns(pl.col("user_id").replace("a", bad))
        with pytest.raises(DataError, match="1 user id cannot stand in an atomic file, such as"):
            write_recbole(Dataset.from_frames(log), tmp_path / "shop")
    assert not list(tmp_path.iterdir())
    log = LOG.with_columns(pl.col("item_id").replace({"1": "a  b", "2": "null"}))
    written = write_recbole(Dataset.from_frames(log), tmp_path / "shop")
    kinds = [(note.kind, note.sentence.partition(":")[0]) for note in written.notes]
    assert kinds == [
        ("warning", "1 item id with blanks inside, such as 'a  b'"),
        ("warning", "1 item id that RecBole takes for a missing value and drops"),
    ]
    assert read_recbole(tmp_path / "shop").items["item_id"].to_list() == ["null", "a  b", "3"]


def test_names_that_cannot_be_are_refused(tmp_path):
    data = Dataset.from_frames(
        LOG, ITEMS.select("item_id", pl.lit("x").alias("item_rating"), "rating")
    )
    with pytest.raises(DataError, match="Two columns would be written as 'item_rating'"):
        write_recbole(data, tmp_path / "shop")
    for name in ("a/b", "..", ""):
        with pytest.raises(DataError, match="is no name for files"):
            write_recbole(Dataset.from_frames(LOG), tmp_path / "shop", name)
    assert not list(tmp_path.iterdir())


def test_nothing_half_written_stays_and_nothing_is_replaced_unasked(tmp_path, monkeypatch):
    data = Dataset.from_frames(LOG, ITEMS)
    write_recbole(data, tmp_path / "shop")
    with pytest.raises(DataError, match="exists and is not empty"):
        write_recbole(data, tmp_path / "shop")
    before = (tmp_path / "shop" / "shop.item").read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vlmrec.data.recbole_files._write", full)
    with pytest.raises(DataError, match="the disk is full"):
        write_recbole(data, tmp_path / "shop", overwrite=True)
    assert (tmp_path / "shop" / "shop.item").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def test_a_prepared_folder_gives_its_ratings_back_in_order(tmp_path):
    Dataset.from_frames(LOG, ITEMS.drop("image", "nested")).save(tmp_path / "data")
    loaded = load_with_events(tmp_path / "data")
    assert loaded.events is not None
    assert loaded.events["event"].to_list() == ["view", "buy", None, "view"]
    assert load_with_events_of_plain_log(tmp_path / "plain").events is None
    LOG.reverse().write_parquet(tmp_path / "data" / "interactions.parquet")
    with pytest.raises(ArtifactError, match="is not the log from which"):
        load_with_events(tmp_path / "data")
    (tmp_path / "data" / "interactions.parquet").write_text("x")
    with pytest.raises(ArtifactError, match="cannot be read as Parquet"):
        load_with_events(tmp_path / "data")


def load_with_events_of_plain_log(folder: Path) -> Dataset:
    Dataset.from_frames(LOG.drop("rating", "event")).save(folder)
    assert "events" not in json.loads((folder / "manifest.json").read_text())
    return load_with_events(folder)
