"""Looking around over HTTP: shelves, people, reach, trials, one modality alone, two runs."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tests.served_shop import N, ask, listed, picture, put

from vlmrec.core.content_change import ContentChange
from vlmrec.data.dataset import Dataset
from vlmrec.pipeline.run import Run
from vlmrec.serve import service as service_module
from vlmrec.serve import trying
from vlmrec.serve.changing import with_changes
from vlmrec.serve.reach import reach_of
from vlmrec.serve.running import store_history

HISTORY = ["i03", "i06", "i09"]


def test_the_page_is_told_what_is_served(start, shop):
    client, service = start(runs=shop / "runs")
    told = client.get("/run").json()
    assert told == {
        "run": service.live.identity,
        "model": "sasrec-content",
        "modalities": ["text", "image"],
        "n_items": N,
        "takes_new_items": True,
        "fields": ["title", "tags", "description", "genre", "year"],
        "runs": ["content", "counted", "ids"],
    }
    client, _ = start("ids")
    told = client.get("/run").json()
    assert (told["modalities"], told["takes_new_items"], told["runs"]) == ([], False, [])


def test_a_shelf_holds_the_most_frequent_items_first(start):
    client, service = start()
    whole = client.get("/items?limit=200").json()
    assert whole["total"] == len(whole["items"]) == N
    counts = service.live.popularity
    shown = [float(counts[service.live.rows[one["item_id"]]]) for one in whole["items"]]
    assert shown == sorted(shown, reverse=True)
    assert {one["item_id"]: one["has_picture"] for one in whole["items"]}["i01"] is False
    pages = [client.get(f"/items?limit=7&offset={at}").json()["items"] for at in range(0, 35, 7)]
    assert [one for page in pages for one in page] == whole["items"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("words=THING+bbb", {"i01", "i07", "i13", "i19", "i25"}),
        ("words=i07", {"i07"}),
        ("words=%25", set()),  # no pattern: a sign like any other
        ("words=.*", set()),
        ("filter=year+%3C+1992", {"i00", "i01"}),
        ("words=aaa&filter=genre+%3D+%22red%22+and+year+%3E+2010", {"i24"}),
    ],
)
def test_a_shelf_is_searched_by_words_and_by_filter(start, asked, found):
    client, _ = start()
    told = client.get(f"/items?{asked}").json()
    assert {one["item_id"] for one in told["items"]} == found
    assert told["total"] == len(found)


def test_removed_items_stand_on_no_shelf_and_new_ones_do(start):
    client, _ = start()
    assert client.delete("/items/i04").status_code == 200
    assert put(client, "cup", {"title": "A red cup"}, picture=picture()).status_code == 200
    names = {one["item_id"]: one for one in client.get("/items?limit=200").json()["items"]}
    assert "i04" not in names
    assert names["cup"] == {"item_id": "cup", "title": "A red cup", "has_picture": True}


def test_people_and_what_they_did(start, shop):
    client, service = start()
    assert client.get("/users").json() == {"users": []}
    store_history(service.store, Dataset.load(shop / "data"))
    assert len(client.get("/users?limit=25").json()["users"]) == 25
    events = [{"user_id": "ann/é", "item_id": name} for name in ("i03", "gone", "i00")]
    client.post("/events", json={"events": events})
    assert client.get("/users?limit=1").json() == {"users": ["ann/é"]}
    told = client.get("/users/ann/history").json()
    assert told == {"user_id": "ann", "items": [], "unknown_items": []}
    told = client.get("/users/ann%2F%C3%A9/history").json()
    assert [one["item_id"] for one in told["items"]] == ["i03", "i00"]
    assert told["unknown_items"] == ["gone"]


@pytest.mark.parametrize(("modality", "absent"), [("text", "image"), ("image", "text")])
def test_one_modality_alone_ranks_as_the_model_without_the_other(start, shop, modality, absent):
    client, _ = start()
    wish = {"history": HISTORY, "k": N, "modality": modality}
    told = client.post("/recommend", json=wish).json()["items"]
    model = Run.load(shop / "runs" / "content").model
    view = model.ranker_with({absent: ContentChange.absent(N)})
    rows = torch.tensor([[int(name[1:]) + 1 for name in HISTORY]])
    with torch.inference_mode():
        scores = view.score(view.encode(rows), 1, N + 1)[0].clone()
        scores[rows[0] - 1] = -np.inf
        known = model.known_content()[modality].present[1:]
        scores[~known] = -np.inf
        n = int(scores.isfinite().sum())
        order = scores.sort(descending=True, stable=True).indices[:n].tolist()
    assert n == (N - 3 if modality == "text" else N // 2 - 1)  # every other item has a picture
    assert [one["item_id"] for one in told] == [f"i{place:02d}" for place in order]
    assert [one["score"] for one in told] == pytest.approx(scores[order].tolist(), abs=1e-5)
    assert listed(client.post("/recommend", json={**wish, "modality": None})) != order


def test_one_modality_alone_keeps_to_all_limits_and_to_what_items_have_now(start):
    client, _ = start()
    words, year = {"title": "thing", "year": 2000}, {"year": 2000}
    put(client, "cup", words, picture=picture()).raise_for_status()
    put(client, "bag", words).raise_for_status()
    put(client, "i04", words).raise_for_status()
    put(client, "i05", year, picture=picture()).raise_for_status()
    client.delete("/items/i10")
    limits = {"history": HISTORY, "k": N + 2, "filter": "year >= 1992", "deny": ["i08"]}
    pictured = {f"i{k:02d}" for k in range(2, N, 2)} - {*HISTORY, "i04", "i10", "i08"}
    assert set(ask(client, **limits, modality="image")) == pictured | {"cup", "i05"}
    told = {f"i{k:02d}" for k in range(2, N)} - {*HISTORY, "i05", "i10", "i08"}
    assert set(ask(client, **limits, modality="text")) == told | {"cup", "bag"}
    assert set(ask(client, **limits)) == told | {"cup", "bag", "i05"}


def test_one_modality_alone_needs_a_model_that_reads_both(start):
    client, _ = start("ids")
    answer = client.post("/recommend", json={"history": HISTORY, "modality": "text"})
    assert answer.status_code == 422
    assert answer.json() == {
        "problem": "The list was to come of words alone, but of words and pictures the model "
        "'gru4rec' reads neither.",
        "fix": "Serve a model that reads both, such as sasrec-content.",
    }
    answer = client.post("/recommend", json={"history": HISTORY, "modality": "smell"})
    assert answer.status_code == 422


def test_the_reach_of_an_item_is_its_place_in_peoples_lists(start, shop):
    client, service = start()
    store_history(service.store, Dataset.load(shop / "data"))
    told = client.post("/reach", json={"item_id": "i05", "users": 1000}).json()
    ranks = {}
    for user in client.get("/users?limit=1000").json()["users"]:
        names = [one["item_id"] for one in client.get(f"/users/{user}/history").json()["items"]]
        if "i05" not in names:
            ranks[user] = 1 + ask(client, user_id=user, k=N).index("i05")
    values = np.array(list(ranks.values()))
    assert told["users"] == len(values) > 10
    assert told["in_top"] == pytest.approx({"10": (values <= 10).mean(), "100": 1.0})
    assert told["median_rank"] == np.median(values)
    best = [one["rank"] for one in told["nearest"]]
    assert best == sorted(values)[:8]
    assert all(ranks[one["user_id"]] == one["rank"] for one in told["nearest"])
    assert all(len(one["history"]) == 6 for one in told["nearest"])


def test_without_people_an_item_reaches_nobody(start):
    client, service = start()
    told = client.post("/reach", json={"item_id": "i05"}).json()
    assert told == {"users": 0, "in_top": {"10": 0, "100": 0}, "median_rank": 0, "nearest": []}
    # Whoever has it, or of whom nothing is known, is not looked at.
    assert reach_of(service.live, "i05", {"a": ["i05", "i01"], "b": ["?"], "c": []}).users == 0
    answer = client.post("/reach", json={"item_id": "nope"})
    assert (answer.status_code, answer.json()["problem"]) == (422, "There is no item 'nope'.")


def test_a_trial_is_what_the_item_then_is_and_leaves_nothing_behind(start, shop):
    client, service = start()
    store_history(service.store, Dataset.load(shop / "data"))
    before, change = client.get("/items?limit=200").json(), service.store.latest_change()
    fields, files = {"title": "thing aaa 99"}, {"picture": picture((0, 0, 200))}
    form = {"fields": json.dumps(fields), "k": "5", "users": "20"}
    tried = client.post("/try", data=form, files=files)
    assert tried.status_code == 200, tried.text
    assert client.get("/items?limit=200").json() == before
    assert service.store.latest_change() == change
    put(client, "kept", fields, **files)
    told = tried.json()
    similar = client.post("/similar", json={"item_id": "kept", "k": 5}).json()["items"]
    assert told["similar"]["items"] == similar
    assert told["reach"] == client.post("/reach", json={"item_id": "kept", "users": 20}).json()
    assert told["reach"]["users"] == 20


def test_trials_and_changes_of_many_take_turns(start, monkeypatch):
    client, _ = start()
    doing, most = [0], [0]

    def counted(live, items, folder):
        doing[0] += 1
        most[0] = max(most[0], doing[0])
        time.sleep(0.02)  # long enough for another to come in
        try:
            return with_changes(live, items, folder)
        finally:
            doing[0] -= 1

    for module in (service_module, trying):
        monkeypatch.setattr(module, "with_changes", counted)
    form = {"fields": json.dumps({"title": "Thing eee"})}
    with ThreadPoolExecutor(6) as pool:
        trials = [
            pool.submit(client.post, "/try", data=form, files={"picture": picture((40 * n, 0, 0))})
            for n in range(6)
        ]
        puts = [pool.submit(put, client, f"new{n}", {"title": f"Thing {n}"}) for n in range(6)]
        codes = {one.result().status_code for one in [*trials, *puts]}
    assert codes == {200}
    assert most[0] == 1


@pytest.mark.parametrize(
    ("form", "files", "problem"),
    [
        ({"fields": "[]"}, None, "'fields' is no JSON object of text."),
        ({"fields": '{"colour": "red"}'}, None, "'colour' is no field of the items served here."),
        ({"fields": "{}"}, None, "Item 'tried' has none of what the model reads."),
        ({}, {"picture": b"GIF89a"}, "The upload is no picture that can be read."),
        ({"k": "0"}, None, "k: Input should be greater than or equal to 1."),
    ],
)
def test_what_is_wrong_with_a_trial(start, form, files, problem):
    client, _ = start()
    answer = client.post("/try", data=form or {"fields": "{}"}, files=files)
    assert answer.status_code == 422
    assert problem in answer.json()["problem"]


def test_two_runs_are_compared_and_follow_the_catalogue(start, shop):
    client, _ = start(runs=shop / "runs")
    client.delete("/items/i10")
    for other in ("ids", "content", "counted"):
        wish = {"history": HISTORY, "k": 12, "filter": "year >= 1992"}
        told = client.post("/compare", json={"run": other, **wish}).json()
        theirs, _ = start(other, database=f"sqlite:///{shop / f'{other}.db'}")
        theirs.delete("/items/i10")
        assert [one["item_id"] for one in told["other"]["items"]] == ask(theirs, **wish)
        assert [one["item_id"] for one in told["served"]["items"]] == ask(client, **wish)
        both = {one["item_id"] for one in told["served"]["items"]}
        both &= {one["item_id"] for one in told["other"]["items"]}
        assert told["in_both"] == len(both)
    assert told["served"]["run"] != told["other"]["run"]
    client.delete("/items/i11")
    told = client.post("/compare", json={"run": "counted", "history": HISTORY, "k": N}).json()
    assert {one["item_id"] for one in told["other"]["items"]}.isdisjoint({"i10", "i11"})


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        ("nope", "The run cannot be served: it is missing, damaged or does not fit."),
        ("../data", "no name of a run"),
        ("..", "no name of a run"),
    ],
)
def test_runs_that_cannot_be_compared_with(start, shop, run, problem):
    client, _ = start(runs=shop / "runs")
    answer = client.post("/compare", json={"run": run, "history": HISTORY})
    assert answer.status_code == 422
    assert problem in answer.json()["problem"]
    client, _ = start()
    answer = client.post("/compare", json={"run": "ids", "history": HISTORY})
    assert answer.json()["problem"] == "This service swaps no runs."
