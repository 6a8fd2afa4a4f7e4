"""What came or changed after training is explained and taken apart like all else."""

from dataclasses import replace

import polars as pl
import pytest
import torch
from tests.pictured import pictured_dataset
from tests.served_shop import N, picture, put

from vlmrec.core.content_change import ContentChange
from vlmrec.data.dataset import Dataset
from vlmrec.models import ContentKNN, Mirm, SASRecContent, VLM2Rec
from vlmrec.pipeline.adding import add_items
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.placing import Placing
from vlmrec.pipeline.run import NEW_ITEMS, Run
from vlmrec.pipeline.viewing import View
from vlmrec.serve.changing import with_changes
from vlmrec.serve.explaining import explain
from vlmrec.serve.live import go_live
from vlmrec.serve.store.records import StoredItem
from vlmrec.serve.views import seen_by
from vlmrec.testing.vlm_samples import noise_picture
from vlmrec.train.options import TrainOptions

OPTIONS = TrainOptions(epochs=1, batch_size=6, device="cpu")
HISTORY = ["i03", "i06", "cup", "i04"]


def item(name, title, content):
    return StoredItem(name, {"title": title}, content)


@pytest.fixture
def late(start):
    """A service in which one item is new and another one changed."""
    client, service = start()
    put(client, "cup", {"title": "thing aaa cup"}, picture=picture()).raise_for_status()
    put(client, "i04", {"title": "thing eee"}, picture=picture((0, 90, 200))).raise_for_status()
    return client, service


@pytest.mark.parametrize("item", ["cup", "i04", "i09"])
def test_shares_of_late_items_and_histories_add_up_to_the_score(late, item):
    client, service = late
    history = [name for name in HISTORY if name != item]
    told = client.post("/explain", json={"history": history, "item_id": item}).json()
    listed = client.post("/recommend", json={"history": history, "k": N + 1}).json()["items"]
    score = next(one["score"] for one in listed if one["item_id"] == item)
    assert sum(told["shares"].values()) == pytest.approx(score, abs=1e-5)
    assert told["score"] == pytest.approx(score, abs=1e-5)
    assert set(told["nearest"]) == ({"text"} if item == "i09" else {"text", "image"})
    assert service.live.run.offset > 0


def test_a_changed_item_is_near_what_it_is_now(late):
    client, _ = late
    put(client, "i08", {"title": "thing aaa cup"}, picture=picture()).raise_for_status()
    told = client.post("/explain", json={"history": HISTORY, "item_id": "i08"}).json()["nearest"]
    for modality in ("text", "image"):
        assert told[modality]["item_id"] == "cup"
        assert told[modality]["cosine"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("modality", "absent"), [("text", "image"), ("image", "text")])
def test_a_new_item_in_a_view_is_where_it_would_be_put_without_the_other(late, modality, absent):
    """Against a run that knows items by one modality alone and is given the item so."""
    live, placing = late[1].live, Placing()
    run, n = live.run, N
    seen = run.model.ranker_with({absent: ContentChange.absent(n)}).item_vectors
    alone = replace(run, item_vectors=seen.clone(), items=run.items.head(n), info=dict(run.info))
    path = live.pictures["cup"]
    shown = {"text": {"title": ["thing aaa cup"]}, "image": {"image": [path.name]}}[modality]
    given = pl.DataFrame({"item_id": ["cup"], **shown})
    images = None if modality == "text" else path.parent
    wanted = add_items(alone, given, images).item_vectors[n + 1]
    table = View(run, (absent,)).table(run, placing)
    torch.testing.assert_close(table[n + 1], wanted)
    trained = [row for row in range(n + 1) if row != live.rows["i04"]]
    torch.testing.assert_close(table[trained], seen[trained])


