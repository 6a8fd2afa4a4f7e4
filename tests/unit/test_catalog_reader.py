"""What is asked of the model: prompts of items and histories, and of changed content."""

from dataclasses import replace

import pytest
import torch

from vlmrec.core.content_change import ContentChange
from vlmrec.models.catalog_reader import CatalogReader, ReadingOptions
from vlmrec.testing.vlm_samples import HIGH, SMALL, WIDE, unreadable_pictures
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import VlmOptions
from vlmrec.vlm.prompts import ImagePart, TextPart

BOTH = ("text", "image")
TEXTS = ["", "a red cup", "a green bag of leather", "", "the lamp"]


@pytest.fixture(scope="module")
def vlm():
    return load_vlm("tiny", VlmOptions(pooling="mean"))


def reader_of(vlm, names=BOTH, pictures=(None, WIDE, None, SMALL, HIGH), **options):
    given = {"item_prefix": "", "history_prefix": "", "max_words": 9, "normalize": True, "chunk": 4}
    return CatalogReader.over(vlm, ReadingOptions(names, **(given | options)), TEXTS, pictures)


def asked(reader, monkeypatch, ids):
    """Returns the prompts that a history becomes."""
    seen = []
    encode = type(reader.vlm).encode
    monkeypatch.setattr(
        type(reader.vlm),
        "encode",
        lambda self, prompts, **more: (seen.extend(prompts), encode(self, prompts, **more))[1],
    )
    with torch.no_grad():
        reader.histories(torch.tensor([ids]))
    return seen


def test_a_history_is_numbered_titles_and_a_row_of_pictures(vlm, monkeypatch):
    reader = reader_of(vlm, history_prefix="Bought:", max_words=3)
    words, sight = asked(reader, monkeypatch, [2, 3, 1, 0])
    assert words == (
        TextPart("Bought: "),
        TextPart("1. a green bag "),
        TextPart("3. a red cup "),
    )
    assert sight == (TextPart("Bought: "), ImagePart(SMALL), ImagePart(WIDE))


def test_internal_fusion_takes_turns(vlm, monkeypatch):
    (prompt,) = asked(reader_of(vlm, ("both",)), monkeypatch, [1, 2, 3])
    assert prompt == (
        ImagePart(WIDE),
        TextPart("1. a red cup "),
        TextPart("2. a green bag of leather "),
        ImagePart(SMALL),
    )


def test_what_is_missing_is_zero_and_nothing_else_changes(vlm):
    reader = reader_of(vlm)
    items = reader.items(torch.tensor([1, 2, 3, 4]))
    assert items.known().tolist() == [[True, True], [True, False], [False, True], [True, True]]
    past = reader.histories(torch.tensor([[2, 0], [3, 0], [0, 0], [2, 3]]))
    assert past.known().tolist() == [[True, False], [False, True], [False, False], [True, True]]
    assert torch.allclose(past.vectors[3, 0], past.vectors[0, 0], atol=1e-5)  # "1." either way
    assert torch.allclose(items.vectors[0].norm(dim=-1), torch.ones(2))


@pytest.mark.parametrize("kind", ["truncated", "gigantic", "not-a-picture"])
def test_a_picture_that_cannot_be_read_is_none(vlm, kind):
    broken = unreadable_pictures()[kind]
    reader = reader_of(vlm, pictures=(None, broken, None, SMALL, HIGH))
    assert reader.items(torch.tensor([1, 4])).known().tolist() == [[True, False], [True, True]]


def test_changed_content_moves_only_the_changed_branch(vlm):
    reader = reader_of(vlm)
    before = reader.everything()
    swapped = reader.changed({"image": ContentChange(torch.tensor([0, 3, 2, 1, 4]))}).everything()
    assert torch.equal(swapped.part("text"), before.part("text"))
    assert torch.allclose(swapped.part("image")[1], before.part("image")[3], atol=1e-6)
    halved = reader.changed({"image": ContentChange(torch.tensor([0, 1, 2, 0, 0]))}).everything()
    assert halved.known()[:, 1].tolist() == [False, True, False, False, False]
    blind = reader.changed({"image": ContentChange.absent(4)})
    assert blind.options.names == ("text",)
    assert torch.equal(blind.everything().part("text"), before.part("text"))


def test_noise_takes_content_away_bit_by_bit(vlm):
    reader = reader_of(vlm)
    before = reader.everything()
    assert torch.allclose(
        reader.changed({"image": ContentChange(noise=0.0)}).everything().vectors, before.vectors
    )
    kept = []
    for noise in (0.01, 1.0):
        noisy = reader.changed({"image": ContentChange(noise=noise)}).everything()
        assert torch.equal(noisy.part("text"), before.part("text"))
        kept.append(float((noisy.part("image") * before.part("image")).sum()))
    assert kept[0] > kept[1]
    words = reader.changed({"text": ContentChange(noise=1.0)})
    assert words.texts[1:3] != TEXTS[1:3]
    assert [len(text.split()) for text in words.texts] == [len(t.split()) for t in TEXTS]
    assert words.texts == reader.changed({"text": ContentChange(noise=1.0)}).texts


def test_a_memory_saves_reading_and_changes_nothing(vlm, monkeypatch):
    plain = reader_of(vlm).everything().vectors
    reader = replace(reader_of(vlm), memory={})
    assert torch.allclose(reader.everything().vectors, plain, atol=1e-6)
    monkeypatch.setattr(type(vlm), "encode", lambda self, prompts, **more: 1 / len(prompts))
    assert torch.allclose(reader.everything().vectors, plain, atol=1e-6)  # read before
    swapped = reader.changed({"image": ContentChange(torch.tensor([0, 3, 2, 1, 4]))})
    assert torch.allclose(
        swapped.everything().part("image")[1], reader.everything().part("image")[3]
    )
    monkeypatch.undo()
    noisy = reader.changed({"image": ContentChange(noise=1.0)})
    assert noisy.memory is None
    assert not torch.allclose(noisy.everything().part("image"), reader.everything().part("image"))
