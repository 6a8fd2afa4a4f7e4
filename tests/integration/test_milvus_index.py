"""A run's index in a vector database: a real server over a socket."""

import json
import logging
import os
import sys
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch

from vlmrec.core.errors import ArtifactError
from vlmrec.index import milvus_collection
from vlmrec.index.approximate import ApproximateIndex
from vlmrec.index.choosing import IndexOptions
from vlmrec.index.exact import ExactIndex
from vlmrec.index.milvus_backend import MilvusBackend, MilvusOptions
from vlmrec.index.milvus_collection import fill, require_ready
from vlmrec.index.milvus_server import IndexServerError, connected
from vlmrec.index.recall import searched_long_enough
from vlmrec.models import SASRec
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.indexing import FOLDER, build_index, load_index
from vlmrec.pipeline.run import Run
from vlmrec.testing.indexes import VectorTable, grouped_keys
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions

GRAPH = {"M": 8, "efConstruction": 32}
KEYS = grouped_keys(400)


@pytest.fixture
def client(milvus_url):
    one = connected(milvus_url, "")
    yield one
    one.close()


@pytest.fixture
def name(client):
    """A collection that is not there yet, and is gone afterwards."""
    one = f"test_{uuid.uuid4().hex}"
    yield one
    client.drop_collection(one, timeout=60)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder, split = tmp_path_factory.mktemp("runs"), small_dataset().leave_one_out()
    for seed, name in enumerate(("one", "other")):
        options = TrainOptions(epochs=1, device="cpu", seed=seed)
        fit(SASRec(dim=8), split, folder / name, options=options, test=False, quiet=True)
    return folder


def connections_to(port):
    """How many this process holds, as the system counts them."""
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path("/proc/self/net", table).read_text().splitlines()[1:]
    ]
    established = "01"
    found = [row for row in lines if row[2].endswith(f":{port:04X}") and row[3] == established]
    return len({f"socket:[{row[9]}]" for row in found} & own_files())


def own_files():
    """What this process has open; the tables above hold the connections of all processes."""
    names = set()
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that reads the folder
            names.add(os.readlink(one))
    return names


@pytest.mark.skipif(sys.platform != "linux", reason="counts connections in /proc")
def test_a_new_client_shares_no_connection_that_may_be_cut_off(milvus_url):
    port = urlsplit(milvus_url).port
    before = connections_to(port)
    with ExitStack() as stack:
        for _ in range(3):
            stack.callback(connected(milvus_url, "").close)
        assert connections_to(port) == before + 3


def rows_of(client, name):
    held = client.query(name, filter="id > 0", output_fields=["id", "key"], timeout=60)
    return {one["id"]: np.asarray(one["key"], dtype=np.float32) for one in held}


def test_all_keys_are_sent_in_batches_and_a_second_time_none(client, name, monkeypatch):
    monkeypatch.setattr(milvus_collection, "_BATCH_ROWS", 150)
    assert fill(client, name, KEYS, GRAPH) == 400
    rows = rows_of(client, name)
    assert set(rows) == set(range(1, 401))
    assert all(np.array_equal(row, KEYS[item].numpy()) for item, row in rows.items())
    assert fill(client, name, KEYS, GRAPH) == 0
    monkeypatch.setattr(milvus_collection, "_BATCH_BYTES", 1)  # wide keys: one at a time
    assert fill(client, name, KEYS[:401], GRAPH) == 0


