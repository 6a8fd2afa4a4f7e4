"""Choosing, measuring, mixing and storing an index."""

import json
import sys

import pytest
import torch

from vlmrec.core.errors import ArtifactError, ConfigError, MissingExtraError
from vlmrec.evaluation.quota import Quota
from vlmrec.index.approximate import ApproximateIndex
from vlmrec.index.choosing import IndexOptions, bytes_of, choose
from vlmrec.index.exact import ExactIndex
from vlmrec.index.faiss_backends import FaissBackend, FaissOptions
from vlmrec.index.mixed import MixedIndex
from vlmrec.index.recall import recall_at, recall_of, searched_long_enough
from vlmrec.index.search import Limits
from vlmrec.index.stored import (
    IndexRecord,
    digest,
    is_stored,
    read_index,
    write_record,
    write_structure,
)
from vlmrec.testing.indexes import VectorTable, grouped_keys

QUERIES = torch.randn(30, 16, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("n_items", "width", "memory", "kind"),
    [
        (1_682, 64, None, "flat"),
        (100_000, 64, None, "flat"),
        (300_000, 256, 2 << 30, "hnsw"),
        (300_000, 256, 300 << 20, "ivf-pq"),
        (3_000_000, 1024, 2 << 30, "ivf-pq"),
    ],
)
def test_size_and_memory_choose_the_kind(n_items, width, memory, kind):
    choice = choose(IndexOptions(memory=memory), n_items, width)
    assert choice.kind == kind
    assert f"{n_items:,} items of {width} numbers" in choice.reason


def test_what_is_asked_for_is_taken_and_what_is_no_product_is_scored():
    assert choose(IndexOptions(kind="hnsw"), 10, 4).kind == "hnsw"
    choice = choose(IndexOptions(), 10, 4, keyed=False)
    assert (choice.kind, "no inner products" in choice.reason) == ("exact", True)


def test_without_faiss_items_are_scanned_and_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vlmrec\[index\]'"):
        FaissBackend.build(grouped_keys(), FaissOptions())
    monkeypatch.setattr("vlmrec.index.choosing.find_spec", lambda name: None)
    choice = choose(IndexOptions(), 1_000_000, 256)
    assert choice.kind == "exact"
    assert "pip install 'vlmrec[index]'" in choice.reason


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf-pq"])
def test_the_stated_size_is_that_of_the_file(kind, tmp_path):
    keys = grouped_keys(20_000, 32)
    options = FaissOptions(kind=kind, built_with=16)
    size = write_structure(tmp_path, FaissBackend.build(keys, options))
    assert bytes_of(options, 20_000, 32) == pytest.approx(size, rel=0.2)


def test_recall_counts_equals_and_misses():
    truth = torch.tensor([[5.0, 4.0, 3.0, 3.0], [9.0, 8.0, 7.0, 6.0]])
    found = torch.tensor([[5.0, 3.0, 3.0, 1.0], [9.0, 8.0, 7.0, 6.0]])
    assert recall_at(found, truth, [2, 3, 4]) == {2: 0.75, 3: 1.0, 4: 0.875}


def test_a_search_is_made_longer_until_the_goal_is_reached():
    table = VectorTable(grouped_keys())
    short = FaissOptions(kind="ivf-pq", cells=40, probed=1, code_bytes=8, spare=2)
    backend = FaissBackend.build(table.keys, short)
    inner, oracle = table.inner_product(), ExactIndex(table)
    before = recall_of(ApproximateIndex(inner, backend), oracle, QUERIES)
    longer, recall = searched_long_enough(inner, backend, oracle, QUERIES, 0.9)
    assert before[10] < 0.7
    assert recall[10] >= 0.9
    assert longer.options.probed > 1
    assert recall == recall_of(ApproximateIndex(inner, longer), oracle, QUERIES)


def test_a_goal_out_of_reach_is_given_up_with_the_recall_there_is():
    table = VectorTable(grouped_keys())
    coarse = FaissOptions(kind="ivf-pq", cells=2, probed=1, code_bytes=1, spare=1)
    backend = FaissBackend.build(table.keys, coarse)
    _, recall = searched_long_enough(
        table.inner_product(), backend, ExactIndex(table), QUERIES, 0.999
    )
    assert recall[10] < 0.999


