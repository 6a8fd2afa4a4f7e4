import datetime
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image

from vlmrec.core.errors import ArtifactError, DataError
from vlmrec.data.dataset import Dataset
from vlmrec.testing.worlds import small_items, small_log

LOG = {
    "user_id": ["u2", "u1", "u2", "u1", "u2"],
    "item_id": ["01", "b", "1", "a", "b"],
    "timestamp": [50, 7, 50, 3, 20],
}
ITEMS = {"item_id": ["a", "lonely", "01"], "title": ["A", "Nobody's", None]}


def walks(data: Dataset) -> dict[str, list[str]]:
    rows = data.sequences.whole()
    return {
        name: data.items.to_external(rows.subset(np.array([i])).flat())
        for i, name in enumerate(data.users.names)
    }


@pytest.mark.parametrize(
    "convert",
    [dict, pl.DataFrame, lambda c: pl.DataFrame(c).lazy(), pd.DataFrame, pa.table],
    ids=["dict", "polars", "lazy", "pandas", "arrow"],
)
def test_any_table_gives_the_same_dataset(convert):
    data = Dataset.from_frames(convert(LOG), convert(ITEMS))
    assert data.users.names.to_list() == ["u2", "u1"]
    assert walks(data) == {"u2": ["b", "01", "1"], "u1": ["a", "b"]}
    assert data.items.names.to_list()[:3] == ["a", "lonely", "01"]
    assert sorted(data.items.names.to_list()[3:]) == ["1", "b"]
    assert data.catalog.texts()[:3] == ["A", "Nobody's", ""]
    expected = Dataset.from_frames(pl.DataFrame(LOG), pl.DataFrame(ITEMS))
    assert data.fingerprint == expected.fingerprint


def test_equal_times_keep_the_order_of_rows():
    items = [f"i{n}" for n in (4, 2, 9, 1, 7)]
    frame = {"user_id": ["u"] * 5, "item_id": items, "timestamp": [5, 5, 1, 5, 5]}
    assert walks(Dataset.from_frames(frame))["u"] == ["i9", "i4", "i2", "i1", "i7"]


def test_times_may_be_dates():
    moment = datetime.datetime(2020, 1, 1, 12, 0, 0)
    frame = pl.DataFrame({"user_id": ["u"], "item_id": ["a"], "timestamp": [moment]})
    assert Dataset.from_frames(frame).sequences.timestamps.tolist() == [1577880000]
    whole = {"user_id": ["u"], "item_id": ["a"], "timestamp": [1577880000.0]}
    assert Dataset.from_frames(whole).sequences.timestamps.tolist() == [1577880000]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user_id": None}, r"no column 'user_id'"),
        ({"timestamp": ["x"] * 5}, r"holds String; expected whole seconds UTC or dates"),
        ({"timestamp": [1, 2, None, 4, 5]}, r"1 interactions have no time"),
        ({"timestamp": [1, 2, -3, 4, 5]}, r"1 interactions have a negative time"),
        ({"item_id": ["a", None, "b", "c", None]}, r"2 interactions have no item_id"),
    ],
)
def test_an_unusable_log_is_said(change, message):
    columns = {key: value for key, value in {**LOG, **change}.items() if value is not None}
    with pytest.raises(DataError, match=message):
        Dataset.from_frames(columns)


def test_unusable_tables_are_said():
    with pytest.raises(DataError, match="The interactions are empty"):
        Dataset.from_frames(pl.DataFrame(LOG).clear())
    with pytest.raises(DataError, match=r"are a builtins\.int; expected a pandas"):
        Dataset.from_frames(3)
    with pytest.raises(DataError, match="The items table has no column 'item_id'"):
        Dataset.from_frames(LOG, {"sku": ["a"]})
    with pytest.raises(DataError, match="item id 'a' occurs more than once"):
        Dataset.from_frames(LOG, {"item_id": ["a", "a"]})


def test_a_fingerprint_tells_every_event_and_caption():
    base = Dataset.from_frames(small_log(), small_items())
    assert base.fingerprint == Dataset.from_frames(small_log(), small_items()).fingerprint
    log, items = small_log(), small_items()
    later = log.with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(pl.col("timestamp") + 1).otherwise("timestamp")
        .alias("timestamp")
    )  # fmt: skip
    caption = items.with_columns(pl.col("title").replace("title of i03", "Title of i03"))
    picture = items.with_columns(image=pl.lit("a.jpg"))
    others = [
        Dataset.from_frames(log.head(-1), items),
        Dataset.from_frames(later, items),
        Dataset.from_frames(log, caption),
        Dataset.from_frames(log, picture),
        Dataset.from_frames(log, items.reverse()),
        Dataset.from_frames(log.with_columns(pl.col("user_id") + "x"), items),
    ]
    assert len({base.fingerprint, *(one.fingerprint for one in others)}) == 7


