from pathlib import Path

import polars as pl
import pytest

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.catalog import Catalog, complete_table, match_pictures


@pytest.fixture
def catalog() -> Catalog:
    table = pl.DataFrame(
        {
            "item_id": ["1", "2", "3"],
            "title": ["A film.", None, "  "],
            "genre": [["Drama", "War"], [], None],
            "year": [1999, None, 2001],
            "description": ["Long  ago.", "Only this", ""],
            "image": ["images/1.jpg", None, None],
        }
    )
    return Catalog(table, Path("/data"))


def test_words_are_joined_and_nothing_empty_is_read(catalog):
    assert catalog.texts() == ["A film. genre: Drama, War. Long ago.", "Only this", ""]


def test_fields_and_their_order_can_be_chosen(catalog):
    assert catalog.texts(["year", "title"]) == ["year: 1999. A film.", "", "year: 2001"]
    with pytest.raises(ConfigError, match=r"'titel' is not a column.*Did you mean 'title'"):
        catalog.texts(["titel"])


def test_pictures_are_where_the_root_is(catalog):
    assert catalog.image_paths() == [Path("/data/images/1.jpg"), None, None]
    assert Catalog(catalog.table, None).image_paths() == [None, None, None]


def test_items_that_only_occur_get_an_empty_row_behind_the_others():
    table = complete_table(
        pl.DataFrame({"item_id": [7], "image": [" "]}), pl.Series(["07", "7", "07", "a"])
    )
    assert table["item_id"].to_list() == ["7", "07", "a"]
    assert table["image"].to_list() == [None, None, None]
    assert table.columns == ["item_id", "image", "title", "description"]
    assert complete_table(None, pl.Series(["x"]))["item_id"].to_list() == ["x"]


def test_pictures_are_found_by_id(tmp_path):
    for name in ("01.jpg", "1.PNG", "notes.txt", "x.y.webp"):
        (tmp_path / name).write_bytes(b"")
    table = pl.DataFrame(
        {
            "item_id": ["01", "1", "notes", "x.y", "named"],
            "image": [None, None, None, None, "n.jpg"],
        }
    )
    found = match_pictures(table, tmp_path)["image"].to_list()
    assert found == ["01.jpg", "1.PNG", None, "x.y.webp", "n.jpg"]
    with pytest.raises(DataError, match=r"image folder '.*none' does not exist"):
        match_pictures(table, tmp_path / "none")
