"""Fetching that is killed or stopped keeps what came, and goes on where it was."""

import threading
from pathlib import Path

import pytest
from tests.fetched_pictures import PICTURE, assert_consistent, fetch, images_of, many, tables
from tests.picture_server import Page, serving

from vlmrec.data.dataset import Dataset
from vlmrec.data.fetching import catalogue_images, errands
from vlmrec.data.fetching.status_table import read_statuses


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def dataset(tmp_path):
    def make(urls: dict[str, str | None]) -> Path:
        Dataset.from_frames(*tables(urls)).save(tmp_path / "data", source={"kind": "test"})
        return tmp_path / "data"

    return make


class Killed(BaseException):
    pass


def test_a_killed_call_goes_on_where_it_was(server, dataset, monkeypatch):
    folder = dataset(many(server, 6, Page(PICTURE)))
    before = Dataset.load(folder).fingerprint

    def killed_before(path: str) -> None:
        if len(server.asked) == 4:
            monkeypatch.setattr(errands, "decode_picture", die)

    def die(*arguments: object, **options: object) -> None:
        raise Killed

    server.before_answer = killed_before
    with pytest.raises(Killed):
        fetch(folder, workers=1)
    there = {path.stem for path in (folder / "images").iterdir()}
    assert 1 <= len(there) <= 4
    assert read_statuses(folder) == {}  # it had no time for that
    assert Dataset.load(folder).fingerprint == before
    assert_consistent(folder)

    monkeypatch.undo()
    server.before_answer = None
    server.asked.clear()
    report = fetch(folder)
    assert {f"i{int(path[1:]):02d}" for path in server.asked} == set(images_of(folder)) - there
    assert report.statuses["fetched"] == 6
    assert set(images_of(folder).values()) == {f"images/i{n:02d}.jpg" for n in range(6)}
    assert_consistent(folder)
    server.asked.clear()
    assert fetch(folder).requests_now == 0
    assert server.asked == []


def test_a_call_that_is_stopped_keeps_what_came(server, dataset):
    folder = dataset(many(server, 8, Page(PICTURE)))
    stop = threading.Event()

    def stop_at_third(path: str) -> None:
        if len(server.asked) >= 3:
            stop.set()

    server.before_answer = stop_at_third
    report = fetch(folder, workers=1, rate=20.0, stopping=stop.is_set)
    came = [name for name, image in images_of(folder).items() if image is not None]
    assert 3 <= len(came) <= 5
    assert report.fetched_now == len(came)
    assert report.not_asked == 8 - len(came)
    assert list(read_statuses(folder)) == came
    assert_consistent(folder)
    server.asked.clear()
    assert fetch(folder).statuses["fetched"] == 8
    assert len(server.asked) == 8 - len(came)
    assert_consistent(folder)


def test_a_call_that_died_between_catalogue_and_manifest_is_mended(server, dataset, monkeypatch):
    folder = dataset(many(server, 2, Page(PICTURE)))

    def die(*arguments: object) -> None:
        raise Killed

    monkeypatch.setattr(catalogue_images, "write_json", die)
    with pytest.raises(Killed):
        fetch(folder)
    data = Dataset.load(folder)
    assert data.fingerprint != data.with_catalog(data.catalog).fingerprint
    monkeypatch.undo()
    assert fetch(folder).requests_now == 0
    assert_consistent(folder)
