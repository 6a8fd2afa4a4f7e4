"""What a service does when its disk is full, its files are damaged or its database is away."""

import shutil
import subprocess
import tempfile
import threading

import pytest
import torch
from tests.command_line import call
from tests.served_shop import N, ask, listed, picture, put

from vlmrec.pipeline.indexing import build_index
from vlmrec.pipeline.run import Run

EVENT = {"user_id": "ann", "item_id": "i03"}


def events(client, *items):
    return client.post("/events", json={"events": [EVENT | {"item_id": one} for one in items]})


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder):
    """Writes until there is no room, not even for a byte."""
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 512, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


def test_on_a_full_disk_nothing_is_half_stored_and_lists_go_on(start, small_disk, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    client, service = start(database=f"sqlite:///{small_disk / 'shop.db'}")
    assert events(client, "i03").status_code == 201
    before = ask(client, user_id="ann", k=5)
    fill(small_disk)
    for round_ in range(3):
        for answer in (
            events(client, *(f"i{k:02d}" for k in range(N)), *["i04"] * 500),
            put(client, f"n{round_}", {"title": "thing aaa " * 900, "genre": "new"}),
            put(client, f"p{round_}", {"title": "thing"}, picture=picture((round_, 9, 9))),
        ):
            assert answer.status_code == 503, answer.text
            assert answer.json()["problem"]
            assert str(small_disk) not in answer.text
        assert ask(client, user_id="ann", k=5) == before
        assert ask(client, history=["i07"])
    assert service.history("ann") == ["i03"]
    assert client.get("/items/n0").status_code == 404
    assert service.store.changes_since(0).items == ()
    (small_disk / "filler").unlink()
    assert events(client, "i04").status_code == 201
    assert put(client, "n1", {"title": "thing", "genre": "new"}, picture=picture()).is_success
    assert service.history("ann") == ["i03", "i04"]
    assert ask(client, history=["i03"], filter='genre = "new"') == ["n1"]
    assert not [one for one in small_disk.rglob(".*") if one.is_file()]  # no half-written picture


def damage(kind, folder):
    """Damages a run folder."""
    weights, record = folder / "model.safetensors", folder / "run.json"
    if kind == "cut off":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif kind == "changed":
        vectors = bytearray((folder / "item_vectors.safetensors").read_bytes())
        vectors[-5] ^= 1
        (folder / "item_vectors.safetensors").write_bytes(vectors)
    elif kind == "a file gone":
        (folder / "vocabulary.parquet").unlink()
    elif kind == "unfinished":
        record.unlink()
    elif kind == "its record cut off":
        record.write_bytes(record.read_bytes()[:200])
    elif kind == "its record emptied":
        record.write_text('{"format": 1}')
    elif kind == "a pickle":
        weights.write_bytes(b"\x80\x04\x95" + bytes(100))
    elif kind == "empty files":
        for one in folder.iterdir():
            one.is_file() and one.write_bytes(b"")


KINDS = ["cut off", "changed", "a file gone", "unfinished", "its record cut off",
         "its record emptied", "a pickle", "empty files"]  # fmt: skip


def test_damaged_runs_are_not_swapped_in_and_the_old_one_goes_on(start, shop, tmp_path):
    for number, kind in enumerate(KINDS):
        shutil.copytree(shop / "runs" / "ids", tmp_path / "runs" / f"r{number}")
        damage(kind, tmp_path / "runs" / f"r{number}")
    client, service = start(runs=tmp_path / "runs")
    before, identity = ask(client, history=["i03"]), service.live.identity
    for number, kind in enumerate(KINDS):
        answer = client.post("/admin/run", json={"run": f"r{number}"})
        assert answer.status_code == 422, kind
        assert "The run cannot be served" in answer.json()["problem"], kind
        assert str(tmp_path) not in answer.text
    assert ask(client, history=["i03"]) == before
    assert service.live.identity == identity
    assert service.store.changes_since(0).run is None


def test_a_run_whose_files_go_while_it_is_served_is_served_on(start, shop, tmp_path):
    from vlmrec.index.choosing import IndexOptions

    folder = shutil.copytree(shop / "runs" / "content", shop / "runs" / "going")
    build_index(Run.load(folder), IndexOptions(kind="flat"), folder=folder / "index")
    client, _ = start("going")
    before = ask(client, history=["i03"], k=N)
    for one in folder.rglob("*"):
        if one.is_file():
            one.write_bytes(b"")  # what is mapped into memory would be gone now
    assert ask(client, history=["i03"], k=N) == before
    shutil.rmtree(folder)
    assert ask(client, history=["i03"], k=N) == before
    assert put(client, "n1", {"title": "thing", "genre": "new"}, picture=picture()).is_success
    assert ask(client, history=["i03"], filter='genre = "new"') == ["n1"]
    explained = client.post("/explain", json={"history": ["i03"], "item_id": before[0]})
    assert explained.status_code == 200


def test_a_chosen_run_that_is_damaged_later_is_told_and_the_named_one_served(
    start, shop, tmp_path, caplog
):
    folder = shutil.copytree(shop / "runs" / "ids", tmp_path / "runs" / "other")
    client, _ = start(runs=tmp_path / "runs")
    assert client.post("/admin/run", json={"run": "other"}).is_success
    damage("its record emptied", folder)
    again, service = start(runs=tmp_path / "runs")
    assert ask(again, history=["i03"])
    assert service.live.run.spec.name == "sasrec-content"
    assert "the run 'other' that was chosen is not served" in caplog.text


@pytest.mark.slow
def test_starting_on_a_damaged_run_is_refused(shop, tmp_path):
    folder = shutil.copytree(shop / "runs" / "ids", tmp_path / "run")
    damage("cut off", folder)
    done = call("serve", folder, "--database", f"sqlite:///{tmp_path / 'x.db'}", "--port", "0")
    assert done.returncode == 2
    assert "is damaged" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_database_that_goes_and_comes_back_needs_no_hands(start, server, how):
    client, service = start(database=server.fresh_database(f"shop_{how}"))
    assert events(client, "i03").status_code == 201
    put(client, "n1", {"title": "thing", "genre": "new"}, picture=picture())
    own = ask(client, user_id="ann", k=5)
    server.stop(how)
    assert client.get("/health").status_code == 200
    for answer in (
        client.get("/ready"),
        events(client, "i04"),
        put(client, "n2", {"title": "thing", "genre": "new"}),
        client.delete("/items/i05"),
        client.post("/recommend", json={"user_id": "ann"}),
    ):
        assert answer.status_code == 503, answer.text
        assert answer.json()["problem"].startswith("The database cannot be used now")
    shown = client.post("/recommend", json={"history": ["i03"], "k": 3})
    assert len(listed(shown)) == 3
    assert ask(client, history=["i03"], filter='genre = "new"') == ["n1"]
    threading.Event().wait(0.5)  # the list is tried to be written meanwhile
    server.start()
    assert client.get("/ready").status_code == 200
    assert ask(client, user_id="ann", k=5) == own
    assert service.history("ann") == ["i03"]
    assert put(client, "n2", {"title": "thing", "genre": "new"}).status_code == 200
    assert sorted(ask(client, history=["i03"], filter='genre = "new"')) == ["n1", "n2"]
    assert torch.equal(service.live.present[-2:], torch.ones(2, dtype=torch.bool))
    number = shown.json()["recommendation_id"]
    for _ in range(100):
        if service.store.shown(number):
            break
        threading.Event().wait(0.05)
    assert len(service.store.shown(number).items) == 3
