"""RecBole's atomic files as they are published, with every quirk seen in them."""

from pathlib import Path

import pytest
from PIL import Image

from vlmrec.core.errors import DataError
from vlmrec.data.sources.columns_guess import ColumnNames
from vlmrec.data.sources.recbole import read_recbole

LOG = (
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\tcategory:token_seq\r\n"
    "u1\t007\t4.0\t1.5e9\ta b\r\n"
    "u1\t7\t\t1500000060.0\t\r\n"
    "u2\t9\t3.5\t1500000001\tc\r\n"
)
ITEMS = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\tprice:float\t"
    "rank:float\temb:float_seq\n"
    "7\tToy  Story &amp; Co\t1995\tAnimation Children's Sci-Fi\t3.5\t10\t0.1 0.2 0.3\n"
    "007\t\t\t\t\t\t\n"
    '8\t"""Great"" Cats"\t01995\tDrama\tnan\t20\t1 2 3\n'
)


def write(folder: Path, **files: str) -> Path:
    """Writes ``shop.SUFFIX`` for each file; an underscore in a suffix stands for a point."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in files.items():
        (folder / f"shop.{suffix.replace('_', '.')}").write_text(text, newline="")
    return folder


def said(raw) -> str:
    return "\n".join(f"{note.kind} {note.count}: {note.sentence}" for note in raw.notes)


def test_events_keep_ids_and_the_order_of_the_file(tmp_path):
    raw = read_recbole(write(tmp_path / "shop", inter=LOG))
    assert raw.interactions.rows() == [
        ("u1", "007", 1_500_000_000, 4.0),
        ("u1", "7", 1_500_000_060, None),
        ("u2", "9", 1_500_000_001, 3.5),
    ]
    assert raw.items["item_id"].to_list() == ["007", "7", "9"]
    assert raw.files == (tmp_path / "shop" / "shop.inter",)
    assert "1 column not needed: 'category'" in said(raw)


def test_types_decide_what_cells_of_items_are(tmp_path):
    raw = read_recbole(write(tmp_path / "shop", inter=LOG, item=ITEMS, user="", kg="x"))
    assert raw.items.drop("image").rows(named=True) == [
        {
            "item_id": "7",
            "title": "Toy Story & Co",
            "release_year": "1995",
            "class": ["Animation", "Children's", "Sci-Fi"],
            "price": 3.5,
            "rank": 10,
        },
        {"item_id": "007"} | dict.fromkeys(("title", "release_year", "class", "price", "rank")),
        {
            "item_id": "8",
            "title": '"Great" Cats',
            "release_year": "01995",
            "class": ["Drama"],
            "price": None,
            "rank": 20,
        },
        {"item_id": "9"} | dict.fromkeys(("title", "release_year", "class", "price", "rank")),
    ]
    for part in (
        "dropped 2: 2 files not used: 'shop.user', 'shop.kg'",
        "dropped 2: 'shop.item': column 'emb' holds 2 vectors of 3 numbers",
        "dropped 1: 'shop.item': 1 cell of 'price' that hold no number",
        "changed 1: 'shop.item': HTML taken out of 1 text in 'title'",
        "kept 1: 1 item without an interaction: '8'",
        "kept 1: 1 item with interactions but without a row in the items: '9'",
    ):
        assert part in said(raw)


def test_lists_with_commas_are_cut_there(tmp_path):
    items = (
        "item_id:token\tcategories:token_seq\n"
        "7\tFood, Ice Cream\n9\t'Home & Garden', 'Pots'\n007\tFood\n"
    )
    raw = read_recbole(write(tmp_path / "shop", inter=LOG, item=items))
    lists = raw.items["categories"].to_list()
    assert lists == [["Food", "Ice Cream"], ["Home & Garden", "Pots"], ["Food"]]
    assert "changed 2: 'shop.item': 2 lists of 'categories' cut at commas" in said(raw)


def test_times_finer_than_seconds_order_the_rows_before_they_are_cut(tmp_path):
    log = (
        "session_id:token\titem_id:token\ttimestamp:float\n"
        "s\tthird\t10.75\ns\tsecond\t10.25\ns\tfirst\t10.0\nt\talone\t\n"
    )
    folder = write(tmp_path / "shop", inter=log)
    raw = read_recbole(folder, drop_invalid=True)
    assert raw.interactions["item_id"].to_list() == ["first", "second", "third"]
    assert raw.interactions["timestamp"].to_list() == [10, 10, 10]
    assert "changed 2: 2 times finer than a second" in said(raw)
    assert "first in line 5 of 'shop.inter'" in said(raw)
    with pytest.raises(DataError, match=r"1 row of .* has no readable time; first in line 5"):
        read_recbole(folder)


def test_columns_can_be_named_with_or_without_type(tmp_path):
    log = "artist:token\tfan:token\tat:float\n7\tu\t1\n"
    items = "artist:token\tlabel:token_seq\n7\tThe Band\n"
    names = ColumnNames(user="fan:token", item="artist", time="3", title="label:token_seq")
    raw = read_recbole(write(tmp_path / "shop", inter=log, item=items), names=names)
    assert raw.interactions.rows() == [("u", "7", 1)]
    assert raw.items["title"].to_list() == ["The Band"]
    with pytest.raises(DataError, match="has no column for the user"):
        read_recbole(tmp_path / "shop")
    with pytest.raises(DataError, match=r"--user buyer: no file has a column 'buyer'"):
        read_recbole(tmp_path / "shop", names=ColumnNames(user="buyer"))


def test_pictures_are_found_by_item(tmp_path):
    folder = write(tmp_path / "shop", inter=LOG)
    (tmp_path / "covers").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "covers" / "007.jpg")
    raw = read_recbole(folder, images=tmp_path / "covers")
    assert raw.items["image"].to_list() == ["007.jpg", None, None]


def test_the_file_is_found(tmp_path):
    folder = write(tmp_path / "shop", inter=LOG, train_inter="x", test_inter="x", item=ITEMS)
    for path in (folder, folder / "shop.inter"):
        assert read_recbole(path).interactions.height == 3
    (folder / "shop.inter").rename(folder / "other.inter")
    with pytest.raises(DataError, match=r"several \.inter files: 'other.inter', 'shop.test.inter'"):
        read_recbole(folder)
    raw = read_recbole(folder / "other.inter", separator="\t")
    assert raw.files == (folder / "other.inter",)
    comma = tmp_path / "comma.inter"
    comma.write_text(LOG.replace("\t", ","))
    assert read_recbole(comma, separator=",").interactions.height == 3


CASES = "user_id:token\titem_id_list:token_seq\titem_id:token\nu\t1 2\t3\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("shop.inter", CASES, r"holds cases, not events.*Wanted is the \.inter file"),
        ("shop.inter", LOG.replace(":token\t", "\t"), "'user_id' where name:type was expected"),
        ("shop.inter", LOG.replace("rating:float", "rating:int"), "Types are token, float, "),
        ("shop.inter", LOG.replace("\t", ","), "fields are separated by tabs"),
        ("shop.inter", "1\t2\t3\n1\t4\t5\n", "holds '1' where name:type"),
        (
            "shop.inter",
            LOG.replace("timestamp", "x"),
            "has no column for the time. Found: user_id, item_id, rating, x, category",
        ),
        (
            "shop.inter",
            LOG.replace("category:token_seq", "rating:token"),
            "two columns named 'rating'",
        ),
        ("shop.inter", LOG + "u\t1\r\n", "Line 5 .* has 2 fields where 5 were expected"),
        ("shop.user", "x", r"holds no \.inter file. It holds 'shop.user'"),
    ],
)
def test_what_is_refused(name, text, message, tmp_path):
    (tmp_path / name).write_text(text, newline="")
    with pytest.raises(DataError, match=f"(?s){message}"):
        read_recbole(tmp_path)


def test_other_files_are_refused(tmp_path):
    folder = write(tmp_path / "shop", inter=LOG, item=ITEMS)
    with pytest.raises(DataError, match=r"does not hold interactions: their file ends in \.inter"):
        read_recbole(folder / "shop.item")
    with pytest.raises(DataError, match=r"Did you mean 'shop\.inter'"):
        read_recbole(folder / "shops.inter")
