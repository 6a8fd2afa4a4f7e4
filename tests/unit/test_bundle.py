import json
import pickle

import polars as pl
import pytest
import torch

from vlmrec.bundle import Bundle, is_complete, read_bundle, write_bundle
from vlmrec.core.errors import ArtifactError
from vlmrec.models import Popularity
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.run import Run
from vlmrec.testing.worlds import small_dataset

ITEMS = pl.DataFrame({"item_id": ["007", "b"], "title": [None, "B"], "n_train": [1, 2]})


def bundle() -> Bundle:
    ranks = pl.DataFrame({"user_id": ["u"], "rank": [1.5]})
    return Bundle({"model": "x"}, {"w": torch.ones(2)}, torch.eye(3), ITEMS, ranks)


def test_a_bundle_comes_back(tmp_path):
    write_bundle(tmp_path, bundle())
    again = read_bundle(tmp_path)
    assert again.info == {"model": "x"}
    assert again.weights["w"].equal(torch.ones(2))
    assert again.item_vectors is not None
    assert again.item_vectors.equal(torch.eye(3))
    assert again.items.equals(ITEMS)
    assert again.ranks is not None
    names = json.loads((tmp_path / "run.json").read_text())["sha256"]
    assert sorted(names) == [
        "item_vectors.safetensors", "model.safetensors", "test_ranks.parquet", "vocabulary.parquet",
    ]  # fmt: skip


def test_optional_parts_may_be_absent(tmp_path):
    write_bundle(tmp_path, Bundle({}, {"w": torch.ones(2)}, None, ITEMS))
    again = read_bundle(tmp_path)
    assert again.item_vectors is None
    assert again.ranks is None


def test_a_run_without_its_record_is_unfinished(tmp_path):
    write_bundle(tmp_path, bundle())
    (tmp_path / "run.json").unlink()
    assert not is_complete(tmp_path)
    with pytest.raises(ArtifactError, match=r"not a finished run folder: it has no 'run\.json'"):
        read_bundle(tmp_path)


def test_a_killed_rewrite_is_unfinished(tmp_path):
    write_bundle(tmp_path, bundle())
    broken = Bundle({"bad": float("nan")}, {"w": torch.zeros(2)}, None, ITEMS)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_bundle(tmp_path, broken)
    assert not is_complete(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "item_vectors.safetensors", "vocabulary.parquet", "test_ranks.parquet"],
)
def test_a_changed_or_missing_file_is_said(tmp_path, name):
    write_bundle(tmp_path, bundle())
    content = bytearray((tmp_path / name).read_bytes())
    content[-1] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{name}' is damaged: its SHA-256"):
        read_bundle(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}' (is missing|cannot be read)"):
        read_bundle(tmp_path)


def test_a_pickle_in_the_place_of_weights_is_refused(tmp_path):
    write_bundle(tmp_path, bundle())
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps({"w": 1}))
    with pytest.raises(ArtifactError, match="looks like a pickle"):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ('{"format": 99}', "another version of the run format"),
        ('{"format": 1, "sha256": {}}', "is damaged: it does not say which model"),
    ],
)
def test_a_damaged_record_is_said(tmp_path, text, message):
    write_bundle(tmp_path, bundle())
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        Run.load(tmp_path)


def test_weights_of_another_model_are_said(tmp_path):
    run = fit(Popularity(), small_dataset().leave_one_out(), tmp_path / "r", quiet=True)
    info = {**run.info, "shape": {"n_items": 5, "widths": {}}}
    write_bundle(tmp_path / "r", Bundle(info, run.model.state_dict(), None, run.items))
    with pytest.raises(ArtifactError, match="do not fit the model"):
        Run.load(tmp_path / "r")
