"""`vlmrec index` as a user meets it, and what becomes of a stored index."""

import json
import logging

import pytest
import torch

from vlmrec.core.errors import ArtifactError
from vlmrec.models import ItemKNN, SASRec
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.indexing import index_of, load_index
from vlmrec.pipeline.run import Run
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder, split = tmp_path_factory.mktemp("place"), small_dataset().leave_one_out()
    for name, spec, seed in (
        ("sasrec", SASRec(dim=8), 0),
        ("other", SASRec(dim=8), 1),
        ("counted", ItemKNN(), 0),
    ):
        options = TrainOptions(epochs=1, device="cpu", seed=seed)
        fit(spec, split, folder / name, options=options, test=False, quiet=True)
    return folder


def test_the_record_is_printed_and_stored(place, run_vlmrec):
    done = run_vlmrec("index", place / "sasrec", "--kind", "hnsw", "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert (record["kind"], record["n_items"], record["width"]) == ("hnsw", 23, 8)
    assert record["recall"]["10"] == 1.0
    assert json.loads((place / "sasrec" / "index" / "index.json").read_text())["sha256"]
    run = Run.load(place / "sasrec")
    loaded, record_again = (built := load_index(run)).index, built.record
    assert record_again.kind == "hnsw"
    queries = run.ranker().encode(torch.tensor([[1, 2, 3]]))
    best = run.ranker().score(queries, 1, 24).argmax() + 1
    assert loaded.search(queries, 1).items.item() == best


def test_it_says_what_it_chose_and_found(place, run_vlmrec):
    done = run_vlmrec("index", place / "other")
    assert done.code == 0, done.err
    assert "flat: 23 items of 8 numbers are few enough to compare with every one." in done.out
    assert "it finds 100.0% of the 10 best." in done.out
    assert f"written: {place / 'other' / 'index'}" in done.out


def test_counted_models_are_searched_exactly(place, run_vlmrec):
    done = run_vlmrec("index", place / "counted")
    assert done.out.startswith("exact: the scores of this model are no inner products")
    refused = run_vlmrec("index", place / "counted", "--kind", "flat")
    assert refused.code == 2
    assert "the scores of 'item-knn' are no inner products" in refused.err
    assert "give 'exact'" in refused.err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--memory", "much"], "'much' is no amount of memory"),
        (["--recall", "1.5"], "'recall' for the index was given 1.5"),
        (["--kind", "milvus"], "without the address of its server. Give it with --url"),
        (["--kind", "milvus", "--url", "db:19530"], "'db:19530' is no address of a vector"),
        (["--kind", "milvus", "--url", "http://a:b@db"], "would be stored with the run"),
        (["--url", "http://db"], "for an index of kind 'auto', which needs no server"),
        (["--collection", "a b"], "'collection' for the index was given 'a b'"),
    ],
)
def test_wrong_options_are_said(place, run_vlmrec, given, told):
    done = run_vlmrec("index", place / "sasrec", *given)
    assert done.code == 2
    assert told in " ".join(done.err.split())


def test_a_vector_database_is_filled_and_measured(place, run_vlmrec, milvus_url):
    given = ("index", place / "other", "--kind", "milvus", "--url", milvus_url)
    done = run_vlmrec(*given, "--collection", "shop")
    assert done.code == 0, done.err
    record = json.loads((place / "other" / "index" / "index.json").read_text())
    name = record["milvus"]["collection"]
    assert name.startswith("shop_")
    assert "milvus: asked for." in done.out
    assert f"s, collection '{name}' at {milvus_url}; it finds 100.0% of the 10 best." in done.out
    assert not (place / "other" / "index" / "index.faiss").exists()
    again = run_vlmrec(*given, "--json")
    assert json.loads(again.out)["recall"]["10"] == 1.0


def test_a_database_that_is_away_leaves_the_stored_index_alone(place, run_vlmrec):
    pytest.importorskip("pymilvus")
    run_vlmrec("index", place / "sasrec", "--kind", "flat")
    before = (place / "sasrec" / "index" / "index.json").read_text()
    url = "http://127.0.0.1:1"
    done = run_vlmrec("index", place / "sasrec", "--kind", "milvus", "--url", url)
    assert done.code == 2
    told = " ".join(done.err.split())
    assert f"The vector database at '{url}' does not answer as it should" in told
    assert "Start it, or correct the address." in told
    assert "Traceback" not in done.err
    assert (place / "sasrec" / "index" / "index.json").read_text() == before


def test_an_index_of_other_vectors_is_refused_and_built_anew(place, run_vlmrec, caplog):
    run_vlmrec("index", place / "sasrec", "--kind", "flat")
    run_vlmrec("index", place / "other", "--kind", "flat")
    strange = (place / "other" / "index" / "index.faiss").read_bytes()
    own = place / "sasrec" / "index"
    (own / "index.json").write_text((place / "other" / "index" / "index.json").read_text())
    (own / "index.faiss").write_bytes(strange)
    run = Run.load(place / "sasrec")
    with pytest.raises(ArtifactError, match=r"built of other vectors.*vlmrec index RUN"):
        load_index(run)
    with caplog.at_level(logging.WARNING):
        built = index_of(run)
    assert "the index is built anew" in caplog.text
    queries = run.ranker().encode(torch.tensor([[4, 9]]))
    best = run.ranker().score(queries, 1, 24).argmax() + 1
    assert built.index.search(queries, 1).items.item() == best
