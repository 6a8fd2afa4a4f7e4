"""Exported vectors: their inner products are the scores of `recommend`, by any software."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from tests.command_line import files_in

from vlmrec import Run, export_vectors, recommend
from vlmrec.core.errors import ArtifactError, ConfigError, DataError
from vlmrec.evaluation.evaluator import evaluate_ranker
from vlmrec.items.vector_files import load_vectors
from vlmrec.models import FPMC, BERT4Rec, GRU4Rec, ItemKNN, Popularity, SASRec
from vlmrec.pipeline import people
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import NEW_ITEMS
from vlmrec.scoring import ScoringConfig
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions

COSINE = ScoringConfig(kind="cosine", temperature=0.1)
SPECS = (
    SASRec(dim=8, max_len=4),
    GRU4Rec(dim=8, hidden=12, max_len=6, scoring=COSINE),
    BERT4Rec(dim=8, max_len=5),
    FPMC(dim=4),
)


@pytest.fixture(scope="module")
def data():
    return small_dataset()


@pytest.fixture(scope="module")
def runs(data):
    options = TrainOptions(epochs=2, learning_rate=0.01)
    fitted = {
        spec.name: fit(spec, data.leave_one_out(), options=options, test=False, quiet=True)
        for spec in (*SPECS, ItemKNN(), Popularity())
    }
    # As after `add_items`: the latest items lifted, so that there is a bias in every score.
    lifted = fitted["sasrec"]
    info = {**lifted.info, "shape": {**lifted.info["shape"], "n_items": 20}}
    fitted["lifted"] = replace(lifted, info={**info, NEW_ITEMS: {"offset": 0.7, "quota": 0.0}})
    return fitted


def read(folder, name):
    table = pl.read_parquet(folder / f"{name}.parquet")
    return table[table.columns[0]].to_list(), table["vector"].to_numpy()


def histories(data):
    log = data.to_interactions().group_by("user_id", maintain_order=True).agg("item_id")
    return dict(log.iter_rows())


@pytest.mark.parametrize("name", ["sasrec", "gru4rec", "bert4rec", "fpmc", "lifted"])
def test_products_are_the_scores_of_recommend(runs, data, tmp_path, name):
    run, people = runs[name], histories(data)
    counts = export_vectors(run, tmp_path / "out", users=people)
    users, queries = read(tmp_path / "out", "users")
    items, keys = read(tmp_path / "out", "items")
    assert users == list(people)
    assert items == run.items["item_id"].to_list()
    assert (counts.users, counts.items, counts.width) == (29, 23, keys.shape[1])
    scores = queries @ keys.T
    listed = recommend(run, histories=people, k=len(items), filter_seen=False)
    place = {name: number for number, name in enumerate(items)}
    found = [
        scores[users.index(user), place[item]]
        for user, item in listed.select("user_id", "item_id").iter_rows()
    ]
    assert listed.height == 29 * 23
    np.testing.assert_allclose(found, listed["score"].to_numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["npy", "safetensors"])
def test_every_format_holds_the_same(runs, data, tmp_path, form):
    for one in ("parquet", form):
        export_vectors(runs["sasrec"], tmp_path / one, users=data, format=one)
    for name in ("items", "users"):
        ids, expected = read(tmp_path / "parquet", name)
        path = tmp_path / form / f"{name}.{form}"
        assert np.array_equal(load_vectors(path, ids).vectors[1:].numpy(), expected)
        assert path.with_suffix(".ids.txt").read_text().split() == ids


def test_datasets_files_and_parts_of_them_give_the_same(runs, data, tmp_path, monkeypatch):
    export_vectors(runs["sasrec"], tmp_path / "whole", users=data)
    data.save(tmp_path / "data")
    data.to_interactions().write_csv(tmp_path / "log.csv")
    monkeypatch.setattr(people, "_AT_A_TIME", 4)
    steps = []
    export_vectors(runs["sasrec"], tmp_path / "folder", users=tmp_path / "data",
                   on_progress=lambda done, of: steps.append((done, of)))  # fmt: skip
    export_vectors(runs["sasrec"], tmp_path / "file", users=tmp_path / "log.csv")
    assert steps[:2] == [(4, 29), (8, 29)]
    assert steps[-1] == (29, 29)
    names, expected = read(tmp_path / "whole", "users")
    for source in ("folder", "file"):
        found, vectors = read(tmp_path / source, "users")
        order = [found.index(name) for name in names]
        np.testing.assert_allclose(vectors[order], expected, rtol=1e-5, atol=1e-6)
        assert len(found) == len(names)


def test_unknown_items_are_passed_over_and_who_has_no_other_is_left_out(runs, tmp_path):
    asked = {"ann": ["i03", "nope"], "bob": ["zz"], "cyd": ["i03"]}
    counts = export_vectors(runs["sasrec"], tmp_path / "out", users=asked)
    assert (counts.users, counts.left_out, counts.unknown) == (2, 1, 2)
    names, vectors = read(tmp_path / "out", "users")
    assert names == ["ann", "cyd"]
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=1e-6)
    record = json.loads((tmp_path / "out" / "vectors.json").read_text())
    assert (record["model"], record["left_out"], record["max_len"]) == ("sasrec", 1, 4)
    nobody = export_vectors(runs["sasrec"], tmp_path / "none", users={"bob": ["zz"]})
    assert (nobody.users, read(tmp_path / "none", "users")[1].shape) == (0, (0, 8))


def test_of_its_own_users_a_personal_model_tells_all_it_knows(runs, data, tmp_path):
    run = runs["fpmc"]
    assert export_vectors(run, tmp_path / "own", users=data).personal
    assert not export_vectors(run, tmp_path / "names", users=histories(data)).personal
    other = small_dataset(seed=1)
    assert not export_vectors(run, tmp_path / "other", users=other).personal
    own, unknown = (read(tmp_path / name, "users")[1] for name in ("own", "names"))
    assert np.abs(own - unknown).max() > 1e-3
    # What evaluation ranks with, for histories without their last event.
    cases = data.leave_one_out().test
    evaluated = evaluate_ranker(run.ranker(), cases).cases
    before = {user: items[:-1] for user, items in histories(data).items()}
    keys = read(tmp_path / "own", "items")[1]
    export_vectors(run, tmp_path / "before", users=before)
    plain = read(tmp_path / "before", "users")[1].copy()
    width = plain.shape[1] // 3
    plain[:, width : 2 * width] = own[:, width : 2 * width]  # the user's own factors
    target = evaluated["item_id"].to_numpy() - 1
    found = (plain[evaluated["user_id"].to_numpy() - 1] * keys[target]).sum(axis=1)
    np.testing.assert_allclose(found, evaluated["score"].to_numpy(), rtol=1e-4, atol=1e-5)


def test_without_users_there_are_items_alone(runs, tmp_path):
    runs["sasrec"].save(tmp_path / "run")
    before = files_in(tmp_path / "run")
    export_vectors(tmp_path / "run", tmp_path / "out")
    assert sorted(files_in(tmp_path / "out")) == ["items.parquet", "vectors.json"]
    keys = Run.load(tmp_path / "run").ranker().inner_product().keys[1:]
    assert np.array_equal(read(tmp_path / "out", "items")[1], keys.numpy())
    assert files_in(tmp_path / "run") == before
    assert isinstance(keys, torch.Tensor)


@pytest.mark.parametrize("name", ["item-knn", "popularity"])
def test_scores_that_are_no_products_are_refused(runs, tmp_path, name):
    with pytest.raises(
        ConfigError, match=rf"scores of '{name}' are no inner products.*recommend --batch"
    ):
        export_vectors(runs[name], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_sources_and_taken_folders_are_refused(runs, data, tmp_path):
    run, out = runs["sasrec"], tmp_path / "out"
    with pytest.raises(DataError, match=r"nowhere' does not exist\. Name a dataset folder, or"):
        export_vectors(run, out, users=tmp_path / "nowhere")
    with pytest.raises(DataError, match="is not a dataset folder"):
        export_vectors(run, out, users=tmp_path)
    with pytest.raises(DataError, match="history of 'ann' is the text 'i03'"):
        export_vectors(run, out, users={"ann": "i03"})
    with pytest.raises(ArtifactError, match="is not a finished run folder"):
        export_vectors(tmp_path / "norun", out)
    assert not out.exists()
    export_vectors(run, out)
    with pytest.raises(DataError, match=r"exists and is not empty\..*--overwrite"):
        export_vectors(run, out)
    export_vectors(run, out, users=data, overwrite=True)
    assert (out / "users.parquet").is_file()
