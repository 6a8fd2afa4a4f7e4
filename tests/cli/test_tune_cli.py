"""`vlmrec tune` as a user types it: a table, files, the recipe that follows, messages."""

import json

import pytest

from vlmrec.testing.worlds import small_dataset

SPACE = """
title: Neighbours
dataset: toy
seeds: [0, 1]
tuning: {trials: 3, startup: 1}
rows:
  - {label: item-kNN, model: item-knn, search: {shrink: {low: 0, high: 50.0}}}
  - {label: Popularity, model: popularity}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    small_dataset().save(folder / "toy")
    changes = {
        "space": ("", ""),
        "typo": ("shrink", "shrnk"),
        "none": ("search: {shrink: {low: 0, high: 50.0}}", "group: x"),
        "range": ("low: 0, high", "high"),
        "budget": ("trials: 3", "trails: 3"),
    }
    for name, (old, new) in changes.items():
        (folder / f"{name}.yaml").write_text(SPACE.replace(old, new))
    (folder / "a file").write_text("")
    return folder


def test_tune_then_compare(place, tmp_path, run_vlmrec):
    line = ["tune", place / "space.yaml", "--data", place / "toy", "--out", tmp_path]
    done = run_vlmrec(*line, "--trials", "2")
    assert done.code == 0
    assert "[2/2] item-kNN: shrink " in done.err
    assert done.out == (tmp_path / "space" / "table.txt").read_text()
    assert done.out.startswith("Neighbours: tuning\n")
    assert "Trial" not in done.err  # Optuna's own lines
    more = run_vlmrec(*line, "--json")
    assert "[3/3] item-kNN" in more.err
    assert "[2/" not in more.err
    found = json.loads(more.out)
    assert found == json.loads((tmp_path / "space" / "tuning.json").read_text())
    assert found["dataset"]["name"] == "toy"
    assert found["test"] == "not looked at"
    (row,) = found["rows"]
    assert [one["number"] for one in row["trials"]] == [0, 1, 2]
    assert row["trials"][0]["options"] == {"shrink": 0.0}
    told = next(text for text in done.err.splitlines() if text.startswith("vlmrec compare "))
    assert told.startswith(f"vlmrec compare {tmp_path / 'space' / 'tuned.yaml'} --data ")
    compared = run_vlmrec(*told.split()[1:])
    assert compared.code == 0
    assert compared.out.startswith("Neighbours\n")
    assert compared.out.count("2 of 2") == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": "nowhere.yaml"}, "'nowhere.yaml' cannot be read: No such file"),
        ({"space": "typo.yaml"}, "Unknown option 'shrnk' in 'search' of row | mean 'shrink'?"),
        ({"space": "none.yaml"}, "No row of the recipe 'none.yaml' has a 'search'"),
        ({"space": "range.yaml"}, "'values', or 'low' and 'high', were expected. | log: true"),
        ({"space": "budget.yaml"}, "Unknown option 'trails' | Did you mean 'trials'?"),
        ({"--trials": "0"}, "Option 'trials' for 'tuning' of the recipe | was given 0"),
        ({"--hours": "-1"}, "Option 'hours' for 'tuning' of the recipe | was given -1"),
        ({"--data": "nowhere"}, "'nowhere' is not a dataset folder"),
        ({"--out": "a file"}, "'a file | is a file, a folder was expected"),
    ],
)
def test_a_mistake_is_one_message(place, run_vlmrec, monkeypatch, change, message):
    monkeypatch.chdir(place)
    given = {"space": "space.yaml", "--data": "toy", "--out": "out", **change}
    line = [given.pop("space"), *(word for pair in given.items() for word in pair)]
    ended = run_vlmrec("tune", *line)
    assert ended.code == 2
    assert ended.out == ""
    for part in message.split(" | "):
        assert part in ended.err
    assert not (place / "out").exists()


def test_several_processes_are_refused(place, run_vlmrec, monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    ended = run_vlmrec("tune", place / "space.yaml", "-d", place / "toy", "-o", tmp_path)
    assert ended.code == 2
    assert "was started on several processes; it runs on one" in ended.err
