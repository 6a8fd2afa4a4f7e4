"""A service whose index is in a vector database that is killed, frozen and started again."""

import logging
import time

import pytest
from tests.served_shop import N, ask, put

from vlmrec.index.choosing import IndexOptions
from vlmrec.pipeline.indexing import FOLDER, build_index
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run

BACK = "the vector database is back"
GONE = "until it is back, every item is scored"


@pytest.fixture
def stored(shop, milvus):
    """A run whose index is in the database."""
    folder = shop / "runs" / "content"
    options = IndexOptions(kind="milvus", url=milvus.url)
    build_index(Run.load(folder), options, folder=folder / FOLDER)
    yield folder
    milvus.thaw()
    milvus.start()


def until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def expected(folder, *history):
    return recommend(Run.load(folder), list(history), k=5)["item_id"].to_list()


def test_killed_and_started_again_while_serving(stored, milvus, start, caplog):
    truth = expected(stored, "i03", "i08")
    with caplog.at_level(logging.WARNING, logger="vlmrec"):
        client, service = start()
        backend = service.live.built.backend
        backend._pause = 0.1
        assert ask(client, history=["i03", "i08"], k=5) == truth
        assert not backend.away
        milvus.kill()
        for _ in range(10):
            assert ask(client, history=["i03", "i08"], k=5) == truth
        assert backend.away
        assert client.get("/ready").status_code == 200
        assert caplog.text.count(GONE) == 1
        assert "Traceback" not in caplog.text
        milvus.start()
        until(lambda: ask(client, history=["i03", "i08"], k=5) == truth and not backend.away)
        assert ask(client, history=["i03", "i08"], k=5) == truth
        assert not backend.away
    assert (caplog.text.count(GONE), caplog.text.count(BACK)) == (1, 1)


def test_a_frozen_server_holds_up_one_request_for_as_long_as_said(stored, milvus, start):
    truth = expected(stored, "i03")
    client, service = start()
    milvus.freeze()
    started = time.monotonic()
    assert ask(client, history=["i03"], k=5) == truth
    first = time.monotonic() - started
    assert 1.5 < first < 10  # two seconds, on a machine that is busy
    started = time.monotonic()
    for _ in range(5):
        assert ask(client, history=["i03"], k=5) == truth
    assert time.monotonic() - started < first
    assert service.live.built.backend.away


def test_a_service_starts_while_the_database_is_away(stored, milvus, start, caplog):
    milvus.kill()
    truth = expected(stored, "i03")
    with caplog.at_level(logging.WARNING, logger="vlmrec"):
        client, service = start()
        assert service.live.built.backend.away
        assert ask(client, history=["i03"], k=5) == truth
    assert caplog.text.count(GONE) == 1


def test_new_and_removed_items_and_filters(stored, milvus, start):
    del stored, milvus
    client, service = start()
    everything = ask(client, history=["i03"], k=500)
    assert len(everything) == N - 1
    assert put(client, "n1", {"title": "thing aaa 99", "genre": "new"}).status_code == 200
    assert ask(client, history=["i03"], filter='genre = "new"') == ["n1"]
    assert set(ask(client, history=["i03"], k=500)) == {*everything, "n1"}
    assert client.delete("/items/n1").status_code == 200
    assert client.delete(f"/items/{everything[0]}").status_code == 200
    assert ask(client, history=["i03"], k=500) == everything[1:]
    reds = ask(client, history=["i03"], k=500, filter='genre = "red"', deny=[everything[1]])
    assert set(reds) == {f"i{k:02d}" for k in range(0, N, 3)} - {"i03", *everything[:2]}
    assert not service.live.built.backend.away
