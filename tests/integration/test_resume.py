"""Killed or interrupted anywhere, training ends with the bits of an undisturbed run."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.command_line import call, files_in, start

from vlmrec.core.dropout import DropoutStream
from vlmrec.core.errors import DataError
from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches
from vlmrec.models import SASRec
from vlmrec.objectives import BinaryCrossEntropy
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.comparing import same_weights
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.checkpoint import Checkpoints
from vlmrec.train.options import TrainOptions

SPEC = SASRec(dim=8, hidden=16, max_len=6, dropout=0.4, objective=BinaryCrossEntropy(n_negatives=2))
OPTIONS = TrainOptions(
    epochs=5, batch_size=6, device="cpu", schedule="cosine", warmup_steps=3, learning_rate=0.02
)


@dataclass
class Disturbance:
    """Does something after so many batches were built."""

    at: int
    action: Callable[[], None]
    built: int = 0


def disturbed(monkeypatch, disturbance: Disturbance):
    build = NextItemBatches.build

    def counting(self, window, epoch, step):
        disturbance.built += 1
        if disturbance.built == disturbance.at:
            disturbance.action()
        return build(self, window, epoch, step)

    monkeypatch.setattr(NextItemBatches, "build", counting)


def steps_of(split, epochs):
    """Returns the number of batches of each epoch: it depends on where histories are cut."""
    streams = Streams(OPTIONS.seed)
    batches = NextItemBatches(split.train, SPEC.max_len, OPTIONS.batch_size, streams)
    return [len(batches.plan(epoch)) for epoch in range(epochs)]


def epochs_in(folder: Path) -> list[int]:
    return [line["epoch"] for line in lines_in(folder)]


def lines_in(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


class PowerCutError(Exception):
    """Stands in for a kill: nothing after it runs."""


def cut_power():
    raise PowerCutError


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    return fit(SPEC, small_dataset().leave_one_out(), folder, options=OPTIONS, quiet=True)


@pytest.mark.parametrize("at", [1, 3, 5, 6, 14])
def test_a_run_cut_off_anywhere_ends_bit_equal(monkeypatch, tmp_path, undisturbed, at):
    split = small_dataset().leave_one_out()
    with monkeypatch.context() as patch:
        disturbed(patch, Disturbance(at, cut_power))
        with pytest.raises(PowerCutError):
            fit(SPEC, split, tmp_path / "run", options=OPTIONS, quiet=True)
    again = fit(SPEC, split, tmp_path / "run", options=OPTIONS, quiet=True)
    assert same_weights(again, undisturbed)
    assert again.info["metrics"] == undisturbed.info["metrics"]
    assert epochs_in(tmp_path / "run") == epochs_in(undisturbed.folder) == [0, 1, 2, 3, 4]
    assert files_in(tmp_path / "run").keys() == files_in(undisturbed.folder).keys()


def test_an_epoch_that_was_told_but_not_saved_is_told_once(monkeypatch, tmp_path, undisturbed):
    split = small_dataset().leave_one_out()
    save = Checkpoints.save

    def cut(self, model, optimizer, progress, best):
        if progress.epoch == 2:
            raise PowerCutError
        save(self, model, optimizer, progress, best)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", cut)
        with pytest.raises(PowerCutError):
            fit(SPEC, split, tmp_path / "run", options=OPTIONS, quiet=True)
    assert epochs_in(tmp_path / "run") == [0, 1]
    again = fit(SPEC, split, tmp_path / "run", options=OPTIONS, quiet=True)
    assert epochs_in(tmp_path / "run") == [0, 1, 2, 3, 4]
    assert same_weights(again, undisturbed)


def test_every_step_of_every_epoch_has_masks_of_its_own(monkeypatch):
    steps = []
    begin = DropoutStream.begin

    def noting(self, step, first_row=0, total_rows=None):
        steps.append(step)
        begin(self, step, first_row, total_rows)

    monkeypatch.setattr(DropoutStream, "begin", noting)
    split = small_dataset().leave_one_out()
    fit(SPEC, split, options=OPTIONS, quiet=True)
    assert steps == list(range(sum(steps_of(split, 5))))


@pytest.mark.parametrize(
    ("at", "number"), [(2, signal.SIGINT), (5, signal.SIGTERM), (8, signal.SIGINT)]
)
def test_an_interrupt_saves_the_step_and_goes_on_from_there(
    monkeypatch, tmp_path, undisturbed, at, number
):
    split = small_dataset().leave_one_out()
    disturbance = Disturbance(at, lambda: os.kill(os.getpid(), number))
    with monkeypatch.context() as patch:
        disturbed(patch, disturbance)
        with pytest.raises(KeyboardInterrupt):
            fit(SPEC, split, tmp_path / "run", options=OPTIONS, quiet=True)
        assert disturbance.built == at
        again = fit(SPEC, split, tmp_path / "run", options=OPTIONS, quiet=True)
        assert disturbance.built == sum(steps_of(split, 5))  # no step was done twice
    assert same_weights(again, undisturbed)
    assert epochs_in(tmp_path / "run") == [0, 1, 2, 3, 4]


def test_an_interrupt_during_the_last_validation_is_heeded(monkeypatch, tmp_path, undisturbed):
    from vlmrec.pipeline import learning

    split = small_dataset().leave_one_out()
    calls = []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == OPTIONS.epochs:
            os.kill(os.getpid(), signal.SIGINT)
        return evaluate(*arguments, **options)

    evaluate = learning.evaluate_ranker
    with monkeypatch.context() as patch:
        patch.setattr(learning, "evaluate_ranker", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(SPEC, split, tmp_path / "run", options=OPTIONS, quiet=True)
    again = fit(SPEC, split, tmp_path / "run", options=OPTIONS, quiet=True)
    assert same_weights(again, undisturbed)


def test_early_stopping_survives_a_resume(monkeypatch, tmp_path):
    split = small_dataset().leave_one_out()
    options = OPTIONS.model_copy(update={"epochs": 40, "patience": 2, "schedule": "constant"})
    whole = fit(SPEC, split, tmp_path / "whole", options=options, quiet=True)
    assert whole.info["training"]["epochs"] < 40
    with monkeypatch.context() as patch:
        disturbed(patch, Disturbance(12, cut_power))
        with pytest.raises(PowerCutError):
            fit(SPEC, split, tmp_path / "cut", options=options, quiet=True)
    again = fit(SPEC, split, tmp_path / "cut", options=options, quiet=True)
    assert same_weights(again, whole)
    assert epochs_in(tmp_path / "cut") == epochs_in(tmp_path / "whole")
    assert again.info["training"]["best_valid"] == whole.info["training"]["best_valid"]


def test_another_configuration_does_not_continue_a_run(monkeypatch, tmp_path):
    split = small_dataset().leave_one_out()
    with monkeypatch.context() as patch:
        disturbed(patch, Disturbance(7, cut_power))
        with pytest.raises(PowerCutError):
            fit(SPEC, split, tmp_path / "run", options=OPTIONS, quiet=True)
    before = files_in(tmp_path / "run")
    for spec, options in (
        (SPEC.model_copy(update={"dim": 16}), OPTIONS),
        (SPEC, OPTIONS.model_copy(update={"seed": 1})),
    ):
        with pytest.raises(DataError, match="unfinished run of another model, dataset or conf"):
            fit(spec, split, tmp_path / "run", options=options, quiet=True)
    other = small_dataset(seed=1).leave_one_out()
    with pytest.raises(DataError, match="unfinished run of another model, dataset or conf"):
        fit(SPEC, other, tmp_path / "run", options=OPTIONS, quiet=True)
    assert files_in(tmp_path / "run") == before


def test_the_best_weights_are_kept_not_the_last(tmp_path):
    split = small_dataset().leave_one_out()
    options = OPTIONS.model_copy(update={"epochs": 8, "patience": 8, "schedule": "constant"})
    run = fit(SPEC, split, tmp_path / "run", options=options, quiet=True)
    values = [line["valid NDCG@10"] for line in lines_in(tmp_path / "run")]
    best = values.index(max(values)) + 1
    assert run.info["training"]["best_epoch"] == best < 8
    short = fit(SPEC, split, options=options.model_copy(update={"epochs": best}), quiet=True)
    assert same_weights(run, short)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop") / "data"
    small_dataset(n_users=400, n_items=60).save(folder)
    return folder


SETS = ("dim=16", "max_len=10", "dropout=0.3", "batch_size=16", "epochs=10", "patience=10")


def command(shop, out):
    options = [part for one in (*SETS, "device=cpu") for part in ("--set", one)]
    return ["train", "sasrec", "--data", shop, "--out", out, *options]


@pytest.fixture(scope="module")
def reference(shop, tmp_path_factory):
    from vlmrec.cli.train import divide_options
    from vlmrec.core.config import parse_assignments
    from vlmrec.data.dataset import Dataset

    out = tmp_path_factory.mktemp("reference") / "run"
    spec, options = divide_options(SASRec, parse_assignments([*SETS, "device=cpu"]))
    fit(spec, Dataset.load(shop).leave_one_out(), out, options=options, quiet=True)
    return files_in(out)


def wait_for_epochs(folder: Path, n: int) -> None:
    for _ in range(2000):
        path = folder / "metrics.jsonl"
        if path.is_file() and len(path.read_text().splitlines()) >= n:
            time.sleep(0.15)  # into the next epoch
            return
        time.sleep(0.02)
    raise TimeoutError


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_killed_process_ends_bit_equal(shop, reference, tmp_path, number, code):
    out = tmp_path / "run"
    process = start(*command(shop, out))
    wait_for_epochs(out, 2)
    process.send_signal(number)
    _, told = process.communicate(timeout=120)
    assert process.returncode == code, told
    assert not (out / "run.json").exists()
    assert list(out.glob("checkpoint-*/state.json"))
    if code == 130:
        assert "Interrupted. What was done is saved; the same command goes on from there." in told
        assert "Traceback" not in told
    done = call(*command(shop, out))
    assert done.returncode == 0, done.stderr
    assert "continues at epoch" in done.stderr
    again = files_in(out)
    for name in ("model.safetensors", "item_vectors.safetensors", "test_ranks.parquet"):
        assert again[name] == reference[name]
    assert epochs_in(out) == list(range(10))
    assert not list(out.glob("*checkpoint*"))


def test_an_epoch_may_end_after_some_batches(monkeypatch):
    seen = Disturbance(at=0, action=lambda: None)
    disturbed(monkeypatch, seen)
    split = small_dataset().leave_one_out()
    options = OPTIONS.model_copy(update={"epochs": 3, "schedule": "constant"})
    whole = fit(SPEC, split, options=options, test=False, quiet=True)
    assert seen.built == sum(steps_of(split, 3))
    batches = min(steps_of(split, 3))
    assert batches > 2
    short = options.model_copy(update={"epoch_steps": batches - 1})
    seen.built = 0
    cut = fit(SPEC, split, options=short, test=False, quiet=True)
    assert seen.built == 3 * (batches - 1)
    assert not same_weights(whole, cut)
    long = options.model_copy(update={"epoch_steps": 10 * batches})
    assert same_weights(whole, fit(SPEC, split, options=long, test=False, quiet=True))
