"""A served process under load for two minutes: no error, no growth; runs that go are let go."""

import gc
import shutil
import weakref

import pytest
import torch
from benchmarks.serve_process import serving
from benchmarks.serve_soak import Mix, soak
from tests.served_shop import N, ask, put

from vlmrec.index.search import Limits

SECONDS, RATE = 120.0, 50.0


@pytest.mark.slow
def test_two_minutes_of_everything_without_an_error_and_flat_memory(shop, tmp_path):
    """What `python -m benchmarks.serve --soak 3600` does for an hour, on a shop of 30 items."""
    runs = tmp_path / "runs"
    for name in ("one", "two"):
        shutil.copytree(shop / "runs" / "content", runs / name)
    mix = Mix([f"i{k:02d}" for k in range(N)], ("one", "two"), 20, people=50, adds=True, every=0.7)
    with serving(runs / "one", tmp_path) as served:
        found = soak(served, mix, RATE, SECONDS)
    assert not found["failed"]
    assert found["errors"] == 0, found["statuses"]
    assert found["requests"] == int(RATE * SECONDS)
    assert found["changes"] > 100
    assert found["memory"]["flat"], found["memory"]
    assert found["held"]


def test_a_run_that_was_swapped_out_is_freed_at_once(start, shop):
    """Also without a search for garbage: what was there at the start is kept out of it."""
    client, service = start(runs=shop / "runs")
    assert ask(client, history=["i03"])
    old = weakref.ref(service.live), weakref.ref(service.live.run.model)
    gc.disable()
    try:
        assert client.post("/admin/run", json={"run": "ids"}).status_code == 200
        assert ask(client, history=["i03"])
        assert [one() for one in old] == [None, None]
    finally:
        gc.enable()


def test_what_all_need_is_worked_out_before_a_change_is_served(start):
    client, service = start()
    before = service.live
    made = {"left", "by_popularity"}
    assert made <= vars(before).keys()
    client.delete("/items/i03")
    removed = service.live
    assert made <= vars(removed).keys()
    assert removed.names is before.names  # the same items, one of them hidden
    assert removed.left is not before.left
    assert "i03" not in ask(client, history=["i05"], k=N)
    assert put(client, "i99", {"title": "thing new"}).status_code == 200
    assert made <= vars(service.live).keys()
    assert service.live.names[-1] == "i99"
    assert service.live.titles[-1] == "thing new"
    assert service.live.rows["i99"] == N + 1


@pytest.mark.parametrize("k", [1, 4, N, N + 3])
def test_the_most_popular_are_those_that_sorting_finds(start, k):
    live = start()[1].live
    allowed = torch.rand(N + 1, generator=torch.Generator().manual_seed(k)) < 0.5
    for limits in (Limits(), Limits(allowed), Limits(allowed, torch.tensor([[3, 9, 0]]))):
        hidden = limits.hides(torch.arange(N + 1)[None])[0]
        left = [(-float(live.popularity[row]), row) for row in range(N + 1) if not hidden[row]]
        expected = [row for _, row in sorted(left)][:k]
        found = live.popular().search(torch.zeros(1, 1), k, limits)
        assert found.items.tolist() == [expected + [0] * (k - len(expected))]
        assert found.scores[0].isneginf().sum() == k - len(expected)
        assert found.scores[0, : len(expected)].tolist() == [
            float(live.popularity[row]) for row in expected
        ]
