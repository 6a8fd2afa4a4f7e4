"""Addresses of a vector database, its secrets, and a backend that comes and goes."""

import logging
import sys
import threading
import time

import pytest
import torch

from vlmrec.core.errors import ArtifactError, ConfigError, MissingExtraError
from vlmrec.index.approximate import ApproximateIndex
from vlmrec.index.exact import ExactIndex
from vlmrec.index.faiss_backends import FaissBackend, FaissOptions
from vlmrec.index.milvus_backend import MilvusBackend, MilvusOptions
from vlmrec.index.milvus_server import (
    IndexServerError,
    connected,
    named_address,
    require_address,
    require_client,
    token,
)
from vlmrec.index.search import Limits
from vlmrec.index.watched import WatchedBackend
from vlmrec.testing.indexes import VectorTable, grouped_keys

NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "url", ["http://db:19530", "https://db.example", "http://[::1]:19530/shop", "http://10.0.0.7/"]
)
def test_addresses_of_servers_are_taken(url):
    assert require_address(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "db:19530",
        "./shop.db",
        "http://db/shop.db",  # the client would open a file of this name
        "unix:/tmp/socket",
        "http://",
        "http://db:port",
        "http://db:99999",
        "http://db/a/b",
        "http://db/shop?token=x",
        "http://[::1",
        "",
    ],
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigError) as caught:
        require_address(url)
    assert caught.value.problem == f"'{url}' is no address of a vector database."
    assert "http://HOST:PORT" in caught.value.fix


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match=r"stored with the run.*VLMREC_MILVUS_TOKEN") as caught:
        require_address("http://me:hunter2@db:19530")
    assert "hunter2" not in str(caught.value)


def test_the_environment_names_address_and_token(monkeypatch):
    assert named_address() is None
    assert token() == ""
    monkeypatch.setenv("VLMREC_MILVUS_URL", "http://db:19530")
    monkeypatch.setenv("VLMREC_MILVUS_TOKEN", "me:hunter2")
    assert named_address() == "http://db:19530"
    assert token() == "me:hunter2"
    monkeypatch.setenv("VLMREC_MILVUS_URL", "db")
    with pytest.raises(ConfigError, match="'db' is no address"):
        named_address()


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingExtraError, match=r"'pymilvus'.*pip install 'vlmrec\[milvus\]'"):
        require_client()
    with pytest.raises(MissingExtraError):
        MilvusBackend(MilvusOptions(url=NOWHERE, collection="none"), grouped_keys())


def test_a_server_that_is_not_there_is_said_to_be(capsys):
    pytest.importorskip("pymilvus")
    started = time.monotonic()
    with pytest.raises(IndexServerError) as caught:
        connected(NOWHERE, "me:hunter2")
    assert time.monotonic() - started < 10
    assert caught.value.problem.startswith(
        f"The vector database at '{NOWHERE}' does not answer as it should: "
    )
    assert "Connection refused" in caught.value.problem
    assert "Start it, or correct the address." in caught.value.fix
    assert "hunter2" not in str(caught.value)
    told = capsys.readouterr()
    assert told.err == told.out == ""  # the client would print a traceback


class Coming:
    """A flat structure that can be taken away."""

    def __init__(self, keys):
        self.flat = FaissBackend.build(keys, FaissOptions())
        self.width, self.spare = self.flat.width, 2.0
        self.error, self.asked, self.checks = None, 0, []

    def propose(self, queries, n, allowed):
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.flat.propose(queries, n, allowed)

    def check(self):
        self.checks.append(threading.current_thread())
        if self.error is not None:
            raise self.error


def until(true):
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_while_it_is_away_everything_is_scanned_and_it_is_taken_back(caplog):
    table = VectorTable(grouped_keys())
    coming = Coming(table.keys)
    watched = WatchedBackend(coming, pause=0.0)
    index = ApproximateIndex(table.inner_product(), watched)
    queries = table.keys[3:8]
    allowed = torch.arange(2001) % 3 != 0
    limits = Limits(allowed, torch.full((5, 1), 4))
    truth = ExactIndex(table).search(queries, 9, limits)
    with caplog.at_level(logging.INFO, logger="vlmrec"):
        for _ in range(3):
            assert torch.equal(index.search(queries, 9, limits).items, truth.items)
        assert (coming.asked, watched.away) == (3, False)
        coming.error = IndexServerError("It is gone.", "Bring it back.")
        for _ in range(20):
            assert torch.equal(index.search(queries, 9, limits).items, truth.items)
        until(lambda: coming.checks)
        assert watched.away
        assert coming.asked == 4  # the first search found out, the others did not wait
        assert caplog.text.count("every item is scored: It is gone. Bring it back.") == 1
        # Back, but with nothing in it: that is news.
        coming.error = ArtifactError("It is empty.")
        until(lambda: index.search(queries, 9) and "It is empty" in caplog.text)
        coming.error = None
        until(lambda: index.search(queries, 9) and not watched.away)
        asked = coming.asked
        assert torch.equal(index.search(queries, 9, limits).items, truth.items)
    assert coming.asked == asked + 1
    assert threading.main_thread() not in coming.checks  # no search pays for looking
    assert [caplog.text.count(one) for one in ("is gone", "is empty", "is back, and")] == [1, 1, 1]


def test_it_is_not_looked_for_all_the_time():
    coming = Coming(grouped_keys())
    coming.error = IndexServerError("It is gone.")
    watched = WatchedBackend(coming, pause=3600)
    for _ in range(5):
        assert watched.propose(grouped_keys()[1:3], 5, None) is None
    assert (coming.asked, coming.checks) == (1, [])


def test_while_it_is_away_known_items_are_found_beside_new_ones():
    """New items alone could fill a list; they must not."""
    table = VectorTable(grouped_keys())
    coming = Coming(table.keys[:1900])
    coming.error = IndexServerError("It is gone.")
    index = ApproximateIndex(table.inner_product(), WatchedBackend(coming), known=1899)
    queries = table.keys[3:8]
    truth = ExactIndex(table).search(queries, 10)
    assert torch.equal(index.search(queries, 10).items, truth.items)
