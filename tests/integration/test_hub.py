"""Runs are pushed and pulled: the same lists, nothing about people, damage refused."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import polars as pl
import pytest
import yaml
from tests.command_line import files_in

from vlmrec import Run, evaluate, pull, push, recommend
from vlmrec.bundle import ABOUT_PEOPLE
from vlmrec.core.errors import ArtifactError, ConfigError, DataError
from vlmrec.core.tensor_files import load_tensors
from vlmrec.models import FPMC, Ensemble, SASRec
from vlmrec.pipeline.fitting import fit
from vlmrec.testing.worlds import small_dataset
from vlmrec.train.options import TrainOptions

HISTORIES = {"a": ["i03"], "b": ["i11", "i07", "i20"]}


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "tiny-shop"
    return small_dataset().save(folder).leave_one_out()


@pytest.fixture(scope="module")
def stored(split, tmp_path_factory):
    """Three run folders; the last one holds the other two."""
    place = tmp_path_factory.mktemp("runs")
    options = TrainOptions(epochs=1, learning_rate=0.01)
    for spec in (SASRec(dim=8), FPMC(dim=4)):
        fit(spec, split, place / spec.name, options=options, quiet=True)
    members = (str(place / "sasrec"), str(place / "fpmc"))
    fit(Ensemble(runs=members), split, place / "ensemble", options=options, quiet=True)
    return place


@pytest.fixture(scope="module")
def shared(stored, tmp_path_factory):
    target = tmp_path_factory.mktemp("hub") / "sasrec"
    push(stored / "sasrec", target)
    return target


@pytest.mark.parametrize("name", ["sasrec", "fpmc", "ensemble"])
def test_a_pulled_run_gives_the_same_lists_and_is_pushed_alike(stored, tmp_path, name):
    push(stored / name, tmp_path / "hub")
    run = pull(tmp_path / "hub", tmp_path / "run")
    assert run.folder == tmp_path / "run"
    for given in (run, Run.load(tmp_path / "hub")):  # what is pushed can be used as it is
        found = recommend(given, histories=HISTORIES, k=9)
        assert found.equals(recommend(stored / name, histories=HISTORIES, k=9))
    push(tmp_path / "run", tmp_path / "again")
    first, second = (files_in(tmp_path / one) for one in ("hub", "again"))
    assert {**first, "README.md": b""} == {**second, "README.md": b""}


@pytest.mark.parametrize("name", ["sasrec", "fpmc", "ensemble"])
def test_nothing_about_people_goes_along(stored, split, tmp_path, name):
    done = push(stored / name, tmp_path / "hub")
    files = files_in(tmp_path / "hub")
    assert sorted(files) == sorted(done.files)
    assert not [one for one in files if Path(one).name in (*ABOUT_PEOPLE, "report.html")]
    assert "test_ranks.parquet" in done.left_out
    users = split.dataset.users.names.to_list()
    home = str(stored.parent).encode()
    for file, held in files.items():
        assert home not in held, file
        if file.endswith(".json"):
            assert not [user for user in users if f'"{user}"'.encode() in held]
        if file.endswith(".parquet"):
            assert "user_id" not in pl.read_parquet(tmp_path / "hub" / file).columns
    weights = [load_tensors(tmp_path / "hub" / one) for one in files if "model.saf" in one]
    rows = [held["users.factors.weight"] for held in weights if "users.factors.weight" in held]
    assert len(rows) == (name != "sasrec")
    assert not any(bool(one.any()) for one in rows)


def test_what_was_learned_of_each_user_is_missed_in_evaluation_only(stored, split, tmp_path):
    done = push(stored / "fpmc", tmp_path / "hub")
    assert "the rows of single users in model.safetensors" in done.left_out
    assert "measured with these rows" in (tmp_path / "hub" / "README.md").read_text()
    own = load_tensors(stored / "fpmc" / "model.safetensors")["users.factors.weight"]
    assert bool(own.any())
    before, after = (
        evaluate(run, split.test).cases["score"].to_list()
        for run in (Run.load(stored / "fpmc"), pull(tmp_path / "hub", tmp_path / "run"))
    )
    assert before != after


def test_the_card_says_what_was_measured_and_how(shared, stored):
    text = (shared / "README.md").read_text(encoding="utf-8")
    top = yaml.safe_load(text.split("---")[1])
    assert (top["library_name"], top["pipeline_tag"]) == ("vlmrec", "other")
    assert top["tags"] == ["recommendation", "sequential-recommendation", "sasrec"]
    (result,) = top["model-index"][0]["results"]
    assert result["dataset"]["name"] == "tiny-shop"
    assert result["dataset"]["split"] == "test, leave-one-out"
    measured = json.loads((stored / "sasrec" / "run.json").read_text())["metrics"]["test"]
    one = measured["metrics"]["NDCG@10"]
    metric = result["metrics"][0]
    assert metric["value"] == round(one["mean"], 4)
    assert metric["name"] == f"NDCG@10, 95 % interval {one['low']:.4f} to {one['high']:.4f}"
    body = text.split("---", 2)[2]
    assert f"| this run | {one['mean']:.4f} ({one['low']:.4f} to {one['high']:.4f})" in body
    assert "| popularity |" in body
    assert "seen items not filtered" in body
    loaded = huggingface_hub.ModelCard.load(shared / "README.md")
    assert loaded.data.eval_results[0].metric_type == "ndcg@10"


def test_a_run_that_was_not_tested_says_so(split, tmp_path):
    options = TrainOptions(epochs=1)
    run = fit(SASRec(dim=8), split, tmp_path / "run", options=options, test=False, quiet=True)
    push(run, tmp_path / "hub")
    text = (tmp_path / "hub" / "README.md").read_text()
    assert "This run was not tested." in text
    assert "model-index" not in text


def spoil(folder, name, change):
    (folder / name).write_bytes(change((folder / name).read_bytes()))


def flip(held):
    return held[:-1] + bytes([held[-1] ^ 1])


@pytest.mark.parametrize(
    "name", ["model.safetensors", "item_vectors.safetensors", "vocabulary.parquet", "run.json"]
)
def test_damage_is_refused(shared, tmp_path, name):
    broken = tmp_path / "broken"
    shutil.copytree(shared, broken)
    spoil(broken, name, flip)
    with pytest.raises(ArtifactError, match=rf"{name}' is damaged: its SHA-256 is not the one in"):
        pull(broken, tmp_path / "run")
    (broken / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}' is missing\. Pull it again"):
        pull(broken, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_damaged_run_is_not_pushed(stored, tmp_path):
    shutil.copytree(stored / "sasrec", tmp_path / "run")
    spoil(tmp_path / "run", "vocabulary.parquet", flip)
    with pytest.raises(ArtifactError, match="is damaged"):
        push(tmp_path / "run", tmp_path / "hub")
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname"])
def test_a_file_outside_is_never_taken(shared, tmp_path, name):
    bad = tmp_path / "bad"
    shutil.copytree(shared, bad)
    (tmp_path / "outside.txt").write_text("private")
    config = json.loads((bad / "config.json").read_text())
    config["sha256"][name] = "0" * 64
    (bad / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match=r"a file outside of its folder\. Do not use it"):
        pull(bad, tmp_path / "run")


def test_what_is_not_listed_stays_behind_and_the_card_may_be_edited(shared, tmp_path):
    place = tmp_path / "edited"
    shutil.copytree(shared, place)
    (place / "README.md").write_text("my own card")
    (place / "virus.exe").write_text("x")
    run = pull(place, tmp_path / "run")
    assert (run.folder / "README.md").read_text() == "my own card"
    assert not (run.folder / "virus.exe").exists()


def test_what_is_no_pushed_run_is_refused(stored, shared, tmp_path):
    with pytest.raises(ArtifactError, match=r"is no run that was pushed: it has no 'config.json'"):
        pull(tmp_path, tmp_path / "run")
    with pytest.raises(ArtifactError, match=r"library 'unknown'.*A run folder needs no pull"):
        pull(stored / "sasrec", tmp_path / "run")
    place = tmp_path / "newer"
    shutil.copytree(shared, place)
    spoil(place, "config.json", lambda held: held.replace(b'"format": 1', b'"format": 9'))
    with pytest.raises(ArtifactError, match=r"format 9; this version reads 1\..*newer vlmrec"):
        pull(place, tmp_path / "run")
    with pytest.raises(ArtifactError, match="is not a finished run folder"):
        push(tmp_path, tmp_path / "hub")


def test_taken_folders_are_refused_or_replaced(stored, shared, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("x")
    for call in (push, pull):
        source = stored / "sasrec" if call is push else shared
        with pytest.raises(DataError, match=r"exists and is not empty\..*--overwrite"):
            call(source, tmp_path / "taken")
        call(source, tmp_path / "taken", overwrite=True)
        assert not (tmp_path / "taken" / "mine.txt").exists()
        (tmp_path / "taken" / "mine.txt").write_text("x")


class FakeHub:
    """Repositories in memory, behind the two calls that the real hub would get."""

    def __init__(self, folder):
        self.folder, self.made, self.messages, self.asked = folder, [], [], []

    def create_repo(self, repo_id, *, private, exist_ok):
        self.made.append((repo_id, private, exist_ok))

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        self.messages.append(commit_message)
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)

    def snapshot_download(self, repo_id, *, revision):
        self.asked.append((repo_id, revision))
        if not (self.folder / repo_id).is_dir():
            raise huggingface_hub.errors.LocalEntryNotFoundError("no such repository")
        return str(self.folder / repo_id)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    fake = FakeHub(tmp_path / "repositories")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    return fake


def test_a_repository_of_the_hub_gets_what_a_folder_gets(stored, shared, hub, tmp_path):
    push(stored / "sasrec", "hf://me/sasrec")
    push(stored / "sasrec", "hf://me/sasrec", public=True, message="Second")
    assert hub.made == [("me/sasrec", True, True), ("me/sasrec", False, True)]
    assert hub.messages == ["Push a run of vlmrec", "Second"]
    assert files_in(hub.folder / "me" / "sasrec") == files_in(shared)
    run = pull("hf://me/sasrec", tmp_path / "run")
    assert recommend(run, history=["i03"]).equals(recommend(stored / "sasrec", history=["i03"]))
    pull("hf://me/sasrec@v2", tmp_path / "other")
    assert hub.asked == [("me/sasrec", None), ("me/sasrec", "v2")]


def test_what_the_hub_refuses_is_said_in_words(stored, hub, tmp_path, monkeypatch):
    with pytest.raises(
        ArtifactError, match=r"'hf://me/none' cannot be read: no such repository Log in with"
    ):
        pull("hf://me/none", tmp_path / "run")

    def closed(*_args, **_named):
        raise huggingface_hub.errors.OfflineModeIsEnabled("no network")

    monkeypatch.setattr(hub, "create_repo", closed)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        ArtifactError, match=r"cannot be written: no network Offline mode is on \(HF_HUB_OFFLINE\)"
    ):
        push(stored / "sasrec", "hf://me/sasrec")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("address", ["hf://", "hf://name", "hf://a/b/c", "hf:///name"])
def test_an_address_is_an_owner_and_a_name(stored, hub, tmp_path, address):
    for call in (lambda: push(stored / "sasrec", address), lambda: pull(address, tmp_path / "x")):
        with pytest.raises(ConfigError, match=r"no repository of the hub; expected hf://OWNER/NA"):
            call()
    assert not hub.made
    assert not hub.asked


def test_options_of_repositories_do_not_go_with_folders(stored, tmp_path):
    for named in ({"public": True}, {"message": "x"}):
        with pytest.raises(ConfigError, match=r"'public' and 'message' are about repositories"):
            push(stored / "sasrec", tmp_path / "hub", **named)
    with pytest.raises(ConfigError, match=r"runs are pushed to the main branch"):
        push(stored / "sasrec", "hf://me/sasrec@v1")
    with pytest.raises(ConfigError, match=r"run is not stored, so there are no files to share"):
        push(Run(None, None, None, None, {}), tmp_path / "hub")
