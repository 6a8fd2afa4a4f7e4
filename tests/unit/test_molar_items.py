"""Item vectors of the second stage: kept, refreshed or learned, they start as the same."""

import pytest
import torch
from torch.nn import functional as F

from vlmrec.items.content_tower import RawContent
from vlmrec.models.catalog_reader import CatalogReader, ReadingOptions
from vlmrec.models.mirm_templates import CUR_ITEM
from vlmrec.models.molar_items import MolarItems
from vlmrec.testing.vlm_samples import HIGH, SMALL, WIDE
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import TuningOptions, VlmOptions

TEXTS = ["", "a red cup", "a green bag", "", "the lamp", "tea"]
PICTURES = [None, WIDE, None, None, SMALL, HIGH]
PAST, KEYS = torch.tensor([0, 1, 2]), torch.tensor([2, 4])
ALL = torch.arange(6)


def items_of(mode, dim=None, refresh_every=3):
    """Returns vectors of five items, of which the third has neither words nor a picture."""
    tuning = TuningOptions(kind="frozen" if mode == "frozen" else "full")
    vlm = load_vlm("tiny", VlmOptions(pooling=CUR_ITEM), tuning)
    vlm.add_special_tokens([CUR_ITEM])
    options = ReadingOptions(("both",), "Sum up.", "", 9, False, 64, token=CUR_ITEM)
    reader = CatalogReader(vlm, options, TEXTS, PICTURES)
    width = vlm.width
    items = MolarItems(
        n_items=5, width=width, dim=dim or width, mode=mode, refresh_every=refresh_every
    )
    items.start()
    items.follow(reader)
    raw = reader.everything().flat().detach()
    items.load(RawContent(raw, raw.any(dim=1)), torch.tensor([1, 2, 3, 4]))
    return items.train(), raw


def shift(items):
    """Lets the item model move on, as a step of training would."""
    table = items.vlm.learned.table
    made = torch.Generator().manual_seed(int(items.steps))
    with torch.no_grad():
        table += 0.3 * table.std() * torch.randn(table.shape, generator=made)


def standardised(raw):
    """Returns the vectors by mean and spread of the training items that have one."""
    known = raw[[1, 2, 4]]
    wanted = (raw - known.mean(dim=0)) / known.std(dim=0, correction=0)
    wanted[[0, 3]] = 0.0
    return wanted


def step_of(items):
    """Returns how many steps the table of histories is old."""
    return (int(items.steps) - 1) % items.refresh_every


@pytest.mark.parametrize("mode", ["frozen", "refresh", "joint"])
def test_every_way_starts_from_the_vectors_of_the_first_stage(mode):
    items, raw = items_of(mode)
    wanted = standardised(raw)
    with torch.no_grad():
        read, scored = items.pair(PAST, KEYS)
        for found, ids in ((items(), ALL), (items(KEYS), KEYS), (read, PAST), (scored, KEYS)):
            assert torch.allclose(found, wanted[ids], atol=1e-4), ids
    assert wanted[5].any(), "an item that training may not know has a vector all the same"


@pytest.mark.parametrize("mode", ["frozen", "joint"])
def test_another_width_is_a_linear_map_of_the_same_vectors(mode):
    items, _ = items_of(mode, dim=3)
    same, _ = items_of(mode)
    there = torch.tensor([False, True, True, False, True, True])
    with torch.no_grad():
        items.adapter.bias += 0.5
        assert torch.allclose(items()[there], items.adapter(same()[there]), atol=1e-5)
        assert not items()[~there].any(), "nothing is known of them"


def gradients_of_words(items, loss):
    """Returns the gradient that reaches each token of the item model's table of words."""
    items.zero_grad()
    loss.backward()
    return items.vlm.family.word_embeddings.weight.grad


def tokens_of(items, text):
    return items.vlm.family.tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("mode", ["refresh", "joint"])
def test_which_items_teach_the_item_model(mode):
    items, _ = items_of(mode)
    read, scored = items.pair(torch.tensor([1, 2]), torch.tensor([4, 5]))
    assert read.requires_grad, "through P"
    assert scored.requires_grad
    taught = gradients_of_words(items, scored.square().sum() + 0 * read.sum())
    assert taught[tokens_of(items, "lamp")].any(dim=1).all()
    items.zero_grad()
    read, scored = items.pair(torch.tensor([1, 2]), torch.tensor([4, 5]))
    (read[:, 0] * torch.tensor([1.0, -2.0])).sum().backward()
    told = items.vlm.family.word_embeddings.weight.grad
    reached = told is not None and bool(told.any())
    assert reached == (mode == "joint")
    assert items.adapter.weight.grad.any()


