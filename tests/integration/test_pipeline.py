"""The front door in Python, from two tables to a list of recommendations."""

import math

import polars as pl
import pytest
import torch
from tests.tiny_checkpoints import write_tiny_bert

import vlmrec
from vlmrec.core.errors import ArtifactError, ConfigError, DataError
from vlmrec.items.cache import VectorCache
from vlmrec.models import ItemKNN, Popularity, SASRec, SASRecContent
from vlmrec.pipeline.adding import add_items
from vlmrec.pipeline.evaluation import evaluate
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.new_items import NewItems
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions

OPTIONS = TrainOptions(epochs=1, device="cpu")


def gain(rank: float) -> float:
    return 1 / math.log2(rank + 1)


def test_a_worked_example_from_table_to_metric():
    # Training counts: a 2, b 1, c and d 0. Targets: c, b, d.
    log = pl.DataFrame(
        {
            "user_id": ["u", "u", "u", "v", "v", "v", "w", "w", "w"],
            "item_id": ["a", "b", "c", "a", "c", "b", "b", "a", "d"],
            "timestamp": [1, 2, 3] * 3,
        }
    )
    split = vlmrec.Dataset.from_frames(log).leave_one_out()
    run = fit(Popularity(), split, quiet=True)
    metrics = evaluate(run, split.test).metrics
    # c ties with d behind a and b: rank 3.5; so does d; b is second.
    assert metrics["NDCG@10"].mean == pytest.approx((2 * gain(3.5) + gain(2)) / 3)
    assert metrics["MRR@10"].mean == pytest.approx((2 / 3.5 + 1 / 2) / 3)
    hidden = evaluate(run, split.test, filter_seen=True).metrics
    # u saw a and b, v saw a and c, w saw b and a: ranks 1.5, 1, 1.5.
    assert hidden["NDCG@10"].mean == pytest.approx((2 * gain(1.5) + 1) / 3)
    record = run.info["metrics"]
    assert record["test"]["metrics"]["NDCG@10"]["mean"] == metrics["NDCG@10"].mean
    assert record["anchors"]["popularity"]["metrics"]["NDCG@10"]["mean"] == metrics["NDCG@10"].mean
    assert run.ranks is not None
    assert dict(zip(run.ranks["user_id"], run.ranks["rank"], strict=True)) == {
        "u": 3.5, "v": 2.0, "w": 3.5,
    }  # fmt: skip
    assert run.ranks["item_id"].to_list() == ["c", "b", "d"]


def test_item_knn_is_the_cosine_of_sets_of_users():
    # Training sets: u {a, b} (a twice), v {a, b, c}, w {c}.
    # So cos(a, b) = 1 and cos(a, c) = cos(b, c) = 1/2.
    walks = {"u": "aabxy", "v": "abcxy", "w": "cxy"}
    rows = [(u, i, t) for u, items in walks.items() for t, i in enumerate(items)]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    split = vlmrec.Dataset.from_frames(log).leave_one_out()
    run = fit(ItemKNN(), split, quiet=True)

    def scores(history):
        table = recommend(run, history, k=9, filter_seen=False)
        return {item: round(score, 5) for item, score in table.select("item_id", "score").rows()}

    assert scores(["a"]) == {"b": 1.0, "c": 0.5, "a": 0.0, "x": 0.0, "y": 0.0}
    assert scores(["a", "b"]) == {"a": 1.0, "b": 1.0, "c": 1.0, "x": 0.0, "y": 0.0}
    assert scores(["c", "a", "a", "a"]) == {"b": 3.0, "c": 1.5, "a": 0.0, "x": 0.0, "y": 0.0}


def test_equals_are_listed_in_the_order_of_the_catalogue():
    run = fit(Popularity(), small_dataset().leave_one_out(), quiet=True)
    table = recommend(run, ["i01"], k=23, filter_seen=False)
    order = {name: place for place, name in enumerate(run.items["item_id"])}
    keys = [(-score, order[item]) for item, score in table.select("item_id", "score").rows()]
    assert keys == sorted(keys)


def test_the_front_door_works_as_written(tmp_path):
    from vlmrec import Dataset, evaluate, fit, recommend

    data = small_dataset().save(tmp_path / "shop")
    split = Dataset.load(tmp_path / "shop").leave_one_out()
    run = fit(SASRec(dim=4), split, out=tmp_path / "run", options=OPTIONS, quiet=True)
    assert "NDCG@10" in str(evaluate(run, split.test))
    assert recommend(tmp_path / "run", history=["i01", "i07"], k=10).height == 10
    assert data.fingerprint == run.info["dataset"]["fingerprint"]


