"""What came or changed after training is explained and taken apart like all else."""

from dataclasses import replace

import polars as pl
import pytest
import torch
from tests.plain_shares import ABSENCES, plain_scores
from tests.served_shop import N, picture, put

from vlmrec.core.content_change import ContentChange
from vlmrec.data.dataset import Dataset
from vlmrec.models import ContentKNN, SASRecContent
from vlmrec.pipeline.adding import add_items
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.new_items import NewItems
from vlmrec.pipeline.placing import Placing
from vlmrec.pipeline.run import Run
from vlmrec.pipeline.viewing import View
from vlmrec.serve.changing import with_changes
from vlmrec.serve.explaining import explain
from vlmrec.serve.live import go_live
from vlmrec.serve.store.records import StoredItem
from vlmrec.serve.views import scores_without, seen_by
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
    live, row = service.live, service.live.rows[item]
    assert live.run.offset > 0
    known, _ = live.known(history)
    whole, text, image, rest = wanted = plain_scores(live.run, known, row)
    assert scores_without(live, known, row, ABSENCES) == pytest.approx(wanted, abs=1e-5)
    assert len(set(wanted)) == (3 if item == "i09" else 4)  # it has no picture
    assert told["shares"]["text"] == pytest.approx((whole - image + text - rest) / 2, abs=1e-5)
    assert told["shares"]["image"] == pytest.approx((whole - text + image - rest) / 2, abs=1e-5)


def test_a_changed_item_is_near_what_it_is_now(late):
    client, _ = late
    put(client, "i08", {"title": "thing aaa cup"}, picture=picture()).raise_for_status()
    told = client.post("/explain", json={"history": HISTORY, "item_id": "i08"}).json()["nearest"]
    for modality in ("text", "image"):
        assert told[modality]["item_id"] == "cup"
        assert told[modality]["cosine"] == pytest.approx(1, abs=1e-5)


def known_without(absent, run):
    """Returns a run whose items never showed something, and no other ones."""
    seen = run.model.ranker_with({absent: ContentChange.absent(N)}).item_vectors
    return replace(run, item_vectors=seen.clone(), items=run.items.head(N), info=dict(run.info))


@pytest.mark.parametrize(("modality", "absent"), [("text", "image"), ("image", "text")])
def test_a_new_item_in_a_view_is_where_it_would_be_put_without_the_other(late, modality, absent):
    """Against a run that knows items by one modality alone and is given the item so."""
    live, placing = late[1].live, Placing()
    run, n, path = live.run, N, late[1].live.pictures["cup"]
    alone = known_without(absent, run)
    seen = alone.item_vectors.clone()
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
        found, known, row = explain(live, history, name), live.known(history)[0], live.rows[name]
        wanted = plain_scores(live.run, known, row)
        assert found.score == pytest.approx(wanted[0], abs=1e-5)
        assert scores_without(live, known, row, ABSENCES) == pytest.approx(wanted, abs=1e-5)
    assert {one.item_id for one in found.nearest.values()} == {"same"}
    assert found.nearest.keys() == {"text", "image"}


def test_what_is_known_of_late_items_is_stored_with_the_run(late, tmp_path):
    """Neither new items nor changed ones are explained by what they are not, after a restart."""
    live = late[1].live
    live.run.save(tmp_path / "grown")
    stored = Run.load(tmp_path / "grown")
    again = go_live(stored)
    for name in ("cup", "i04", "i09"):
        history = [one for one in HISTORY if one != name]
        before, after = explain(live, history, name), explain(again, history, name)
        assert (after.shares, after.nearest) == (before.shares, before.nearest)
    for modality in ("text", "image"):
        views = seen_by(live, modality), seen_by(again, modality)
        assert torch.equal(*(one.present for one in views))
        torch.testing.assert_close(*(one.run.item_vectors for one in views))
    assert Run.load(late[1].live.run.folder).late.items == {}


def test_views_lean_as_the_items_themselves_were_told_to(shop, tmp_path):
    data = pl.DataFrame({"item_id": ["cup"], "title": ["thing aaa cup"]})
    plain = Run.load(shop / "runs" / "content")
    found = {}
    for lean in (0.0, 0.75):
        run = add_items(plain, data, new_items=NewItems(lean=lean))
        found[lean] = View(run, ("image",)).table(run, Placing())[-1]
        wanted = add_items(known_without("image", plain), data, new_items=NewItems(lean=lean))
        torch.testing.assert_close(found[lean], wanted.item_vectors[-1])
        more = add_items(run, data.with_columns(item_id=pl.lit("mug")))
        torch.testing.assert_close(more.item_vectors[-1], run.item_vectors[-1])
    assert not torch.allclose(*found.values())
