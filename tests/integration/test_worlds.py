"""Planted worlds: who sees the signal solves them, everybody else stays at the floor."""

import pytest

from vlmrec.data import synthetic
from vlmrec.data.synthetic import World, shuffled
from vlmrec.models import (
    BERT4Rec,
    ContentKNN,
    GRU4Rec,
    ItemKNN,
    ModelSpec,
    Popularity,
    SASRec,
    SASRecContent,
)
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.worlds import world_split, write_world_vectors
from vlmrec.train.options import TrainOptions

SIZES = {"dim": 32, "hidden": 64, "n_layers": 1, "dropout": 0.1}
pytestmark = pytest.mark.slow


def ndcg(world: World, spec: ModelSpec, epochs: int, **options) -> float:
    options = TrainOptions(
        **{"batch_size": 32, "valid_every": 3, **options},
        epochs=epochs,
        learning_rate=3e-3,
        device="cpu",
        patience=4,
    )
    run = fit(spec, world_split(world), options=options, quiet=True)
    return run.info["metrics"]["test"]["metrics"]["NDCG@10"]["mean"]


def solves(world: World, spec: ModelSpec, epochs: int = 40, **options) -> bool:
    return ndcg(world, spec, epochs, **options) >= 0.8 * world.reachable


def stays_at_the_floor(world: World, spec: ModelSpec, epochs: int = 40, **options) -> bool:
    found = ndcg(world, spec, epochs, **options)
    return found <= world.floor + 0.15 * (world.reachable - world.floor)


def content(world: World, folder, modality: str) -> SASRecContent:
    files = {"text": None, "image": None}
    files[modality] = write_world_vectors(world, folder)[modality]
    return SASRecContent(**SIZES, max_len=10, **files)


@pytest.mark.parametrize("kind", [SASRec, GRU4Rec])
def test_models_of_order_solve_its_world_unless_it_is_shuffled(kind):
    world, spec = synthetic.order_world(), kind(**SIZES, max_len=20)
    assert solves(world, spec)
    assert stays_at_the_floor(shuffled(world), spec)


def test_a_model_that_fills_gaps_solves_the_world_of_order_unless_it_is_shuffled():
    """It has to find out where to look, and few events are asked for: it takes longer."""
    world, spec = synthetic.order_world(), BERT4Rec(**SIZES, max_len=6, mask_prob=0.3)
    longer = {"epochs": 240, "batch_size": 16, "valid_every": 20}
    assert solves(world, spec, **longer)
    assert stays_at_the_floor(shuffled(world), spec, **longer)


def test_a_model_on_given_vectors_solves_their_world_unless_they_are_shuffled(tmp_path):
    world = synthetic.image_world()
    for one, check in ((world, solves), (shuffled(world), stays_at_the_floor)):
        vectors = write_world_vectors(one, tmp_path)["image"]
        assert check(one, SASRec(**SIZES, max_len=10, vectors=vectors))


def test_models_blind_to_order_do_not_solve_its_world():
    for spec in (Popularity(), ItemKNN(max_len=50)):
        assert stays_at_the_floor(synthetic.order_world(), spec)


def test_item_knn_solves_the_world_of_ids_unless_it_is_shuffled():
    world = synthetic.ids_world()
    assert solves(world, ItemKNN())
    assert stays_at_the_floor(world, Popularity())
    assert stays_at_the_floor(shuffled(world), ItemKNN())


@pytest.mark.parametrize("seen", ["text", "image"])
@pytest.mark.parametrize("planted", ["text", "image"])
def test_a_modality_solves_its_own_world_only(tmp_path, planted, seen):
    world = synthetic.text_world() if planted == "text" else synthetic.image_world()
    spec = content(world, tmp_path, seen)
    assert (solves if seen == planted else stays_at_the_floor)(world, spec)


def test_content_knn_solves_the_worlds_of_what_it_reads(tmp_path):
    worlds = (synthetic.text_world(), synthetic.image_world(), synthetic.cold_world())
    for world, seen in zip(worlds, ("text", "image", "image"), strict=True):
        for other in ("text", "image"):
            files = {"text": None, "image": None}
            files[other] = write_world_vectors(world, tmp_path)[other]
            check = solves if other == seen or world.candidates else stays_at_the_floor
            assert check(world, ContentKNN(**files))
    mixed = shuffled(synthetic.image_world())
    files = write_world_vectors(mixed, tmp_path)
    assert stays_at_the_floor(mixed, ContentKNN(**files))


def test_shuffled_content_solves_nothing(tmp_path):
    world = shuffled(synthetic.image_world())
    assert stays_at_the_floor(world, content(world, tmp_path, "image"))


def test_content_ranks_items_that_nobody_bought(tmp_path):
    world = synthetic.cold_world()
    assert solves(world, content(world, tmp_path, "image"), epochs=24)


def test_ids_and_shuffled_content_cannot_rank_items_that_nobody_bought(tmp_path):
    world = synthetic.cold_world()
    assert stays_at_the_floor(world, SASRec(**SIZES, max_len=10), epochs=9)
    mixed = shuffled(world)
    assert stays_at_the_floor(mixed, content(mixed, tmp_path, "image"), epochs=9)
