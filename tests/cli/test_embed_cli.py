import json

import numpy as np
import polars as pl
import pytest
import typer
from PIL import Image
from safetensors.torch import load_file
from tests.tiny_checkpoints import write_tiny_bert, write_tiny_vit
from typer.testing import CliRunner

from vlmrec.cli.embed import embed
from vlmrec.core.errors import ArtifactError, ConfigError, DataError
from vlmrec.data.dataset import Dataset
from vlmrec.items.vector_files import load_vectors
from vlmrec.vlm.encoders import load_text_encoder

IDS = ["001", "b", "c", "d"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return write_tiny_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("VLMREC_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (40, 60), "red").save(folder / "images" / "001.jpg")
    Image.new("CMYK", (40, 60), (255, 0, 0, 0)).save(folder / "images" / "b.jpg")
    (folder / "images" / "c.jpg").write_bytes(b"<html>")
    rows = [("u", item, 1_500_000_000 + i) for i, item in enumerate(IDS)]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    log.write_parquet(folder / "interactions.parquet")
    write_items(folder, ["a red cup", "blue toy", "", "two words"])
    return folder


def write_items(folder, titles):
    images = ["images/001.jpg", "images/b.jpg", "images/c.jpg", None]
    pl.DataFrame({"item_id": IDS, "title": titles, "image": images}).write_parquet(
        folder / "items.parquet"
    )


def call(*arguments):
    app = typer.Typer()
    app.command()(embed)
    return CliRunner().invoke(app, [str(each) for each in arguments])


def manifest_of(*arguments):
    result = call(*arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def test_texts_become_vectors_with_a_manifest(shop, bert, tmp_path):
    out = tmp_path / "new" / "text.safetensors"
    manifest = manifest_of(shop, "--modality", "text", "--encoder", bert, "--out", out)
    vectors = load_file(out)["vectors"]
    expected = load_text_encoder(str(bert)).encode_texts(["a red cup", "blue toy", "two words"])
    np.testing.assert_allclose(vectors[[0, 1, 3]], expected, atol=1e-5)
    assert not vectors[2].any()
    assert json.loads((tmp_path / "new" / "text.safetensors.json").read_text()) == manifest
    assert manifest["counts"] == {
        "with_vector": 3,
        "missing": 1,
        "encoded_now": 3,
        "from_cache": 0,
        "encoder_calls": 3,
    }
    assert manifest["missing_items"] == ["c"]
    assert manifest["catalogue"] == {"without_text": 1, "without_image": 1}
    assert manifest["encoder"]["pooling"] == "mean"
    assert manifest["text_fields"] == ["title", "description"]
    assert manifest["dataset_fingerprint"] == Dataset.load(shop).fingerprint


def test_second_run_is_cached_and_one_edit_is_one_call(shop, bert, tmp_path):
    options = ("--modality", "text", "--encoder", bert, "--overwrite")
    out = tmp_path / "text.parquet"
    manifest_of(shop, *options, "--out", out)
    assert manifest_of(shop, *options, "--out", out)["counts"]["encoder_calls"] == 0
    write_items(shop, ["a red cup", "blue toy with words", "", "two words"])
    assert manifest_of(shop, *options, "--out", out)["counts"]["encoder_calls"] == 1
    assert manifest_of(shop, *options, "--out", out, "--no-cache")["counts"]["encoder_calls"] == 3


@pytest.mark.parametrize("suffix", ["npy", "parquet"])
def test_pictures_with_problems_are_counted_and_named(shop, vit, tmp_path, suffix):
    out = tmp_path / f"image.{suffix}"
    result = call(shop, "--modality", "image", "--encoder", vit, "--out", out)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "2 of 4 items" in result.stdout
    assert "2 items have no readable picture: c, d" in result.stdout
    assert "Unreadable pictures: 1 not-a-picture" in result.stdout
    content = load_vectors(out, IDS)
    assert content.present.tolist() == [False, True, True, False, False]


def test_fields_choose_what_is_read(shop, bert, tmp_path):
    options = ("--modality", "text", "--encoder", bert, "--out", tmp_path / "t.npy")
    manifest = manifest_of(shop, *options, "--field", "description")
    assert manifest["counts"]["missing"] == 4
    assert manifest["text_fields"] == ["description"]


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        (["--out", "v.csv"], DataError, "ending '.csv'"),
        (["--out", "taken.npy"], DataError, "exists.*--overwrite"),
        (["--field", "titel"], ConfigError, "Did you mean 'title'"),
        (["--modality", "image", "--field", "title"], ConfigError, "pictures have no fields"),
        (["--encoder", "./gone"], ArtifactError, "neither 'compact' nor an existing folder"),
        (["--device", "mps"], ConfigError, "'mps' was asked for and is not available"),
    ],
)
def test_wrong_options_are_explained_and_nothing_is_written(
    shop, bert, tmp_path, monkeypatch, options, kind, match
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.npy").touch()
    before = sorted(path for path in tmp_path.rglob("*"))
    standard = ["--modality", "text", "--encoder", bert, "--out", "new.npy"]
    result = call(shop, *standard, *options)
    assert isinstance(result.exception, kind), result.exception
    with pytest.raises(kind, match=match):
        raise result.exception
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_folder_without_data(tmp_path, bert):
    result = call(tmp_path, "--modality", "text", "--encoder", bert, "--out", tmp_path / "a.npy")
    assert isinstance(result.exception, DataError)
    assert "is not a dataset folder" in str(result.exception)
