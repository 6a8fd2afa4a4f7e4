"""Attacks and mistakes of clients, sent to a listening service: what each is answered."""

import json
import socket
import threading
import time

import httpx
import pytest
import uvicorn
from tests.attacks import BODY, EVERY, PICTURE, PIXELS, RATE

from vlmrec.data.dataset import Dataset
from vlmrec.serve.keys import new_key
from vlmrec.serve.options import ServeOptions
from vlmrec.serve.running import make_app, make_service

LEAKS = (
    "Traceback",
    "site-packages",
    ".py",
    "SELECT ",
    "INSERT ",
    "sqlalchemy",
    "sqlite",
    "psycopg",
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    made = {role: new_key() for role in ("read", "write", "admin")}
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    entries = {role: {"role": role, "sha256": digest} for role, (_, digest) in made.items()}
    path.write_text(json.dumps(entries))
    return path, {role: key for role, (key, _) in made.items()} | {"guessed": "vr_" + "A" * 43}


@pytest.fixture(scope="module")
def listening(shop, keys, tmp_path_factory):
    """Two services that listen: one with keys, one that limits rates and time."""
    folder = tmp_path_factory.mktemp("attacked")
    (shop / "runs" / "link").symlink_to(shop / "data")
    limits = {"body_bytes": BODY, "picture_bytes": PICTURE, "picture_pixels": PIXELS}
    started, ports = [], []
    for name, given in (
        ("open", {"keys": keys[0], "runs": shop / "runs", **limits}),
        ("limited", {"requests_per_minute": RATE, "body_seconds": 0.3}),
    ):
        options = ServeOptions(database=f"sqlite:///{folder / name}.db", **given)
        service = make_service(shop / "runs" / "content", options, Dataset.load(shop / "data"))
        config = uvicorn.Config(make_app(service), port=0, log_config=None, server_header=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        started.append((server, thread))
        ports.append(server.servers[0].sockets[0].getsockname()[1])
    yield ports
    for server, thread in started:
        server.should_exit = True
        thread.join()
    (shop / "runs" / "link").unlink()


def over_the_wire(port, raw):
    """Returns status, headers and body as they come back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        wire.sendall(raw)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.split(b"\r\n\r\n", 1)[1]:
            part = wire.recv(65536)
            if not part:
                break
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode().lower(), body.decode()


@pytest.mark.parametrize("attack", EVERY, ids=lambda one: one.name)
def test_attacks_and_mistakes_are_answered_as_the_table_says(listening, keys, shop, attack):
    port = listening[1] if attack.limited else listening[0]
    sent = dict(attack.sent)
    for _ in range(attack.times):
        if "raw" in sent:
            key = f"Host: localhost\r\nX-API-Key: {keys[1].get(attack.role, '')}".encode()
            raw = sent["raw"].replace(b"Host: localhost", key, 1)
            status, head, body = over_the_wire(port, raw)
            continue
        own = {**sent.get("headers", {}), **attack.headers}
        if attack.role and not attack.limited:
            own["x-api-key"] = keys[1][attack.role]
        asked = sent | {"url": f"http://127.0.0.1:{port}{sent['url']}", "headers": own}
        with httpx.Client() as client:
            answer = client.request(**asked)
        status, body = answer.status_code, answer.text
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items()).lower()
    assert status == attack.status, body
    assert attack.says in body
    assert "set-cookie" not in head
    assert "evil" not in head + body
    for leak in (*LEAKS, str(shop), str(keys[0].parent), "/tmp", "/work", "/home"):
        assert leak not in body
    if status >= 400 and body.startswith("{"):
        assert set(json.loads(body)) == {"problem", "fix"}


def test_after_all_attacks_everything_is_as_it_was(listening, keys):
    own = {"x-api-key": keys[1]["admin"]}
    with httpx.Client(base_url=f"http://127.0.0.1:{listening[0]}", headers=own) as client:
        assert client.get("/ready").json() == {"status": "ready"}
        listed = client.post("/recommend", json={"history": ["i03"], "k": 5}).json()["items"]
        assert len(listed) == 5
        first = {"user_id": "bob", "item_id": "i03", "event_id": "b1"}
        assert client.post("/events", json={"events": [first]}).json()["stored"] == 1
        assert 'status="500"' not in client.get("/metrics").text
