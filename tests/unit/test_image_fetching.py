"""A dataset folder whose pictures are fetched from a server that does what servers do."""

from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest
from PIL import Image
from tests.fetched_pictures import PICTURE, PNG, assert_consistent, fetch, images_of, many, tables
from tests.picture_server import HTML, Page, huge_picture_bytes, serving

from vlmrec.core.errors import ArtifactError, DataError
from vlmrec.data.dataset import Dataset
from vlmrec.data.fetching import errands, public_addresses
from vlmrec.data.fetching.fetcher import fetch_images
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


def test_what_becomes_of_every_kind_of_answer(server, dataset):
    jpeg = {"Content-Type": "image/jpeg"}
    circle = Page(status=302, headers={"Location": "/circle"})
    shared = server.give("/shared", Page(PICTURE))
    urls = {
        "good": server.give("/good.png", Page(PICTURE)),  # a JPEG, whatever the address says
        "a/b c": server.give("/png", Page(PNG)),
        "twin 1": shared,
        "twin 2": f" {shared}",
        "moved": server.give("/moved", Page(status=301, headers={"Location": "/good.png"})),
        "hiccup": server.give("/hiccup", Page(status=500), Page(PICTURE, length=9999), Page(PNG)),
        "none": None,
        "blank": " ",
        "gone": server.give("/gone", Page(status=404)),
        "page": server.give("/page", Page(HTML, headers=jpeg)),
        "cut": server.give("/cut", Page(PICTURE[:300], headers=jpeg)),
        "text": server.give("/text", Page(b"hello")),
        "large": server.give("/large", Page(PICTURE + b"0" * 2_000_000)),
        "huge": server.give("/huge", Page(huge_picture_bytes())),
        "circle": server.give("/circle", circle),
        "ftp": "ftp://files.example/x.jpg",
        "down": server.give("/down", Page(status=502)),
    }
    folder = dataset(urls)
    told: list[tuple[int, int]] = []
    report = fetch(
        folder, retries=2, redirects=3, max_bytes=2_000_000,
        advance=lambda done, total: told.append((done, total)),
    )  # fmt: skip

    assert images_of(folder) == {
        **dict.fromkeys(urls),
        "good": "images/good.jpg",
        "a/b c": "images/a%2Fb%20c.png",
        "twin 1": "images/twin%201.jpg",
        "twin 2": "images/twin%202.jpg",
        "moved": "images/moved.jpg",
        "hiccup": "images/hiccup.png",
    }
    assert (folder / "images" / "good.jpg").read_bytes() == PICTURE
    statuses = read_statuses(folder)
    assert {name: (one.status, one.reason, one.tries) for name, one in statuses.items()} == {
        "good": ("fetched", "", 1),
        "a/b c": ("fetched", "", 1),
        "twin 1": ("fetched", "", 1),
        "twin 2": ("fetched", "", 1),
        "moved": ("fetched", "", 2),
        "hiccup": ("fetched", "", 3),
        "gone": ("missing", "HTTP 404 Not Found", 1),
        "page": ("broken", "an HTML page, announced as image/jpeg", 1),
        "cut": ("broken", "a picture that is cut short, announced as image/jpeg", 1),
        "text": ("broken", "no picture of a known format, announced as nothing", 1),
        "large": (
            "refused",
            f"announces {len(PICTURE) + 2_000_000:,} bytes; at most 2,000,000 are taken",
            1,
        ),
        "huge": ("refused", "a picture of more than 50,000,000 pixels, announced as nothing", 1),
        "circle": ("refused", "more than 3 redirects", 4),
        "ftp": ("refused", "only http and https are fetched, not 'ftp'", 0),
        "down": ("failed", "HTTP 502 Bad Gateway", 3),
    }
    assert statuses["a/b c"].bytes == len(PNG)
    assert statuses["gone"].bytes is None
    assert server.asked.count("/shared") == 1
    assert report.statuses == {"fetched": 6, "missing": 1, "refused": 4, "broken": 3, "failed": 1}
    assert (report.with_address, report.own, report.not_asked) == (15, 0, 0)
    assert (report.fetched_now, report.requests_now) == (6, len(server.asked))
    assert (told[0], told[-1]) == ((0, 15), (15, 15))
    manifest = Dataset.load(folder).manifest
    assert manifest["fingerprint"] == report.fingerprint
    assert manifest["source"] == {"kind": "test", "fetched_images": report.statuses}
    assert_consistent(folder)

    server.asked.clear()
    fetch(folder, retries=0)
    assert server.asked == ["/down"]
    assert read_statuses(folder)["down"].tries == 4
    server.asked.clear()
    server.give("/gone", Page(PNG))
    fetch(folder, retries=0, redirects=0, max_bytes=10_000, again=True)
    asked = {"/down", "/gone", "/page", "/cut", "/text", "/large", "/huge", "/circle"}
    assert set(server.asked) == asked
    assert images_of(folder)["gone"] == "images/gone.png"
    assert_consistent(folder)


