import numpy as np
import polars as pl
import pytest
import safetensors.numpy

from vlmrec.core.errors import DataError
from vlmrec.items.vector_files import load_vectors
from vlmrec.items.vector_writing import vector_writer

SUFFIXES = (".npy", ".parquet", ".safetensors")
ROWS = np.arange(15, dtype=np.float32).reshape(5, 3) - 7
NAMES = ["007", "b", "ü c", "x\u2028y", ""]


def write(path, *cuts, column="item_id"):
    with vector_writer(path, width=3, id_column=column) as add:
        for first, last in zip((0, *cuts), (*cuts, len(NAMES)), strict=True):
            add(NAMES[first:last], ROWS[first:last])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("cuts", [(), (2,), (1, 1, 4)])
def test_parts_become_one_file_that_is_read_as_any_other(tmp_path, suffix, cuts):
    path = tmp_path / f"v{suffix}"
    write(path, *cuts)
    loaded = load_vectors(path, NAMES, width=3)
    assert np.array_equal(loaded.vectors[1:].numpy(), ROWS)
    beside = [] if suffix == ".parquet" else ["v.ids.txt"]
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([*beside, path.name])


def test_other_software_reads_them(tmp_path):
    for suffix in SUFFIXES:
        write(tmp_path / f"v{suffix}", 3, column="user_id")
    assert np.array_equal(np.load(tmp_path / "v.npy", mmap_mode="r"), ROWS)
    held = safetensors.numpy.load_file(tmp_path / "v.safetensors")
    assert np.array_equal(held["vectors"], ROWS)
    table = pl.read_parquet(tmp_path / "v.parquet")
    assert table["user_id"].to_list() == NAMES
    assert np.array_equal(table["vector"].to_numpy(), ROWS)
    text = (tmp_path / "v.ids.txt").read_text(encoding="utf-8")
    assert text.split("\n") == [*NAMES, ""]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nobody_is_an_empty_matrix_of_the_right_width(tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    with vector_writer(path, width=3, id_column="user_id"):
        pass
    read = {
        ".npy": np.load,
        ".parquet": lambda file: pl.read_parquet(file)["vector"].to_numpy(),
        ".safetensors": lambda file: safetensors.numpy.load_file(file)["vectors"],
    }
    assert read[suffix](path).shape == (0, 3)


@pytest.mark.parametrize("rows", [1, 9, 10, 12_345])
def test_the_count_fits_whatever_it_becomes(tmp_path, rows):
    many = np.ones((rows, 1), np.float32)
    for suffix in (".npy", ".safetensors"):
        with vector_writer(tmp_path / f"v{suffix}", width=1, id_column="item_id") as add:
            add([str(row) for row in range(rows)], many)
    assert np.load(tmp_path / "v.npy").shape == (rows, 1)
    assert safetensors.numpy.load_file(tmp_path / "v.safetensors")["vectors"].shape == (rows, 1)


@pytest.mark.parametrize("broken", ["a\nb", "a\rb"])
def test_an_id_with_a_line_break_needs_parquet(tmp_path, broken):
    row = np.ones((1, 1), np.float32)
    for suffix in (".npy", ".safetensors"):
        with (
            pytest.raises(
                DataError, match=r"A user id holds a line break\. Write the vectors as parquet"
            ),
            vector_writer(tmp_path / f"v{suffix}", width=1, id_column="user_id") as add,
        ):
            add([broken], row)
    assert not list(tmp_path.iterdir())
    with vector_writer(tmp_path / "v.parquet", width=1, id_column="user_id") as add:
        add([broken], row)
    assert pl.read_parquet(tmp_path / "v.parquet")["user_id"].to_list() == [broken]


def test_an_unknown_ending_is_refused(tmp_path):
    with (
        pytest.raises(DataError, match=r"the ending '\.csv'; vectors are kept in"),
        vector_writer(tmp_path / "v.csv", width=1, id_column="item_id"),
    ):
        pass
