"""Train, evaluate, recommend, add items: what a user sees, and what lies in the run folder."""

import json

import polars as pl
import pytest
from tests.command_line import call

from vlmrec.data.dataset import Dataset
from vlmrec.testing.worlds import small_dataset

SETS = [
    part
    for one in ("dim=8", "hidden=16", "max_len=6", "epochs=2", "device=cpu")
    for part in ("--set", one)
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop") / "data"
    small_dataset().save(folder)
    return folder


@pytest.mark.slow
def test_the_main_job_from_data_to_recommendation(shop, tmp_path):
    out = tmp_path / "run"
    done = call("train", "sasrec", "--data", shop, "--out", out, *SETS, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert "epoch 2/2" in done.stderr
    assert "valid NDCG@10" in done.stderr
    assert record["seed"] == 0
    assert record["dataset"]["fingerprint"] == Dataset.load(shop).fingerprint
    assert set(record["metrics"]["anchors"]) == {"popularity", "item-knn"}
    assert {path.name for path in out.iterdir()} - {"report.html"} == {
        "config.json", "item_vectors.safetensors", "metrics.jsonl", "model.safetensors",
        "run.json", "test_ranks.parquet", "vocabulary.parquet",
    }  # fmt: skip
    ranks = pl.read_parquet(out / "test_ranks.parquet")
    assert ranks.height == 29
    assert set(ranks["user_id"]) == {f"u{n}" for n in range(29)}
    gain = (1 / (ranks["rank"] + 1).log(2)).to_numpy() * (ranks["rank"] <= 10).to_numpy()
    assert gain.mean() == pytest.approx(record["metrics"]["test"]["metrics"]["NDCG@10"]["mean"])

    moved = tmp_path / "elsewhere"
    out.rename(moved)
    measured = call("evaluate", moved, "--json")
    assert measured.returncode == 0, measured.stderr
    assert json.loads(measured.stdout)["test"] == record["metrics"]["test"]

    told = call("recommend", moved, "--history", "i03, i11", "-k", 3, "--json")
    rows = json.loads(told.stdout)
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert rows[0]["title"] == f"title of {rows[0]['item_id']}"
    table = call("recommend", moved, "--history", "i03,i11", "-k", 3)
    assert all(row["item_id"] in table.stdout for row in rows)
    assert table.stderr == ""


@pytest.mark.parametrize("protocol", ["leave-one-out", "global-time", "cold-item"])
def test_every_protocol_trains_and_evaluates(shop, tmp_path, protocol, run_vlmrec):
    out = tmp_path / "run"
    done = run_vlmrec("train", "item-knn", "--data", shop, "--out", out, "--split", protocol)
    assert done.code == 0, done.err
    assert protocol in done.out
    before = json.loads((out / "run.json").read_text())["metrics"]
    measured = run_vlmrec("evaluate", out, "--json")
    assert json.loads(measured.out) == before
    assert ("test_among_all" in before) == (protocol == "cold-item")


def test_a_config_file_gives_options_and_set_overrides_it(shop, tmp_path, run_vlmrec):
    (tmp_path / "c.yaml").write_text("dim: 4\nn_heads: 1\nepochs: 1\nobjective: {kind: bce}\n")
    arguments = ["train", "sasrec", "--data", shop, "--out", tmp_path / "run", "--config"]
    done = run_vlmrec(*arguments, tmp_path / "c.yaml", "--set", "dim=6", "--set", "device=cpu")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["spec"]["dim"] == 6
    assert record["spec"]["objective"] == {"kind": "bce", "n_negatives": 1}
    assert record["options"]["epochs"] == 1


def test_one_models_item_vectors_start_another(shop, tmp_path, run_vlmrec):
    first, second = tmp_path / "sasrec", tmp_path / "gru4rec"
    assert run_vlmrec("train", "sasrec", "--data", shop, "--out", first, *SETS).code == 0
    line = ("train", "gru4rec", "--data", shop, "--out", second, *SETS)
    done = run_vlmrec(*line, "--set", f"vectors={first}", "--set", "vectors_mode=tuned")
    assert done.code == 0, done.err
    record = json.loads((second / "run.json").read_text())
    assert record["content"]["vectors"]["items_with"] == record["shape"]["n_items"]
    assert record["shape"]["widths"] == {"vectors": 8}
    told = run_vlmrec("recommend", second, "--history", "i03,i11", "-k", 3, "--json")
    assert len(json.loads(told.out)) == 3


def test_overwrite_replaces_a_finished_run(shop, tmp_path, run_vlmrec):
    arguments = ("train", "popularity", "--data", shop, "--out", tmp_path / "run")
    assert run_vlmrec(*arguments).code == 0
    (tmp_path / "run" / "stale.txt").write_text("")
    assert run_vlmrec(*arguments, "--overwrite").code == 0
    assert not (tmp_path / "run" / "stale.txt").exists()


def test_the_run_folder_has_a_default_name(shop, tmp_path, run_vlmrec, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_vlmrec("train", "popularity", "--data", shop, "--set", "seed=3").code == 0
    assert (tmp_path / "runs" / "popularity-data-seed3" / "run.json").is_file()


def test_help_and_version(run_vlmrec):
    assert "add-items" in run_vlmrec("--help").out
    for verb in ("train", "evaluate", "recommend", "add-items", "prepare", "inspect", "doctor"):
        assert run_vlmrec(verb, "--help").code == 0
    assert run_vlmrec("--version").out.startswith("vlmrec 0.")
