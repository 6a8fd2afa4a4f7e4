"""When two tensors, lists or runs count as the same, and what to compare them on."""

import numpy as np
import polars as pl
import torch
from torch import Tensor

from vlmrec.core.columns import ITEM_ID, SCORE
from vlmrec.pipeline.run import Run

TOLERANCE = 1e-5
"""Largest difference of two float32 scores that count as the same."""


def random_rows(n: int, length: int, n_items: int, seed: int) -> Tensor:
    """Returns ``[n, length] int64`` internal ids without padding."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, n_items + 1, (n, length), generator=generator)


def close(one: Tensor, other: Tensor) -> bool:
    """Returns whether two tensors agree to 1e-5."""
    return torch.allclose(one, other, atol=TOLERANCE, rtol=TOLERANCE)


def same_lists(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Returns whether two results name the same items with the same scores (to 1e-5)."""
    scores = np.allclose(one[SCORE], other[SCORE], atol=TOLERANCE)
    return one[ITEM_ID].to_list() == other[ITEM_ID].to_list() and scores


def same_weights(one: Run, other: Run) -> bool:
    """Returns whether parameters, buffers and item vectors of two runs are equal, bit by bit."""
    first, second = one.model.state_dict(), other.model.state_dict()
    if first.keys() != second.keys():
        return False
    if one.item_vectors is not None and other.item_vectors is not None:
        first["item vectors"], second["item vectors"] = one.item_vectors, other.item_vectors
    return all(torch.equal(first[name], second[name]) for name in first)
