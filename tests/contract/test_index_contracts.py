import pytest
import torch

from vlmrec.core.inner_product import InnerProduct
from vlmrec.index.approximate import ApproximateIndex
from vlmrec.index.exact import ExactIndex
from vlmrec.index.faiss_backends import FaissBackend, FaissOptions
from vlmrec.index.milvus_backend import MilvusBackend, MilvusOptions
from vlmrec.index.stored import digest
from vlmrec.index.watched import WatchedBackend
from vlmrec.testing.indexes import IndexContract, VectorTable, grouped_keys


class TestExact(IndexContract):
    def make_index(self, table):
        return ExactIndex(table)


class Faiss(IndexContract):
    options: FaissOptions

    def make_index(self, table):
        inner = table.inner_product()
        return ApproximateIndex(inner, FaissBackend.build(inner.keys, self.options))


class TestFlat(Faiss):
    options = FaissOptions()


class TestHNSW(Faiss):
    options = FaissOptions(kind="hnsw")
    recall = 0.99


class TestIVFPQ(Faiss):
    options = FaissOptions(kind="ivf-pq", spare=8, code_bytes=8)
    recall = 0.95


class TestGrown(IndexContract):
    """Half of the items came or changed after the structure was built."""

    def make_index(self, table):
        keys = table.inner_product().keys
        known = keys[:1500].clone()
        changed = list(range(3, 1500, 3))
        known[changed] = grouped_keys(seed=5)[changed]
        backend = FaissBackend.build(known, FaissOptions())
        return ApproximateIndex(
            table.inner_product(), backend, known=1499, changed=torch.tensor(changed)
        )


class TestFewCells(Faiss):
    """Cells that limits leave hardly anything in: lists must be full all the same."""

    options = FaissOptions(kind="ivf-pq", cells=50, probed=1, code_bytes=8)
    recall = 0.2


class Milvus(IndexContract):
    """Over a socket; a collection is filled once and found again by every test."""

    recall = 0.99

    @pytest.fixture(autouse=True)
    def _server(self, milvus_url):
        self.url = milvus_url
        self.setup()

    def setup_method(self):
        """Waits for the server."""

    def setup(self):
        super().setup_method()

    def backend_of(self, keys):
        name = f"contract_{digest(keys)[:16]}"
        options = MilvusOptions(url=self.url, collection=name)
        return MilvusBackend.build(keys, options)  # not watched: it may not go missing unseen


class TestMilvus(Milvus):
    def make_index(self, table):
        inner = table.inner_product()
        return ApproximateIndex(inner, self.backend_of(inner.keys))


class TestMilvusGrown(Milvus):
    """A quarter of the items came or changed after the collection was filled."""

    def make_index(self, table):
        keys = table.inner_product().keys
        known = keys[:1500].clone()
        changed = list(range(3, 1500, 3))
        known[changed] = grouped_keys(seed=5)[changed]
        return ApproximateIndex(
            table.inner_product(),
            self.backend_of(known),
            known=1499,
            changed=torch.tensor(changed),
        )


class TestMilvusAway(IndexContract):
    """No server has ever been at the address: everything is scanned, and nothing is missed."""

    def make_index(self, table):
        pytest.importorskip("pymilvus")
        keys = table.inner_product().keys
        options = MilvusOptions(url="http://127.0.0.1:1", collection="none", patience=0.5)
        backend = WatchedBackend(MilvusBackend(options, keys[:1500]), pause=3600)
        changed = torch.arange(1, 1500, 3)
        inner = table.inner_product()
        return ApproximateIndex(inner, backend, known=1499, changed=changed)


def test_keys_with_bias_score_as_their_sum():
    table = VectorTable(grouped_keys())
    bias = table.keys[:, 0] * 3
    inner = table.inner_product().plus(bias)
    assert isinstance(inner, InnerProduct)
    queries = table.keys[5:9]
    found = inner.queries(queries) @ inner.keys.T
    assert found.allclose(queries @ table.keys.T + bias, atol=1e-5)