def test_an_interrupted_upload_is_not_searched_and_is_completed(client, name, monkeypatch):
    monkeypatch.setattr(milvus_collection, "_BATCH_ROWS", 100)
    send, sent = client.upsert, []

    def interrupted(*given, **more):
        if len(sent) == 2:
            raise KeyboardInterrupt
        sent.append(send(*given, **more))

    with monkeypatch.context() as once:
        once.setattr(client, "upsert", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fill(client, name, KEYS, GRAPH)
    assert fill(client, name, KEYS, GRAPH) == 200
    require_ready(client, name, KEYS)


def test_rows_that_are_missing_or_different_are_found_and_put_right(client, name):
    fill(client, name, KEYS, GRAPH)
    client.delete(name, ids=[7, 8, 9], timeout=60)
    with pytest.raises(ArtifactError, match=r"holds 397 rows; expected 400.*Complete it with"):
        require_ready(client, name, KEYS)
    strange = [{"id": item, "key": KEYS[1].numpy()} for item in (7, 8, 9, 400)]
    client.upsert(name, strange, timeout=60)
    with pytest.raises(ArtifactError, match="holds other vectors than the run has now"):
        require_ready(client, name, KEYS)
    assert fill(client, name, KEYS, GRAPH) == 4
    require_ready(client, name, KEYS)


def test_rows_of_others_are_not_touched(client, name):
    fill(client, name, KEYS, GRAPH)
    client.upsert(name, [{"id": 9999, "key": KEYS[1].numpy()}], timeout=60)
    told = r"holds 401 rows; expected 400.*Drop it on the server, or give another --collection"
    with pytest.raises(ArtifactError, match=told):
        fill(client, name, KEYS, GRAPH)
    assert 9999 in rows_of(client, name)


def test_an_id_of_nobody_is_not_proposed(client, name, milvus_url):
    options = MilvusOptions(url=milvus_url, collection=name)
    backend = MilvusBackend.build(KEYS, options)
    client.upsert(name, [{"id": 9999, "key": 9 * KEYS[3].numpy()}], timeout=60)
    client.flush(name, timeout=60)
    found = ApproximateIndex(VectorTable(KEYS).inner_product(), backend).search(KEYS[3:5], 10)
    truth = ExactIndex(VectorTable(KEYS)).search(KEYS[3:5], 10)
    assert torch.equal(found.items, truth.items)


def test_a_collection_of_another_kind_is_refused(client, name):
    fill(client, name, KEYS[:, :4].contiguous(), GRAPH)
    with pytest.raises(ArtifactError, match=r"was not made for vectors of 16 numbers\. Drop it"):
        fill(client, name, KEYS, GRAPH)
    with pytest.raises(ArtifactError, match="was not made for vectors of 16 numbers"):
        require_ready(client, name, KEYS)


def test_it_searches_longer_until_the_goal_is_reached(client, name, milvus_url):
    keys = grouped_keys(1500, 32, groups=300)
    short = MilvusOptions(
        url=milvus_url, collection=name, neighbours=2, built_with=2, searched_with=1, spare=1
    )
    table, queries = VectorTable(keys), keys[1:33] + 0.5
    backend = MilvusBackend.build(keys, short)
    longer, recall = searched_long_enough(
        table.inner_product(), backend, ExactIndex(table), queries, 1.0
    )
    assert set(recall) == {10, 100}
    assert longer.options.spare == longer.options.searched_with > 1
    assert longer.options.collection == name


def test_two_runs_share_a_server_and_each_finds_its_own(runs, milvus_url):
    built = {}
    for one in ("one", "other"):
        run = Run.load(runs / one)
        options = IndexOptions(kind="milvus", url=milvus_url)
        built[one] = build_index(run, options, folder=runs / one / FOLDER)
        record = json.loads((runs / one / FOLDER / "index.json").read_text())
        assert record["milvus"]["url"] == milvus_url
        assert record["milvus"]["collection"] == f"vlmrec_{record['keys'][:32]}"
        assert (record["sha256"], record["bytes"]) == ({}, 0)
    places = {built[one].record.milvus.collection for one in built}
    assert len(places) == 2
    for one in built:
        run = Run.load(runs / one)
        loaded, ranker = load_index(run), run.ranker()
        queries = ranker.encode(torch.tensor([[1, 2, 3], [4, 9, 2]]))
        truth = ExactIndex(ranker).search(queries, 10)
        assert torch.equal(loaded.index.search(queries, 10).items, truth.items)
        assert not loaded.backend.away
    # The record of the one beside the keys of the other is found out before any search.
    stolen = (runs / "other" / FOLDER / "index.json").read_text()
    kept = (runs / "one" / FOLDER / "index.json").read_text()
    (runs / "one" / FOLDER / "index.json").write_text(stolen)
    with pytest.raises(ArtifactError, match="built of other vectors"):
        load_index(Run.load(runs / "one"))
    (runs / "one" / FOLDER / "index.json").write_text(kept)


def test_the_environment_moves_a_run_to_another_server(runs, milvus_url, monkeypatch, caplog):
    run = Run.load(runs / "one")
    build_index(run, IndexOptions(kind="milvus", url=milvus_url), folder=runs / "one" / FOLDER)
    monkeypatch.setenv("VLMREC_MILVUS_URL", "http://127.0.0.1:1")
    with caplog.at_level(logging.WARNING):
        away = load_index(run)
    assert away.backend.away
    told = "until it is back, every item is scored: The vector database at 'http://127.0.0.1:1'"
    assert caplog.text.count(told) == 1
    queries = run.ranker().encode(torch.tensor([[1, 2, 3]]))
    best = run.ranker().score(queries, 1, 24).argmax() + 1
    assert away.index.search(queries, 1).items.item() == best
    monkeypatch.setenv("VLMREC_MILVUS_URL", milvus_url)
    assert not load_index(run).backend.away


def test_a_token_goes_to_addresses_that_its_owner_named(runs, milvus_url, monkeypatch):
    given = []

    def note(url, secret):
        given.append((url, secret))
        return connected(url, secret)

    monkeypatch.setattr("vlmrec.index.milvus_backend.connected", note)
    monkeypatch.setenv("VLMREC_MILVUS_TOKEN", "me:hunter2")
    run, folder = Run.load(runs / "one"), runs / "one" / FOLDER
    build_index(run, IndexOptions(kind="milvus", url=milvus_url), folder=folder)
    load_index(run)  # a run folder may come from anybody, and so may the address in it
    monkeypatch.setenv("VLMREC_MILVUS_URL", milvus_url)
    load_index(run)
    assert [secret for _, secret in given] == ["me:hunter2", "", "me:hunter2"]
    assert "hunter2" not in (folder / "index.json").read_text()


def test_a_collection_that_is_gone_is_said_and_everything_scored(runs, client, milvus_url, caplog):
    run = Run.load(runs / "other")
    options = IndexOptions(kind="milvus", url=milvus_url, collection="gone")
    place = build_index(run, options, folder=runs / "other" / FOLDER).record.milvus.collection
    client.drop_collection(place, timeout=60)
    with caplog.at_level(logging.WARNING):
        assert load_index(run).backend.away
    assert f"holds no collection '{place}'" in caplog.text
    build_index(run, options, folder=runs / "other" / FOLDER)
    assert not load_index(run).backend.away


def test_an_answer_of_the_server_that_is_an_error_is_ours(client, name, milvus_url):
    backend = MilvusBackend.build(KEYS, MilvusOptions(url=milvus_url, collection=name))
    client.drop_collection(name, timeout=60)
    with pytest.raises(IndexServerError, match="does not answer as it should"):
        backend.propose(KEYS[1:3], 5, None)
