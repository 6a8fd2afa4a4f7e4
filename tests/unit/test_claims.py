"""One process at a time works on a folder, and a dead one on none."""

import os
import signal
import subprocess
import sys
import time

import pytest

from vlmrec.core.claims import BusyError, claimed, is_claimed
from vlmrec.data.fetching.fetcher import fetch_images
from vlmrec.pipeline.tuning import tune
from vlmrec.pipeline.tuning_plan import read_tuning
from vlmrec.testing.worlds import small_dataset

SPACE = """
title: Toys
dataset: toy
tuning: {trials: 2}
rows:
  - {label: kNN, model: item-knn, search: {shrink: {low: 0, high: 99.0}}}
"""
HOLD = """
import sys, time
from pathlib import Path
from vlmrec.core.claims import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Returns another process that works on the folder `run`."""
    program = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other
        other.kill()


def test_a_folder_that_another_process_works_on_is_refused(tmp_path, holder):
    folder = tmp_path / "run"
    assert is_claimed(folder)
    with pytest.raises(BusyError, match=r"Another process is working on '.*run'\. Wait until"):
        claimed(folder).__enter__()
    with claimed(tmp_path / "other"):
        pass
    assert holder.poll() is None


def test_a_killed_process_gives_up_its_claim(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".run.claim").exists()
    assert not is_claimed(tmp_path / "run")
    with claimed(tmp_path / "run"):
        assert is_claimed(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind_also_after_an_error(tmp_path):
    with pytest.raises(KeyError), claimed(tmp_path / "deep" / "run"):
        raise KeyError
    assert list((tmp_path / "deep").iterdir()) == []
    assert not is_claimed(tmp_path / "nowhere" / "run")
    assert not (tmp_path / "nowhere").exists()


def test_of_many_processes_one_has_the_folder(tmp_path):
    """Each adds one to a number in a file, which loses counts unless they take turns."""
    count = """
import sys, time
from pathlib import Path
from vlmrec.core.claims import BusyError, claimed
folder = Path(sys.argv[1])
for _ in range(60):
    while True:
        try:
            with claimed(folder):
                number = int((folder / "number").read_text())
                (folder / "number").write_text(str(number + 1))
            break
        except BusyError:
            time.sleep(0.0005)
"""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "number").write_text("0")
    many = [subprocess.Popen([sys.executable, "-c", count, str(folder)]) for _ in range(3)]
    started = time.monotonic()
    assert [one.wait(timeout=60) for one in many] == [0, 0, 0]
    assert time.monotonic() - started < 60
    assert (folder / "number").read_text() == "180"
    assert list(tmp_path.iterdir()) == [folder]


def test_two_fetches_and_two_tunings_of_one_folder_are_kept_apart(tmp_path):
    dataset = small_dataset().save(tmp_path / "shop")
    with claimed(tmp_path / "shop"), pytest.raises(BusyError, match=r"working on '.*shop'"):
        fetch_images(tmp_path / "shop")
    (tmp_path / "space.yaml").write_text(SPACE)
    space = read_tuning(tmp_path / "space.yaml")
    study = tmp_path / "out" / "study.log"
    with claimed(study), pytest.raises(BusyError, match=r"working on '.*study\.log'"):
        tune(space, dataset.leave_one_out(), tmp_path / "out", study, quiet=True)
    assert not study.exists()
