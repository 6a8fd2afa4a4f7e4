"""Several processes train one table: each run once, in an order that works."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from tests.command_line import files_in

from vlmrec.core.claims import BusyError, claimed
from vlmrec.models import SASRec
from vlmrec.pipeline import comparing, shared_work
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.recipes import read_recipe
from vlmrec.pipeline.settings import settings_of
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions

RECIPE = """
title: Toys that are shared
dataset: toy
seeds: [0, 1]
train: {epochs: 6, batch_size: 4, device: cpu}
stages:
  ids: {model: sasrec, set: {dim: 4, hidden: 8, n_layers: 1, max_len: 4}}
rows:
  - {label: SASRec, like: ids}
  - {label: On its vectors, like: ids, set: {vectors: "@ids", vectors_dim: null}}
  - {label: Wider, like: ids, set: {dim: 8}}
  - {label: GRU4Rec, model: gru4rec, set: {dim: 4, hidden: 8, max_len: 4}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    small_dataset(n_users=40).save(folder / "toy")
    (folder / "toys.yaml").write_text(RECIPE)
    return folder


def start(place, out, *more):
    line = ["compare", "toys.yaml", "--data", "toy", "--out", str(out), "--json", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "vlmrec.cli.main", *line],
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def named(text: str) -> list[str]:
    """Returns the runs that a process said it is training."""
    return [line.split("(")[1].split(")")[0] for line in text.splitlines() if line.startswith("[")]


def test_two_processes_share_a_table(place, tmp_path):
    both = [start(place, tmp_path / "both") for _ in range(2)]
    told = [one.communicate(timeout=120) for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    trained = Counter(run for _, errors in told for run in named(errors))
    assert len(trained) == 8
    # Both may have said the same one in the same moment; then one of them went on at once.
    assert sum(trained.values()) <= 10
    assert all(named(errors) for _, errors in told), "both had something to do"
    alone = start(place, tmp_path / "alone")
    out, _ = alone.communicate(timeout=120)
    assert (
        json.loads(told[0][0])["blocks"][0]["rows"] == json.loads(told[1][0])["blocks"][0]["rows"]
    )

    def means(text):
        rows = json.loads(text)["blocks"][0]["rows"]
        return [(row["label"], row["metrics"]) for row in rows]

    assert means(told[0][0]) == means(out)
    assert not [path for path in (tmp_path / "both" / "runs").iterdir() if path.name[0] == "."]


def test_the_work_of_a_killed_process_is_taken_over(place, tmp_path):
    first = start(place, tmp_path)
    runs = tmp_path / "runs"
    while not list(runs.glob("*/metrics.jsonl")):
        assert first.poll() is None
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    _, errors = (second := start(place, tmp_path)).communicate(timeout=120)
    assert second.returncode == 0
    assert len(set(named(errors))) in (7, 8)
    assert "Waits" not in errors


def test_a_run_that_another_process_trains_is_refused(tmp_path):
    options = TrainOptions(epochs=1, device="cpu")
    split = small_dataset().leave_one_out()
    with claimed(tmp_path / "run"), pytest.raises(BusyError, match="Another process is working"):
        fit(SASRec(dim=4), split, tmp_path / "run", options=options, quiet=True)
    assert not files_in(tmp_path)
    fit(SASRec(dim=4), split, tmp_path / "run", options=options, quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_that_is_busy_is_waited_for(place, tmp_path):
    first = start(place, tmp_path, "--only", "SASRec", "--seeds", "0")
    assert first.wait(timeout=120) == 0
    first.communicate()
    name = next((tmp_path / "runs").iterdir()).name
    (tmp_path / "runs" / name / "run.json").unlink()
    with claimed(tmp_path / "runs" / name):
        line = ["--only", "SASRec", "--seeds", "0"]
        other = start(place, tmp_path, *line)
        with pytest.raises(subprocess.TimeoutExpired):
            other.communicate(timeout=12)
        other.kill()
        _, errors = other.communicate()
        assert "Waits for another process, which is training 'SASRec, seed 0'." in errors


def test_processes_that_train_together_say_that_a_run_is_busy(place, tmp_path, monkeypatch):
    """None of them may go on to another run: the rest would wait for it."""
    recipe = read_recipe(place / "toys.yaml")
    settings = settings_of(recipe, {"toy": small_dataset(n_users=40)}, [0])
    run = settings[0].plan.runs(["SASRec"])[0]
    for module in (comparing, shared_work):
        monkeypatch.setattr(module, "trains_together", lambda: True)
    with claimed(tmp_path / run.name), pytest.raises(BusyError, match="SASRec, seed 0: Another"):
        comparing.train_missing(settings, tmp_path, ["SASRec"], quiet=True)
