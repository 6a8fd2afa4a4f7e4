"""Models that read items themselves explain what came after training as they do all else."""

from dataclasses import replace

import pytest
import torch
from tests.pictured import pictured_dataset
from tests.plain_shares import ABSENCES, plain_scores

from vlmrec.core.content_change import ContentChange
from vlmrec.models import Mirm, Molar, VLM2Rec
from vlmrec.models.catalog_reader import CatalogReader
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import NEW_ITEMS
from vlmrec.serve.changing import with_changes
from vlmrec.serve.explaining import explain
from vlmrec.serve.live import go_live
from vlmrec.serve.store.records import StoredItem
from vlmrec.serve.views import scores_without, seen_by
from vlmrec.testing.vlm_samples import noise_picture
from vlmrec.train.options import TrainOptions

OPTIONS = TrainOptions(epochs=1, batch_size=6, device="cpu")
TOLD = ("cup of tea", noise_picture(40, 25, 24))


def item(name, title, content):
    return StoredItem(name, {"title": title}, content)


def trained(kind, folder):
    """Returns a run of a small backbone over ten items, of which three lack something."""
    split = pictured_dataset(folder / "shop").leave_one_out()
    fast = {"options": OPTIONS, "test": False, "quiet": True}
    if kind is not Molar:
        return fit(kind(backbone="tiny", max_len=4), split, **fast)
    fit(Mirm(backbone="tiny", max_len=4), split, folder / "mirm", **fast)
    return fit(Molar(mirm=str(folder / "mirm"), max_len=4), split, **fast)


def lifted(live):
    """Returns the same with new items lifted, as small catalogues do not need to be."""
    run = replace(live.run, info={**live.run.info, NEW_ITEMS: {"offset": 0.3, "quota": 0.0}})
    return replace(live, run=run, ranker=run.ranker())


@pytest.fixture(scope="module", params=[VLM2Rec, Mirm, Molar], ids=lambda kind: kind.name)
def grown(request, tmp_path_factory):
    """What is served after three items came, one of them without a picture."""
    folder = tmp_path_factory.mktemp(request.param.name)
    live = go_live(trained(request.param, folder))
    explain(live, ["i04", "i05"], "i06")  # what views have read must not be taken for the new
    both = [item("cup", *TOLD), item("same", *TOLD), item("word", "told", None)]
    return lifted(with_changes(live, both, folder)), folder


@pytest.mark.parametrize(
    ("history", "name"), [(["i04", "cup"], "i06"), (["i04", "i05"], "cup"), (["i04"], "word")]
)
def test_shares_are_those_of_whole_catalogues_read_again(grown, history, name):
    live, known, row = grown[0], grown[0].known(history)[0], grown[0].rows[name]
    told = explain(live, history, name)
    wanted = plain_scores(live.run, known, row)
    assert scores_without(live, known, row, ABSENCES) == pytest.approx(wanted, abs=1e-4)
    whole, text, image, rest = wanted
    assert told.score == pytest.approx(whole, abs=1e-4)
    assert told.shares.text == pytest.approx((whole - image + text - rest) / 2, abs=1e-4)
    assert told.shares.image == pytest.approx((whole - text + image - rest) / 2, abs=1e-4)
    assert set(told.nearest) == ({"text"} if name == "word" else {"text", "image"})


def test_new_items_are_near_what_is_like_them(grown):
    near = explain(grown[0], ["i04", "i05", "cup"], "same").nearest
    assert {one.item_id for one in near.values()} == {"cup"}
    assert [one.cosine for one in near.values()] == pytest.approx([1, 1], abs=1e-3)


def test_lists_by_pictures_hold_what_has_one(grown):
    live = grown[0]
    alone = seen_by(live, "image")
    kept = {live.names[row] for row in alone.present.nonzero().flatten().tolist() if row}
    assert kept == {f"i{k:02d}" for k in range(10)} - {"i01", "i02"} | {"cup", "same"}
    gone = {"text": ContentChange.absent(13)}
    vars(live.run.model).get("_memory", {}).clear()
    wanted = live.run.model.ranker_with(gone).item_vectors
    torch.testing.assert_close(alone.run.item_vectors, wanted)


def test_of_a_new_item_nothing_else_is_read_again(grown, monkeypatch):
    live, folder = grown
    for modality in ("text", "image"):
        seen_by(live, modality)
    read, items = [], CatalogReader.items
    monkeypatch.setattr(
        CatalogReader, "items", lambda self, ids: read.append(ids) or items(self, ids)
    )
    after = with_changes(live, [item("mug", "mug", noise_picture(41, 25, 24))], folder)
    known = {id(one) for one in live.read.values()}
    for modality in ("text", "image"):
        seen_by(after, modality)
    assert [ids.tolist() for ids in read] == [[14]] * 3  # placed, and once in each view
    assert known == {id(one) for one in live.read.values()}  # who is answered by it keeps it
