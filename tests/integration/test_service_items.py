"""Items over HTTP: added, changed, removed, refused; restarts, and two servers on one database."""

import threading

import pytest
import torch
from tests.served_shop import N, ask, listed, picture, put

from vlmrec.core.errors import ArtifactError


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


def test_many_changes_at_once_are_made_together_and_each_gets_its_own_answer(start):
    client, service = start()
    answers, made = {}, []
    put_items = service.store.put_items
    service.store.put_items = lambda items: (made.append(len(items)), put_items(items))[1]

    def work(k):
        if k == 5:
            answers[k] = put(client, "bad", {})
        elif k == 9:
            answers[k] = client.delete("/items/i05")
        else:
            answers[k] = put(client, f"n{k % 8}", {"title": f"thing {k}", "genre": "new"})

    threads = [threading.Thread(target=work, args=(k,)) for k in range(16)]
    with service._changing:  # so that all of them wait
        for one in threads:
            one.start()
        threading.Event().wait(0.5)
    for one in threads:
        one.join()
    assert [k for k, one in answers.items() if one.status_code != 200] == [5]
    assert "has none of what the model reads" in answers[5].json()["problem"]
    assert sorted(ask(client, history=["i03"], filter='genre = "new"', k=99)) == [
        f"n{k}" for k in range(8) if k != 5 or 13 in answers
    ]
    assert "i05" not in ask(client, history=["i03"], k=500)
    assert len(made) < 15
    assert service.live.change == service.store.latest_change() == len(made)


def test_an_encoder_that_is_not_that_of_the_training_is_told_as_no_fault_of_the_request(
    start, monkeypatch, caplog
):
    client, service = start()

    def foreign(*_args, **_given):
        raise ArtifactError("The text encoder '/secret/bert' is not the one.")

    monkeypatch.setattr("vlmrec.pipeline.placing.gather_content", foreign)
    answer = put(client, "n1", {"title": "thing"})
    assert answer.status_code == 503
    assert "cannot be taken in now: what reads words and pictures" in answer.json()["problem"]
    assert "secret" not in answer.text
    assert "/secret/bert" in caplog.text
    assert service.store.items(["n1"]) == {}
