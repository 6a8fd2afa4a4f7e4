import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmrec.core.errors import DataError
from vlmrec.data.cleaning import CleaningOptions, clean
from vlmrec.data.dataset import Dataset
from vlmrec.data.recbole_files import write_recbole
from vlmrec.data.sources.recbole import read_recbole

ids = st.text("x7\"'|:#é -", min_size=1, max_size=3).map(lambda text: f"i{text}i")
words = st.text("ab3\"'|,:;#é-", min_size=1, max_size=4).map(lambda text: f"{text.rstrip(',')}w")
texts = st.none() | st.lists(words, min_size=1, max_size=4).map(" ".join)
events = st.lists(
    st.tuples(st.sampled_from("uvw"), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12
)
attributes = st.tuples(
    texts,
    texts,
    st.none() | st.lists(words, min_size=1, max_size=3),
    st.none() | st.integers(-(2**53), 2**53),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
COLUMNS = {
    "title": pl.String,
    "brand": pl.String,
    "tags": pl.List(pl.String),
    "count": pl.Int64,
    "price": pl.Float64,
}


@settings(deadline=None, max_examples=40)
@given(
    st.lists(ids, min_size=4, max_size=4, unique=True),
    events,
    st.lists(attributes, min_size=4, max_size=4),
)
def test_what_is_written_reads_back_as_it_was(items, log, known):
    table = pl.DataFrame(known, schema=COLUMNS, orient="row")
    table.insert_column(0, pl.Series("item_id", items))
    frame = pl.DataFrame(log, schema=["user_id", "item", "timestamp"], orient="row")
    named = frame.with_columns(pl.col("item").replace_strict(dict(enumerate(items))))
    data = Dataset.from_frames(named.rename({"item": "item_id"}), table)
    with tempfile.TemporaryDirectory() as folder:
        written = write_recbole(data, Path(folder) / "shop")
        raw = clean(read_recbole(Path(folder) / "shop"), CleaningOptions(min_history=1))
    assert not [note for note in written.notes if note.kind != "warning"]
    back = Dataset.from_frames(raw.interactions, raw.items)
    expected = data.to_interactions().unique(maintain_order=True)
    assert back.to_interactions().equals(expected)
    assert back.items.names.to_list() == items
    for name in COLUMNS:
        if data.catalog.table[name].null_count() < 4:
            assert back.catalog.table[name].to_list() == data.catalog.table[name].to_list()


@settings(deadline=None, max_examples=60)
@given(st.text("ab\t\n\r\"', :1.é\x1c\u2028", max_size=60), st.booleans(), st.booleans())
def test_damaged_rows_are_read_or_refused_but_never_a_crash(text, in_items, drop):
    files = {
        "inter": "user_id:token\titem_id:token\ttimestamp:float\nu\ti\t1\n",
        "item": "item_id:token\ttags:token_seq\tprice:float\ni\ta b\t2\n",
    }
    files["item" if in_items else "inter"] += text
    with tempfile.TemporaryDirectory() as folder:
        for suffix, content in files.items():
            path = Path(folder) / f"x.{suffix}"
            path.write_text(content, newline="", encoding="utf-8")
        try:
            raw = read_recbole(Path(folder), drop_invalid=drop)
        except DataError:
            return
    n_lines = sum(bool(line) for line in text.replace("\r", "\n").split("\n"))
    assert 1 <= raw.interactions.height <= 1 + n_lines
    assert sum(raw.interactions.null_count().row(0)) == 0
    assert raw.items["item_id"].is_unique().all()
    assert raw.items["tags"][0].to_list() in (["a", "b"], ["a b"])