def test_recommend_says_what_it_cannot_do(tmp_path):
    run = fit(Popularity(), small_dataset().leave_one_out(), quiet=True)
    with pytest.raises(ConfigError, match=r"either 'history' .* or 'histories'"):
        recommend(run)
    with pytest.raises(ConfigError, match=r"either 'history' .* or 'histories'"):
        recommend(run, ["i01"], histories={"u": ["i01"]})
    with pytest.raises(DataError, match="The history of 'u' is empty"):
        recommend(run, histories={"u": []})
    with pytest.raises(DataError, match=r"holds 1, a int; ids are text\. Write '1'\."):
        recommend(run, [1])
    with pytest.raises(DataError, match=r"is the text 'i01'; expected a list .*\['i01'\]"):
        recommend(run, "i01")
    with pytest.raises(ArtifactError, match="not a finished run folder"):
        recommend(tmp_path, ["i01"])


def test_cases_of_a_larger_dataset_are_refused():
    run = fit(Popularity(), small_dataset().leave_one_out(), quiet=True)
    other = small_dataset(n_items=60).leave_one_out()
    with pytest.raises(ArtifactError, match="another dataset"):
        evaluate(run, other.test)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return write_tiny_bert(tmp_path_factory.mktemp("bert") / "encoder")


@pytest.fixture(scope="module")
def shop_run(bert, tmp_path_factory):
    cache = VectorCache(tmp_path_factory.mktemp("cache"))
    split = small_dataset().leave_one_out()
    spec = SASRecContent(dim=8, max_len=6, text=str(bert), image=None)
    return fit(spec, split, options=OPTIONS, cache=cache, quiet=True), cache


NEW = pl.DataFrame({"item_id": ["new", "twin"], "title": ["Something else", "title of i03"]})


def test_new_items_are_recommended_at_once(shop_run, tmp_path):
    run, cache = shop_run
    more = add_items(run, NEW, new_items=NewItems(exposure=0, neighbours=0), cache=cache)
    assert more.items.height == run.items.height + 2
    assert run.items.height == 23  # the run that was given is as it was
    assert more.item_vectors is not None
    known = int(more.vocabulary.to_internal(["i03"])[0])
    torch.testing.assert_close(more.item_vectors[25], more.item_vectors[known])
    scores = dict(
        recommend(more, ["i01", "i05"], k=25, filter_seen=False).select("item_id", "score").rows()
    )
    assert scores["twin"] == pytest.approx(scores["i03"], abs=1e-5)
    before = dict(
        recommend(run, ["i01", "i05"], k=25, filter_seen=False).select("item_id", "score").rows()
    )
    assert {item: scores[item] for item in before} == pytest.approx(before, abs=1e-6)
    as_history = recommend(more, ["new", "twin"], k=5)
    assert as_history.height == 5
    more.save(tmp_path / "more")
    assert recommend(Run.load(tmp_path / "more"), ["new", "twin"], k=5).equals(as_history)


def test_items_can_be_added_twice(shop_run, tmp_path):
    run, cache = shop_run
    once = add_items(run, NEW.head(1), cache=cache)
    once.save(tmp_path / "once")
    twice = add_items(tmp_path / "once", NEW.tail(1), cache=cache)
    together = add_items(run, NEW, cache=cache)
    torch.testing.assert_close(twice.item_vectors, together.item_vectors)
    with pytest.raises(DataError, match="Item 'new' is already known to the run"):
        add_items(twice, NEW, cache=cache)


def test_what_cannot_be_added_is_said(shop_run, bert):
    run, cache = shop_run
    with pytest.raises(DataError, match="Item 'empty' has none of what the model reads"):
        add_items(run, {"item_id": ["empty"], "title": [" "]}, cache=cache)
    with pytest.raises(DataError, match="need a column 'item_id' and at least one row"):
        add_items(run, {"sku": ["x"]}, cache=cache)
    with pytest.raises(DataError, match="'new' occurs more than once"):
        add_items(run, {"item_id": ["new", "new"], "title": ["a", "b"]}, cache=cache)
    by_id = fit(Popularity(), small_dataset().leave_one_out(), quiet=True)
    with pytest.raises(ConfigError, match="'popularity' knows items by id only"):
        add_items(by_id, NEW)


def test_another_encoder_under_the_same_name_is_refused(tmp_path):
    cache = VectorCache(tmp_path / "cache")
    folder = write_tiny_bert(tmp_path / "encoder")
    spec = SASRecContent(dim=8, max_len=6, text=str(folder), image=None)
    split = small_dataset().leave_one_out()
    run = fit(spec, split, options=OPTIONS, cache=cache, quiet=True)
    write_tiny_bert(folder, seed=1)
    with pytest.raises(ArtifactError, match="is not the one the run was trained with"):
        add_items(run, NEW, cache=cache)