def test_the_rate_and_the_connections_of_a_host_hold(server, dataset):
    folder = dataset(many(server, 6, Page(PICTURE, pause=0.0002)))
    fetch(folder, rate=25.0, per_host=2, workers=6)
    gaps = [later - sooner for sooner, later in zip(server.times, server.times[1:], strict=False)]
    assert sum(gaps) >= 5 / 25 - 0.05
    assert server.most <= 2


def test_all_pictures_of_a_host_wait_when_it_asks_to(server, dataset):
    urls = many(server, 3, Page(PICTURE))
    server.give("/0", Page(status=429, headers={"Retry-After": "1"}), Page(PICTURE))
    report = fetch(dataset(urls), per_host=1)
    assert report.statuses["fetched"] == 3
    assert len(server.times) == 4
    assert server.times[1] - server.times[0] >= 0.95


def test_a_host_that_asks_for_too_long_a_pause_is_left_alone(server, dataset):
    urls = many(server, 5, Page(PICTURE))
    server.give("/0", Page(status=503, headers={"Retry-After": "9999"}), Page(PICTURE))
    folder = dataset(urls)
    report = fetch(folder, per_host=1, workers=1)
    assert len(server.asked) == 1
    reason = "asks to wait for 9,999 seconds"
    failed = [one for one in read_statuses(folder).values() if one.status == "failed"]
    assert len(failed) == report.statuses["failed"] == 5
    assert all(reason in one.reason for one in failed)
    assert fetch(folder).statuses["fetched"] == 5


def test_a_host_that_is_down_is_not_asked_for_everything(server, dataset, monkeypatch):
    monkeypatch.setattr(errands, "TROUBLES_IN_A_ROW", 3)
    urls = many(server, 9, Page(status=500))
    folder = dataset(urls)
    report = fetch(folder, per_host=1, workers=1, retries=1)
    assert 3 <= len(server.asked) <= 5
    assert report.statuses["failed"] == 9
    tried = {path for path in server.asked}
    server.asked.clear()
    fetch(folder, per_host=1, workers=1, retries=0)  # those it did not come to are first
    assert not tried & set(server.asked[:3])


def test_a_redirect_to_a_private_address_is_refused(server, dataset, monkeypatch):
    judge = lambda address: None if address == "127.0.0.1" else "loopback"  # noqa: E731
    monkeypatch.setattr(public_addresses, "why_not_public", judge)
    port = urlsplit(server.url).port
    with serving("127.0.0.2", port) as inside:
        page = Page(status=302, headers={"Location": inside.give("/secret", Page(PICTURE))})
        folder = dataset({"open": server.give("/ok", Page(PNG)), "trap": server.give("/t", page)})
        fetch(folder, allow_private=False)
        assert inside.asked == []
    statuses = read_statuses(folder)
    assert statuses["open"].status == "fetched"
    assert statuses["trap"].status == "refused"
    assert "host '127.0.0.2' is at 127.0.0.2, a loopback address" in statuses["trap"].reason