def test_frozen_items_teach_nobody_and_read_nothing():
    items, _ = items_of("frozen")
    assert items.vlm is None
    items.reader = None
    read, scored = items.pair(PAST, KEYS)
    (read.sum() + scored.sum()).backward()
    assert {name for name, one in items.named_parameters() if one.grad is not None} == {
        "adapter.weight", "adapter.bias"
    }  # fmt: skip


def test_the_table_of_histories_is_stale_until_it_is_refreshed():
    items, raw = items_of("refresh", refresh_every=3)
    seen, fresh = [], []
    with torch.no_grad():
        for _ in range(7):
            read, scored = items.pair(ALL, KEYS)
            seen.append(read)
            fresh.append(standardised(items.reader.items(ALL).flat()))
            assert step_of(items) == 0 or not torch.allclose(scored, read[KEYS], atol=1e-3), (
                "targets are read now"
            )
            shift(items)
    for step, read in enumerate(seen):
        assert torch.allclose(read, fresh[step - step % 3], atol=1e-5), step
        assert step % 3 == 0 or not torch.allclose(read, fresh[step], atol=1e-3), step
    assert int(items.steps) == 7
    assert {"table", "steps"} < set(items.changing_buffers)
    assert raw.shape == items.table.shape


def test_evaluation_neither_counts_as_a_step_nor_refreshes_the_table():
    items, _ = items_of("refresh", refresh_every=2)
    with torch.no_grad():
        items.pair(PAST, KEYS)
        table = items.table.clone()
        shift(items)
        items.eval()
        for _ in range(3):
            items.pair(PAST, KEYS)
        assert torch.equal(items.table, table)
        assert int(items.steps) == 1
        assert not torch.allclose(items(), items.stored(), atol=1e-3), "ranking reads anew"
        items.train()
        items.pair(PAST, KEYS)
        assert torch.equal(items.table, table)
        items.pair(PAST, KEYS)
    assert not torch.equal(items.table, table)


def test_joint_gradients_are_those_of_reading_each_item_apart():
    items, _ = items_of("joint")
    items.eval()  # without dropout
    weights = torch.randn(3, items.adapter.out_features, generator=torch.Generator().manual_seed(1))
    past, keys = torch.tensor([1, 2, 5]), torch.tensor([2, 4, 1])

    def gradients(read, scored):
        items.zero_grad()
        ((F.normalize(read, dim=-1) * weights).sum() + (scored * weights).square().sum()).backward()
        return {n: p.grad.clone() for n, p in items.named_parameters() if p.grad is not None}

    def apart(ids):
        raw = [items.reader.items(torch.tensor([number])).flat() for number in ids.tolist()]
        return F.linear(
            (torch.cat(raw) - items.mean) / items.spread, items.adapter.weight, items.adapter.bias
        )

    together = gradients(*items.pair(past, keys))
    plain = gradients(apart(past), apart(keys))
    assert together.keys() == plain.keys()
    assert any(name.startswith("vlm.") for name in plain)
    for name, one in plain.items():
        # Gradients reach 366; what float32 loses is a share of a weight's largest one.
        off = (together[name] - one).abs().max()
        assert off <= 3e-5 * one.abs().max() + 1e-4, name


@pytest.mark.parametrize("mode", ["refresh", "joint"])
def test_items_stay_apart_when_the_item_model_moves_them_all_together(mode, monkeypatch):
    items, _ = items_of(mode)
    four = torch.tensor([1, 2, 4, 5])
    with torch.no_grad():
        start = items.pair(four, four)[1]
        read = items._read
        away = torch.linspace(-50, 50, items.adapter.in_features)
        monkeypatch.setattr(items, "_read", lambda ids: 3 * read(ids) + away * (ids != 3)[:, None])
        assert torch.allclose(items.pair(four, four)[1], start, atol=1e-3)
        assert torch.allclose(items.eval()()[four], start, atol=1e-3)
        assert torch.allclose(items(four), start, atol=1e-3), "by the mean and spread found then"


def test_items_without_an_item_model_say_so():
    items = MolarItems(n_items=5, width=4, dim=4, mode="joint", refresh_every=1)
    with pytest.raises(ValueError, match="call follow first"):
        items(KEYS)
