"""Molar from the command line, as a new user would run it: item model, teacher, user model."""

import json

import pytest
from tests.pictured import pictured_dataset

from vlmrec.testing.vlm_samples import noise_picture

QUICK = ("epochs=1", "batch_size=6", "device=cpu")
TASKS = ("backbone=tiny", "tasks.image_text.n_examples=6", "tasks.behaviour.n_examples=6")


def sets(*options):
    return [part for option in options for part in ("--set", option)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pictured_dataset(folder / "pictures", gaps=False).save(folder / "dataset")
    return folder / "dataset"


@pytest.fixture
def earlier(data, run_vlmrec, tmp_path_factory):
    """Run folders of an item model and of a teacher, made once."""
    folder = data.parent / "runs"
    for model, options in (("mirm", TASKS), ("fpmc", ("dim=4",))):
        if not (folder / model).exists():
            out = ("--data", data, "--out", folder / model)
            done = run_vlmrec("train", model, *out, *sets(*QUICK, *options))
            assert done.code == 0, done.err
    return folder


def test_train_recommend_add_and_diagnose(data, earlier, run_vlmrec, tmp_path):
    run, grown = tmp_path / "run", tmp_path / "grown"
    chosen = (f"mirm={earlier / 'mirm'}", f"alignment.teacher={earlier / 'fpmc'}", "max_len=3")
    done = run_vlmrec("train", "molar", "--data", data, "--out", run, *sets(*QUICK, *chosen))
    assert done.code == 0, done.err
    assert "bce, 1 negatives + 0.1 alignment" in done.out
    line = json.loads((run / "metrics.jsonl").read_text())
    assert set(line["signals"]) == {"ranking loss", "alignment"}
    found = run_vlmrec("recommend", run, "--history", "i03,i05", "-k", 3, "--json")
    assert [row["rank"] for row in json.loads(found.out)] == [1, 2, 3]
    pictures = tmp_path / "new"
    pictures.mkdir()
    (pictures / "seen.png").write_bytes(noise_picture(50, 30, 30))
    table = tmp_path / "new.csv"
    table.write_text("item_id,title\nseen,\ntold,title of told\n", encoding="utf-8")
    added = run_vlmrec("add-items", run, table, "--images", pictures, "--out", grown)
    assert added.code == 0, added.err
    found = run_vlmrec("recommend", grown, "--history", "seen,told", "-k", 12, "--json")
    assert len(json.loads(found.out)) == 10  # twelve items, two of them seen
    card = run_vlmrec("diagnose", run, "--data", data, "--no-curves", "--json")
    assert card.code == 0, card.err
    assert {"both", "text only", "image only"} <= set(json.loads(card.out)["scores"]["views"])


def test_the_item_model_is_a_run_like_any_other(earlier, run_vlmrec, tmp_path):
    found = run_vlmrec("recommend", earlier / "mirm", "--history", "i03", "-k", 2, "--json")
    assert len(json.loads(found.out)) == 2
    line = json.loads((earlier / "mirm" / "metrics.jsonl").read_text())
    assert {"image_text", "held-out behaviour"} <= set(line["signals"])
    nothing = tmp_path / "new.csv"
    nothing.write_text("item_id,title\nblank,\n", encoding="utf-8")
    done = run_vlmrec("add-items", earlier / "mirm", nothing, "--out", tmp_path / "grown")
    assert done.code == 2
    assert "Item 'blank' has none of what the model reads" in done.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "Train one first (vlmrec train mirm) and name it with --set mirm=RUN."),
        (["mirm=compact"], "Option 'mirm' names 'compact', which holds no finished run."),
        (["mirm={fpmc}"], "a run of 'fpmc'. Name a run of mirm."),
        (["mirm={mirm}", "alignment.teacher={mirm}"], "Name a run of fpmc or gru4rec or sasrec"),
        (["mirm={mirm}", "alignment.teacher=x"], "Train one first (vlmrec train fpmc)"),
        (["mirm={mirm}", "alignment.weight=1"], "alignment.teacher"),
        (["mirm={mirm}", "dim=5"], "The body reads vectors of 32 dimensions"),
        (["mirm={mirm}", "backbone={fpmc}"], "config.json"),
        (["mirm={mirm}", "readout=first"], "readout"),
        (["mirm={mirm}", "item=joint"], "Did you mean 'items'"),
    ],
)
def test_wrong_options_of_the_second_stage_are_explained(
    options, told, data, earlier, run_vlmrec, tmp_path
):
    given = [one.format(mirm=earlier / "mirm", fpmc=earlier / "fpmc") for one in options]
    out = ("--data", data, "--out", tmp_path / "x")
    done = run_vlmrec("train", "molar", *out, *sets(*QUICK, *given))
    assert done.code == 2, done.err
    assert told in " ".join(done.err.split())
    assert not (tmp_path / "x").exists()


def test_a_run_of_another_split_is_refused(data, earlier, run_vlmrec, tmp_path):
    out = ("--data", data, "--out", tmp_path / "x", "--split", "global-time")
    done = run_vlmrec("train", "molar", *out, *sets(*QUICK, f"mirm={earlier / 'mirm'}"))
    assert done.code == 2, done.err
    assert "another split (leave-one-out" in done.err
    assert "Train it on the same dataset with the same --split." in done.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["tuning.kind=frozen"], "nothing of the backbone learns"),
        (["tasks.behaviour.n_examples=0"], "tasks.behaviour.n_examples"),
        (["tasks.attribute_columns=[genre]"], "genre"),
        (["inputs=video"], "inputs"),
        (["held_out=1"], "held_out"),
    ],
)
def test_wrong_options_of_the_first_stage_are_explained(options, told, data, run_vlmrec, tmp_path):
    out = ("--data", data, "--out", tmp_path / "x")
    done = run_vlmrec("train", "mirm", *out, *sets(*QUICK, "backbone=tiny", *options))
    assert done.code == 2, done.err
    assert told in done.err
