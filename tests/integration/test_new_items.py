"""New items get into the lists of the right people; a cold-item run says what that costs."""

import numpy as np
import polars as pl
import pytest
import torch
from tests.tiny_checkpoints import write_tiny_bert

from vlmrec.core.columns import RANK
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.dataset import Dataset
from vlmrec.items.cache import VectorCache
from vlmrec.models import SASRec, SASRecContent
from vlmrec.pipeline.adding import add_items
from vlmrec.pipeline.changing import change_items
from vlmrec.pipeline.evaluation import RANK_AMONG_ALL, RANK_LIFTED, evaluate_split
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.new_items import NewItems
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions

TASTES = ("aaa bbb", "ccc 111", "eee fff", "ggg 999")
SOLD, SHELF = "red cup", "blue doll"
N_SOLD = 12
AS_THEY_ARE = NewItems(exposure=0, neighbours=0)


def title(taste, kind, rng):
    return f"{TASTES[taste]} {kind} {''.join(rng.choice(list('hijklmnop'), 2))}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """People of four tastes buy cups; dolls stand on the shelf, and the new items are dolls."""
    rng = np.random.default_rng(0)
    kinds = [SOLD] * N_SOLD + [SHELF] * N_SOLD
    items = pl.DataFrame(
        [(f"{t}-{i:02d}", title(t, kind, rng)) for t in range(4) for i, kind in enumerate(kinds)],
        schema=["item_id", "title"],
        orient="row",
    )
    popularity = 1 / np.arange(1, N_SOLD + 1)
    log = pl.DataFrame(
        [
            (f"u{user}", f"{user % 4}-{item:02d}", time)
            for user in range(200)
            for time, item in enumerate(
                rng.choice(N_SOLD, 8, replace=False, p=popularity / popularity.sum())
            )
        ],
        schema=["user_id", "item_id", "timestamp"],
        orient="row",
    )
    new = pl.DataFrame(
        [(f"new-{t}-{i}", title(t, SHELF, rng)) for t in range(4) for i in range(4)],
        schema=["item_id", "title"],
        orient="row",
    )
    folder = tmp_path_factory.mktemp("shop")
    spec = SASRecContent(
        text=str(write_tiny_bert(folder / "bert")),
        image=None,
        dim=16,
        n_layers=1,
        max_len=8,
        dropout=0,
    )
    options = TrainOptions(epochs=40, patience=40, batch_size=32, learning_rate=0.005, device="cpu")
    cache = VectorCache(folder / "cache")
    split = Dataset.from_frames(log, items).leave_one_out()
    run = fit(spec, split, options=options, cache=cache, test=False, quiet=True)
    people = {
        f"{t}{j}": [f"{t}-{i:02d}" for i in rng.choice(N_SOLD, 3, replace=False)]
        for t in range(4)
        for j in range(25)
    }
    return run, new, people, cache


def shown(run, people):
    """Returns the places of new items, their share, and the share of those of the right taste."""
    table = recommend(run, histories=people, k=10)
    new = table.filter(pl.col("item_id").str.starts_with("new"))
    right = new["item_id"].str.slice(4, 1) == new["user_id"].str.slice(0, 1)
    return new, new.height / table.height, right.mean()


def test_new_items_are_shown_to_the_right_people(shop):
    run, new, people, cache = shop
    plain = add_items(run, new, new_items=AS_THEY_ARE, cache=cache)
    places, before, _ = shown(plain, people)
    few = places["user_id"].n_unique()
    more = add_items(run, new, cache=cache)
    places, after, right = shown(more, people)
    kept = {"offset": 0.0, "quota": 0.0, "options": AS_THEY_ARE.model_dump()}
    assert plain.info["new_items"] == kept
    assert after > 1.5 * before
    assert places["user_id"].n_unique() > 1.5 * few
    assert right > 0.9
    # The more exposure is asked for, the more there is; known items keep their order.
    bold = add_items(run, new, new_items=NewItems(exposure=1), cache=cache)
    assert bold.info["new_items"]["offset"] > more.info["new_items"]["offset"] >= 0
    assert shown(bold, people)[1] > after
    known = [
        recommend(one, people["00"], k=200).filter(~pl.col("item_id").str.starts_with("new"))
        for one in (run, bold)
    ]
    assert known[0]["item_id"].equals(known[1]["item_id"])


def test_what_new_items_get_is_stored_and_holds_for_all_of_them(shop, tmp_path):
    run, new, people, cache = shop
    once = add_items(run, new.head(8), cache=cache)
    twice = add_items(once, new.tail(8), cache=cache)
    together = add_items(run, new, cache=cache)
    assert twice.info["new_items"] == together.info["new_items"]
    assert run.info.get("new_items") is None
    twice.save(tmp_path / "twice")
    loaded = Run.load(tmp_path / "twice")
    assert recommend(loaded, histories=people, k=10).equals(
        recommend(twice, histories=people, k=10)
    )
    assert loaded.added.sum() == 16


def test_a_quota_gives_every_list_its_share(shop, tmp_path):
    run, new, people, cache = shop
    add_items(run, new, new_items=NewItems(quota=0.2), cache=cache).save(tmp_path / "quota")
    places, share, right = shown(Run.load(tmp_path / "quota"), people)
    assert share == 0.2
    assert right > 0.9
    assert set(places[RANK]) == {5, 10}


def test_changed_words_move_an_item_and_its_own_words_move_it_back(shop):
    run, new, people, cache = shop
    both = add_items(run, new, new_items=AS_THEY_ARE, cache=cache)
    for name in ("new-0-0", "0-05"):  # added, and learned from
        row = both.items["item_id"].index_of(name)
        own = both.items.slice(row, 1).select("item_id", "title")
        foreign = own.with_columns(title=pl.lit(f"{TASTES[1]} {SOLD} xyz"))
        moved = change_items(both, foreign, cache=cache)
        assert moved.items["title"][row] == foreign["title"][0]
        scores = [
            {
                taste: recommend(one, people[f"{taste}0"], k=200)
                .filter(pl.col("item_id") == name)["rank"]
                .item()
                for taste in (0, 1)
            }
            for one in (both, moved)
        ]
        assert scores[0][0] < scores[0][1]
        assert scores[1][1] < scores[1][0]
        again = change_items(moved, foreign, cache=cache)
        back = change_items(again, own, cache=cache)
        torch.testing.assert_close(back.item_vectors, both.item_vectors)
        others = torch.arange(len(both.item_vectors)) != row + 1
        assert torch.equal(moved.item_vectors[others], both.item_vectors[others])


def test_what_cannot_be_changed_is_said(shop):
    run, new, _, cache = shop
    with pytest.raises(DataError, match=r"'new-0-0' is not known to the run. Add it instead."):
        change_items(run, new, cache=cache)
    counted = fit(
        SASRec(dim=4),
        small_dataset().leave_one_out(),
        options=TrainOptions(epochs=0, device="cpu"),
        test=False,
        quiet=True,
    )
    item = counted.items.select("item_id", "title").head(1)
    with pytest.raises(ConfigError, match="does not make item vectors from frozen content"):
        change_items(counted, item)
    with pytest.raises(DataError, match="has none of what the model reads"):
        change_items(run, pl.DataFrame({"item_id": ["0-15"], "title": [None]}), cache=cache)


def test_a_cold_item_run_says_what_new_items_get_and_what_it_costs(tmp_path):
    split = small_dataset(n_users=60).cold_items()
    spec = SASRec(dim=8, n_layers=1, max_len=6)
    options = TrainOptions(epochs=1, device="cpu")
    run = fit(spec, split, tmp_path / "cold", options=options, quiet=True)
    loaded = Run.load(tmp_path / "cold")
    metrics = loaded.info["metrics"]
    assert metrics["warm_among_all"]["n_cases"] == len(split.test_warm)
    lifted = metrics["lifted"]
    assert lifted["test_among_all"]["n_cases"] == len(split.test)
    assert lifted["warm_among_all"]["n_cases"] == len(split.test_warm)
    assert lifted["offset"] >= 0
    warm = loaded.warm_ranks
    assert warm is not None
    assert warm.height == len(split.test_warm)
    assert set(warm["item_id"]) == set(split.dataset.items.to_external(split.test_warm.targets))
    # The offset takes places from known targets, and gives them to new ones.
    assert (warm[RANK_LIFTED] >= warm[RANK]).all()
    assert (loaded.ranks[RANK_LIFTED] <= loaded.ranks[RANK_AMONG_ALL]).all()
    found = evaluate_split(
        run.ranker(), split, anchors=False, model=run.model, new_items=NewItems(offset=50.0)
    )
    assert found.lifted is not None
    every = len(split.test_candidates)
    assert (found.lifted.test_among_all.cases[RANK] <= every).all()
    assert (found.lifted.warm_among_all.cases[RANK] > every).all()


def test_other_splits_have_no_such_figures():
    split = small_dataset().leave_one_out()
    run = fit(SASRec(dim=8), split, options=TrainOptions(epochs=0), test=False, quiet=True)
    found = evaluate_split(run.ranker(), split, model=run.model)
    assert found.warm_among_all is None
    assert found.lifted is None
    assert found.warm_cases is None
    assert set(found.to_json()) == {"test", "anchors"}
