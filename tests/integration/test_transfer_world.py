"""What was learned of content in one shop holds in another; what was learned of ids does not."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from vlmrec.core.random import Streams
from vlmrec.data.dataset import Dataset
from vlmrec.models import ItemKNN, SASRec, SASRecContent
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.scenarios import SCENARIOS
from vlmrec.testing.worlds import write_matrix
from vlmrec.train.options import TrainOptions

KINDS, WIDTH, N_ITEMS = 6, 8, 36
CHANCE = 10 / N_ITEMS


def shop(seed: int) -> tuple[Dataset, np.ndarray]:
    """Returns people who buy a thing of the next kind each time, and vectors that tell kinds."""
    rng = Streams(seed).numpy("a shop")
    kinds = np.eye(KINDS, WIDTH)
    vectors = kinds[np.arange(N_ITEMS) % KINDS] + 0.1 * rng.standard_normal((N_ITEMS, WIDTH))
    rows = []
    for user in range(160):
        start = rng.integers(KINDS)
        for step in range(int(rng.integers(4, 9))):
            kind = (start + step) % KINDS
            item = kind + KINDS * int(rng.integers(N_ITEMS // KINDS))
            rows.append((f"u{user}", f"i{item:02d}", step))
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{item:02d}" for item in range(N_ITEMS)]})
    return Dataset.from_frames(log, items), vectors.astype(np.float32)


@pytest.fixture(scope="module")
def split():
    shops = {name: shop(seed)[0] for name, seed in (("here", 1), ("there", 2))}
    return SCENARIOS["transfer"].split_of("there", shops)


@pytest.fixture(scope="module")
def vectors(split, tmp_path_factory):
    both = np.concatenate([shop(1)[1], shop(2)[1]])
    path = tmp_path_factory.mktemp("vectors") / "all.npy"
    return write_matrix(path, split.dataset.items.names.to_list(), both)


def hits(spec, split) -> float:
    options = TrainOptions(epochs=30, batch_size=32, device="cpu", learning_rate=0.01, patience=30)
    run = fit(spec, split, options=options, quiet=True)
    assert run.info["split"]["name"] == "transfer"
    return run.info["metrics"]["test"]["metrics"]["Recall@10"]["mean"]


def content(vectors: str) -> SASRecContent:
    return SASRecContent(
        text=vectors, image=None, dim=16, hidden=32, n_layers=1, n_heads=1, dropout=0.1, max_len=8
    )


def test_content_carries_over_and_ids_do_not(split, vectors):
    assert hits(content(vectors), split) > 2 * CHANCE
    assert hits(SASRec(dim=16, hidden=32, n_layers=1, n_heads=1), split) < 1.6 * CHANCE
    assert hits(ItemKNN(), split) == 0, "all items are tied, and ties count half"


def test_without_the_order_of_kinds_nothing_carries_over(split, vectors):
    log = split.dataset.sequences
    items = np.asarray(log.items).copy()
    rng = Streams(7).numpy("shuffled")
    for user in split.train.users:
        rng.shuffle(items[log.offsets[user - 1] : log.offsets[user]])
    learned = replace(split.train.sequences, items=items[: len(split.train.sequences.items)])
    mixed = replace(split, train=replace(split.train, sequences=learned))
    assert hits(content(vectors), mixed) < 1.6 * CHANCE
