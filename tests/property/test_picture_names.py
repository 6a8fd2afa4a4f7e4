import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from vlmrec.data.fetching.picture_files import file_stems

ids = st.text(min_size=1, max_size=80) | st.sampled_from(["a", "A", "..", ".", "a/b", "CON", "~"])


@given(st.lists(ids, min_size=1, max_size=8, unique=True), st.data())
def test_names_are_safe_and_no_two_items_share_one(item_ids, data):
    own = data.draw(st.lists(st.none() | ids, min_size=len(item_ids), max_size=len(item_ids)))
    images = [None if name is None else f"images/{name.replace('/', '-')}.jpg" for name in own]
    stems = file_stems(pl.DataFrame({"item_id": item_ids, "image": images}))
    assert list(stems) == item_ids
    folded = [stem.casefold() for stem in stems.values()]
    assert len(set(folded)) == len(item_ids)
    for item_id, image, stem in zip(item_ids, images, stems.values(), strict=True):
        assert stem.isascii()
        assert not stem.startswith(".")
        assert not set('/\\:*?"<>|\0 \n') & set(stem)
        assert len(stem) <= 150
        others = [one for one in images if one is not None and one != image]
        assert f"images/{stem}.jpg".casefold() not in [one.casefold() for one in others]
        if item_id.isascii() and item_id.isalnum() and item_id not in ("a", "A"):
            assert stem == item_id or "~" in stem


def test_no_id_can_pose_as_the_name_of_another():
    def stems(*item_ids: str) -> dict[str, str]:
        return file_stems(pl.DataFrame({"item_id": item_ids, "image": [""] * len(item_ids)}))

    posing = stems("a", "A")["a"]
    assert len(set(stems("a", "A", posing).values())) == 3
