import json
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from vlmrec.cli.prepare import build_prepare_app
from vlmrec.core.errors import DataError
from vlmrec.data.dataset import Dataset

T = 1_500_000_000


@pytest.fixture
def shop(tmp_path) -> Path:
    """Three users; u3 has too little, one row is double, one item has no row, one no event."""
    folder = tmp_path / "raw"
    (folder / "pics").mkdir(parents=True)
    rows = [
        f"{u};{i};{(T + k) * 1000}" for u in ("u1", "u2") for k, i in enumerate(("01", "1", "2"))
    ]
    rows += [f"u1;01;{T * 1000}", f"u3;1;{T * 1000}"]
    (folder / "log.csv").write_text("\n".join(["customer_id;sku;ts", *rows]) + "\n")
    items = [{"sku": "01", "name": "A &amp; B"}, {"sku": "1", "name": "C"}, {"sku": "9"}]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, items)))
    Image.new("RGB", (4, 4)).save(folder / "pics" / "01.jpg")
    return folder


def call(*arguments: object):
    return CliRunner().invoke(build_prepare_app(), [str(each) for each in arguments])


def call_files(shop: Path, out: Path, *options: object):
    files = (shop / "log.csv", shop / "items.jsonl")
    return call("files", *files, "--images", shop / "pics", "--out", out, *options)


def test_files_become_a_dataset_and_everything_is_said(shop, tmp_path):
    out = tmp_path / "data"
    result = call_files(shop, out)
    assert result.exit_code == 0, result.output
    data = Dataset.load(out)
    assert (data.n_users, data.n_items, data.sequences.n_events) == (2, 4, 6)
    assert data.items.names.to_list() == ["01", "1", "9", "2"]
    assert data.catalog.texts()[0] == "A & B"
    assert (out / "images" / "01.jpg").is_file()
    for part in (
        "user_id = 'customer_id', item_id = 'sku', timestamp = 'ts'; times in milliseconds",
        "dropped  1 row that repeat",
        "dropped  1 user, 0 items and their 1 interaction: users with fewer than 3 events",
        "1 item without an interaction: '9'",
        "2 users, 4 items, 6 interactions",
    ):
        assert part in result.output
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["source"]["kind"] == "files"
    assert [f["name"] for f in manifest["source"]["files"]] == ["log.csv", "items.jsonl"]
    assert sum(n["count"] for n in manifest["source"]["notes"] if n["kind"] == "dropped") == 2


def test_json_is_the_manifest(shop, tmp_path):
    result = call_files(shop, tmp_path / "data", "--json", "--min-item", 2)
    report = json.loads(result.stdout)
    assert report["counts"] == {
        "users": 2,
        "items": 3,
        "interactions": 6,
        "items_with_image": 1,
        "items_with_text": 2,
    }
    assert report["source"]["cleaning"]["min_item"] == 2


def test_options_reach_the_cleaning(shop, tmp_path):
    out = tmp_path / "data"
    result = call_files(shop, out, "--min-history", 1, "--repeats", "last")
    assert result.exit_code == 0, result.output
    assert Dataset.load(out).n_users == 3


def test_sequences_become_a_dataset(tmp_path):
    (tmp_path / "s.txt").write_text("u1 a b c\nu2 b c a d\nu3 a\n")
    result = call("sequences", tmp_path / "s.txt", "--out", tmp_path / "data")
    assert result.exit_code == 0, result.output
    data = Dataset.load(tmp_path / "data")
    assert data.to_interactions().rows()[:3] == [("u1", "a", 0), ("u1", "b", 1), ("u1", "c", 2)]
    assert data.n_users == 2
    assert "not real times" in result.output


def refused(result, out: Path, message: str) -> None:
    assert isinstance(result.exception, DataError), result.output
    assert message in str(result.exception)
    leftovers = [path.name for path in out.parent.iterdir() if out.name in path.name]
    assert leftovers in ([], [out.name])


def test_a_taken_folder_is_left_alone_until_told(shop, tmp_path):
    out = tmp_path / "data"
    out.mkdir()
    (out / "precious").touch()
    refused(call_files(shop, out), out, "exists and is not empty")
    # said before a large file was read for nothing
    refused(call("files", "nowhere.csv", "--out", out), out, "exists and is not empty")
    assert (out / "precious").exists()
    assert call_files(shop, out, "--overwrite").exit_code == 0
    assert not (out / "precious").exists()


def test_nothing_is_written_when_nobody_has_enough(shop, tmp_path):
    out = tmp_path / "data"
    result = call_files(shop, out, "--min-history", 9)
    refused(result, out, "No interaction is left.")
    assert not out.exists()


def test_a_path_through_a_file(shop):
    out = shop / "log.csv" / "data"
    result = call_files(shop, out)
    assert isinstance(result.exception, DataError)
    assert "a part of that path is a file" in str(result.exception)


def test_a_read_only_folder(shop, tmp_path, monkeypatch):
    make = tempfile.mkdtemp

    def forbid(suffix=None, prefix=None, dir=None) -> str:
        if dir == tmp_path:
            raise PermissionError(13, "Permission denied")
        return make(suffix, prefix, dir)

    monkeypatch.setattr("vlmrec.core.files.tempfile.mkdtemp", forbid)
    out = tmp_path / "data"
    refused(call_files(shop, out), out, "the folder is read-only")
    assert not out.exists()


SMALL_DISK = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from typer.testing import CliRunner
from vlmrec.cli.prepare import build_prepare_app
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
result = CliRunner().invoke(build_prepare_app(), sys.argv[1:])
print(type(result.exception).__name__, result.exception)
"""


def test_a_full_disk_leaves_nothing(tmp_path):
    rows = {"user": [k % 500 for k in range(9000)], "item": [k % 7 for k in range(9000)]}
    path, out = tmp_path / "log.csv", tmp_path / "data"
    pl.DataFrame(rows).with_row_index("ts").write_csv(path)
    command = [sys.executable, "-c", SMALL_DISK, "files", str(path), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "DataError" in done.stdout, done.stderr
    assert "disk is full" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv"]


def test_the_world_of_two_tastes_comes_with_a_toy_and_the_command_that_trains_it(tmp_path):
    out = tmp_path / "world"
    result = call("two-tastes", "--out", out, "--seed", 7)
    assert result.exit_code == 0
    dataset = Dataset.load(out)
    assert (dataset.n_users, dataset.n_items) == (3000, 600)
    assert (out / "toy" / "config.json").is_file()
    assert f"--data {out} --set backbone={out / 'toy'}" in result.output
    again = call("two-tastes", "--out", out)
    assert isinstance(again.exception, DataError)
    assert "exists and is not empty" in str(again.exception)
