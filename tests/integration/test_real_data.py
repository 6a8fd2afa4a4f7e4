"""MovieLens-100k with posters: known counts, known bars, far above chance."""

import os
from pathlib import Path

import numpy as np
import pytest

from vlmrec.data.dataset import Dataset
from vlmrec.models import ItemKNN, Popularity, SASRec
from vlmrec.pipeline.evaluation import counted, evaluate_split
from vlmrec.pipeline.fitting import fit
from vlmrec.train.options import TrainOptions

FOLDER = Path(os.environ.get("VLMREC_REALDATA", "../shared/data")) / "ml-100k-mm"
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(
        not FOLDER.is_dir(), reason=f"'{FOLDER}' is not there; set VLMREC_REALDATA to its parent"
    ),
]


@pytest.fixture(scope="module")
def movies() -> Dataset:
    return Dataset.load(FOLDER)


def test_the_counts_are_those_of_its_readme(movies):
    assert (movies.n_users, movies.n_items, movies.sequences.n_events) == (943, 1682, 100_000)
    stops = movies.sequences.offsets[1:]
    times = np.asarray(movies.sequences.timestamps)
    assert int((times[stops - 1] == times[stops - 2]).sum()) == 415
    assert all(movies.catalog.texts())
    there = [path for path in movies.catalog.image_paths() if path is not None]
    assert len(there) > 1500
    assert all(path.is_file() for path in there)


def test_equal_times_keep_the_order_of_the_file(movies):
    import polars as pl

    log = pl.read_parquet(FOLDER / "interactions.parquet")
    for user in ("1", "405", "943"):
        rows = log.filter(pl.col("user_id").cast(pl.String) == user)
        expected = rows.sort("timestamp", maintain_order=True)["item_id"].cast(pl.String)
        whole = movies.sequences.whole()
        number = movies.users.to_internal([user])
        ids = whole.subset(number - 1).flat()
        assert movies.items.to_external(ids) == expected.to_list()


def test_popularity_and_item_knn_reach_their_known_bars(movies):
    split = movies.leave_one_out()
    found = {
        spec.name: evaluate_split(counted(spec, split), split, anchors=False).test
        for spec in (Popularity(), ItemKNN())
    }
    assert found["popularity"].metrics["NDCG@10"].mean == pytest.approx(0.0224, abs=5e-4)
    assert found["item-knn"].metrics["NDCG@10"].mean >= 0.055
    assert found["item-knn"].n_cases == 943


@pytest.mark.slow
def test_sasrec_learns_more_than_popularity_in_a_minute(movies):
    options = TrainOptions(epochs=25, batch_size=64, device="cpu", valid_every=5)
    spec = SASRec(dim=32, hidden=64, n_layers=1, max_len=50, dropout=0.2)
    run = fit(spec, movies.leave_one_out(), options=options, quiet=True)
    assert run.info["metrics"]["test"]["metrics"]["NDCG@10"]["mean"] >= 0.035
