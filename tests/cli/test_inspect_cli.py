import json
import os
from pathlib import Path

import polars as pl
import pytest
import typer
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


def test_a_folder_without_manifest_is_shown_with_warnings(folder):
    result = call(folder)
    assert result.exit_code == 0, result.output
    for part in ("interactions per user", "100.0%", "2 of 2 users", "! 100.0%"):
        assert part in result.output


def test_json_holds_everything(folder):
    report = json.loads(call(folder, "--json", "--pictures").stdout)
    assert report["interactions"] == 6
    assert report["leave_one_out"]["targets"] == 2
    assert report["warnings"][0]["kind"] == "warning"


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
    assert report["time"]["tied_share"] == pytest.approx(0.75772)
    assert report["time"]["users_with_tied_end"] == 415
    assert report["repeats"]["same_words"] == 36
