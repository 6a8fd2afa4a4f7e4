import pytest
import torch

from vlmrec.core.random import Streams
from vlmrec.items.content_tower import ContentTower, RawContent
from vlmrec.models.spec import draw_weights

N = 9


def tower(use_ids: bool = False, names=("text", "image")) -> ContentTower:
    built = ContentTower(
        n_items=N, widths=dict.fromkeys(names, 4), dim=5, hidden=6, dropout=0.3, use_ids=use_ids
    )
    draw_weights(built, Streams(0).torch("init"))
    return built.eval()


def content(missing=()) -> RawContent:
    vectors = Streams(1).torch("content")
    rows = torch.randn(N + 1, 4, generator=vectors) * torch.tensor([1.0, 10.0, 0.1, 0.0]) + 3
    present = torch.ones(N + 1, dtype=torch.bool)
    present[[0, *missing]] = False
    return RawContent(rows * present[:, None], present)


def test_an_item_is_the_mean_of_what_it_has():
    both = tower()
    both.load({"text": content(), "image": content(missing=[3, 4])}, torch.arange(1, N + 1))
    raw = both.raw()
    text = both.projections["text"](raw["text"].vectors)
    image = both.projections["image"](raw["image"].vectors)
    vectors = both()
    torch.testing.assert_close(vectors[5], (text[5] + image[5]) / 2)
    torch.testing.assert_close(vectors[3], text[3])
    assert not vectors[0].any()


def test_an_item_with_nothing_has_the_zero_vector():
    one = tower(names=("text",))
    one.load({"text": content(missing=[2])}, torch.arange(1, N + 1))
    assert not one()[2].any()
    assert one()[1].any()


def test_some_rows_are_rows_of_all():
    for use_ids in (False, True):
        model = tower(use_ids)
        model.load({"text": content(), "image": content([7])}, torch.arange(1, N + 1))
        ids = torch.tensor([7, 2, 2, 9])
        torch.testing.assert_close(model(ids), model()[ids])


def test_content_is_standardised_over_training_items_that_have_it():
    model = tower()
    known = torch.tensor([1, 2, 4, 6])
    model.load({"text": content(missing=[4]), "image": content()}, known)
    seen = content().vectors[[1, 2, 6]]
    projection = model.projections["text"]
    torch.testing.assert_close(projection.mean, seen.mean(dim=0))
    spread = seen.std(dim=0, unbiased=False)
    torch.testing.assert_close(projection.spread[:3], spread[:3])
    assert projection.spread[3] == 1  # a constant dimension is not blown up


def test_new_items_are_placed_like_known_ones():
    model = tower()
    model.load({"text": content(), "image": content(missing=[3])}, torch.arange(1, N + 1))
    new = {
        name: RawContent(one.vectors[3:6], one.present[3:6]) for name, one in model.raw().items()
    }
    torch.testing.assert_close(model.project(new), model()[3:6])


def test_a_tower_needs_a_modality():
    with pytest.raises(ValueError, match="at least one modality"):
        tower(names=()).project({})


def test_an_item_unknown_to_training_has_no_id_vector():
    model = tower(use_ids=True)
    model.load({"text": content(), "image": content()}, torch.arange(1, N))
    torch.testing.assert_close(model()[N], model.project(model.raw())[N])
    assert not model()[1].equal(model.project(model.raw())[1])
