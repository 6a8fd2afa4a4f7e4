"""Fine-tuning sets: who is in them, what they say, and what blank fields leave behind."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.core.random import Streams
from vlmrec.data.catalog import Catalog, complete_table
from vlmrec.data.sequences import Sequences
from vlmrec.models.mirm_attributes import attribute_columns, attributes_of
from vlmrec.models.mirm_tasks import MirmTasks, TaskOptions, make_examples
from vlmrec.models.mirm_templates import attributes_prompt, description_from, history_prompt
from vlmrec.vlm.prompts import ImagePart, TextPart

PICTURES = [None, Path("1.png"), None, Path("3.png"), Path("4.png"), None]


def catalog(**columns):
    """Item 1 has everything, 2 no picture, 3 no description, 4 no title, 5 nothing."""
    table = pl.DataFrame(
        {
            "item_id": list("abcde"),
            "title": ["One", "Two", "Three", "  ", None],
            "description": ["first of all", "second\n to none", None, "fourth", ""],
            "genres": [["x", "y", "z"], [], ["x"], None, ["", None]],
            "year": [1995, 2000, None, None, None],
            **columns,
        },
        strict=False,
    )
    return Catalog(complete_table(table, pl.Series([], dtype=pl.String)), None)


def histories(*rows):
    offsets = np.cumsum([0, *map(len, rows)])
    flat = np.array([item for row in rows for item in row], dtype=np.int32)
    return Sequences(flat, offsets, np.zeros(len(flat), dtype=np.int64)).whole()


def make(rows=((1, 2, 3),), inputs="both", known=(1, 2, 3, 4, 5), items=None, seed=0, **options):
    return make_examples(
        items or catalog(), histories(*rows), np.array(known), PICTURES,
        inputs=inputs, options=MirmTasks(**options), streams=Streams(seed),
    )  # fmt: skip


def words(example):
    return "".join(part.text for part in example.prompt if isinstance(part, TextPart))


def seen(example):
    return [part.source for part in example.prompt if isinstance(part, ImagePart)]


def test_pictures_are_answered_by_their_descriptions():
    found = make()["image_text"]
    assert [(seen(one), one.answer) for one in found] == [
        ([Path("1.png")], "first of all"),
        ([Path("4.png")], "fourth"),
    ]
    assert {words(one) for one in found} == {words(found[0])}
    assert make(description_words=2)["image_text"][0].answer == "first of"


def test_without_any_description_pictures_are_answered_by_the_composed_paragraph():
    bare = catalog(description=[None, "", " ", None, None])
    found = make(items=bare)
    composed = {one.answer for one in found["attributes"]}
    answers = [one.answer for one in found["image_text"]]
    assert answers == [
        "This is One. Its genres are x, y and z. It dates from 1995.",
        "This is Three. Its genre is x.",
    ]
    assert set(answers) <= composed


def test_attributes_are_asked_for_and_answered_without_blank_fields():
    found = make()["attributes"]
    asked = [words(one).split("attributes. ")[1] for one in found]
    assert asked == [
        "title: One; genres: x, y, z; year: 1995.",
        "title: Two; year: 2000.",
        "title: Three; genres: x.",
    ]
    assert found[1].answer == "This is Two. It dates from 2000."
    assert not any(map(seen, found))


def test_the_next_title_is_told_from_words_and_pictures_before_it():
    (found,) = make(rows=[(5, 1, 4, 2)], history=2)["behaviour"]
    assert found.answer == "Two"
    assert words(found).endswith("chosen next. 1.  One: first of all 2.  fourth")
    assert seen(found) == [Path("1.png"), Path("4.png")]
    cut = make(rows=[(1, 2)], item_words=2)["behaviour"][0]
    assert words(cut).endswith("One: first")


def test_a_history_that_shows_nothing_and_a_target_without_title_make_no_example():
    # 5 shows nothing, 4 has no title; in words alone 3 has a title only.
    assert [one.answer for one in make(rows=[(5, 1), (1, 4), (3, 1)])["behaviour"]] == ["One"]
    assert make(rows=[(2, 1), (1, 2)], inputs="image")["behaviour"][0].answer == "Two"
    assert len(make(rows=[(2, 1), (1, 2)], inputs="image")["behaviour"]) == 1


@pytest.mark.parametrize(("inputs", "counts"), [("both", (2, 3, 2)), ("text", (0, 3, 2)),
                                                ("image", (2, 0, 2))])  # fmt: skip
def test_inputs_decide_which_tasks_there_are_and_what_prompts_show(inputs, counts):
    found = make(inputs=inputs)
    assert tuple(map(len, found.values())) == counts
    behaviour = found["behaviour"][-1]
    assert bool(seen(behaviour)) == (inputs != "text")
    assert ("One" in words(behaviour)) == (inputs != "image")
    assert behaviour.answer == "Three"


def test_items_that_training_may_not_know_are_in_no_example():
    found = make(rows=[(2, 1, 3, 1, 2)], known=(2, 3))
    assert [one.answer for one in found["behaviour"]] == ["Three", "Two"]
    everything = str(found)
    assert "Two" in everything
    assert "One" not in everything
    assert "1.png" not in everything


def test_sizes_are_bounded_and_drawn_from_the_stream_without_replacement():
    rows = [tuple(np.random.default_rng(0).integers(1, 4, size=60))]
    small = TaskOptions(n_examples=20)

    def drawn(seed):
        return make(rows=rows, seed=seed, behaviour=small, attributes=TaskOptions(n_examples=1))

    assert {name: len(found) for name, found in drawn(0).items()} == {
        "image_text": 2,
        "attributes": 1,
        "behaviour": 20,
    }
    assert drawn(0) == drawn(0)
    assert drawn(0)["behaviour"] != drawn(1)["behaviour"]
    distinct = make(rows=[(1, 2, 3, 2, 1)], behaviour=TaskOptions(n_examples=3))["behaviour"]
    assert len({(words(one), one.answer) for one in distinct}) == 3


def test_tasks_that_are_off_or_find_nothing():
    assert list(make(image_text=None, attributes=None)) == ["behaviour"]
    assert make(rows=[(1,)])["behaviour"] == []
    with pytest.raises(DataError, match=r"behaviour with inputs=text.*Add what is missing"):
        make(rows=[(1,)], inputs="text", image_text=None, attributes=None)
    with pytest.raises(ConfigError, match="All three fine-tuning tasks are switched off"):
        make(image_text=None, attributes=None, behaviour=None)


def test_columns_that_describe_are_attributes():
    table = catalog(
        imdb_id=["tt1"] * 5,
        pageURL=["x"] * 5,
        home=["https://a.b", "http://c.d", None, None, None],
        average_rating=[4.5] * 5,
        story=["one two three four five six seven eight nine ten eleven twelve thirteen"] * 5,
        in_stock=[True] * 5,
        price=[19.99, 20.0, float("nan"), None, 0.5],
        brand=["A", " ", "", None, "B  C"],
    ).table
    assert attribute_columns(table) == ["genres", "year", "price", "brand"]
    assert attribute_columns(table, ["in_stock", "imdb_id"]) == ["in_stock", "imdb_id"]
    assert [row.get("price") for row in attributes_of(table, ["price"])] == [
        ("19.99",), ("20",), None, None, ("0.5",)
    ]  # fmt: skip
    assert attributes_of(table, ["brand", "in_stock"])[4] == {
        "brand": ("B C",),
        "in_stock": ("yes",),
    }
    with pytest.raises(ConfigError, match=r"'genre' is not a column.*Did you mean 'genres'"):
        attribute_columns(table, ["genre"])


def test_a_column_of_vectors_is_no_attribute():
    table = catalog(vector=[[0.1, 0.2]] * 5).table
    assert "vector" not in attribute_columns(table)
    with pytest.raises(ConfigError, match=r"'vector' holds List.*neither words nor numbers"):
        attribute_columns(table, ["vector"])


def test_every_attribute_is_a_sentence():
    told = description_from(
        "Dr. No!",
        {"sub_category": ["a", "b"], "director": ["C. D."], "Colors": ["e"], "status": ["f"],
         "mapType": ["g"], "series": ["h", "i"], "tags": ["j"]},
    )  # fmt: skip
    assert told == (
        "This is Dr. No! Its sub categories are a and b. It was directed by C. D. It comes in e. "
        "Its status is f. Its map type is g. Its series are h and i. People associate it with j."
    )
    assert description_from("", {"year": ["1995"]}) == "It dates from 1995."
    assert words_of(attributes_prompt("", {"year": ["1995"]})).endswith("attributes. year: 1995.")


def test_a_history_numbers_its_items():
    prompt = history_prompt([("One", None), ("", b"2"), ("Three", b"3")])
    assert words_of(prompt).endswith(" 1. One 2.  3.  Three")


def words_of(prompt):
    return "".join(part.text for part in prompt if isinstance(part, TextPart))
