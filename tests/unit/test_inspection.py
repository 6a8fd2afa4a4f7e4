import json

import numpy as np
import polars as pl
import pytest
from PIL import Image

from vlmrec.data.dataset import Dataset
from vlmrec.data.inspection import inspect_dataset
from vlmrec.data.picture_survey import same_pictures, survey_pictures

# u1 and u2 end with a tie, and u2 starts when u1 ends; u1 has "a" twice in the same second and
# once more as the target; u2's target "d" is never trained on, u3's "c" once (by u4).
EVENTS = [
    *[("u1", "a", 10), ("u1", "a", 10), ("u1", "b", 12), ("u1", "a", 12)],
    *[("u2", "b", 12), ("u2", "c", 30), ("u2", "d", 30)],
    *[("u3", "a", 29), ("u3", "b", 30), ("u3", "a", 31), ("u3", "c", 32)],
    ("u4", "c", 5),
]
ITEMS = pl.DataFrame(
    {
        "item_id": ["a", "b", "c", "d", "e"],
        "title": ["Cup", "Cup", None, "Pot", ""],
        "description": ["red", "red", None, None, ""],
        "image": ["a.jpg", None, "c.jpg", None, None],
    }
)


@pytest.fixture
def found(tmp_path):
    for name in ("a.jpg", "c.jpg"):
        Image.new("RGB", (4, 4), "red").save(tmp_path / name)
    log = pl.DataFrame(EVENTS, schema=["user_id", "item_id", "timestamp"], orient="row")
    return inspect_dataset(Dataset.from_frames(log, ITEMS, tmp_path))


def test_counts(found):
    assert (found.users, found.items, found.interactions) == (4, 5, 12)
    assert found.items_without_interactions == 1
    assert (found.per_user.min, found.per_user.median, found.per_user.max) == (1, 3.5, 4)
    assert (found.per_item.min, found.per_item.mean, found.per_item.max) == (1, 3.0, 5)


def test_coverage_by_items_and_by_interactions(found):
    assert found.coverage["title"].items == 3
    assert found.coverage["title"].interaction_share == pytest.approx(9 / 12)
    assert found.coverage["picture"].item_share == pytest.approx(2 / 5)
    assert found.coverage["picture"].interaction_share == pytest.approx(8 / 12)
    assert list(found.modalities.values()) == [1, 2, 1, 1]


def test_numbers_of_the_card_counted_by_hand(found):
    card = {check.name: check for check in found.card}
    assert card["tied times"].figures["tied_share"] == pytest.approx(6 / 12)
    assert card["tied times"].figures["users_with_tied_end"] == 2
    assert card["exact duplicates"].figures["interactions"] == 1
    assert card["repeated pairs"].figures["interactions"] == 3
    assert card["test targets"].figures == {"targets": 3, "users": 4}
    # Training holds u1's first two, u2's first, u3's first two and u4: its newest is 30.
    assert card["future in training"].figures["targets"] == 1
    assert card["targets in history"].figures["targets"] == 1
    assert card["targets unseen in training"].figures["targets"] == 1
    assert card["items with same words"].figures["items"] == 2
    assert card["items with same picture"].figures["items"] == 2
    assert card["items without words"].figures == {
        "items": 2,
        "targets": 1,
        "target_share": pytest.approx(1 / 3),
    }
    assert card["items without a picture"].figures["targets"] == 1


def test_findings_can_be_written_as_json(found):
    report = json.loads(json.dumps(found.as_dict()))
    assert [line["name"] for line in report["card"]] == [check.name for check in found.card]


def test_odd_and_useless_pictures(tmp_path, monkeypatch):
    blots = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(blots).resize((200, 200)).save(tmp_path / "good.jpg")
    Image.new("CMYK", (8, 8)).save(tmp_path / "cmyk.jpg")
    Image.new("I;16", (8, 8)).save(tmp_path / "deep.png")
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    whole = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) * 9 // 10])
    (tmp_path / "words.jpg").write_bytes(b"words")
    Image.new("1", (300, 300)).save(tmp_path / "vast.png")
    monkeypatch.setattr("vlmrec.data.picture_survey.MAX_PIXELS", 80_000)
    names = ["good.jpg", "cmyk.jpg", "deep.png", "moving.gif", "cut.jpg", "words.jpg", "vast.png"]
    paths = [None, *(tmp_path / name for name in names), tmp_path / "gone.jpg"]
    (quick, nothing), (full, prints) = (survey_pictures(paths, decode=d) for d in (False, True))
    assert quick.oddities == {"CMYK": 1, "16-bit": 1, "animated": 1} == full.oddities
    assert quick.problems == {"not-a-picture": 1, "gigantic": 1, "missing": 1}
    assert full.problems == quick.problems | {"truncated": 1}
    assert full.examples["truncated"] == "cut.jpg"
    assert full.named == 8
    assert nothing is None
    # A print of the picture with something on it; the even ones and the useless ones have none.
    assert [one is not None for one in prints] == [False, True, *[False] * 7]


def test_same_pictures_are_told_by_their_bytes(tmp_path):
    for name, data in {"a": b"12", "b": b"21", "c": b"12", "d": b"1"}.items():
        (tmp_path / name).write_bytes(data)
    paths = [tmp_path / "a", None, tmp_path / "b", tmp_path / "c", tmp_path / "d"]
    assert same_pictures(paths).among().tolist() == [True, False, False, True, False]
