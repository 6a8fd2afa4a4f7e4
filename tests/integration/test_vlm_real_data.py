"""`compact` on MovieLens-100k: as good at texts as MiniLM, and it can be taught to see posters."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vlmrec.data.catalog import Catalog
from vlmrec.data.dataset import Dataset
from vlmrec.evaluation.metrics.mrr import mrr
from vlmrec.items.cache import VectorCache
from vlmrec.pipeline.aligning import AlignOptions, align
from vlmrec.vlm.encoders import load_text_encoder
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.prompts import make_prompt

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


def ranks_of_own_plot(titles: torch.Tensor, plots: torch.Tensor) -> np.ndarray:
    """Returns ``[n]`` the place of each title's own plot among all plots, ties counted half."""
    scores = F.normalize(titles, dim=-1) @ F.normalize(plots, dim=-1).T
    own = scores.diagonal().unsqueeze(1)
    better, equal = (scores > own).sum(1), (scores == own).sum(1) - 1
    return (1 + better + 0.5 * equal).numpy()


def test_a_title_finds_its_plot_as_well_as_with_minilm(movies):
    pairs = zip(movies.catalog.texts(["title"]), movies.catalog.texts(["description"]), strict=True)
    titles, plots = zip(*[(title, plot) for title, plot in pairs if plot][:500], strict=True)
    n = len(plots)
    model, plain = load_vlm("compact"), load_text_encoder("compact")
    with torch.no_grad():
        ours = [model.encode([make_prompt(text) for text in side]) for side in (titles, plots)]
    theirs = [plain.encode_texts(side) for side in (titles, plots)]
    found, expected = ranks_of_own_plot(*ours), ranks_of_own_plot(*theirs)
    assert mrr(found, 10).mean() >= mrr(expected, 10).mean() - 1e-6
    assert mrr(found, 10).mean() > 20 * (1 / np.arange(1, 11)).sum() / n
    shuffled = ranks_of_own_plot(ours[0], ours[1].roll(1, 0))
    assert mrr(shuffled, 10).mean() < 0.1 * mrr(found, 10).mean()


@pytest.mark.slow
def test_posters_find_their_words_after_an_alignment(movies, tmp_path):
    table = movies.catalog.table.head(500)
    some = Dataset.from_frames(
        _log_over(table["item_id"].to_list()), table, images=movies.catalog.root
    )
    assert isinstance(some.catalog, Catalog)
    chosen = AlignOptions()
    options = chosen.model_copy(
        update={"train": chosen.train.model_copy(update={"epochs": 10, "device": "cpu"})}
    )
    record = align(
        some, tmp_path / "out", options=options, cache=VectorCache(tmp_path / "cache"), quiet=True
    )
    found = record["picture_to_text"]
    chance = found["chance"]["Recall@10"]
    assert found["learned from"]["Recall@10"][0] > 10 * chance
    assert found["held out"]["Recall@10"][0] > 2 * chance
    assert found["held out, before"]["Recall@10"][0] < 2 * chance + 0.06


def _log_over(items):
    import polars as pl

    rows = [("u", item, 1_500_000_000 + number) for number, item in enumerate(items)]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
