"""The planted worlds: the right signal solves them, every other one stays at the floor."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from vlmrec.data import synthetic
from vlmrec.data.synthetic import World, shuffled

Scores = NDArray[np.float64]
WORLDS: dict[str, Callable[..., World]] = {
    "order": synthetic.order_world,
    "image": synthetic.image_world,
    "text": synthetic.text_world,
    "ids": synthetic.ids_world,
    "cold": synthetic.cold_world,
}
SOLVERS = {
    "order": "follows",
    "image": "image",
    "text": "text",
    "ids": "together",
    "cold": "image",
}
ALL_SOLVERS = ("popular", "together", "follows", "image", "text")


def walks(world: World) -> list[list[int]]:
    index = {item: row for row, item in enumerate(world.items["item_id"])}
    grouped = world.interactions.group_by("user_id", maintain_order=True).agg("item_id")
    return [[index[item] for item in row] for row in grouped["item_id"]]


def scores_of(solver: str, world: World) -> Scores:
    """Plain rankers that each see one kind of signal, in the events before the last."""
    histories = [walk[:-1] for walk in walks(world)]
    n_items = world.items.height
    if solver in world.vectors:
        unit = world.vectors[solver] / np.linalg.norm(world.vectors[solver], axis=1, keepdims=True)
        return np.stack([unit[history].mean(axis=0) @ unit.T for history in histories])
    sets = np.zeros((len(histories), n_items))
    steps = np.zeros((n_items, n_items))
    for row, history in enumerate(histories):
        sets[row, history] = 1.0
        np.add.at(steps, (history[:-1], history[1:]), 1.0)
    if solver == "popular":
        return np.tile(sets.sum(axis=0), (len(histories), 1))
    if solver == "follows":
        return np.stack([steps[history[-1]] for history in histories])
    pairs = sets.T @ sets
    size = np.sqrt(np.diag(pairs).clip(min=1))
    cosine = pairs / np.outer(size, size)
    np.fill_diagonal(cosine, 0.0)
    return np.stack([cosine[history[-3:]].sum(axis=0) for history in histories])


def ndcg(solver: str, world: World) -> float:
    scores = scores_of(solver, world)
    targets = np.array([walk[-1] for walk in walks(world)])
    if world.candidates is not None:
        allowed = world.items["item_id"].is_in(list(world.candidates)).to_numpy()
        scores = np.where(allowed, scores, -np.inf)
    own = scores[np.arange(len(targets)), targets][:, None]
    ties = (scores == own).sum(axis=1) - 1
    ranks = 1 + (scores > own).sum(axis=1) + ties / 2
    return float(np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0).mean())


@pytest.mark.parametrize("name", WORLDS)
def test_the_right_signal_nearly_reaches_the_stated_score(name: str) -> None:
    world = WORLDS[name]()
    assert ndcg(SOLVERS[name], world) >= 0.85 * world.reachable
    assert world.reachable >= 2.5 * world.floor


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        (name, solver)
        for name in WORLDS
        for solver in ALL_SOLVERS
        # The cold world shows in both modalities, and who follows whom is also who goes together.
        if solver != SOLVERS[name] and (name, solver) not in {("cold", "text"), ("ids", "follows")}
    ],
)
def test_every_other_signal_stays_at_the_floor(name: str, solver: str) -> None:
    world = WORLDS[name]()
    assert ndcg(solver, world) <= world.floor + 0.1 * (world.reachable - world.floor) + 0.01


@pytest.mark.parametrize("name", WORLDS)
def test_a_shuffled_world_cannot_be_solved(name: str) -> None:
    world = shuffled(WORLDS[name]())
    for solver in ALL_SOLVERS:
        assert ndcg(solver, world) <= world.floor + 0.1 * (world.reachable - world.floor) + 0.01


@pytest.mark.parametrize("name", WORLDS)
def test_a_seed_decides_a_world(name: str) -> None:
    first, again, other = WORLDS[name](seed=3), WORLDS[name](seed=3), WORLDS[name](seed=4)
    assert first.interactions.equals(again.interactions)
    assert first.items.equals(again.items)
    assert all(np.array_equal(first.vectors[key], again.vectors[key]) for key in first.vectors)
    assert not first.interactions.equals(other.interactions)


def test_cold_items_are_only_ever_last() -> None:
    world = synthetic.cold_world()
    cold = set(world.candidates or ())
    last = world.interactions.group_by("user_id", maintain_order=True).agg(pl.col("item_id"))
    for items in last["item_id"].to_list():
        assert items[-1] in cold
        assert not cold.intersection(items[:-1])


def test_items_of_content_worlds_are_bought_once() -> None:
    world = synthetic.text_world()
    assert world.interactions["item_id"].is_unique().all()
    assert world.interactions.height == world.items.height
