"""The world of two tastes: what each modality tells, and that nothing else does."""

import numpy as np
import pytest

from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.dataset import Dataset
from vlmrec.data.two_tastes import (
    FACTS,
    FILLERS,
    TwoTastes,
    TwoTastesConfig,
    generate_two_tastes,
    write_two_tastes,
)

SMALL = TwoTastesConfig(n_items=300, n_users=500)
LOOKS = ("shape", "backdrop", "hue", "size")


@pytest.fixture(scope="module")
def world() -> TwoTastes:
    return generate_two_tastes(SMALL, seed=3)


def ndcg(world: TwoTastes, scores: np.ndarray) -> float:
    """Returns NDCG@10 of every user's last event, the other events left out of the ranking."""
    rows = world.interactions.group_by("user_id", maintain_order=True).agg("item_id")
    number = {item: row for row, item in enumerate(world.items["item_id"])}
    gains = []
    for user, items in rows.sort("user_id").iter_rows():
        *before, last = (number[item] for item in items)
        row = scores[int(user[1:]) - 1].copy()
        row[before] = -np.inf
        rank = int((row > row[last]).sum())
        gains.append(1 / np.log2(rank + 2) if rank < 10 else 0.0)
    return float(np.mean(gains))


def told_by(world: TwoTastes, factors: tuple[str, ...]) -> np.ndarray:
    """Returns what of each user's taste follows from some factors alone ``[U, I]``."""
    codes = [world.factors[name].to_numpy() for name in factors]
    known = np.concatenate([np.eye(code.max() + 1)[code] for code in codes], axis=1)
    return (known @ np.linalg.pinv(known) @ (world.by_words + world.by_looks).T).T


def test_each_modality_tells_part_of_the_taste_and_shuffled_content_nothing(world: TwoTastes):
    both = ndcg(world, world.by_words + world.by_looks)
    words, looks = ndcg(world, told_by(world, tuple(FACTS))), ndcg(world, told_by(world, LOOKS))
    deal = np.random.default_rng(0).permutation(SMALL.n_items)
    assert both > 0.6
    assert 0.2 < looks < 0.6 * both
    assert 0.2 < words < 0.7 * both
    assert ndcg(world, told_by(world, tuple(FACTS))[:, deal]) < 0.06


def test_shape_and_backdrop_follow_from_words_hue_and_size_do_not(world: TwoTastes):
    factors = world.factors
    for cause, effect in (("room", "shape"), ("maker", "backdrop")):
        assert factors.group_by(cause).agg(factors[effect].n_unique()).height == 6
        assert (factors.group_by(cause).n_unique()[effect] == 1).all()
    for cause in FACTS:
        for free in ("hue", "size"):
            assert (factors.group_by(cause).n_unique()[free] > 2).all()


def test_titles_hold_the_facts_and_three_words_that_tell_nothing(world: TwoTastes):
    for title, row in zip(world.items["title"], world.factors.iter_rows(named=True), strict=True):
        facts = {words[row[name]] for name, words in FACTS.items()}
        assert facts < set(title.split())
        assert len(set(title.split()) & set(FILLERS)) == 3


def test_the_seed_decides_every_word_pixel_and_event(world: TwoTastes, tmp_path):
    again, other = (generate_two_tastes(SMALL, seed=seed) for seed in (3, 4))
    assert again.items.equals(world.items)
    assert again.interactions.equals(world.interactions)
    assert all(again.pictures[i].tobytes() == p.tobytes() for i, p in world.pictures.items())
    assert not other.interactions.equals(world.interactions)
    assert other.pictures["W0001"].tobytes() != world.pictures["W0001"].tobytes()
    write_two_tastes(world, tmp_path / "world")
    dataset = Dataset.load(tmp_path / "world")
    assert dataset.n_users == SMALL.n_users
    assert dataset.n_items == SMALL.n_items
    assert all(path.is_file() for path in dataset.catalog.image_paths())
    with pytest.raises(DataError, match="exists and is not empty"):
        write_two_tastes(world, tmp_path / "world")


def test_nobody_takes_an_item_twice(world: TwoTastes):
    log = world.interactions
    assert log.height == SMALL.n_users * SMALL.n_events == log.unique(["user_id", "item_id"]).height
    with pytest.raises(ConfigError, match="n_events must be less than n_items"):
        TwoTastesConfig.parse({"n_items": 20, "n_events": 20}, "a test")
