"""Explanations held against what they say: scores and ranks computed the plain way."""

import numpy as np
import polars as pl
import pytest
import torch
from fastapi.testclient import TestClient

from vlmrec.core.content_change import ContentChange
from vlmrec.core.errors import DataError
from vlmrec.models import SASRec, SASRecContent
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.recommending import recommend
from vlmrec.serve.explaining import explain
from vlmrec.serve.live import go_live
from vlmrec.serve.options import ServeOptions
from vlmrec.serve.running import make_app
from vlmrec.serve.service import Service
from vlmrec.serve.store.store import open_store
from vlmrec.testing.worlds import small_dataset, write_noise_vectors
from vlmrec.train.options import TrainOptions

HISTORY = ["i03", "i11", "i07", "i20"]
OPTIONS = TrainOptions(epochs=3, device="cpu")


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    data = small_dataset()
    files = write_noise_vectors(data, tmp_path_factory.mktemp("vectors"))
    spec = SASRecContent(dim=8, max_len=6, dropout=0.0, **files)
    return fit(spec, data.leave_one_out(), options=OPTIONS, test=False, quiet=True)


@pytest.fixture(scope="module")
def ids():
    split = small_dataset().leave_one_out()
    return fit(SASRec(dim=8, max_len=6), split, options=OPTIONS, test=False, quiet=True)


def place_of(run, history, item, seen):
    """Returns score and rank by `recommend`, with the items of the whole history left out."""
    table = recommend(run, history, k=100, filter_seen=False)
    left = table.filter(~pl.col("item_id").is_in(seen) | (pl.col("item_id") == item))
    row = left["item_id"].to_list().index(item)
    return left["score"][row], row + 1


@pytest.mark.parametrize("kind", ["content", "ids"])
def test_each_click_is_left_out_and_the_item_ranked_again(kind, request):
    run = request.getfixturevalue(kind)
    live = go_live(run)
    for item in recommend(run, HISTORY, k=3)["item_id"]:
        told = explain(live, HISTORY, item)
        score, rank = place_of(run, HISTORY, item, HISTORY)
        assert told.score == pytest.approx(score, abs=1e-5)
        assert told.rank == rank
        assert {one.item_id for one in told.clicks} == set(HISTORY)
        assert [one.added for one in told.clicks] == sorted(
            (one.added for one in told.clicks), reverse=True
        )
        for click in told.clicks:
            without = [name for name in HISTORY if name != click.item_id]
            less, rank = place_of(run, without, item, HISTORY)
            assert click.added == pytest.approx(score - less, abs=1e-5)
            assert click.rank_without == rank


def test_shares_are_shapley_values_and_add_up_to_the_score(content):
    live, item = go_live(content), "i05"
    told = explain(live, HISTORY, item)
    assert told.shares is not None
    total = told.shares.text + told.shares.image + told.shares.rest
    assert total == pytest.approx(told.score, abs=1e-5)
    absent = ContentChange.absent(content.items.height)
    history = torch.as_tensor(live.known(HISTORY)[0])[None]
    row, value = live.rows[item], {}
    for names in ((), ("text",), ("image",), ("text", "image")):
        view = content.model.ranker_with({name: absent for name in names})
        value[names] = float(view.score(view.encode(history), row, row + 1))
    text = (value[()] - value["text",] + value["image",] - value["text", "image"]) / 2
    assert told.shares.text == pytest.approx(text, abs=1e-5)


def test_what_a_model_cannot_say_is_not_said(ids):
    told = explain(go_live(ids), HISTORY, "i05")
    assert (told.shares, told.nearest) == (None, {})
    assert explain(go_live(ids), ["i03"], "i05").clicks == ()


def test_the_nearest_item_is_that_of_the_plain_cosines(content):
    live = go_live(content)
    told = explain(live, HISTORY, "i05")
    for modality, one in content.model.known_content().items():
        vectors = one.vectors.numpy()
        there = vectors[1:][one.present.numpy()[1:]]
        standard = (vectors - there.mean(axis=0)) / there.std(axis=0)
        rows = [live.rows[name] for name in HISTORY if one.present[live.rows[name]]]
        own = standard[live.rows["i05"]]
        cosines = [
            float(standard[r] @ own / np.linalg.norm(standard[r]) / np.linalg.norm(own))
            for r in rows
        ]
        if one.present[live.rows["i05"]]:
            assert told.nearest[modality].item_id == live.names[rows[int(np.argmax(cosines))]]
            assert told.nearest[modality].cosine == pytest.approx(max(cosines), abs=1e-5)
        else:
            assert modality not in told.nearest


def test_nothing_to_explain_is_said(content):
    live = go_live(content)
    with pytest.raises(DataError, match="There is no item 'nope'"):
        explain(live, HISTORY, "nope")
    with pytest.raises(DataError, match="Nothing of the history is known"):
        explain(live, ["nope"], "i05")


def test_long_histories_count_their_latest_clicks(content):
    long = [f"i{k:02d}" for k in range(1, 21)]
    told = explain(go_live(content), long, "i00")
    assert {one.item_id for one in told.clicks} == set(long[-6:])
    assert told.score == pytest.approx(place_of(content, long, "i00", long)[0], abs=1e-5)


def test_an_explanation_over_http(content, tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'x.db'}")
    service = Service(go_live(content), store, ServeOptions(), lambda _: go_live(content))
    with TestClient(make_app(service), "http://127.0.0.1") as client:
        events = [{"user_id": "ann", "item_id": name, "timestamp": 9} for name in HISTORY]
        client.post("/events", json={"events": events})
        told = client.post("/explain", json={"user_id": "ann", "item_id": "i05"}).json()
        same = client.post("/explain", json={"history": HISTORY, "item_id": "i05"}).json()
        assert told == same
        listed = client.post("/recommend", json={"user_id": "ann", "k": 20}).json()["items"]
        score = next(one for one in listed if one["item_id"] == "i05")
        assert (told["score"], told["rank"]) == (pytest.approx(score["score"]), score["rank"])
        assert set(told["shares"]) == {"text", "image", "rest"}
        missing = client.post("/explain", json={"history": [], "item_id": "i05"})
        assert missing.status_code == 422
