import json
import os
from pathlib import Path

import polars as pl
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from vlmrec.cli.inspect import inspect
from vlmrec.core.errors import DataError

REAL = Path(os.environ.get("VLMREC_REALDATA", "../shared/data")) / "ml-100k-mm"


def call(*arguments: object):
    app = typer.Typer()
    app.command()(inspect)
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def folder(tmp_path) -> Path:
    rows = [(user, item, 1_500_000_000) for user in "uv" for item in "abc"]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    log.write_parquet(tmp_path / "interactions.parquet")
    return tmp_path


def test_facts_and_card_of_a_folder_without_manifest(folder):
    result = call(folder)
    assert result.exit_code == 0, result.output
    for part in (
        "interactions per user",
        "warn     tied times",
        "100.0% of the interactions share user and time; for 2 of 2 users the last two tie",
        "-> What is tested depends there on the row order of the source.",
        "no item has words: items without words,",
        " fail, ",
    ):
        assert part in result.output


def test_json_holds_facts_and_card(folder):
    report = json.loads(call(folder, "--json").stdout)
    assert report["interactions"] == 6
    card = {check["name"]: check for check in report["card"]}
    assert card["test targets"]["verdict"] == "pass"
    assert card["tied times"]["figures"]["users_with_tied_end"] == 2
    assert card["near-duplicate pictures"]["verdict"] == "skipped"


def test_pictures_that_were_not_decoded_are_said(folder, tmp_path):
    for name in "abc":
        Image.effect_noise((20, 20), 50).save(tmp_path / f"{name}.png")
    items = pl.DataFrame({"item_id": ["a", "b", "c"], "image": ["a.png", "b.png", "c.png"]})
    items.write_parquet(folder / "items.parquet")
    assert "3 pictures would have to be decoded: --pictures" in call(folder, "--no-pictures").output
    assert "would have to be decoded" not in call(folder).output


def test_a_folder_without_data(tmp_path):
    result = call(tmp_path)
    assert isinstance(result.exception, DataError)
    assert "is not a dataset folder" in str(result.exception)


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real data folder")
def test_the_numbers_of_a_real_catalogue():
    report = json.loads(call(REAL, "--json").stdout)
    assert (report["users"], report["items"], report["interactions"]) == (943, 1682, 100_000)
    assert report["per_user"] == {
        "min": 20,
        "median": 65,
        "mean": pytest.approx(106.04, abs=0.01),
        "max": 737,
    }
    assert report["coverage"]["description"]["items"] == 1666
    assert report["coverage"]["picture"]["items"] == 1661
    card = {check["name"]: check["figures"] for check in report["card"]}
    assert card["tied times"]["tied_share"] == pytest.approx(0.75772)
    assert card["tied times"]["users_with_tied_end"] == 415
    assert card["items with same words"]["items"] == 36
    assert card["items with same picture"]["items"] == 40
    assert card["near-duplicate pictures"]["items"] == 0
    shuffle = card["shuffle test"]
    assert shuffle["gain_low"] > 0.01 > shuffle["shuffled"] - shuffle["popularity"]
