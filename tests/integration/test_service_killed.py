"""Processes that are killed at work: what was acknowledged is there when they start again."""

import itertools
import json
import resource
import signal
import subprocess
import threading
import time

import httpx
import polars as pl
import pytest
import torch
from tests.command_line import COMMAND, environment
from tests.served_process import ServedProcess
from tests.served_shop import picture

from vlmrec.index.choosing import IndexOptions
from vlmrec.models import SASRec
from vlmrec.models.spec import CatalogShape
from vlmrec.pipeline.indexing import FOLDER, build_index, index_of, load_index
from vlmrec.pipeline.run import Run

pytestmark = pytest.mark.slow


def put(service, name, colour):
    return httpx.put(
        f"{service.address}/items/{name}",
        data={"fields": json.dumps({"title": f"thing {name}", "genre": "new"})},
        files={"picture": picture(colour)},
        timeout=30,
    )


def swap(service, name):
    return httpx.post(f"{service.address}/admin/run", json={"run": name}, timeout=30)


def listed(service, **asked):
    answer = httpx.post(f"{service.address}/recommend", json=asked, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def until_killed(service, work, done, wanted):
    """Repeats work in three threads, kills the service amid it; gives what was acknowledged."""
    acknowledged, count = [], itertools.count()

    def go_on():
        for k in count:
            try:
                if work(k).status_code == 200:
                    acknowledged.append(k)
            except httpx.TransportError:
                return

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for one in threads:
        one.start()
    while len(acknowledged) < wanted:
        assert service.process.poll() is None
        time.sleep(0.002)
    service.kill()
    for one in threads:
        one.join()
    return done(acknowledged)


def test_items_and_swaps_that_were_acknowledged_outlive_a_kill(shop, tmp_path):
    log, content = tmp_path / "log", shop / "runs" / "content"
    options = ("--data", shop / "data", "--runs", shop / "runs",
               "--database", f"sqlite:///{tmp_path / 'x.db'}")  # fmt: skip
    service = ServedProcess(content, log, *options)
    there = until_killed(
        service, lambda k: put(service, f"n{k}", (k % 250, k // 250, 7)), sorted, 12
    )
    service = ServedProcess(content, log, *options)
    told = listed(service, history=["i03"], k=500, filter='genre = "new"')
    new = {one["item_id"] for one in told["items"]}
    assert {f"n{k}" for k in there} <= new
    assert len(new) <= len(there) + 3  # those on their way may have arrived
    for k in there[:3]:
        kept = httpx.get(f"{service.address}/items/n{k}/picture")
        assert kept.content == picture((k % 250, k // 250, 7))
    identities = {}
    for name in ("ids", "content"):
        identities[name] = swap(service, name).json()["run"]

    def alternately(k):
        return swap(service, ("ids", "counted")[k % 2])

    identities["counted"] = swap(service, "counted").json()["run"]
    swaps = until_killed(service, alternately, len, 4)
    assert swaps >= 4
    service = ServedProcess(content, log, *options)
    served = listed(service, history=["i03"])["run"]
    service.kill()
    assert served in (identities["ids"], identities["counted"])  # not what the command names
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_one_of_two_servers_is_killed_and_the_other_goes_on(shop, tmp_path, request, kind):
    database = f"sqlite:///{tmp_path / 'x.db'}"
    if kind == "postgresql":
        database = request.getfixturevalue("server").fresh_database("two")
    logs = [tmp_path / "log-0", tmp_path / "log-1"]
    one, other = (
        ServedProcess(shop / "runs" / "content", log, "--data", shop / "data",
                      "--database", database, "--set", "follow_seconds=0.1")
        for log in logs
    )  # fmt: skip
    refused, kept, events, ended = [], [], [], threading.Event()

    def write_to_the_other():
        for k in itertools.count():
            if ended.is_set():
                return
            item = put(other, f"o{k}", (k % 250, 9, 9))
            event = {"user_id": "ann", "item_id": f"i{k % 30:02d}", "event_id": f"e{k}"}
            told = httpx.post(f"{other.address}/events", json={"events": [event]}, timeout=30)
            refused.extend(answer.text for answer in (item, told) if answer.status_code >= 300)
            kept.append(f"o{k}")
            events.append(event)

    thread = threading.Thread(target=write_to_the_other)
    thread.start()
    there = until_killed(one, lambda k: put(one, f"n{k}", (k % 250, 7, 7)), sorted, 10)
    after = len(kept)
    while len(kept) < after + 5 and thread.is_alive():  # it goes on without the one
        time.sleep(0.01)
    ended.set()
    thread.join()
    assert refused == []
    wanted = {*kept, *(f"n{k}" for k in there)}
    again = ServedProcess(
        shop / "runs" / "content", logs[0], "--data", shop / "data", "--database", database
    )
    for service in (other, again):
        for _ in range(100):
            told = listed(service, history=["i03"], k=500, filter='genre = "new"')
            if wanted <= (new := {found["item_id"] for found in told["items"]}):
                break
            time.sleep(0.1)
        assert wanted <= new
        assert len(new) <= len(wanted) + 3  # those on their way may have arrived
        done = httpx.get(f"{service.address}/users/ann/history", timeout=30).json()["items"]
        assert [card["item_id"] for card in done] == [event["item_id"] for event in events][-200:]
        service.kill()
    assert not any("Traceback" in log.read_text() for log in logs)


def test_files_that_may_not_grow_refuse_writes_until_they_may(shop, tmp_path):
    """A limit of the process stands for a disk that is full; it needs no rights."""
    database = tmp_path / "x.db"
    log, hard = tmp_path / "log", resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    service = ServedProcess(
        shop / "runs" / "ids", log, "--data", shop / "data", "--database", f"sqlite:///{database}"
    )

    def events(*items):
        told = [{"user_id": "ann", "item_id": one} for one in items]
        return httpx.post(f"{service.address}/events", json={"events": told}, timeout=30)

    assert events("i03").status_code == 201
    largest = max(one.stat().st_size for one in tmp_path.glob("x.db*"))
    before = listed(service, user_id="ann")["items"]
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (largest, hard))
    refused = [events(*["i04"] * 900) for _ in range(3)]
    assert [one.status_code for one in refused] == [503] * 3
    assert refused[0].json()["problem"].startswith("The database cannot be used now")
    assert listed(service, user_id="ann")["items"] == before
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert events("i05").status_code == 201
    assert listed(service, user_id="ann")["items"] != before
    service.kill()


@pytest.fixture(scope="module")
def large_run(tmp_path_factory):
    """A run whose index takes a while to write."""
    n, dim, folder = 100_000, 64, tmp_path_factory.mktemp("large") / "run"
    spec = SASRec(dim=dim, n_layers=1)
    model = spec.build(CatalogShape(n)).eval()
    with torch.no_grad():
        for one in model.parameters():
            one.normal_(generator=torch.manual_seed(0))
    names = [f"i{k}" for k in range(n)]
    items = pl.DataFrame({"item_id": names, "title": names, "n_train": [1] * n})
    shape = {"n_items": n, "widths": {}, "n_users": 0}
    info = {"model": spec.name, "spec": spec.model_dump(mode="json"), "shape": shape}
    Run(spec, model, model.item_table(), items, info).save(folder)
    return folder


@pytest.mark.parametrize("before", ["no index", "an index"])
def test_an_index_that_was_killed_while_it_was_written_is_whole_or_built_anew(
    large_run, before, caplog
):
    run, index = Run.load(large_run), large_run / FOLDER
    if before == "an index":
        build_index(run, IndexOptions(kind="flat"), folder=index)
    else:
        assert not index.exists()
    was_there = {one.name: one.stat().st_mtime_ns for one in index.glob("*")}
    process = subprocess.Popen(
        [*COMMAND, "index", str(large_run), "--kind", "flat"],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None:
        now = {one.name: one.stat().st_mtime_ns for one in index.glob(".index.faiss*")}
        if now and any(name not in was_there for name in now):
            break
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    found = index_of(run)
    if (index / "index.json").is_file():
        assert load_index(run).record == found.record
    else:
        assert "no index" not in caplog.text
    queries = torch.randn(2, 64, generator=torch.manual_seed(1))
    assert (found.index.search(queries, 10).items > 0).all()
    build_index(run, IndexOptions(kind="flat"), folder=index)  # nothing is in the way of the next
    assert load_index(run).record.kind == "flat"
    for one in index.iterdir():
        one.unlink()
    index.rmdir()
