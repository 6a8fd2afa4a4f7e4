import re

import numpy as np
import polars as pl
import pytest
import torch

from vlmrec.core.errors import ArtifactError, DataError
from vlmrec.items.content import ContentVectors
from vlmrec.items.vector_files import ids_file, load_vectors, save_vectors

IDS = ["007", "b", "ü c"]


@pytest.fixture
def content():
    vectors = torch.tensor([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0], [5.0, 0.0]])
    return ContentVectors(vectors, (vectors != 0).any(dim=1), "test")


@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".safetensors"])
def test_written_vectors_load_in_any_catalogue_order(tmp_path, content, suffix):
    path = tmp_path / f"v{suffix}"
    save_vectors(path, IDS, content)
    loaded = load_vectors(path, IDS, width=2)
    assert torch.equal(loaded.vectors, content.vectors)
    assert torch.equal(loaded.present, content.present)
    other = load_vectors(path, ["new", "ü c", "007"])
    assert other.vectors.tolist() == [[0, 0], [0, 0], [5, 0], [1, 2]]
    assert other.present.tolist() == [False, False, True, True]
    assert other.counts.missing == 1
    assert loaded.identity == other.identity


def test_plain_matrix_follows_the_catalogue(tmp_path):
    np.save(tmp_path / "v.npy", np.array([[1, 2], [3, 4]]))
    loaded = load_vectors(tmp_path / "v.npy", ["a", "b"])
    assert loaded.vectors.tolist() == [[0, 0], [1, 2], [3, 4]]
    assert loaded.vectors.dtype == torch.float32


def refuse(path, match, *, ids=("a", "b"), width=None, error=DataError):
    with pytest.raises(error, match=match):
        load_vectors(path, list(ids), width=width)


def test_wrong_matrices_are_refused_by_name(tmp_path):
    path = tmp_path / "v.npy"
    np.save(path, np.ones((3, 2)))
    refuse(path, r"holds 3 vectors; the catalogue has 2 items.*ids\.txt")
    refuse(path, "have 2 dimensions, expected 5", ids="abc", width=5)
    np.save(path, np.array([[1.0, 2.0], [np.nan, 1.0]]))
    refuse(path, r"NaN or infinity in 1 vectors, the first in row 1")
    np.save(path, np.ones(2))
    refuse(path, re.escape("shape (2,)"))
    np.save(path, np.array([{}, {}], dtype=object), allow_pickle=True)
    refuse(path, "cannot be read as vectors.*no pickled objects", error=ArtifactError)
    path.write_bytes(b"")
    refuse(path, "cannot be read as vectors", error=ArtifactError)
    refuse(tmp_path / "gone.npy", "does not exist", error=ArtifactError)
    refuse(tmp_path / "v.csv", "ending '.csv'")


def test_wrong_ids_are_refused(tmp_path):
    path = tmp_path / "v.npy"
    np.save(path, np.ones((2, 2)))
    ids_file(path).write_text("a\na\n")
    refuse(path, "2 vectors for 1 distinct item ids")
    ids_file(path).write_text("x\ny\n")
    refuse(path, "no item of this catalogue: it knows 'x', the catalogue 'a'")


def test_wrong_parquet_is_refused(tmp_path):
    path = tmp_path / "v.parquet"
    pl.DataFrame({"item_id": ["a", "b"], "vector": [[1.0], [1.0, 2.0]]}).write_parquet(path)
    refuse(path, r"different widths: \[1, 2\]")
    pl.DataFrame({"item_id": ["a"], "embedding": [[1.0]]}).write_parquet(path)
    refuse(path, "no column 'vector'")
    pl.DataFrame({"item_id": ["a"], "vector": [1.0]}).write_parquet(path)
    refuse(path, "a list of numbers is expected")
    path.write_bytes(b"junk")
    refuse(path, "cannot be read as Parquet", error=ArtifactError)


def test_parquet_rows_without_vector_are_absent(tmp_path):
    path = tmp_path / "v.parquet"
    pl.DataFrame({"item_id": ["a", "b"], "vector": [[1.0, 2.0], None]}).write_parquet(path)
    assert load_vectors(path, ["a", "b"]).present.tolist() == [False, True, False]


def test_ids_with_line_breaks_need_parquet(tmp_path, content):
    with pytest.raises(DataError, match="line break"):
        save_vectors(tmp_path / "v.npy", ["a\nb", "c", "d"], content)
    assert not list(tmp_path.iterdir())
