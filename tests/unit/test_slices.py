import numpy as np

from vlmrec.evaluation.slices import Slice, content_slices, history_slices, popularity_slices


def members(slices: list[Slice]) -> dict[str, list[int]]:
    return {part.name: np.flatnonzero(part.mask).tolist() for part in slices}


def test_popularity_edges() -> None:
    counts = np.array([0, 0, 1, 5, 6, 20, 21])  # by internal id; row 0 is padding
    slices = popularity_slices(counts, np.array([1, 2, 3, 4, 5, 6]))
    assert members(slices) == {"unseen": [0], "cold": [0, 1, 2], "tail": [3, 4], "warm": [5]}
    assert slices[1].definition == "the target has 0 to 5 training interactions"
    assert slices[2].definition == "the target has 6 to 20 training interactions"


def test_history_edges_share_out_the_cases() -> None:
    slices = history_slices(np.array([0, 5, 6, 10, 11, 21]), edges=(5, 10, 20))
    assert members(slices) == {
        "history 0-5": [0, 1],
        "history 6-10": [2, 3],
        "history 11-20": [4],
        "history > 20": [5],
    }


def test_content_slices_share_out_the_cases() -> None:
    has_text = np.array([False, True, True, False, False])
    has_picture = np.array([False, True, False, True, False])
    slices = content_slices(has_text, has_picture, np.array([4, 3, 2, 1, 1]))
    assert members(slices) == {
        "text and picture": [3, 4],
        "text only": [2],
        "picture only": [1],
        "no content": [0],
    }
