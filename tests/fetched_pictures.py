"""Datasets whose pictures are fetched, and what must hold of them afterwards."""

from pathlib import Path

import polars as pl
from tests.picture_server import Page, picture_bytes

from vlmrec.data.dataset import Dataset
from vlmrec.data.fetching.fetcher import fetch_images
from vlmrec.data.fetching.options import FetchOptions
from vlmrec.data.images import Picture, read_picture

PICTURE, PNG = picture_bytes(), picture_bytes("blue", "PNG")


def fetch(folder: Path, **changes):
    call = {name: changes.pop(name) for name in ("again", "stopping", "advance") if name in changes}
    limits = {"rate": 1e6, "backoff": 0.01, "timeout": 5.0, "allow_private": True, **changes}
    return fetch_images(folder, FetchOptions(**limits), **call)


def tables(urls: dict[str, str | None]):
    """Returns a log in which one user met every item, and the items."""
    ids = list(urls)
    log = {"user_id": ["u"] * len(ids), "item_id": ids, "timestamp": list(range(len(ids)))}
    items = pl.DataFrame(
        {
            "item_id": ids,
            "image_url": pl.Series(list(urls.values()), dtype=pl.String),
            "image": pl.Series([None] * len(ids), dtype=pl.String),
        }
    )
    return pl.DataFrame(log), items


def many(server, count: int, page: Page) -> dict[str, str | None]:
    return {f"i{n:02d}": server.give(f"/{n}", page) for n in range(count)}


def images_of(folder: Path) -> dict[str, str | None]:
    return dict(Dataset.load(folder).catalog.table.select("item_id", "image").iter_rows())


def assert_consistent(folder: Path) -> None:
    """The manifest is about the catalogue as it is, every picture is whole, nothing lies about."""
    data = Dataset.load(folder)
    assert data.fingerprint == data.with_catalog(data.catalog).fingerprint
    named = [path for path in data.catalog.image_paths() if path is not None]
    assert data.manifest["counts"]["items_with_image"] == len(named)
    for path in named:
        assert isinstance(read_picture(path), Picture)
    assert not [path for path in folder.rglob(".*") if path.is_file()]
