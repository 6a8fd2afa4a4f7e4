"""The service over HTTP, with a real run, a real database and real pictures."""

import io
import json
import threading

import numpy as np
import polars as pl
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from tests.tiny_checkpoints import write_tiny_bert, write_tiny_vit

from vlmrec.data.dataset import Dataset
from vlmrec.models import GRU4Rec, ItemKNN, SASRecContent
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run
from vlmrec.serve.keys import new_key
from vlmrec.serve.options import ServeOptions
from vlmrec.serve.running import make_app, make_service, store_history
from vlmrec.serve.store.store import StoreError
from vlmrec.train.options import TrainOptions

N = 30


def picture(colour=(200, 30, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", (48, 48), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A dataset with attributes and pictures, and runs of three kinds on it."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    (folder / "img").mkdir()
    for k in range(0, N, 2):
        Image.new("RGB", (48, 48), tuple(rng.integers(0, 255, 3).tolist())).save(
            folder / "img" / f"i{k:02d}.png"
        )
    items = pl.DataFrame(
        {
            "item_id": [f"i{k:02d}" for k in range(N)],
            "title": [f"thing {'abcdef'[k % 6] * 3} {k}" for k in range(N)],
            "genre": [["red", "blue", "green"][k % 3] for k in range(N)],
            "tags": [[f"t{k % 4}", "all"] for k in range(N)],
            "year": [1990 + k for k in range(N)],
            "image": [f"i{k:02d}.png" if k % 2 == 0 else None for k in range(N)],
        }
    )
    log = pl.DataFrame(
        [
            (f"u{user}", f"i{(user + 3 * step + rng.integers(2)) % N:02d}", 100 + step)
            for user in range(40)
            for step in range(6)
        ],
        schema=["user_id", "item_id", "timestamp"],
        orient="row",
    )
    data = Dataset.from_frames(log, items, images=folder / "img").save(folder / "data")
    text, image = write_tiny_bert(folder / "bert"), write_tiny_vit(folder / "vit")
    content = SASRecContent(text=str(text), image=str(image), dim=8, n_layers=1, max_len=6)
    specs = {"content": content, "ids": GRU4Rec(dim=8, hidden=8, max_len=6), "counted": ItemKNN()}
    for name, spec in specs.items():
        options = TrainOptions(epochs=2, device="cpu")
        split = Dataset.load(folder / "data").leave_one_out()
        fit(spec, split, folder / "runs" / name, options=options, test=False, quiet=True)
    del data
    return folder


@pytest.fixture
def start(shop, tmp_path):
    """Starts services; all are closed in the end."""
    open_now = []

    def begin(name="content", **given):
        options = ServeOptions(
            database=given.pop("database", f"sqlite:///{tmp_path / 'shop.db'}"),
            follow_seconds=0.05,
            **given,
        )
        data = Dataset.load(shop / "data")
        service = make_service(shop / "runs" / name, options, data)
        client = TestClient(make_app(service), raise_server_exceptions=False)
        client.__enter__()
        open_now.append(client)
        return client, service

    yield begin
    for client in open_now:
        client.__exit__(None, None, None)


def listed(answer):
    assert answer.status_code == 200, answer.text
    return [one["item_id"] for one in answer.json()["items"]]


def ask(client, **given):
    return listed(client.post("/recommend", json=given))


def put(client, name, fields, **files):
    return client.put(f"/items/{name}", data={"fields": json.dumps(fields)}, files=files or None)


@pytest.mark.parametrize("name", ["content", "ids", "counted"])
def test_the_score_over_http_is_that_of_recommend(start, shop, name):
    client, _ = start(name)
    history = ["i03", "i06", "i09"]
    told = client.post("/recommend", json={"history": history, "k": 12}).json()
    table = recommend(Run.load(shop / "runs" / name), history, k=12)
    assert [one["item_id"] for one in told["items"]] == table["item_id"].to_list()
    scores = [one["score"] for one in told["items"]]
    assert scores == pytest.approx(table["score"].to_list(), abs=1e-6)
    assert [one["rank"] for one in told["items"]] == table["rank"].to_list()
    again = recommend(Run.load(shop / "runs" / name), history, k=N, filter_seen=False)
    seen = client.post("/recommend", json={"history": history, "k": N, "keep_seen": True}).json()
    assert [one["item_id"] for one in seen["items"]] == again["item_id"].to_list()


def test_an_event_changes_the_answer_of_the_next_request(start):
    client, _ = start()
    before = client.post("/recommend", json={"user_id": "ann"}).json()
    assert before["fallback"] == "popularity"
    sent = {"events": [{"user_id": "ann", "item_id": "i03"}, {"user_id": "ann", "item_id": "zz"}]}
    answer = client.post("/events", json=sent)
    assert answer.status_code == 201
    assert answer.json() == {"stored": 2, "already_there": 0, "unknown_items": ["zz"]}
    after = client.post("/recommend", json={"user_id": "ann"}).json()
    assert (after["fallback"], after["unknown_items"]) == (None, ["zz"])
    assert [one["item_id"] for one in after["items"]] == ask(client, history=["i03"])
    # A visit before login comes after what is stored.
    both = ask(client, user_id="ann", history=["i07"])
    assert both == ask(client, history=["i03", "i07"])


def test_a_dataset_gives_histories_once(start, shop):
    client, service = start()
    data = Dataset.load(shop / "data")
    assert store_history(service.store, data) == data.sequences.n_events
    assert store_history(service.store, data) == 0
    user = data.users.names[0]
    own = data.items.to_external(data.sequences.items[: data.sequences.offsets[1]])
    assert service.history(user) == own
    assert not set(ask(client, user_id=user, k=20)) & set(own)


def test_limits_give_exactly_k_where_k_exist(start):
    client, _ = start()
    history = ["i03", "i06"]
    red = ask(client, history=history, k=30, filter='genre = "red"')
    assert red
    assert set(red) == {f"i{k:02d}" for k in range(0, N, 3)} - set(history)
    assert len(ask(client, history=history, k=7, filter='genre = "red"')) == 7
    assert ask(client, history=history, k=7, filter='genre = "red"') == red[:7]
    few = ask(client, history=history, allow=["i01", "i02", "i03", "nope"])
    assert sorted(few) == ["i01", "i02"]
    assert not set(ask(client, history=history, k=N, deny=red)) & set(red)
    assert ask(client, history=history, filter="year > 3000") == []
    some = ask(client, history=history, k=N, filter='tags has "t1" and not year < 2000')
    assert set(some) == {f"i{k:02d}" for k in range(10, N) if k % 4 == 1}


def test_popularity_answers_for_strangers_within_limits(start, shop):
    client, _ = start()
    counts = Run.load(shop / "runs" / "content").items
    best = counts.sort("n_train", descending=True, maintain_order=True)["item_id"].to_list()
    assert ask(client, k=5) == best[:5]
    assert ask(client, history=["unknown"], k=5, deny=best[:2]) == best[2:7]
    green = ask(client, k=3, filter='genre = "green"')
    assert all(int(name[1:]) % 3 == 2 for name in green)


def test_promoted_items_get_their_share_of_the_places(start):
    client, _ = start()
    promote = {"filter": 'genre = "blue"', "share": 0.5}
    told = client.post("/recommend", json={"history": ["i03"], "k": 10, "promote": promote}).json()
    assert [one["promoted"] for one in told["items"]] == [False, True] * 5
    assert all(int(one["item_id"][1:]) % 3 == 1 for one in told["items"] if one["promoted"])
    named = {"items": ["i20"], "share": 0.25}
    told = client.post("/recommend", json={"history": ["i03"], "k": 8, "promote": named}).json()
    assert told["items"][3]["item_id"] == "i20"


def test_diversity_changes_the_order_and_keeps_the_first(start):
    client, _ = start()
    plain = ask(client, history=["i03", "i06"], k=6)
    varied = ask(client, history=["i03", "i06"], k=6, diversity=0.9)
    assert plain[0] == varied[0]
    assert plain != varied


def test_similar_items_and_given_lists(start, shop):
    client, _ = start()
    near = listed(client.post("/similar", json={"item_id": "i03", "k": 5}))
    vectors = torch.nn.functional.normalize(Run.load(shop / "runs" / "content").item_vectors, dim=1)
    cosines = vectors @ vectors[4]
    cosines[[0, 4]] = -2
    assert near == [f"i{int(row) - 1:02d}" for row in cosines.topk(5).indices]
    wanted = ["i09", "i01", "i20", "i01", "nope"]
    order = ask(client, history=["i03"], k=N, keep_seen=True)
    ranked = listed(client.post("/rerank", json={"history": ["i03"], "items": wanted}))
    assert ranked == [name for name in order if name in wanted]
    missing = client.post("/similar", json={"item_id": "nope"})
    assert missing.status_code == 422
    assert "There is no item 'nope'" in missing.json()["problem"]


def test_many_lists_at_once_are_those_one_by_one(start):
    client, _ = start()
    asked = [{"history": [f"i{k:02d}"], "k": 4} for k in range(20)] + [{"k": 2}]
    together = client.post("/recommend/batch", json={"requests": asked}).json()["answers"]
    assert len({one["recommendation_id"] for one in together}) == 21
    for one, answer in zip(asked, together, strict=True):
        assert [item["item_id"] for item in answer["items"]] == ask(client, **one)


def test_a_new_item_is_recommended_at_once_and_can_be_changed_and_removed(start):
    client, service = start()
    fields = {"title": "thing aaa 99", "genre": "new", "year": 2020}
    assert put(client, "n1", fields, picture=picture()).json() == {"item_id": "n1", "change": 1}
    told = client.get("/items/n1").json()
    assert told["fields"]["year"] == 2020
    assert told["has_picture"]
    assert client.get("/items/n1/picture").content == picture()
    assert ask(client, history=["i03"], filter='genre = "new"') == ["n1"]
    assert ask(client, history=["n1"], k=3)  # and it can stand in a history
    assert "n1" in listed(client.post("/similar", json={"item_id": "i00", "k": N}))
    before = service.live.run.item_vectors[-1]
    assert put(client, "n1", {"title": "thing fff", "genre": "old"}).status_code == 200
    assert not torch.equal(service.live.run.item_vectors[-1], before)
    assert ask(client, history=["i03"], filter='genre = "new"') == []
    assert client.get("/items/n1/picture").status_code == 404
    assert client.delete("/items/n1").status_code == 200
    assert "n1" not in ask(client, history=["i03"], k=500)
    assert not client.get("/items/n1").json()["recommendable"]
    assert put(client, "n1", {"title": "thing fff", "genre": "old"}).status_code == 200
    assert "n1" in ask(client, history=["i03"], k=500)


def test_an_item_of_the_run_can_be_changed_and_removed(start):
    client, _ = start()
    first = ask(client, history=["i03"])[0]
    assert client.delete(f"/items/{first}").status_code == 200
    assert first not in ask(client, history=["i03"], k=500)
    assert put(client, first, {"title": "thing other", "year": 1}).status_code == 200
    assert ask(client, history=["i03"], filter="year < 10") == [first]


@pytest.mark.parametrize(
    ("fields", "files", "status", "told"),
    [
        ("{}", {}, 422, "has none of what the model reads"),
        ("no json", {}, 422, "'fields' is no JSON object"),
        ("[1]", {}, 422, "'fields' is no JSON object"),
        ('{"title": "a\\u0000b"}', {}, 422, "'fields' is no JSON object"),
        ('{"title": "\\ud800"}', {}, 422, "'fields' is no JSON object"),
        ('{"titel": "x"}', {}, 422, "'titel' is no field of the items served here. Did you mean"),
        ('{"year": "1990"}', {}, 422, "'year' was given '1990'; expected a whole number"),
        ('{"year": 1e300}', {}, 422, "expected a whole number"),
        ('{"year": true}', {}, 422, "expected a whole number"),
        ('{"tags": "t1"}', {}, 422, "expected a list of texts"),
        ('{"title": 5}', {}, 422, "expected a text"),
        ("{}", {"picture": b"nonsense"}, 422, "no picture that can be read"),
        ("{}", {"picture": picture()[:60]}, 422, "damaged or cut off"),
        ("[" * 5000, {}, 422, "'fields' is no JSON object"),
    ],
)
def test_items_that_are_refused_are_not_stored(start, fields, files, status, told):
    client, service = start()
    answer = client.put("/items/bad", data={"fields": fields}, files=files or None)
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert told in f"{said['problem']} {said['fix']}"
    assert service.store.items(["bad"]) == {}
    assert client.get("/items/bad").status_code == 404


def test_models_of_ids_take_no_new_items_and_say_so(start):
    client, _ = start("ids")
    answer = put(client, "n1", {"title": "x"})
    assert answer.status_code == 422
    assert "knows items by id only" in answer.json()["problem"]
    assert client.delete("/items/i03").status_code == 200
    assert "i03" not in ask(client, history=["i04"], k=500)


def test_what_was_changed_is_there_after_a_restart(start, tmp_path):
    client, _ = start()
    put(client, "n1", {"title": "thing aaa", "genre": "new"}, picture=picture())
    client.delete("/items/i05")
    client.post("/events", json={"events": [{"user_id": "ann", "item_id": "i03"}]})
    expected = ask(client, user_id="ann", k=500)
    again, _ = start()
    assert ask(again, user_id="ann", k=500) == expected
    assert again.get("/items/n1/picture").content == picture()
    assert "i05" not in expected


def test_a_removed_item_goes_on_to_count_in_histories(start):
    client, _ = start()
    put(client, "n1", {"title": "thing aaa", "genre": "new"})
    client.post("/events", json={"events": [{"user_id": "ann", "item_id": "n1"}]})
    before = ask(client, user_id="ann", k=9)
    client.delete("/items/n1")
    assert ask(client, user_id="ann", k=9) == before
    again, _ = start()
    assert ask(again, user_id="ann", k=9) == before
    assert "n1" not in ask(again, history=["i03"], k=500)
    assert not again.get("/items/n1").json()["recommendable"]


def test_two_servers_on_one_database_follow_each_other(start):
    one, _ = start()
    other, service = start()
    put(one, "n1", {"title": "thing aaa", "genre": "new"})
    one.delete("/items/i05")
    put(other, "n2", {"title": "thing bbb", "genre": "new"})
    for client, (_, known) in ((one, ("n2", "n1")), (other, ("n1", "n2"))):
        del known
        for _ in range(100):
            if sorted(ask(client, history=["i03"], filter='genre = "new"')) == ["n1", "n2"]:
                break
            threading.Event().wait(0.05)
        assert sorted(ask(client, history=["i03"], filter='genre = "new"')) == ["n1", "n2"]
        assert "i05" not in ask(client, history=["i03"], k=500)
    assert service.live.change == 3


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
    assert client.get("/docs").status_code == 401


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
    assert set(document["paths"]) >= {
        "/recommend", "/recommend/batch", "/similar", "/rerank", "/events", "/items/{item_id}",
        "/items/{item_id}/picture", "/admin/run", "/health", "/ready", "/metrics",
    }  # fmt: skip
    assert document["components"]["schemas"]["RecommendRequest"]["examples"]
    for path, methods in document["paths"].items():
        for facts in methods.values():
            assert facts["description"], path
