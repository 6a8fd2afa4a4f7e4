"""VLM2Rec from the command line, as a new user would run it."""

import json

import pytest
from tests.pictured import pictured_dataset

from vlmrec.testing.vlm_samples import noise_picture

SMALL = [
    part
    for option in ("backbone=tiny", "max_len=3", "epochs=1", "batch_size=6", "device=cpu")
    for part in ("--set", option)
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pictured_dataset(folder / "pictures").save(folder / "dataset")
    return folder / "dataset"


def test_train_recommend_add_and_recommend_again(data, run_vlmrec, tmp_path):
    run, grown = tmp_path / "run", tmp_path / "grown"
    done = run_vlmrec("train", "vlm2rec", "--data", data, "--out", run, *SMALL)
    assert done.code == 0, done.err
    assert "kappa 0.5 + CRTR 0.02" in done.out
    found = run_vlmrec("recommend", run, "--history", "i03,i05", "-k", 3, "--json")
    assert [row["rank"] for row in json.loads(found.out)] == [1, 2, 3]
    pictures = tmp_path / "new"
    pictures.mkdir()
    (pictures / "seen.png").write_bytes(noise_picture(50, 30, 30))
    table = tmp_path / "new.csv"
    table.write_text("item_id,title\nseen,\ntold,title of told\n", encoding="utf-8")
    added = run_vlmrec("add-items", run, table, "--images", pictures, "--out", grown)
    assert added.code == 0, added.err
    assert "2 items added, 12 in all; scores of new items + " in added.out
    found = run_vlmrec("recommend", grown, "--history", "seen,told", "-k", 12, "--json")
    assert len(json.loads(found.out)) == 10  # twelve items, two of them seen


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["inputs=text"], "wpcl, crtr compare two branches"),
        (["tuning.kind=frozen"], "nothing of the backbone learns"),
        (["backbone=nowhere/model"], "nowhere/model"),
        (["text_fields=[titel]"], "Text field 'titel' is not a column"),
        (["wpcl.kapa=1"], "kapa"),
        (["vlm.pooling=middle"], "pooling"),
    ],
)
def test_wrong_options_are_explained(options, told, data, run_vlmrec, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    given = [part for option in options for part in ("--set", option)]
    done = run_vlmrec("train", "vlm2rec", "--data", data, "--out", tmp_path / "x", *SMALL, *given)
    assert done.code == 2, done.err
    assert told in done.err
