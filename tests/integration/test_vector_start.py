"""Models that start from the item vectors of a file, of another run, or of chance."""

import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from vlmrec.core.columns import ITEM_ID
from vlmrec.core.errors import ArtifactError, ConfigError, DataError
from vlmrec.data.dataset import Dataset
from vlmrec.items.cache import VectorCache
from vlmrec.items.vector_table import VECTORS
from vlmrec.models import GRU4Rec, ItemKNN, SASRec
from vlmrec.pipeline.adding import add_items
from vlmrec.pipeline.content import gather_content
from vlmrec.pipeline.fitting import fit
from vlmrec.pipeline.recommending import recommend
from vlmrec.pipeline.run import Run
from vlmrec.testing.comparing import same_weights
from vlmrec.testing.worlds import small_dataset, small_items, small_log, write_matrix
from vlmrec.train.options import TrainOptions

OPTIONS = TrainOptions(epochs=1, device="cpu")
SMALL = {"dim": 8, "hidden": 8, "max_len": 6}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run whose items stand in another order, and of which one is unknown elsewhere."""
    items = small_items().reverse().with_columns(pl.col(ITEM_ID).replace({"i05": "only here"}))
    log = small_log().filter(pl.col(ITEM_ID) != "i05")
    split = Dataset.from_frames(log, items).leave_one_out()
    folder = tmp_path_factory.mktemp("source") / "run"
    return fit(SASRec(dim=7, n_heads=1, max_len=6), split, folder, options=OPTIONS, quiet=True)


@pytest.fixture(scope="module")
def split():
    return small_dataset().leave_one_out()


def gather(source, split):
    names = split.dataset.items.names.to_list()
    return gather_content(
        {VECTORS: str(source)}, split.dataset.catalog, names, cache=VectorCache()
    )[VECTORS]


def test_the_vectors_of_a_run_are_found_by_item_id(source, split):
    found = gather(source.folder, split)
    names = split.dataset.items.names.to_list()
    theirs = source.vocabulary.to_internal(names)
    assert theirs[0] > theirs[1]  # the order differs
    for item, (name, row) in enumerate(zip(names, theirs, strict=True), 1):
        assert bool(found.present[item]) == (name != "i05")
        assert torch.equal(found.vectors[item], source.item_vectors[row]) or name == "i05"
    assert not found.vectors[names.index("i05") + 1].any()
    assert found.counts.missing == 1
    assert found.identity.startswith("run:")


@pytest.mark.parametrize(("kind", "mode"), [(SASRec, "frozen"), (GRU4Rec, "tuned")])
def test_a_run_and_a_file_with_its_vectors_make_the_same_model(source, split, tmp_path, kind, mode):
    names = source.items[ITEM_ID].to_list()
    file = write_matrix(tmp_path / "v.npy", names, source.item_vectors[1:].numpy())
    given = {**SMALL, "vectors_mode": mode, "vectors_dim": 4}
    runs = [
        fit(kind(**given, vectors=str(one)), split, options=OPTIONS, quiet=True)
        for one in (source.folder, file)
    ]
    assert same_weights(*runs)
    record = runs[0].info["content"][VECTORS]
    assert (record["items_with"], record["width"]) == (22, 7)
    assert record["encoder"] == str(source.folder)
    other = fit(kind(**given, vectors="random:7"), split, options=OPTIONS, quiet=True)
    assert not same_weights(runs[0], other)


def test_a_stored_run_needs_its_source_no_more(source, split, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(source.folder, moved)
    spec = SASRec(**SMALL, vectors=str(moved))
    run = fit(spec, split, tmp_path / "run", options=OPTIONS, quiet=True)
    shutil.rmtree(moved)
    again = Run.load(tmp_path / "run")
    assert same_weights(run, again)
    assert recommend(again, ["i03"]).equals(recommend(run, ["i03"]))
    with pytest.raises(ConfigError, match=r"the run '.*moved'.* cannot be embedded"):
        add_items(again, pl.DataFrame({"item_id": ["n"], "title": ["new"]}))


def test_frozen_vectors_stay_and_tuned_ones_move(split):
    def moved(mode):
        spec = SASRec(**SMALL, vectors="random:6", vectors_mode=mode)
        none, one = (
            fit(spec, split, options=replace_epochs(n), quiet=True).model.items.table
            for n in (0, 1)
        )
        return not torch.equal(none, one)

    assert not moved("frozen")
    assert moved("tuned")


def replace_epochs(n: int) -> TrainOptions:
    return TrainOptions(epochs=n, device="cpu")


def test_random_vectors_follow_from_their_seed(split):
    first, again, other = (gather(one, split) for one in ("random:5", "random:5:0", "random:5:3"))
    assert first.vectors.shape == (split.dataset.n_items + 1, 5)
    assert torch.equal(first.vectors, again.vectors)
    assert not torch.equal(first.vectors, other.vectors)
    assert first.present[1:].all()
    assert not first.present[0]
    assert not first.vectors[0].any()
    assert np.abs(first.vectors[1:].std().item() - 1) < 0.2


@pytest.mark.parametrize("source", ["compact", "nowhere/run", "random:", "random:0", "random:x"])
def test_what_is_no_source_of_vectors_is_said(split, source):
    with pytest.raises(ConfigError, match=f"'vectors' was given '{source}'.*random:WIDTH"):
        gather(source, split)


def test_runs_that_cannot_be_a_source_say_why(source, split, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match="not a finished run folder"):
        gather(tmp_path / "empty", split)
    fit(ItemKNN(), split, tmp_path / "knn", options=OPTIONS, quiet=True)
    with pytest.raises(ArtifactError, match="has no item vectors"):
        gather(tmp_path / "knn", split)
    log = small_log().with_columns(pl.col(ITEM_ID) + " elsewhere")
    strange = Dataset.from_frames(log).leave_one_out()
    with pytest.raises(DataError, match="holds no item of this catalogue: it knows 'i22'"):
        gather(source.folder, strange)
    zero = replace(source, item_vectors=torch.zeros_like(source.item_vectors))
    zero.save(tmp_path / "zero")
    with pytest.raises(ConfigError, match=r"No item has a vector, which .*'vectors' needs"):
        gather(tmp_path / "zero", split)
    shutil.copytree(source.folder, tmp_path / "damaged")
    file = tmp_path / "damaged" / "item_vectors.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + b"abcd")
    with pytest.raises(ArtifactError, match=r"item_vectors.safetensors' is damaged"):
        gather(tmp_path / "damaged", split)


def test_a_mode_without_vectors_is_refused():
    with pytest.raises(ConfigError, match="vectors_mode is tuned, but there are no vectors"):
        SASRec.parse({"vectors_mode": "tuned"}, "a test")