@pytest.fixture
def pictures(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / "pics" / folder).mkdir(parents=True)
        Image.new("RGB", (4, 4), "red").save(tmp_path / "pics" / folder / "p.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "pics" / "01.png")
    return tmp_path / "pics"


def test_a_saved_dataset_is_the_same_and_stays_on_disk(pictures, tmp_path):
    items = {
        "item_id": ["a", "b", "01", "1"],
        "tags": [["x", "y"], [], None, ["z"]],
        "price": [1.5, None, 3.0, 2.0],
        "image": ["one/p.png", "two/p.png", None, "gone.png"],
    }
    log = {**LOG, "rating": [1, 2, 3, 4, 5]}
    data = Dataset.from_frames(log, pl.DataFrame(items), images=pictures)
    stored = data.save(tmp_path / "d", source={"kind": "test"})
    again = Dataset.load(tmp_path / "d")
    assert isinstance(again.sequences.items, np.memmap)
    assert walks(again) == walks(stored) == walks(data)
    assert again.fingerprint == stored.fingerprint
    assert again.catalog.texts() == data.catalog.texts()
    names = [path and path.relative_to(tmp_path / "d") for path in again.catalog.image_paths()]
    assert [str(name) for name in names] == [
        "images/p.png", "images/1-p.png", "images/01.png", "None",
    ]  # fmt: skip
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    assert manifest["counts"]["items_with_image"] == 3
    assert manifest["source"] == {"kind": "test"}
    stored_log = pl.read_parquet(tmp_path / "d" / "interactions.parquet")
    assert stored_log.columns == ["user_id", "item_id", "timestamp", "rating"]
    assert stored_log["rating"].to_list() == [5, 1, 3, 4, 2]
    assert again.leave_one_out().fingerprint == stored.leave_one_out().fingerprint


def test_a_folder_without_a_manifest_loads_as_it_is(tmp_path):
    pl.DataFrame(LOG).write_parquet(tmp_path / "interactions.parquet")
    pl.DataFrame(ITEMS).write_parquet(tmp_path / "items.parquet")
    data = Dataset.load(tmp_path)
    assert walks(data) == {"u2": ["b", "01", "1"], "u1": ["a", "b"]}
    assert data.items.names.to_list()[:3] == ["a", "lonely", "01"]
    again = data.save(tmp_path / "saved")
    assert walks(again) == walks(data)


def test_a_dataset_is_not_replaced_unasked(tmp_path):
    data = Dataset.from_frames(LOG)
    data.save(tmp_path / "d")
    with pytest.raises(DataError, match="exists and is not empty"):
        data.save(tmp_path / "d")
    assert data.save(tmp_path / "d", overwrite=True).n_items == 4


def test_what_is_no_dataset_is_said(tmp_path):
    with pytest.raises(DataError, match=r"has no 'interactions\.parquet'"):
        Dataset.load(tmp_path)
    (tmp_path / "interactions.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ArtifactError, match="cannot be read as Parquet"):
        Dataset.load(tmp_path)
    pl.DataFrame({"user": ["u"], "item_id": ["a"], "timestamp": [1]}).write_parquet(
        tmp_path / "interactions.parquet"
    )
    with pytest.raises(DataError, match=r"no column 'user_id'.*user"):
        Dataset.load(tmp_path)
    pl.DataFrame(LOG).clear().write_parquet(tmp_path / "interactions.parquet")
    with pytest.raises(DataError, match="has no rows"):
        Dataset.load(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(ArtifactError, match="not a dataset manifest of format 1"):
        Dataset.load(tmp_path)


def test_a_prepared_dataset_that_lost_a_file_is_said(tmp_path):
    Dataset.from_frames(LOG).save(tmp_path / "d")
    (tmp_path / "d" / "sequences" / "items.npy").unlink()
    with pytest.raises(ArtifactError, match=r"items\.npy' cannot be read"):
        Dataset.load(tmp_path / "d")
    (tmp_path / "d" / "items.parquet").write_bytes(b"xx")
    with pytest.raises(ArtifactError, match=r"items\.parquet' cannot be read as Parquet"):
        Dataset.load(tmp_path / "d")
