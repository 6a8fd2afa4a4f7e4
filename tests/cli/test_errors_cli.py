"""What users get wrong: exit 2, one message with what to do, nothing half-written."""

import ctypes
import os
import pickle
import resource
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import torch
from tests.command_line import call, files_in

from vlmrec.models import ItemKNN, SASRec, SASRecContent
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.worlds import small_dataset, write_noise_vectors
from vlmrec.train.options import TrainOptions


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset, another dataset, and runs on the first."""
    folder = tmp_path_factory.mktemp("place")
    data = small_dataset().save(folder / "data")
    small_dataset(seed=1).save(folder / "other")
    options = TrainOptions(epochs=1, device="cpu")
    split = data.leave_one_out()
    fit(SASRec(dim=4, max_len=4), split, folder / "run", options=options, quiet=True)
    files = write_noise_vectors(data, folder)
    content = SASRecContent(dim=4, max_len=4, **files)
    fit(content, split, folder / "content", options=options, quiet=True)
    fit(ItemKNN(), split, folder / "counted", options=options, quiet=True)
    started = SASRec(dim=4, max_len=4, vectors=str(folder / "run"))
    fit(started, split, folder / "started", options=options, quiet=True)
    (folder / "full").mkdir()
    (folder / "full" / "thesis.tex").write_text("precious")
    (folder / "a file").write_text("")
    (folder / "new.csv").write_text("item_id,title\nn1,A new thing\n")
    (folder / "known.csv").write_text("item_id,title\ni03,An old thing\n")
    return folder


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train sasrek --data data", "Unknown model 'sasrek'. | Did you mean 'sasrec'?"),
        (
            "train sasrec --data data --set dims=3",
            "Unknown option 'dims' for model 'sasrec'. | Did you mean 'dim'?",
        ),
        (
            "train sasrec --data data --set objective.kind=bce --set objective.n_negativs=3",
            "'objective.n_negativs' | Did you mean 'n_negatives'?",
        ),
        (
            "train sasrec --data data --set dim=wide",
            "'dim' for model 'sasrec' was given 'wide' | valid integer",
        ),
        ("train sasrec --data data --set dim=10 --set n_heads=4 --out x", "4 heads do not divide"),
        ("train sasrec --data data --set epochs=-1", "'epochs' | greater than or equal to 0"),
        (
            "train sasrec --data data --set valid_metric=NDGC@10 --out x",
            "Unknown metric 'NDGC@10' | Did you mean 'ndcg'",
        ),
        (
            "train sasrec --data data --set nonsense",
            "'--set nonsense' is not of the form key=value",
        ),
        ("train sasrec --data data --config none.yaml", "'none.yaml' cannot be read: No such file"),
        ("train sasrec --data nowhere", "'nowhere' is not a dataset folder | vlmrec prepare"),
        ("train sasrec --data data --out run", "holds a finished run | --overwrite"),
        ("train sasrec --data data --out full", "holds something else than a run"),
        ("train sasrec --data data --out full --overwrite", "holds something else than a run"),
        ("train sasrec --data data --out 'a file'", "is a file; a folder was expected"),
        ("train sasrec --data data --out 'a file/run'", "'a file/run' | a folder was expected"),
        (
            "train sasrec-content --data data --set text=null --set image=null",
            "at least one is needed",
        ),
        (
            "train sasrec-content --data data --set text=gone.npy --set image=null --out x",
            "gone.npy",
        ),
        (
            "train sasrec-content --data data --set text=null --out x",
            "No item has a picture | --set image=null",
        ),
        (
            "train sasrec --data data --set vectors=compact --out x",
            "'vectors' was given 'compact': that is no vector file | vlmrec embed DATA",
        ),
        ("train gru4rec --data data --set vectors=gone.npy --out x", "gone.npy' does not exist"),
        (
            "train sasrec --data data --set vectors=full --out x",
            "'full' is not a finished run folder | Finish it",
        ),
        (
            "train sasrec --data data --set vectors=counted --out x",
            "'counted' has no item vectors | Name a run of a model with item vectors",
        ),
        (
            "train sasrec --data data --set vectors_mode=tuned --out x",
            "vectors_mode is tuned, but there are no vectors",
        ),
        (
            "train sasrec --data data --set vectors_mode=thawed --out x",
            "'vectors_mode' | 'frozen' or 'tuned'",
        ),
        ("train sasrec", "Missing option '--data'"),
        ("train sasrec --data data --split random", "'random' is not one of"),
        ("fly", "No such command 'fly'"),
        ("evaluate nowhere", "'nowhere' is not a finished run folder"),
        ("evaluate data", "'data' is not a finished run folder"),
        ("evaluate run --data other", "trained on a dataset with fingerprint | --data"),
        ("evaluate run --data nowhere", "is not at 'nowhere' | --data"),
        ("recommend nowhere --history i01", "not a finished run folder"),
        ("recommend run --history i01,i99", "Unknown item id 'i99' | Did you mean"),
        ("recommend run --history ,", "history is empty | Name at least one item id"),
        ("recommend run --history i01 -k 0", "k was given as 0; expected at least 1"),
        (
            "add-items run new.csv --out x",
            "'sasrec' knows items by id only | Train a content model",
        ),
        ("add-items content known.csv --out x", "'i03' is already known"),
        ("add-items content new.csv --out x", "vectors from the file | such as text=compact"),
        ("add-items content none.csv --out x", "none.csv"),
        ("add-items run new.csv --out x --set exposre=1", "option 'exposre' | exposure"),
        ("add-items started new.csv --out x", "item vectors of the run | cannot be embedded"),
    ],
)
def test_one_message_and_exit_2(place, monkeypatch, run_vlmrec, line, message):
    monkeypatch.chdir(place)
    before = files_in(place)
    done = run_vlmrec(*shlex.split(line))
    assert done.code == 2, done.err
    for part in message.split(" | "):
        assert part in done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    assert files_in(place) == before
    assert not (place / "x").exists()


@pytest.fixture
def copied_run(place, tmp_path):
    shutil.copytree(place / "run", tmp_path / "run")
    return tmp_path / "run"


def test_a_damaged_model_is_refused(copied_run, run_vlmrec):
    path = copied_run / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 255
    path.write_bytes(content)
    done = run_vlmrec("recommend", copied_run, "--history", "i01")
    assert done.code == 2
    assert "model.safetensors' is damaged: its SHA-256 is not the one in 'run.json'" in done.err


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_a_pickle_is_refused_and_never_opened(copied_run, tmp_path, monkeypatch, run_vlmrec):
    monkeypatch.chdir(tmp_path)
    for write in (
        lambda path: path.write_bytes(pickle.dumps(Bomb())),
        lambda path: torch.save({"weights": Bomb()}, path),
    ):
        write(copied_run / "model.safetensors")
        for line in (["recommend", copied_run, "--history", "i01"], ["evaluate", copied_run]):
            done = run_vlmrec(*line)
            assert done.code == 2
            assert "looks like a pickle; expected safetensors" in done.err
    assert not Path("exploded").exists()


def test_a_damaged_checkpoint_is_refused(place, tmp_path, monkeypatch, run_vlmrec):
    from vlmrec.data.batches import NextItemBatches

    line = ("train", "sasrec", "--data", place / "data", "--out", tmp_path / "run", "--set",
            "epochs=3", "--set", "dim=4", "--set", "device=cpu")  # fmt: skip
    build = NextItemBatches.build

    def cut(self, window, epoch, step):
        if epoch == 1:
            raise KeyboardInterrupt
        return build(self, window, epoch, step)

    with monkeypatch.context() as patch:
        patch.setattr(NextItemBatches, "build", cut)
        stopped = run_vlmrec(*line)
    assert stopped.code == 130
    assert "Interrupted. What was done is saved" in stopped.err
    path = next((tmp_path / "run").glob("checkpoint-*/optimizer.safetensors"))
    path.write_bytes(path.read_bytes()[:-8])
    done = run_vlmrec(*line)
    assert done.code == 2
    assert "optimizer.safetensors' is missing or damaged" in done.err
    assert "Remove the checkpoint folder to train from the start" in done.err


@pytest.mark.slow
def test_a_real_process_says_it_too(place):
    done = call("train", "sasrek", "--data", place / "data")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "Error: Unknown model 'sasrek'."
    assert "Did you mean 'sasrec'?" in done.stderr


def give_up_override() -> None:
    """Makes root obey permissions like anybody else (drops CAP_DAC_OVERRIDE before exec)."""
    pr_capbset_drop, cap_dac_override = 24, 1
    ctypes.CDLL(None).prctl(pr_capbset_drop, cap_dac_override)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="permissions are dropped the Linux way")
@pytest.mark.parametrize("out", ["run", "deep/run"])
def test_a_read_only_folder_is_said(place, tmp_path, out):
    shutil.copytree(place / "data", tmp_path / "data")
    before = files_in(tmp_path)
    tmp_path.chmod(0o555)
    try:
        done = call(
            "train", "popularity", "--data", "data", "--out", out,
            cwd=tmp_path, before=give_up_override,
        )  # fmt: skip
    finally:
        tmp_path.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert "the folder is read-only" in done.stderr
    assert files_in(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize("limit", [3_000, 30_000])
def test_a_full_disk_is_said_and_leaves_no_run(place, tmp_path, limit):
    """A limit on the size of files stands in for the end of the disk."""
    done = call(
        "train", "sasrec", "--data", place / "data", "--out", tmp_path / "run",
        "--set", "epochs=1", "--set", "dim=64", "--set", "device=cpu",
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "the disk is full. Nothing half-written was kept." in done.stderr
    assert not (tmp_path / "run" / "run.json").exists()
    names = [path.name for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert set(names) <= {"config.json", "metrics.jsonl"}
