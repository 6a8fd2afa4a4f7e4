import numpy as np
import pytest

from vlmrec.core.errors import ArtifactError
from vlmrec.data.sequences import Sequences


@pytest.fixture
def sequences() -> Sequences:
    """User 1 has items 5 6 7, user 2 none, user 3 has 8."""
    return Sequences(
        np.array([5, 6, 7, 8], np.int32), np.array([0, 3, 3, 4]), np.array([1, 2, 2, 9])
    )


def test_histories_are_padded_on_the_right_and_cut_on_the_left(sequences):
    whole = sequences.whole()
    assert whole.padded(np.array([0, 1, 2]), 2).tolist() == [[6, 7], [0, 0], [8, 0]]
    assert whole.padded(np.array([1]), 5).tolist() == [[0]]
    assert whole.padded(np.array([0, 2]), 9).tolist() == [[5, 6, 7], [8, 0, 0]]


def test_flat_rows_and_counts(sequences):
    rows = sequences.whole().subset(np.array([2, 0]))
    assert rows.flat().tolist() == [8, 5, 6, 7]
    assert rows.row_of_events().tolist() == [0, 1, 1, 1]
    assert rows.item_counts(9).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0]
    assert rows.latest(2).flat().tolist() == [8, 6, 7]
    assert rows.lengths.tolist() == [1, 3]


def test_arrays_stay_on_disk_after_reading(sequences, tmp_path):
    sequences.write(tmp_path)
    again = Sequences.read(tmp_path)
    assert isinstance(again.items, np.memmap)
    assert isinstance(again.timestamps, np.memmap)
    assert np.array_equal(again.items, sequences.items)
    assert np.array_equal(again.offsets, sequences.offsets)
    assert (again.n_events, again.n_users) == (4, 3)
    with pytest.raises(ValueError, match="read-only"):
        again.items[0] = 1


def test_damaged_arrays_are_said(sequences, tmp_path):
    sequences.write(tmp_path)
    np.save(tmp_path / "timestamps.npy", np.array([1]))
    with pytest.raises(ArtifactError, match="arrays do not belong together"):
        Sequences.read(tmp_path)
    (tmp_path / "items.npy").write_bytes((tmp_path / "items.npy").read_bytes()[:40])
    with pytest.raises(ArtifactError, match=r"items\.npy' cannot be read"):
        Sequences.read(tmp_path)
    (tmp_path / "items.npy").unlink()
    with pytest.raises(ArtifactError, match=r"items\.npy' cannot be read"):
        Sequences.read(tmp_path)


def test_an_array_of_objects_is_never_unpickled(sequences, tmp_path):
    sequences.write(tmp_path)
    np.save(tmp_path / "items.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ArtifactError, match=r"cannot be read: .*Python objects"):
        Sequences.read(tmp_path)
