"""`vlmrec compare` as a user types it: a table, JSON, files, and one message for each mistake."""

import json
import shutil

import pytest

from vlmrec.testing.worlds import small_dataset

RECIPE = """
title: Two counted models
dataset: toy
seeds: [0, 1]
rows:
  - {label: Popularity, model: popularity}
  - {label: item-kNN, model: item-knn}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    small_dataset().save(folder / "toy")
    (folder / "two.yaml").write_text(RECIPE)
    (folder / "model.yaml").write_text("dim: 64\n")
    (folder / "typo.yaml").write_text(RECIPE.replace("popularity", "popularty"))
    (folder / "key.yaml").write_text(RECIPE.replace("label: item", "lable: kNN, label: item"))
    (folder / "a file").write_text("")
    return folder


def test_a_table_and_its_files(place, tmp_path, run_vlmrec):
    line = ["compare", place / "two.yaml", "--data", place / "toy", "--out", tmp_path]
    empty = run_vlmrec(*line, "--table")
    assert empty.code == 0
    assert "Not finished, so left out or '-': Popularity (seeds 0, 1)" in empty.out
    assert not (tmp_path / "runs").exists()
    one = run_vlmrec(*line, "--only", "item-kNN", "--seeds", "1")
    assert one.code == 0
    assert "[1/1] item-kNN, seed 1" in one.err
    assert len(list((tmp_path / "runs").iterdir())) == 1
    done = run_vlmrec(*line)
    assert done.code == 0
    assert "1 of 4 runs are finished already." in done.err
    assert done.out.startswith("Two counted models\n")
    assert "Not finished" not in done.out
    assert done.out == (tmp_path / "two" / "table.txt").read_text()
    shown = run_vlmrec(*line, "--table", "--json")
    found = json.loads(shown.out)
    assert found == json.loads((tmp_path / "two" / "comparison.json").read_text())
    assert found["blocks"][0]["dataset"]["name"] == "toy"
    assert [row["label"] for row in found["blocks"][0]["rows"]] == ["Popularity", "item-kNN"]
    assert (tmp_path / "two" / "table.md").read_text().startswith("# Two counted models\n")


def test_a_first_batch_keeps_nothing_and_names_the_run_that_fails(place, tmp_path, run_vlmrec):
    rows = "rows:\n  - {label: SASRec, model: sasrec, set: {dim: 8, hidden: 16}}"
    good = RECIPE.replace("rows:", rows)
    (place / "good.yaml").write_text(good)
    line = ["--data", place / "toy", "--out", tmp_path, "--first-batch"]
    tried = run_vlmrec("compare", place / "good.yaml", *line)
    assert tried.code == 0, tried.err
    assert "[1/3] SASRec, seed 0" in tried.err
    assert tried.out == "All 3 runs came through their first batch and ranked the test cases.\n"
    assert not list(tmp_path.rglob("run.json"))
    assert (
        "[1/3] SASRec, seed 5"
        in run_vlmrec("compare", place / "good.yaml", *line, "--seeds", 5).err
    )
    (place / "bad.yaml").write_text(good.replace("dim: 8", "dim: 8, vectors: nowhere.npy"))
    failed = run_vlmrec("compare", place / "bad.yaml", *line)
    assert failed.code == 2
    assert "Error: SASRec, seed 0: " in failed.err
    assert "nowhere.npy" in failed.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "none.yaml"}, "'none.yaml' cannot be read: No such file"),
        ({"recipe": "model.yaml"}, "has no 'rows': it is no comparison. | vlmrec train MODEL"),
        ({"recipe": "typo.yaml"}, "Unknown model 'popularty'. | Did you mean 'popularity'?"),
        ({"recipe": "key.yaml"}, "Unknown option 'lable' for row 'item-kNN' | 'label'?"),
        ({"--data": "nowhere"}, "'nowhere' is not a dataset folder"),
        ({"--out": "a file"}, "'a file | is a file, a folder was expected"),
        ({"--seeds": "0,one"}, "'--seeds 0,one' is no list of different whole numbers. | 0,1,2"),
        ({"--seeds": "1,1"}, "'--seeds 1,1' is no list of different whole numbers."),
        ({"--only": "item-knn"}, "The recipe has no row 'item-knn'. | Did you mean 'item-kNN'?"),
    ],
)
def test_a_mistake_is_one_message(place, run_vlmrec, monkeypatch, change, message):
    monkeypatch.chdir(place)
    given = {"recipe": "two.yaml", "--data": "toy", "--out": "out", **change}
    line = [given.pop("recipe"), *(word for pair in given.items() for word in pair)]
    ended = run_vlmrec("compare", *line)
    assert ended.code == 2
    assert ended.out == ""
    for part in message.split(" | "):
        assert part in ended.err
    assert not (place / "out").exists()


def test_two_datasets_stand_side_by_side_unless_they_have_one_name(place, tmp_path, run_vlmrec):
    shutil.copytree(place / "toy", tmp_path / "copy")
    shutil.copytree(place / "toy", tmp_path / "again" / "toy")
    line = ["compare", place / "two.yaml", "--out", tmp_path / "out", "--data", place / "toy"]
    both = run_vlmrec(*line, "--data", tmp_path / "copy")
    assert both.code == 0
    assert "4 of 4 runs" not in both.err
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 4, "equal data, equal runs"
    assert both.out.splitlines()[2].split() == ["toy", "copy"]
    same = run_vlmrec(*line, "--data", tmp_path / "again" / "toy")
    assert same.code == 2
    assert "Two datasets are called 'toy'" in same.err
    assert "Rename one of the folders." in same.err
