"""Whatever stands in Amazon's files: a stated error, or exactly the right rows."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vlmrec.core.errors import DataError
from vlmrec.data.sources.amazon import read_amazon

T = 1_400_000_000
KEYS = ["title", "brand", "store", "main_category", "main_cat", "categories", "category"]
KEYS += ["features", "description", "price", "imUrl", "imageURL", "images", "related", "asin"]
TEXTS = st.text(max_size=6) | st.sampled_from(["Mug \ud83d", "$1,250.00", "9" * 400, "<b>x</b>"])
NUMBERS = st.integers() | st.floats() | st.just(10**400)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda one: (
        st.lists(one, max_size=3)
        | st.dictionaries(st.sampled_from(["hi_res", "large", "variant", "asin"]), one, max_size=3)
    ),
    max_leaves=6,
)
ITEM = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6)


def reviews(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "r.json"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


GOOD = [
    {"reviewerID": f"A{k}", "asin": f"B{k}", "overall": 5.0, "unixReviewTime": T} for k in range(3)
]


@settings(max_examples=150, deadline=None)
@given(st.lists(ITEM, min_size=3, max_size=3), st.booleans())
def test_any_metadata_is_read_and_no_item_is_lost(records: list[dict[str, Any]], literal: bool):
    named = [{**one, "parent_asin": f"B{k}"} for k, one in enumerate(records)]
    if literal:  # the form of 2014 begins with the id
        lines = [str({"asin": f"B{k}"} | one | {"asin": f"B{k}"}) for k, one in enumerate(records)]
    else:
        lines = [json.dumps(one) for one in named]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "meta.json").write_bytes("\n".join(lines).encode("utf-8", "replace"))
        raw = read_amazon([reviews(folder, GOOD), folder / "meta.json"], drop_invalid=True)
    assert raw.interactions.height == 3
    found = {row["item_id"]: row for row in raw.items.iter_rows(named=True)}
    assert set(found) == {"B0", "B1", "B2"}
    broken = any("cannot be read" in note.sentence for note in raw.notes)
    for k, record in enumerate(records):
        title = record.get("title")
        if isinstance(title, str) and title.isalnum() and title.isascii() and not broken:
            assert found[f"B{k}"]["title"] == title


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from([*GOOD[0]]), VALUES, min_size=1, max_size=4), max_size=3
    )
)
def test_reviews_are_right_or_refused(rows: list[dict[str, Any]]):
    with tempfile.TemporaryDirectory() as name:
        path = reviews(Path(name), [*GOOD, *rows])
        refusal = ""
        try:
            raw = read_amazon([path], drop_invalid=True)
        except DataError as error:
            raw, refusal = None, str(error)
    if raw is None:
        assert "r.json" in refusal
        return
    assert raw.interactions["user_id"].to_list()[:3] == ["A0", "A1", "A2"]
    told = sum(note.count for note in raw.notes if "row" in note.sentence)
    assert 3 <= raw.interactions.height <= 3 + len(rows)
    assert raw.interactions.height + told >= 3 + len(rows)
