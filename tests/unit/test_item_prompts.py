import io
from dataclasses import replace

import pytest
import torch
from PIL import Image

from vlmrec.core.errors import ConfigError
from vlmrec.items.cache import VectorCache
from vlmrec.items.content import item_vectors
from vlmrec.vlm.item_prompts import ItemFormat, PromptedItems
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import VlmOptions
from vlmrec.vlm.prompts import ImagePart, SpecialPart, TextPart, make_prompt


@pytest.fixture(scope="module")
def tiny():
    return load_vlm("tiny")


@pytest.fixture
def pictures(tmp_path):
    paths = []
    for number, colour in enumerate(("red", "blue", "green")):
        paths.append(tmp_path / f"{number}.png")
        Image.new("RGB", (30, 40 + number), colour).save(paths[-1])
    return paths


def png(colour):
    data = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(data, "PNG")
    return data.getvalue()


def test_a_format_puts_the_parts_where_it_says():
    layout = ItemFormat("Film: {text}. {image}{special:[Cur_Item]}")
    assert layout.fill("Alien", b"x") == (
        TextPart("Film: "),
        TextPart("Alien"),
        TextPart(". "),
        ImagePart(b"x"),
        SpecialPart("[Cur_Item]"),
    )
    assert ItemFormat().fill("", None) == ()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("{title}", "the unknown place {title}"), ("an item", "no place for the item")],
)
def test_a_senseless_format_is_refused(pattern, found):
    with pytest.raises(ConfigError, match=f"has {found}") as refused:
        ItemFormat(pattern)
    assert "Use {text}, {image} and {special:NAME}" in refused.value.fix


def test_items_are_encoded_from_what_they_have(tiny, pictures, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    texts = ["a cup", "a toy", "", "", " ", "a lamp"]
    shown = [pictures[0], None, pictures[1], bad, None, bad]
    vectors, present = PromptedItems(tiny, ItemFormat()).encode_items(texts, shown)
    assert present.tolist() == [True, True, True, False, False, True]
    assert not vectors[[3, 4]].any()
    expected = tiny.encode(
        [
            make_prompt(pictures[0], "a cup"),
            make_prompt("a toy"),
            make_prompt(pictures[1]),
            make_prompt("a lamp"),
        ]
    )
    torch.testing.assert_close(vectors[present], expected.detach(), atol=1e-4, rtol=1e-4)


def test_words_of_the_format_do_not_make_an_empty_item_an_item(tiny):
    encoder = PromptedItems(tiny, ItemFormat("Summarise: {image}{text}"))
    assert encoder.encode_items(["", "x"], [None, None])[1].tolist() == [False, True]


def test_an_image_format_ignores_texts_and_a_text_format_pictures(tiny, pictures):
    texts, shown = ["a cup", "a toy"], [pictures[0], None]
    _, seen = PromptedItems(tiny, ItemFormat("{image}")).encode_items(texts, shown)
    assert seen.tolist() == [True, False]
    read, present = PromptedItems(tiny, ItemFormat("{text}")).encode_items(texts, shown)
    assert present.all()
    expected = tiny.encode([make_prompt("a cup"), make_prompt("a toy")]).detach()
    torch.testing.assert_close(read, expected, atol=1e-4, rtol=1e-4)


def test_each_picture_is_seen_once(tiny, pictures, monkeypatch):
    calls = []
    see = tiny.family.see
    monkeypatch.setattr(tiny.family, "see", lambda these: calls.append(len(these)) or see(these))
    PromptedItems(tiny, ItemFormat()).encode_items(
        ["a", "b", "c"], [pictures[0]] * 2 + pictures[1:2]
    )
    assert calls == [2]


def test_one_edited_caption_is_one_encoded_item(tiny, pictures, tmp_path):
    cache = VectorCache(tmp_path / "cache")
    encoder = PromptedItems(tiny, ItemFormat())
    texts = ["a cup", "a toy", "a lamp"]
    first = item_vectors(texts, pictures, encoder, cache)
    again = item_vectors(["a cup", "a TOY", "a lamp"], pictures, encoder, cache)
    assert (first.counts.encoded, first.counts.from_cache) == (3, 0)
    assert (again.counts.encoded, again.counts.from_cache) == (1, 2)
    assert torch.equal(again.vectors[[1, 3]], first.vectors[[1, 3]])
    assert not torch.equal(again.vectors[2], first.vectors[2])
    pictures[0].write_bytes(png("black"))
    assert item_vectors(texts, pictures, encoder, cache).counts.encoded == 1


@pytest.mark.parametrize(
    "change",
    [
        {"pooling": "last"},
        {"normalize": True},
        {"visual_tokens": 9},
        {"max_tokens": 16},
    ],
)
def test_every_option_that_changes_vectors_changes_the_identity(tiny, change):
    other = load_vlm("tiny", VlmOptions(**change))
    layout = ItemFormat()
    assert PromptedItems(other, layout).identity != PromptedItems(tiny, layout).identity


def test_prompt_weights_and_learned_tokens_change_the_identity(tiny):
    plain = PromptedItems(tiny, ItemFormat()).identity
    assert PromptedItems(tiny, ItemFormat("Item: {image}{text}")).identity != plain
    assert PromptedItems(load_vlm("tiny", seed=1), ItemFormat()).identity != plain
    other = load_vlm("tiny")
    assert PromptedItems(other, ItemFormat()).identity == plain
    other.add_special_tokens(["[Cur_Item]"])
    assert PromptedItems(other, ItemFormat()).identity != plain


def test_cuts_and_unreadable_pictures_are_told(tiny, pictures, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    encoder = PromptedItems(load_vlm("tiny", VlmOptions(max_tokens=16)), ItemFormat())
    made = item_vectors(["word " * 40, "b"], [pictures[0], bad], encoder)
    assert made.counts.problems == {"not-a-picture": 1}
    assert made.counts.cuts["texts_cut"] == 1
    assert replace(made.counts, cuts={}).cuts == {}
