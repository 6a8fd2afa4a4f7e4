"""Molar's two stages: resumable to the last bit, and never built on what they should not be."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.command_line import files_in
from tests.pictured import attributed_dataset

from vlmrec.core.errors import ArtifactError, ConfigError, DataError
from vlmrec.core.random import Streams
from vlmrec.data.batches import NextItemBatches
from vlmrec.data.row_batches import RowBatches
from vlmrec.models import FPMC, Mirm, Molar, SASRec
from vlmrec.models.item_model import ItemModel
from vlmrec.models.mirm_tasks import MirmTasks, TaskOptions
from vlmrec.pipeline.evaluation import training_data
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import Run
from vlmrec.testing.comparing import same_weights
from vlmrec.train.options import TrainOptions
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import TuningOptions

OPTIONS = TrainOptions(epochs=2, batch_size=4, device="cpu", learning_rate=5e-3, patience=9)
FEW = TaskOptions(n_examples=8)
TASKS = MirmTasks(image_text=FEW, attributes=FEW, behaviour=FEW, history=2)
MIRM = Mirm(backbone="tiny", tasks=TASKS, held_out=0.2)
LORA = {"kind": "lora", "dropout": 0.3}
STAGES = {
    "frozen": {"tuning": LORA, "dropout": 0.2},
    "refresh": {"items": "refresh", "refresh_every": 3, "item_tuning": LORA, "dueg": "gru4rec"},
    "joint": {"items": "joint", "item_tuning": LORA, "tuning": LORA},
    "joint teacher": {"dueg": "sasrec", "alignment": {"joint": True, "items": 0.1}},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("stages")


@pytest.fixture(scope="module")
def split(place):
    return attributed_dataset(place / "pictures").leave_one_out()


@pytest.fixture(scope="module")
def mirm(place, split):
    return fit(MIRM, split, place / "mirm", options=OPTIONS, quiet=True)


@pytest.fixture(scope="module")
def teacher(place, split):
    spec = SASRec(dim=8, hidden=16, max_len=5, dropout=0.3)
    return fit(spec, split, place / "teacher", options=OPTIONS, quiet=True)


def molar(mirm, teacher=None, **changes):
    given = {"mirm": str(mirm.folder), "max_len": 4, **changes}
    if "alignment" in given:
        given["alignment"] = {"teacher": str(teacher.folder), **given["alignment"]}
    return Molar.parse(given, "the model")


def interrupted(monkeypatch, source, spec, split, out, at):
    """Trains until Ctrl-C comes while the batch number `at` is built."""
    build, built = source.build, []

    def counting(self, window, epoch, step):
        built.append(step)
        if len(built) == at:
            os.kill(os.getpid(), signal.SIGINT)
        return build(self, window, epoch, step)

    with monkeypatch.context() as patch:
        patch.setattr(source, "build", counting)
        with pytest.raises(KeyboardInterrupt):
            fit(spec, split, out, options=OPTIONS, quiet=True)
    assert list(out.glob("checkpoint-*"))
    assert not (out / "run.json").exists()


def lines_of(folder: Path):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("at", [2, 7])
def test_a_killed_first_stage_ends_with_the_same_bits(monkeypatch, place, split, mirm, at):
    out = place / f"mirm cut at {at}"
    interrupted(monkeypatch, RowBatches, MIRM, split, out, at)
    again = fit(MIRM, split, out, options=OPTIONS, quiet=True)
    assert same_weights(again, mirm)
    names = files_in(mirm.folder)
    assert files_in(out).keys() == names.keys()
    for name in (one for one in names if one.startswith("backbone")):
        assert (out / name).read_bytes() == names[name], name


@pytest.mark.parametrize("way", STAGES)
def test_a_killed_second_stage_ends_with_the_same_bits(
    monkeypatch, place, split, mirm, teacher, way
):
    spec = molar(mirm, teacher, **STAGES[way])
    whole = fit(spec, split, place / way, options=OPTIONS, quiet=True)
    assert whole.info["training"]["epochs"] == 2
    out = place / f"{way} cut"
    interrupted(monkeypatch, NextItemBatches, spec, split, out, 5)  # of 6 steps
    again = fit(spec, split, out, options=OPTIONS, quiet=True)
    assert same_weights(again, whole)
    names = files_in(whole.folder)
    assert files_in(out).keys() == names.keys()
    weights = [name for name in names if name.endswith(".safetensors")]
    assert len(weights) >= 3
    for name in weights:
        assert (out / name).read_bytes() == names[name], name
    assert again.info["training"]["best_valid"] == whole.info["training"]["best_valid"]


def test_what_lies_in_the_folder_is_all_that_a_run_needs(place, split, mirm, teacher):
    spec = molar(mirm, teacher, items="joint", alignment={})
    parts = {name: place / f"gone {name}" for name in ("mirm", "teacher")}
    for name, run in (("mirm", mirm), ("teacher", teacher)):
        shutil.copytree(run.folder, parts[name])
    gone = spec.model_copy(
        update={
            "mirm": str(parts["mirm"]),
            "alignment": spec.alignment.model_copy(update={"teacher": str(parts["teacher"])}),
        }
    )
    run = fit(gone, split, place / "alone", options=OPTIONS, quiet=True)
    for one in parts.values():
        shutil.rmtree(one)
    again = Run.load(place / "alone")
    histories = torch.tensor([[1, 2, 3], [4, 5, 0]])
    scores = [one.score(one.encode(histories), 1, 11) for one in (run.ranker(), again.ranker())]
    assert torch.equal(*scores)
    fresh = again.model.ranker()  # whose vectors the stored item model makes
    assert torch.allclose(fresh.score(fresh.encode(histories), 1, 11), scores[0], atol=1e-5)
    sizes = {name: len(data) for name, data in files_in(place / "alone").items()}
    assert sizes["model.safetensors"] < 0.1 * sizes["backbone/model.safetensors"], "nothing twice"


def test_runs_of_the_wrong_kind_split_or_state_are_refused(place, split, mirm, teacher, tmp_path):
    def refuse(error, match, spec):
        with pytest.raises(error, match=match):
            fit(spec, split, tmp_path / "out", options=OPTIONS, quiet=True)
        assert not (tmp_path / "out").exists()

    refuse(ConfigError, r"Option 'mirm' names .*teacher', a run of 'sasrec'. Name a run of mirm",
           molar(teacher))  # fmt: skip
    refuse(ConfigError, r"'alignment.teacher' names .*mirm', a run of 'mirm'. Name a run of fpmc",
           molar(mirm, mirm, alignment={}))  # fmt: skip
    unfinished = tmp_path / "unfinished"
    shutil.copytree(mirm.folder, unfinished)
    (unfinished / "run.json").unlink()
    half = Molar(mirm=str(unfinished))
    refuse(ArtifactError, r"Option 'mirm' names .*no finished run.*vlmrec train mirm", half)
    elsewhere = attributed_dataset(tmp_path / "other", n_users=9)
    foreign = {
        name: fit(spec, elsewhere.leave_one_out(), tmp_path / name, options=OPTIONS, quiet=True)
        for name, spec in (("foreign mirm", MIRM), ("foreign teacher", FPMC(dim=4)))
    }
    other = r"another split \(leave-one-out.*same --split"
    refuse(ConfigError, f"Option 'mirm' names .*{other}", molar(foreign["foreign mirm"]))
    refuse(ConfigError, f"Option 'alignment.teacher' names .*{other}",
           molar(mirm, foreign["foreign teacher"], alignment={}))  # fmt: skip


def test_parts_that_do_not_fit_are_refused(split, mirm, teacher, place):
    def refuse(match, spec):
        with pytest.raises(ConfigError, match=match):
            fit(spec, split, options=OPTIONS, quiet=True)

    refuse("body reads vectors of 32 dimensions, item vectors have 12. Set dim=32",
           molar(mirm, dim=12))  # fmt: skip
    refuse("32 dimensions, which 3 heads do not divide", molar(mirm, dueg="sasrec", n_heads=3))
    negatives = SASRec(dim=8, hidden=16, max_len=5, objective={"kind": "bce", "n_negatives": 3})
    picky = fit(negatives, split, place / "picky", options=OPTIONS, quiet=True)
    refuse("teacher learns with 3 negatives, the batches of this model have 1",
           molar(mirm, picky, alignment={"joint": True}))  # fmt: skip
    refuse("teacher reads 5 items, the batches of this model have up to 6. Set max_len=5",
           molar(mirm, teacher, max_len=6, alignment={"joint": True}))  # fmt: skip
    fit(molar(mirm, teacher, max_len=6, alignment={}), split, options=OPTIONS, quiet=True)


@pytest.mark.parametrize("which", ["mirm", "teacher"])
def test_an_unfinished_run_does_not_go_on_from_another_earlier_stage(
    monkeypatch, split, mirm, teacher, tmp_path, which
):
    folders = {"mirm": tmp_path / "mirm", "teacher": tmp_path / "teacher"}
    shutil.copytree(mirm.folder, folders["mirm"])
    shutil.copytree(teacher.folder, folders["teacher"])
    alignment = {"teacher": str(folders["teacher"])}
    spec = Molar.parse(
        {"mirm": str(folders["mirm"]), "max_len": 4, "dueg": "sasrec", "alignment": alignment}, "x"
    )
    out = tmp_path / "out"
    interrupted(monkeypatch, NextItemBatches, spec, split, out, 2)
    before = files_in(out)
    anew = OPTIONS.model_copy(update={"seed": 1})
    stored = {"mirm": mirm, "teacher": teacher}[which].spec
    fit(stored, split, folders[which], options=anew, overwrite=True, quiet=True)
    with pytest.raises(DataError, match="unfinished run of another model, dataset or conf"):
        fit(spec, split, out, options=OPTIONS, quiet=True)
    assert files_in(out) == before
    fit(stored, split, folders[which], options=OPTIONS, overwrite=True, quiet=True)
    fit(spec, split, out, options=OPTIONS, quiet=True)  # the same again: it goes on


def taught_anew(mirm, split, seed=0, **changes):
    """Returns the item model with examples drawn and held out anew."""
    model = ItemModel(mirm.spec.model_copy(update=changes), mirm.model.vlm, mirm.model.reader)
    data = replace(training_data(split), catalog=split.dataset.catalog)
    batches = model.batches(data, Streams(seed), batch_size=4, epochs=1)
    return model.eval(), batches


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_held_out_items_are_held_out_of_both_tasks_that_tell_of_items(mirm, split, share):
    tasks = MirmTasks(behaviour=FEW, history=2)
    for seed in range(20):
        model, _ = taught_anew(mirm, split, seed, held_out=share, tasks=tasks)
        held, learned = model.held_out(), model.learned()
        sizes = {name: len(held[name]) + len(made) for name, made in learned.items()}
        assert sizes == {"image_text": 8, "attributes": 9, "behaviour": 8}
        assert all(held.values()), "each task is measured"
        assert all(learned.values())
        away = {one.item for name in ("image_text", "attributes") for one in held[name]}
        for name in ("image_text", "attributes"):
            assert not away & {one.item for one in learned[name]}


def test_every_task_has_the_say_of_its_weight_however_many_examples_it_has(mirm, split):
    weights = {"image_text": 1.0, "attributes": 3.0, "behaviour": 0.5}
    sizes = {"image_text": 3, "attributes": 8, "behaviour": 20}
    chosen = {
        name: TaskOptions(n_examples=sizes[name], weight=weight) for name, weight in weights.items()
    }
    model, batches = taught_anew(mirm, split, tasks=MirmTasks(**chosen))
    total, count = 0.0, 0
    with torch.no_grad():
        for step, window in enumerate(batches.plan(0)):
            loss = model.training_loss(batches.build(window, 0, step))
            total, count = total + float(loss.total), count + loss.count
        means = {}
        for name, made in model.learned().items():
            asked, told = [one.prompt for one in made], [one.answer for one in made]
            means[name] = float(model.vlm.token_loss(asked, told).mean())
    assert len({round(mean, 3) for mean in means.values()}) == 3
    wanted = sum(weights[name] * means[name] for name in weights) / sum(weights.values())
    assert total / count == pytest.approx(wanted, rel=1e-5)
    assert model.take_signals() == pytest.approx(means, rel=1e-4)


def test_metrics_tell_the_loss_of_every_task(mirm):
    first, *_ = lines_of(mirm.folder)
    assert "valid minus token loss" in first
    tasks = {name for name, made in mirm.model.learned().items() if made}
    assert set(first["signals"]) == tasks | {f"held-out {name}" for name in tasks}
    mean = sum(first["signals"][f"held-out {name}"] for name in tasks) / len(tasks)
    assert first["valid minus token loss"] == pytest.approx(-mean)
    assert mirm.info["loss"] == "next token: image_text, attributes, behaviour"


@pytest.mark.parametrize("kind", ["full", "frozen"])
def test_with_all_tasks_off_it_is_the_backbone_as_it_is(split, kind):
    off = MirmTasks(image_text=None, attributes=None, behaviour=None)
    spec = Mirm(backbone="tiny", tasks=off, tuning=TuningOptions(kind=kind))
    run = fit(spec, split, options=OPTIONS, quiet=True)
    assert "epochs" not in run.info["training"]
    assert run.info["loss"] == "none (the backbone as it is)"
    plain = load_vlm("tiny", seed=Streams(0).child_seed("backbone")).state_dict()
    found = run.model.vlm.state_dict()
    assert {name for name in found if not torch.equal(found[name], plain[name])} == {
        "learned.table"
    }


def test_nothing_can_be_taught_to_a_frozen_backbone(split):
    frozen = MIRM.model_copy(update={"tuning": TuningOptions(kind="frozen")})
    with pytest.raises(ConfigError, match=r"tuning\.kind=frozen nothing of the backbone learns"):
        fit(frozen, split, options=OPTIONS, quiet=True)


def test_a_joint_teacher_too_learns_of_no_item_that_training_may_not_know(split, tmp_path):
    cold = split.dataset.cold_items(share=0.3, last=0.5, seed=0)
    still = OPTIONS.model_copy(update={"epochs": 0})
    ids = SASRec(dim=8, hidden=16, max_len=5)
    item_model = fit(MIRM, cold, tmp_path / "mirm", options=still, quiet=True)
    teacher = fit(ids, cold, tmp_path / "teacher", options=still, quiet=True)
    spec = molar(item_model, teacher, dueg="sasrec", alignment={"joint": True})
    run = fit(spec, cold, options=still, quiet=True)
    assert len(cold.training_items) < cold.dataset.n_items
    assert run.model.alignment.teacher.pool.tolist() == cold.training_items.tolist()
