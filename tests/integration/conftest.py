"""A small shop with attributes and pictures, runs on it, and services of them."""

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.postgres_server import PostgresServer, postgres_binaries
from tests.served_shop import N
from tests.tiny_checkpoints import write_tiny_bert, write_tiny_vit

from vlmrec.data.dataset import Dataset
from vlmrec.models import GRU4Rec, ItemKNN, SASRecContent
from vlmrec.pipeline.fitting import fit
from vlmrec.serve.options import ServeOptions
from vlmrec.serve.running import make_app, make_service
from vlmrec.train.options import TrainOptions


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A dataset with attributes and pictures, and runs of three kinds on it."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    (folder / "img").mkdir()
    for k in range(0, N, 2):
        Image.new("RGB", (48, 48), tuple(rng.integers(0, 255, 3).tolist())).save(
            folder / "img" / f"i{k:02d}.png"
        )
    items = pl.DataFrame(
        {
            "item_id": [f"i{k:02d}" for k in range(N)],
            "title": [f"thing {'abcdef'[k % 6] * 3} {k}" for k in range(N)],
            "genre": [["red", "blue", "green"][k % 3] for k in range(N)],
            "tags": [[f"t{k % 4}", "all"] for k in range(N)],
            "year": [1990 + k for k in range(N)],
            "image": [f"i{k:02d}.png" if k % 2 == 0 else None for k in range(N)],
        }
    )
    log = pl.DataFrame(
        [
            (f"u{user}", f"i{(user + 3 * step + rng.integers(2)) % N:02d}", 100 + step)
            for user in range(40)
            for step in range(6)
        ],
        schema=["user_id", "item_id", "timestamp"],
        orient="row",
    )
    data = Dataset.from_frames(log, items, images=folder / "img").save(folder / "data")
    text, image = write_tiny_bert(folder / "bert"), write_tiny_vit(folder / "vit")
    content = SASRecContent(text=str(text), image=str(image), dim=8, n_layers=1, max_len=6)
    specs = {"content": content, "ids": GRU4Rec(dim=8, hidden=8, max_len=6), "counted": ItemKNN()}
    for name, spec in specs.items():
        options = TrainOptions(epochs=2, device="cpu")
        split = Dataset.load(folder / "data").leave_one_out()
        fit(spec, split, folder / "runs" / name, options=options, test=False, quiet=True)
    del data
    return folder


@pytest.fixture
def start(shop, tmp_path):
    """Starts services; all are closed in the end."""
    open_now = []

    def begin(name="content", **given):
        options = ServeOptions(
            database=given.pop("database", f"sqlite:///{tmp_path / 'shop.db'}"),
            follow_seconds=0.05,
            **given,
        )
        data = Dataset.load(shop / "data")
        service = make_service(shop / "runs" / name, options, data)
        client = TestClient(make_app(service), "http://127.0.0.1", raise_server_exceptions=False)
        client.__enter__()
        open_now.append(client)
        return client, service

    yield begin
    for client in open_now:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL server."""
    if postgres_binaries() is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt install postgresql)")
    one = PostgresServer()
    yield one
    one.remove()