def test_a_changed_item_in_a_view_keeps_what_clicks_taught(shop, tmp_path):
    data = Dataset.load(shop / "data")
    plain = Run.load(shop / "runs" / "content")
    spec = SASRecContent(**{**plain.spec.model_dump(), "use_ids": True})
    run = fit(spec, data.leave_one_out(), options=OPTIONS, test=False, quiet=True)
    live = with_changes(go_live(run), [item("i04", "thing eee", picture())], tmp_path)
    row, model = live.rows["i04"], run.model
    view = View(live.run, ("image",))
    table = view.table(live.run, Placing())
    words = live.run.late.among([row], None)
    words["image"].present[:] = False
    torch.testing.assert_close(table[row], (model.content_vectors(words) + model.items.ids[row])[0])
    pictured = {f"i{k:02d}" for k in range(0, N, 2)}
    listed = seen_by(live, "image").present.nonzero().flatten().tolist()
    assert {live.names[place] for place in listed if place} == pictured
    again = with_changes(live, [item("i04", "thing ddd", None)], tmp_path)
    changed = view.table(again.run, Placing())
    assert not torch.allclose(changed[row], table[row])
    torch.testing.assert_close(changed, View(again.run, ("image",)).table(again.run, Placing()))


def test_counting_over_contents_explains_late_items_too(shop, tmp_path):
    plain = Run.load(shop / "runs" / "content").spec
    spec = ContentKNN(text=plain.text, image=plain.image)
    split = Dataset.load(shop / "data").leave_one_out()
    live = go_live(fit(spec, split, options=OPTIONS, test=False, quiet=True))
    told = ("thing aaa cup", picture())
    live = with_changes(live, [item("cup", *told), item("same", *told)], tmp_path)
    for history, name in ((HISTORY, "i09"), (["i03", "i06"], "cup"), (["i03", "same"], "cup")):
        found = explain(live, history, name)
        total = found.shares.text + found.shares.image + found.shares.rest
        assert total == pytest.approx(found.score, abs=1e-5)
    assert {one.item_id for one in found.nearest.values()} == {"same"}
    assert found.nearest.keys() == {"text", "image"}


@pytest.mark.parametrize("kind", [VLM2Rec, Mirm])
def test_models_that_read_items_themselves_explain_late_ones_too(kind, tmp_path):
    split = pictured_dataset(tmp_path / "shop").leave_one_out()
    spec = kind(backbone="tiny", max_len=4)
    run = fit(spec, split, options=OPTIONS, test=False, quiet=True)
    live = go_live(run)
    explain(live, ["i04", "i05"], "i06")  # what views have read must not be taken for the new
    told = ("cup of tea", noise_picture(40, 25, 24))
    both = [item("cup", *told), item("same", *told), item("word", "told", None)]
    live = with_changes(live, both, tmp_path)
    lifted = replace(live.run, info={**live.run.info, NEW_ITEMS: {"offset": 0.3, "quota": 0.0}})
    live = replace(live, run=lifted, ranker=lifted.ranker())
    for history, name in ((["i04", "cup"], "i06"), (["i04", "i05"], "cup"), (["i04"], "word")):
        told = explain(live, history, name)
        total = told.shares.text + told.shares.image + told.shares.rest
        assert total == pytest.approx(told.score, abs=1e-4)
        assert set(told.nearest) == ({"text"} if name == "word" else {"text", "image"})
    near = explain(live, ["i04", "i05", "cup"], "same").nearest
    assert {one.item_id for one in near.values()} == {"cup"}
    assert [one.cosine for one in near.values()] == pytest.approx([1, 1], abs=1e-3)
    alone = seen_by(live, "image")
    kept = {live.names[row] for row in alone.present.nonzero().flatten().tolist() if row}
    assert kept == {f"i{k:02d}" for k in range(10)} - {"i01", "i02"} | {"cup", "same"}
    absent = {"text": ContentChange.absent(13)}
    assert torch.equal(alone.run.item_vectors, live.run.model.ranker_with(absent).item_vectors)
