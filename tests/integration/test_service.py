"""The service itself: swaps, keys, limits, a database that is gone, measures, its document."""

import json
import threading

import pytest
from tests.served_shop import N, ask, listed, put

from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run
from vlmrec.serve.keys import new_key
from vlmrec.serve.store.store import StoreError


def test_another_run_is_swapped_in_without_a_dropped_request(start, shop):
    client, _ = start(runs=shop / "runs")
    lists = {
        name: recommend(Run.load(shop / "runs" / name), ["i03"], k=5)["item_id"].to_list()
        for name in ("content", "ids")
    }
    stop, wrong, answered = threading.Event(), [], [0]

    def work():
        while not stop.is_set():
            found = client.post("/recommend", json={"history": ["i03"], "k": 5})
            answered[0] += 1
            if found.status_code != 200 or listed(found) not in lists.values():
                wrong.append(found.text)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for one in threads:
        one.start()
    for name in ("ids", "content", "ids"):
        answer = client.post("/admin/run", json={"run": name})
        assert answer.status_code == 200, answer.text
        assert listed(client.post("/recommend", json={"history": ["i03"], "k": 5})) == lists[name]
    stop.set()
    for one in threads:
        one.join()
    assert not wrong
    assert answered[0] > 3
    again, _ = start(runs=shop / "runs")  # started with "content", goes on with what was chosen
    assert ask(again, history=["i03"], k=5) == lists["ids"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../content", "is no name of a run"),
        ("/etc", "is no name of a run"),
        ("nothing", "The run cannot be served"),
        ("..", "is no name of a run"),
        (".", "is no name of a run"),
        ("content/index", "is no name of a run"),
    ],
)
def test_runs_elsewhere_are_not_served(start, shop, name, told):
    client, _ = start(runs=shop / "runs")
    answer = client.post("/admin/run", json={"run": name})
    assert answer.status_code == 422
    assert told in answer.json()["problem"]
    assert str(shop) not in answer.text
    assert ask(client, history=["i03"])


def test_keys_decide_who_may_do_what(start, tmp_path):
    keys = {role: new_key() for role in ("read", "write", "admin")}
    path = tmp_path / "keys.json"
    entries = {role: {"role": role, "sha256": digest} for role, (_, digest) in keys.items()}
    path.write_text(json.dumps(entries))
    client, _ = start(keys=path)
    wanted = {
        "read": ("POST", "/recommend", {"history": ["i03"]}),
        "write": ("POST", "/events", {"events": [{"user_id": "a", "item_id": "i03"}]}),
        "admin": ("GET", "/metrics", None),
    }
    roles = list(wanted)
    for holder, (key, _) in keys.items():
        for needed, (method, url, body) in wanted.items():
            for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
                answer = client.request(method, url, json=body, headers=headers)
                done = 201 if needed == "write" else 200
                status = done if roles.index(holder) >= roles.index(needed) else 403
                assert answer.status_code == status
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
        answer = client.post("/recommend", json={}, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/health").json() == {"status": "alive"}
    assert client.get("/docs").status_code == client.get("/openapi.json").status_code == 200
    assert client.get("/openapi.json").json()["security"] == [{"key": []}]
    for path in ("/docs-scripts", "/docs-scripts/../run", "/docs/oauth2-redirect", "/docs/"):
        assert client.get(path).status_code in (401, 404)


def test_bodies_rates_and_methods_have_limits(start):
    client, _ = start(body_bytes=2000, requests_per_minute=8)
    long = json.dumps({"history": ["i03"] * 400})
    assert client.post("/recommend", content=long).status_code == 413
    streamed = client.post("/recommend", content=iter([long.encode()[:1500], long.encode()[1500:]]))
    assert streamed.status_code == 413
    broken = client.post("/recommend", content="{", headers={"content-type": "application/json"})
    assert broken.status_code == 400
    assert client.put("/recommend").status_code == 405
    assert client.get("/../../etc/passwd").status_code == 404
    statuses = [client.get("/items/i03").status_code for _ in range(6)]
    assert statuses == [200] * 3 + [429] * 3


def test_a_database_that_is_gone_is_said_and_lists_without_it_go_on(start, monkeypatch):
    client, service = start()

    def gone(*_):
        raise StoreError("The database at /secret/path is gone.")

    for name in ("check", "add_events", "put_items", "histories"):
        monkeypatch.setattr(service.store, name, gone)
    assert client.get("/health").status_code == 200
    for answer in (
        client.get("/ready"),
        client.post("/events", json={"events": [{"user_id": "a", "item_id": "i03"}]}),
        client.post("/recommend", json={"user_id": "a"}),
        put(client, "n1", {"title": "thing"}),
    ):
        assert answer.status_code == 503
        assert "secret" not in answer.text
    assert ask(client, history=["i03"])
    assert client.get("/items/n1").status_code == 404  # what was not stored is not served
    monkeypatch.undo()
    assert client.get("/ready").json() == {"status": "ready"}


def test_a_defect_is_a_500_that_tells_nothing(start, monkeypatch):
    client, service = start()
    monkeypatch.setattr("vlmrec.serve.service.answer_all", lambda *_: 1 / 0)
    answer = client.post("/recommend", json={"history": ["i03"]})
    assert answer.status_code == 500
    assert answer.json() == {
        "problem": "The service failed at this request; its log says why.",
        "fix": "",
    }
    assert service.live is not None


def test_measures_and_lists_are_kept(start):
    client, service = start()
    told = client.post("/recommend", json={"history": ["i03"], "k": 3}).json()
    for _ in range(100):
        if service.store.shown(told["recommendation_id"]):
            break
        threading.Event().wait(0.05)
    shown = service.store.shown(told["recommendation_id"])
    assert list(shown.items) == [one["item_id"] for one in told["items"]]
    text = client.get("/metrics").text
    assert 'vlmrec_requests_total{method="POST",route="/recommend",status="200"} 1.0' in text
    assert f"vlmrec_items {N}.0" in text
    assert client.get("/health").headers["x-content-type-options"] == "nosniff"


def test_the_document_describes_every_route_with_examples(start):
    client, _ = start()
    document = client.get("/openapi.json").json()
    assert "security" not in document  # without keys nothing is asked for
    assert set(document["paths"]) >= {
        "/recommend", "/recommend/batch", "/similar", "/rerank", "/events", "/items/{item_id}",
        "/items/{item_id}/picture", "/admin/run", "/health", "/ready", "/metrics",
    }  # fmt: skip
    assert document["components"]["schemas"]["RecommendRequest"]["examples"]
    for path, methods in document["paths"].items():
        for facts in methods.values():
            assert facts["description"], path