@pytest.mark.parametrize("share", [0.1, 0.3, 0.75])
@pytest.mark.parametrize("n_new", [1, 40, 900])
def test_two_searches_mix_as_all_scores_do(share, n_new):
    table = VectorTable(grouped_keys(1000))
    new = torch.zeros(1001, dtype=torch.bool)
    new[1001 - n_new :] = True
    quota = Quota(new.numpy(), share)
    mixed = MixedIndex(ExactIndex(table), quota).search(QUERIES, 15)
    scores = table.score(QUERIES, 1, 1001)
    columns, values = quota.over(torch.arange(1, 1001).numpy()).best(scores, 15)
    assert torch.equal(mixed.items, columns + 1)
    torch.testing.assert_close(mixed.scores, values)


def test_mixing_keeps_limits():
    table = VectorTable(grouped_keys(1000))
    new = torch.arange(1001) > 900
    index = MixedIndex(ExactIndex(table), Quota(new.numpy(), 0.5))
    first = index.search(QUERIES, 5).items
    again = index.search(QUERIES, 5, Limits(torch.arange(1001) % 2 == 0, first))
    assert (again.items % 2 == 0).all()
    assert (new[again.items].sum(dim=1) == 2).all()
    for row in range(len(QUERIES)):
        assert not set(first[row].tolist()) & set(again.items[row].tolist())


def record_of(backend, size, keys):
    return IndexRecord(
        kind=backend.options.kind,
        reason="asked for",
        n_items=len(keys) - 1,
        width=keys.shape[1],
        recall={10: 1.0},
        queries=30,
        seconds=0.5,
        bytes=size,
        keys=digest(keys),
        faiss=backend.options,
    )


@pytest.fixture
def stored(tmp_path):
    keys = grouped_keys()
    backend = FaissBackend.build(keys, FaissOptions(kind="hnsw", searched_with=77))
    write_record(tmp_path, record_of(backend, write_structure(tmp_path, backend), keys))
    return tmp_path


def test_a_stored_index_answers_as_before(stored):
    keys = grouped_keys()
    again = read_index(stored)
    assert again.record.faiss == FaissOptions(kind="hnsw", searched_with=77)
    inner = VectorTable(keys).inner_product()
    fresh = FaissBackend.build(keys, FaissOptions(kind="hnsw", searched_with=77))
    one, other = (ApproximateIndex(inner, b).search(QUERIES, 10) for b in (again.backend, fresh))
    assert torch.equal(one.items, other.items)


def test_a_damaged_index_is_found_out(stored):
    path = stored / "index.faiss"
    path.write_bytes(path.read_bytes()[:-7] + b"garbage")
    with pytest.raises(ArtifactError, match=r"damaged: its SHA-256 is not the one.*vlmrec index"):
        read_index(stored)
    path.unlink()
    with pytest.raises(ArtifactError, match="missing or damaged"):
        read_index(stored)


def test_a_file_that_is_no_index_is_said_to_be_none(tmp_path):
    (tmp_path / "index.faiss").write_bytes(b"nonsense" * 100)
    with pytest.raises(ArtifactError, match="no index that FAISS can read"):
        FaissBackend.read(tmp_path / "index.faiss", FaissOptions())


def test_a_record_of_another_format_is_refused(stored):
    facts = json.loads((stored / "index.json").read_text())
    (stored / "index.json").write_text(json.dumps({**facts, "format": 99}))
    with pytest.raises(ArtifactError, match="another version of the index format"):
        read_index(stored)


def test_writing_again_leaves_no_half_index(stored):
    """Killed between structure and record there is no index, not one of two halves."""
    other = FaissBackend.build(grouped_keys(seed=9), FaissOptions())
    write_structure(stored, other)
    assert not is_stored(stored)
    with pytest.raises(ArtifactError, match="holds no index"):
        read_index(stored)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="kind"):
        IndexOptions.parse({"kind": "annoy"}, "the index")
