"""RecBole's files through the command line: prepare reads what export wrote."""

import json

import pytest
from tests.command_line import call

from vlmrec.data.dataset import Dataset
from vlmrec.testing.worlds import small_dataset


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    small_dataset().save(folder / "data")
    return folder


def test_a_dataset_goes_out_and_comes_back(place):
    out = call("export", "recbole", place / "data", "--out", place / "shop")
    assert out.returncode == 0, out.stderr
    assert "shop.inter: " in out.stdout
    assert f"RecBole: dataset=shop, data_path={place}" in out.stdout
    back = call("prepare", "recbole", place / "shop", "--out", place / "back")
    assert back.returncode == 0, back.stderr
    assert "took  'shop.item': 23 items; item_id = 'item_id', title = 'title'" in back.stdout
    first, second = (Dataset.load(place / name) for name in ("data", "back"))
    assert first.fingerprint == second.fingerprint
    assert second.manifest["source"]["kind"] == "recbole"
    names = [file["name"] for file in second.manifest["source"]["files"]]
    assert names == ["shop.inter", "shop.item"]


def test_json_names_and_a_folder_that_is_taken(place):
    line = ("export", "recbole", place / "data", "--name", "toy", "--out", place / "x")
    done = call(*line, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [file["name"] for file in result["files"]] == ["toy.inter", "toy.item"]
    assert result["files"][1]["fields"] == ["item_id:token", "title:token_seq"]
    assert result["items"] == 23
    again = call(*line)
    assert (again.returncode, again.stdout) == (2, "")
    assert "exists and is not empty" in again.stderr
    replaced = call(*line, "--overwrite")
    assert "RecBole looks for these files in a folder named toy" in replaced.stdout


def test_what_is_wrong_is_said_in_one_message(place):
    missing = call("export", "recbole", place / "nowhere", "--out", place / "y")
    assert missing.returncode == 2
    assert "is not a dataset folder" in missing.stderr
    wrong = call("prepare", "recbole", place / "data", "--out", place / "z")
    assert wrong.returncode == 2
    assert "holds no .inter file" in wrong.stderr
    assert not (place / "y").exists()
    assert not (place / "z").exists()