def test_by_default_nothing_private_is_asked(server, dataset):
    folder = dataset(many(server, 1, Page(PICTURE)))
    assert fetch_images(folder).statuses["refused"] == 1
    assert server.asked == []


def test_a_picture_of_ones_own_is_neither_asked_for_nor_replaced(server, dataset):
    folder = dataset({"a": server.give("/a", Page(PICTURE)), "b": server.give("/b", Page(PNG))})
    # The picture of a has the name that one fetched for b would get.
    own = folder / "images" / "b.jpg"
    Image.new("RGB", (3, 3)).save(own)
    mine = own.read_bytes()
    items = pl.read_parquet(folder / "items.parquet")
    items = items.with_columns(image=pl.Series(["images/b.jpg", None]))
    items.write_parquet(folder / "items.parquet")
    for _ in range(2):
        report = fetch(folder)
        assert (report.own, report.statuses["fetched"]) == (1, 1)
        images = images_of(folder)
        assert images["a"] == "images/b.jpg"
        assert own.read_bytes() == mine
        assert images["b"] is not None
        assert (folder / images["b"]).read_bytes() == PNG
        assert server.asked == ["/b"]


def test_a_lost_file_and_another_address_are_fetched_anew(server, dataset):
    urls = {"a": server.give("/a", Page(PICTURE)), "b": server.give("/b", Page(PICTURE))}
    folder = dataset(urls)
    fetch(folder)
    (folder / "images" / "a.jpg").unlink()
    items = pl.read_parquet(folder / "items.parquet")
    moved = items["image_url"].str.replace("/b", "/new", literal=True)
    items.with_columns(moved).write_parquet(folder / "items.parquet")
    server.asked.clear()
    server.give("/a", Page(status=404))
    server.give("/new", Page(PNG))
    report = fetch(folder)
    assert sorted(server.asked) == ["/a", "/new"]
    assert images_of(folder) == {"a": None, "b": "images/b.png"}
    assert [path.name for path in (folder / "images").iterdir()] == ["b.png"]
    assert report.statuses["missing"] == 1
    assert_consistent(folder)
    assert fetch(folder).requests_now == 0


def test_a_folder_of_bare_tables(server, tmp_path):
    log, items = tables(many(server, 3, Page(PICTURE)))
    log.write_parquet(tmp_path / "interactions.parquet")
    items.head(2).drop("image").write_parquet(tmp_path / "items.parquet")
    report = fetch(tmp_path)
    assert report.statuses["fetched"] == 2
    assert images_of(tmp_path) == {"i00": "images/i00.jpg", "i01": "images/i01.jpg", "i02": None}
    assert pl.read_parquet(tmp_path / "items.parquet").columns == ["item_id", "image_url", "image"]
    assert not (tmp_path / "manifest.json").exists()
    assert Dataset.load(tmp_path).fingerprint == report.fingerprint


def test_what_cannot_be_fetched_for(dataset, tmp_path):
    folder = dataset({"a": None, "b": None})
    assert fetch(folder).with_address == 0
    (folder / "image_status.parquet").write_text("nonsense")
    with pytest.raises(ArtifactError, match=r"image_status.parquet' cannot be read.*Remove it"):
        fetch(folder)
    (folder / "image_status.parquet").unlink()
    items = pl.read_parquet(folder / "items.parquet")
    items.with_columns(image_url=pl.Series([["x"], ["y"]])).write_parquet(folder / "items.parquet")
    with pytest.raises(DataError, match=r"'image_url' of the items holds List\(String\); expected"):
        fetch(folder)
    items.drop("image_url").write_parquet(folder / "items.parquet")
    with pytest.raises(DataError, match=r"no column 'image_url'; they have \['item_id'"):
        fetch(folder)


def test_a_folder_that_cannot_be_written_is_said_before_anybody_is_asked(server, dataset):
    folder = dataset(many(server, 1, Page(PICTURE)))
    (folder / "image_status.parquet").mkdir()  # root may write into any folder, but not over this
    with pytest.raises((DataError, OSError)):
        fetch(folder)
    assert server.asked == []
