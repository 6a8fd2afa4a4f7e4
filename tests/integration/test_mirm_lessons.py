"""What the item model has been taught: measured before and after, told in record and report."""

import json
import os
import re
import signal
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from tests.pictured import pictured_dataset

from vlmrec.cli.tables import print_run
from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset
from vlmrec.data.row_batches import RowBatches
from vlmrec.models import Mirm
from vlmrec.models.mirm_tasks import MirmTasks, TaskOptions
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.learning import prepared_model
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.generating import generate
from vlmrec.vlm.unigram_loss import unigram_loss

OPTIONS = TrainOptions(epochs=2, batch_size=8, device="cpu", learning_rate=5e-3, patience=9)
SOME = TaskOptions(n_examples=30)
SPEC = Mirm(
    backbone="tiny",
    tasks=MirmTasks(image_text=SOME, attributes=SOME, behaviour=SOME, history=3),
    held_out=0.3,
)
TASKS = ("image_text", "attributes", "behaviour")
OFF = MirmTasks(image_text=None, attributes=None, behaviour=None)
HEADING = "What it has been taught"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("lessons")


@pytest.fixture(scope="module")
def split(place):
    plain = pictured_dataset(place / "pictures")
    years = [f"The {word} ({year})" for year, word in enumerate("abcdefghij", 1990)]
    items = plain.catalog.table.with_columns(title=pl.Series(years), genre=pl.lit("a genre"))
    return Dataset.from_frames(plain.to_interactions(), items, place / "pictures").leave_one_out()


@pytest.fixture(scope="module")
def run(place, split):
    return fit(SPEC, split, place / "run", options=OPTIONS, quiet=True)


def test_the_record_tells_the_losses_before_and_after_and_of_the_yardstick(run, split):
    taught = run.info["taught"]
    assert tuple(taught) == TASKS
    fresh, data = prepared_model(SPEC, OPTIONS.seed, split, {}, torch.device("cpu"))
    fresh.batches(data, Streams(OPTIONS.seed), batch_size=8, epochs=2)
    before, after = fresh.held_out_losses(), run.model.held_out_losses()
    for name, one in taught.items():
        learned, held = run.model.learned()[name], run.model.held_out()[name]
        assert (one["learned"], one["held_out"]) == (len(learned), len(held))
        others = [*held[1:], held[0]] if len(held) > 1 else []
        asked = [example.prompt for example in others]
        told = [example.answer for example in held][: len(others)]
        misled = run.model.vlm.token_loss(asked, told).mean().item() if others else None
        words = [[example.answer for example in part] for part in (learned, held)]
        assert one["token_loss"] == {
            "before": pytest.approx(before[name], rel=1e-6),
            "after": pytest.approx(after[name], rel=1e-5),
            "another's question": misled and pytest.approx(misled, rel=1e-5),
            "bag of words": pytest.approx(float(unigram_loss(run.model.vlm, *words).mean())),
        }
        assert one["token_loss"]["after"] < one["token_loss"]["before"] - 0.5
    assert json.loads((run.folder / "run.json").read_text())["taught"] == taught


def test_answers_are_those_of_held_out_examples(run, split):
    named = split.dataset.items.to_external
    for name in ("image_text", "behaviour"):
        held = run.model.held_out()[name]
        answers = run.info["taught"][name]["answers"]
        assert 0 < len(answers) == min(5, len(held))
        by_question = {(tuple(named(one.shown)), one.answer): one for one in held}
        found = [by_question[tuple(one["shown"]), one["expected"]] for one in answers]
        assert [one["item"] for one in answers] == [named([one.item])[0] for one in found]
        given = generate(run.model.vlm, [one.prompt for one in found], 40)
        assert [one["given"] for one in answers] == given
    for one in run.model.held_out()["behaviour"]:
        asked = " ".join(getattr(part, "text", "") for part in one.prompt)
        titles = [split.dataset.catalog.table["title"][item - 1] for item in one.shown]
        assert re.findall(r"The \w \(\d+\)", asked) == titles
    assert any(len(one["shown"]) == 3 for one in run.info["taught"]["behaviour"]["answers"])
    assert run.info["taught"]["attributes"]["answers"] == []


def test_it_says_what_is_easy(run):
    remarks = {name: one["remark"] for name, one in run.info["taught"].items()}
    assert "copied from its prompt" in remarks["attributes"]
    assert "100 % of the held-out answers end in a year" in remarks["behaviour"]
    assert "year" not in remarks["attributes"]


def test_report_and_command_line_tell_the_same(run, capsys, monkeypatch):
    page = (run.folder / "report.html").read_text("utf-8")
    print_run(run.info, run.folder)
    told = capsys.readouterr().out
    assert HEADING in page
    for one in run.info["taught"].values():
        for loss in filter(None, one["token_loss"].values()):  # None: only one is held out
            assert f">{loss:.3f}" in page
            assert f"{loss:.3f}" in told
    assert "History to the next title" in told


@pytest.mark.parametrize("at", [2, 9])
def test_a_resumed_run_keeps_what_was_before(monkeypatch, place, split, run, at):
    build, built = RowBatches.build, []

    def counting(self, window, epoch, step):
        built.append(step)
        if len(built) == at:
            os.kill(os.getpid(), signal.SIGINT)
        return build(self, window, epoch, step)

    out = place / f"cut at {at}"
    with monkeypatch.context() as patch:
        patch.setattr(RowBatches, "build", counting)
        with pytest.raises(KeyboardInterrupt):
            fit(SPEC, split, out, options=OPTIONS, quiet=True)
    again = fit(SPEC, split, out, options=OPTIONS, quiet=True)
    for name, one in again.info["taught"].items():
        wanted = run.info["taught"][name]
        losses = {key: pytest.approx(loss) for key, loss in wanted["token_loss"].items()}
        assert one == {**wanted, "token_loss": losses}  # several threads round as they like


def test_with_all_tasks_off_nothing_is_said(place, split, capsys):
    spec = SPEC.model_copy(update={"tasks": OFF})
    plain = fit(spec, split, place / "off", options=OPTIONS, quiet=True)
    assert "taught" not in plain.info
    assert HEADING not in (plain.folder / "report.html").read_text("utf-8")
    print_run(plain.info, plain.folder)
    assert "token loss" not in capsys.readouterr().out


def test_a_task_that_holds_out_nothing_has_no_losses(split):
    one = TaskOptions(n_examples=1)
    tasks = MirmTasks(image_text=None, attributes=None, behaviour=one)
    spec = SPEC.model_copy(update={"tasks": tasks, "held_out": 1e-9})
    found = fit(spec, split, options=OPTIONS, quiet=True)
    told = SimpleNamespace(**found.info["taught"]["behaviour"])
    assert (told.learned, told.held_out, told.answers) == (1, 0, [])
    assert set(told.token_loss.values()) == {None}
    assert told.remark == ""
