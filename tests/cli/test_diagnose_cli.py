"""`vlmrec diagnose` as a user meets it: card and page, models trained alone, wrong input."""

import json
import shutil

import pytest
from tests.command_line import call, files_in

from vlmrec import Dataset, diagnose
from vlmrec.core.errors import ConfigError
from vlmrec.models import ItemKNN, SASRec, SASRecContent
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import Run
from vlmrec.testing.worlds import small_dataset, write_noise_vectors
from vlmrec.train.options import TrainOptions

OPTIONS = TrainOptions(epochs=1, device="cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset, another dataset, and runs on the first."""
    folder = tmp_path_factory.mktemp("place")
    data = small_dataset().save(folder / "data")
    other = small_dataset(seed=1).save(folder / "other")
    files = write_noise_vectors(data, folder)
    content = SASRecContent(dim=4, max_len=4, **files)
    runs = {
        "ids": (SASRec(dim=4, max_len=4), data),
        "counted": (ItemKNN(), data),
        "content": (content, data),
        "text": (content.alone("text"), data),
        "wide": (content.alone("text").model_copy(update={"dim": 6}), data),
        "foreign": (content.alone("text"), other),
    }
    for name, (spec, dataset) in runs.items():
        split = dataset.leave_one_out()
        fit(spec, split, folder / name, options=OPTIONS, filter_seen=name != "text", quiet=True)
    return folder


@pytest.mark.slow
def test_a_card_with_models_trained_alone(place, tmp_path):
    run = tmp_path / "content"
    shutil.copytree(place / "content", run)
    before = files_in(run)
    done = call("diagnose", run, "--train-alone", "--json")
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)
    assert "ranking views: 20 done" in done.stderr
    assert json.loads((run / "diagnosis" / "card.json").read_text()) == card
    assert (run / "diagnosis" / "card.html").stat().st_size > 10_000
    stored = json.loads(before["run.json"])
    for metric in ("NDCG@10", "Recall@10"):  # measured as the run was: seen items are filtered
        assert card["scores"]["views"]["both"][metric]["mean"] == pytest.approx(
            stored["metrics"]["test"]["metrics"][metric]["mean"]
        )
    assert "seen items filtered" in card["protocol"]
    assert set(card["under_training"]) == {"text", "image"}
    assert card["verdict"]["evidence"] == "under-training gap"
    assert card["training_seconds"] > 0
    for modality in ("text", "image"):
        alone = Run.load(tmp_path / f"content-alone-{modality}")
        assert alone.model.modalities == (modality,)
        assert alone.info["options"] == stored["options"]
        assert alone.info["filter_seen"] is True
        mean = alone.info["metrics"]["test"]["metrics"]["NDCG@10"]["mean"]
        assert card["under_training"][modality]["alone"]["mean"] == pytest.approx(mean)
    kept = {name: data for name, data in files_in(run).items() if not name.startswith("diagnosis")}
    assert kept == before
    Run.load(run)  # a folder inside does no harm

    again = call("diagnose", run, "--train-alone")
    assert again.returncode == 0, again.stderr
    assert "epoch" not in again.stderr
    assert "Verdict: " in again.stdout
    assert "lost in joint training" in again.stdout
    assert f"Card: {run / 'diagnosis' / 'card.html'}" in again.stdout


def test_validation_cases_and_folder_are_chosen(place, tmp_path, run_vlmrec):
    arguments = ["diagnose", place / "content", "--cases", "valid", "--out", tmp_path / "card"]
    done = run_vlmrec(*arguments, "--no-curves")
    assert done.code == 0, done.err
    assert "leave-one-out, valid cases" in done.out
    assert "8 views" in done.out
    assert {path.name for path in (tmp_path / "card").iterdir()} == {
        "card-valid.html", "card-valid.json"
    }  # fmt: skip


def test_a_given_run_may_differ_and_the_card_says_how(place, tmp_path, run_vlmrec):
    done = run_vlmrec(
        "diagnose", place / "content", "--alone", f"text={place / 'wide'}", "--no-curves",
        "--out", tmp_path, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    gap = json.loads(done.out)["under_training"]["text"]
    assert gap["differs"] == "differs in dim 6 instead of 4"
    assert "differs in dim 6 instead of 4" in (tmp_path / "card.html").read_text()


def test_a_run_of_one_modality_has_a_card(place, tmp_path, run_vlmrec):
    done = run_vlmrec("diagnose", place / "text", "--train-alone", "--out", tmp_path)
    assert done.code == 0, done.err
    assert "Verdict: one modality: the model reads text only" in done.out
    assert not (place / "text-alone-text").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("ids", "The model sasrec reads neither texts nor pictures | such as sasrec-content"),
        ("counted", "The model item-knn reads neither texts nor pictures"),
        ("nowhere", "'nowhere' is not a finished run folder"),
        ("data", "'data' is not a finished run folder"),
        ("content --data other", "The run was trained on a dataset with fingerprint"),
        ("content --data gone", "is not at 'gone'. | Say where it is with --data"),
        ("content --alone text", "'--alone text' is not of the form MODALITY=RUN"),
        ("content --alone sound=text", "A run for 'sound' alone was given; the model reads text"),
        ("content --alone text=gone", "'gone' is not a finished run folder"),
        ("content --alone text=content", "'text' alone reads text and image; expected one that"),
        ("content --alone image=text", "'image' alone reads text; expected one that reads image"),
        ("content --alone text=ids", "'text' alone is a sasrec; expected a sasrec-content"),
        ("content --alone text=foreign", "'foreign' for 'text' alone: The run was trained on a"),
        ("content --alone text=text --alone text=text", "'--alone text=...' was given twice"),
        ("content --out data/interactions.parquet", "a part of that path is a file"),
        ("content --cases both", "'both' is not one of"),
    ],
)
def test_wrong_input_is_told(place, monkeypatch, run_vlmrec, arguments, message):
    monkeypatch.chdir(place)
    before = {name for name in files_in(place) if "diagnosis" not in name}
    done = run_vlmrec("diagnose", *arguments.split(), "--no-curves")
    assert done.code == 2, done.err
    assert done.out == ""
    told = " ".join(done.err.split())
    for part in message.split(" | "):
        assert part in told
    assert {name for name in files_in(place) if "diagnosis" not in name} == before


def test_a_stand_alone_folder_of_other_options_is_not_used(place, tmp_path, run_vlmrec):
    shutil.copytree(place / "content", tmp_path / "run")
    shutil.copytree(place / "wide", tmp_path / "run-alone-text")
    done = run_vlmrec("diagnose", tmp_path / "run", "--train-alone")
    assert done.code == 2
    assert "run-alone-text' holds a run with other options or data" in " ".join(done.err.split())


def test_the_front_door_writes_nothing_unless_asked(place):
    split = Dataset.load(place / "data").leave_one_out()
    before = files_in(place)
    run = Run.load(place / "content")
    card = diagnose(run, split, alone={"text": place / "text"}, curves=False, quiet=True)
    assert card.modalities == ("text", "image")
    assert files_in(place) == before
    with pytest.raises(ConfigError, match=r"Unknown cases 'tests'. Did you mean 'test'"):
        diagnose(run, split, cases="tests")
