"""Rows of different lengths, laid end to end."""

import numpy as np

from vlmrec.data.sequences import IntArray


def slots(start: IntArray, lengths: IntArray) -> IntArray:
    """Returns the positions of all elements of slices, one slice after the other.

    >>> slots(np.array([10, 4]), np.array([2, 3])).tolist()
    [10, 11, 4, 5, 6]
    """
    begin = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(start - begin, lengths)
