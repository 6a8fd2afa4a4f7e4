import json
import signal
import time

import polars as pl
import pytest
from tests.command_line import start
from tests.picture_server import Page, picture_bytes, serving

from vlmrec.data.dataset import Dataset

LOCAL = ("--allow-private", "--rate", 1000)


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def folder(server, tmp_path):
    ids = [f"i{n}" for n in range(12)]
    urls = [server.give(f"/{name}", Page(picture_bytes())) for name in ids]
    log = {"user_id": ["u"] * 12, "item_id": ids, "timestamp": list(range(12))}
    Dataset.from_frames(log, {"item_id": ids, "image_url": urls}).save(tmp_path / "data")
    return tmp_path / "data"


def test_the_result_is_said_in_words_and_in_json(server, folder, run_vlmrec):
    server.give("/i3", Page(status=404))
    server.give("/i4", Page(status=403))
    done = run_vlmrec("fetch-images", folder, *LOCAL)
    assert done.code == 0, done.err
    for part in (
        "12 items have an address of a picture; 0 of them had a picture already",
        " fetched  10",
        "10 fetched now",
        "1 missing: HTTP 404 Not Found",
        "1 refused: HTTP 403 Forbidden",
    ):
        assert part in done.out
    assert "Fetching pictures: 12 done" in done.err
    done = run_vlmrec("fetch-images", folder, *LOCAL, "--again", "--json")
    report = json.loads(done.out)
    assert report["folder"] == str(folder)
    assert report["statuses"]["fetched"] == 10
    assert report["requests_now"] == 2
    assert report["fingerprint"] == Dataset.load(folder).fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rate", 0], "Option 'rate' for fetch-images was given 0.0"),
        (["--max-bytes", 0], "Option 'max_bytes' for fetch-images"),
        (["--timeout", -1], "Option 'timeout' for fetch-images"),
    ],
)
def test_limits_that_make_no_sense(folder, run_vlmrec, options, message):
    done = run_vlmrec("fetch-images", folder, *options)
    assert done.code == 2
    assert message in done.err


def test_a_folder_without_addresses(tmp_path, run_vlmrec):
    log = {"user_id": ["u"] * 3, "item_id": ["a", "b", "c"], "timestamp": [1, 2, 3]}
    Dataset.from_frames(log).save(tmp_path / "data")
    done = run_vlmrec("fetch-images", tmp_path / "data")
    assert done.code == 2
    assert "The items have no column 'image_url'" in done.err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_stopped_process_goes_on_and_asks_for_nothing_twice(
    server, folder, run_vlmrec, number, code
):
    process = start("fetch-images", folder, "--allow-private", "--rate", 4, "--per-host", 1)
    for _ in range(3000):
        if len(list((folder / "images").glob("*.jpg"))) >= 3:
            break
        time.sleep(0.02)
    process.send_signal(number)
    _, told = process.communicate(timeout=120)
    assert process.returncode == code, told
    if code == 130:
        assert "Interrupted. What was done is saved; the same command goes on from there." in told
        assert "Traceback" not in told
        assert Dataset.load(folder).catalog.table["image"].count() >= 3
        assert pl.read_parquet(folder / "image_status.parquet").height >= 3
    there = {path.stem for path in (folder / "images").glob("*.jpg")}
    assert 3 <= len(there) < 12
    server.asked.clear()
    done = run_vlmrec("fetch-images", folder, *LOCAL, "--json")
    assert json.loads(done.out)["statuses"]["fetched"] == 12
    assert not {path.removeprefix("/") for path in server.asked} & there
    data = Dataset.load(folder)
    assert data.catalog.table["image"].null_count() == 0
    assert data.fingerprint == data.with_catalog(data.catalog).fingerprint
