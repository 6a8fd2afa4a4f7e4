"""`vlmrec serve` as a process: it answers, ends when told to, and says what is wrong."""

import hashlib
import json
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from vlmrec.models import SASRec
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("served"), small_dataset()
    options = TrainOptions(epochs=1, device="cpu")
    fit(
        SASRec(dim=8), data.leave_one_out(), folder / "run", options=options, test=False, quiet=True
    )
    data.save(folder / "data")
    return folder


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(place, port, log):
    command = [sys.executable, "-m", "vlmrec.cli.main", "serve", str(place / "run"), "--data",
               str(place / "data"), "--with-history", "--port", str(port), "--database",
               f"sqlite:///{place / 'x.db'}"]  # fmt: skip
    process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL)
    for _ in range(600):
        assert process.poll() is None
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                return process
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("it did not start")


@pytest.mark.slow
def test_a_process_serves_is_killed_and_serves_on(place, tmp_path):
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("w+") as log:
        process = start(place, port, log)
        user = small_dataset().users.names[0]
        before = httpx.post(f"{address}/recommend", json={"user_id": user, "k": 3}).json()
        assert before["fallback"] is None
        sent = {"events": [{"user_id": "new", "item_id": "i03", "event_id": "n1"}]}
        assert httpx.post(f"{address}/events", json=sent).json()["stored"] == 1
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start(place, port, log)
        assert httpx.post(f"{address}/events", json=sent).json()["already_there"] == 1
        told = httpx.post(f"{address}/recommend", json={"user_id": "new", "k": 3}).json()
        assert told["fallback"] is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)
        log.seek(0)
        lines = log.read().splitlines()
    assert any("interactions were stored as events" in line for line in lines)
    assert sum("0 interactions were stored" in line for line in lines) >= 1
    asked = [json.loads(line) for line in lines if '"vlmrec.serve.requests"' in line]
    assert {one["route"] for one in asked} == {"/ready", "/recommend", "/events"}


def test_a_key_is_printed_once_with_its_entry(run_vlmrec):
    done = run_vlmrec("serve", "--new-key", "shop:write")
    key = done.out.strip()
    entry = json.loads(done.err.split("gets: ")[1])
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert entry == {"shop": {"role": "write", "sha256": digest}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "No run was named. Write: vlmrec serve RUN"),
        (["RUN", "--host", "0.0.0.0"], "'0.0.0.0' without keys"),
        (["RUN", "--runs", "nowhere"], "swapped in from 'nowhere', which is no folder"),
        (["RUN", "--database", "mysql://x/y"], "supported are sqlite and postgresql"),
        (["RUN", "--database", "sqlite:////no/folder/x.db"], "unable to open database file"),
        (["RUN", "--set", "hystory=3"], "Did you mean 'history'?"),
        (["RUN", "--with-history"], "--with-history needs a dataset"),
        (["RUN", "--keys", "nowhere.json"], "nowhere.json"),
        (["nowhere"], "is not a finished run folder"),
        (["--new-key", "shop"], "'shop' is no name and role. Write NAME:ROLE"),
    ],
)
def test_wrong_input_is_said(place, run_vlmrec, tmp_path, monkeypatch, given, told):
    monkeypatch.chdir(tmp_path)
    arguments = [place / "run" if one == "RUN" else one for one in given]
    done = run_vlmrec("serve", *arguments)
    assert done.code == 2
    assert told in " ".join(done.err.split())
