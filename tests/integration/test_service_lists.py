"""Lists over HTTP: people, limits, promotions, kin, many at once; events that change them."""

import pytest
import torch
from tests.served_shop import N, ask, listed

from vlmrec.data.dataset import Dataset
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run
from vlmrec.serve.running import store_history


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


def test_promoted_items_get_their_share_where_popularity_answers_too(start):
    client, _ = start()
    plain = ask(client, k=10)
    named = [name for name in (f"i{k:02d}" for k in range(N)) if name not in plain][:4]
    every = client.post("/recommend", json={"k": 500, "promote": {"items": named}}).json()
    assert len(every["items"]) == N  # as many as there are, however many were asked for
    for promote in ({"items": named, "share": 0.2}, {"filter": "year < 1994", "share": 0.2}):
        told = client.post("/recommend", json={"k": 10, "promote": promote, "deny": plain[:1]})
        answer = told.json()
        assert answer["fallback"] == "popularity"
        places = [one["rank"] for one in answer["items"] if one["promoted"]]
        assert len(answer["items"]) == 10
        assert {5, 10} <= set(places)
        others = [one["item_id"] for one in answer["items"] if not one["promoted"]]
        assert others[:3] == [name for name in plain[1:] if name in others][:3]


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
