"""`vlmrec export vectors`, `export onnx`, `push` and `pull` as a user types them."""

import json
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
from tests.command_line import files_in

from vlmrec.models import GRU4Rec, Popularity
from vlmrec.pipeline import exported_onnx
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    data = small_dataset().save(folder / "data")
    options = TrainOptions(epochs=1)
    for spec in (GRU4Rec(dim=8, hidden=8), Popularity()):
        fit(spec, data.leave_one_out(), folder / spec.name, options=options, quiet=True)
    table = pl.DataFrame({"user_id": ["ann", "bob"], "history": ["i03 nope", "zz"]})
    table.write_csv(folder / "people.csv")
    return folder


def test_vectors_of_a_dataset_and_of_a_file(place, run_vlmrec, tmp_path):
    run, out = place / "gru4rec", tmp_path / "vectors"
    done = run_vlmrec("export", "vectors", run, "--users", place / "data", "--out", out)
    assert done.code == 0, done.err
    assert f"{out / 'items.parquet'}: 23 vectors of 8 numbers" in done.out
    assert f"{out / 'users.parquet'}: 29 vectors of 8 numbers" in done.out
    assert "29 done" in done.err
    line = ("export", "vectors", run, "--users", place / "people.csv", "--format", "npy")
    done = run_vlmrec(*line, "--out", out, "--overwrite")
    assert "2 events were with items that the run does not know" in done.out
    assert "1 people have no item that it knows, and no vector" in done.out
    assert np.load(out / "users.npy").shape == (1, 8)
    assert (out / "users.ids.txt").read_text() == "ann\n"
    told = json.loads(run_vlmrec(*line, "--out", tmp_path / "more", "--json").out)
    assert (told["users"], told["left_out"], told["unknown"]) == (1, 1, 2)
    alone = run_vlmrec("export", "vectors", run, "--out", tmp_path / "items")
    assert "users" not in alone.out + alone.err


def test_a_graph(place, run_vlmrec, tmp_path, monkeypatch):
    done = run_vlmrec("export", "onnx", place / "gru4rec", "--out", tmp_path / "graph")
    assert done.code == 0, done.err
    assert "a graph that reads the latest 50 items of a history, and 23 item vectors" in done.out
    assert "onnxruntime and the model agree on 257 histories to within" in done.out
    assert done.err == ""
    made = exported_onnx.OnnxExport(50, 8, 23, 257, 1e-6)
    monkeypatch.setattr(exported_onnx, "export_onnx", lambda *_args, **_named: made)
    told = run_vlmrec("export", "onnx", place / "gru4rec", "--out", "x", "--json").out
    assert json.loads(told) == {"out": "x", **asdict(made)}


def test_there_and_back(place, run_vlmrec, tmp_path):
    done = run_vlmrec("push", place / "gru4rec", tmp_path / "hub")
    assert done.code == 0, done.err
    assert "README.md, config.json, item_vectors.safetensors, model.safetensors" in done.out
    assert "left out: test_ranks.parquet, report.html, metrics.jsonl" in done.out
    back = run_vlmrec("pull", tmp_path / "hub", "--out", tmp_path / "run")
    assert "a run of gru4rec with 23 items, all files sound" in back.out
    line = ("--history", "i03,i11", "--json")
    first, second = (
        run_vlmrec("recommend", run, *line).out for run in (place / "gru4rec", tmp_path / "run")
    )
    assert first == second
    assert json.loads(first)
    evaluated = run_vlmrec("evaluate", tmp_path / "run", "--data", place / "data")
    assert evaluated.code == 0, evaluated.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["export", "vectors", "popularity", "--out", "OUT"], "are no inner products"),
        (["export", "vectors", "gru4rec", "--users", "none.csv", "--out", "OUT"], "not exist"),
        (["export", "vectors", "data", "--out", "OUT"], "is not a finished run folder"),
        (["export", "vectors", "gru4rec", "--out", "data"], "exists and is not empty"),
        (["export", "onnx", "popularity", "--out", "OUT"], "has no user encoder that becomes"),
        (["export", "data", "--out", "OUT"], "No such command 'data'"),
        (["push", "data", "OUT"], "is not a finished run folder"),
        (["push", "gru4rec", "OUT", "--public"], "'public' and 'message' are about repositories"),
        (["push", "gru4rec", "hf://x"], "expected hf://OWNER/NAME"),
        (["pull", "gru4rec", "--out", "OUT"], "A run folder needs no pull"),
        (["pull", "nowhere", "--out", "OUT"], "There is no folder 'nowhere'. Name one that"),
    ],
)
def test_what_is_wrong_is_said(place, run_vlmrec, monkeypatch, line, told):
    monkeypatch.chdir(place)
    before = files_in(place)
    done = run_vlmrec(*line)
    assert done.code == 2
    assert told in " ".join(done.err.split())
    assert files_in(place) == before
