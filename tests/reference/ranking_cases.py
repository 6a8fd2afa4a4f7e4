"""Cases and rankers whose scores are written down, for tests of ranking."""

from collections.abc import Sequence as SequenceOf

import numpy as np
import torch
from torch import Tensor

from vlmrec.data.sequences import Sequences
from vlmrec.data.splits import Cases


def make_cases(histories: SequenceOf[SequenceOf[int]], targets: SequenceOf[int]) -> Cases:
    """Returns one case per history; the users are 1, 2, ..."""
    lengths = np.array([len(history) for history in histories], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    items = np.array([item for history in histories for item in history], dtype=np.int32)
    sequences = Sequences(items, offsets, np.arange(len(items), dtype=np.int64))
    return Cases(sequences.whole(), np.array(targets, dtype=np.int64))


class TableRanker:
    """Scores that are looked up: row = last item of the history, column = item.

    Args:
        table: ``[I + 1, I + 1] float``; column 0 is never asked for.
        max_len: Longest history that `encode` accepts.
    """

    def __init__(self, table: Tensor, max_len: int = 50) -> None:
        self.table = table
        self.max_len = max_len
        self.n_items = table.shape[1] - 1
        self.device = torch.device("cpu")
        self.largest_block = 0

    def encode(self, histories: Tensor) -> Tensor:
        """Returns ``[B] int64`` the last real item of each row."""
        assert histories.shape[1] <= self.max_len
        self.largest_block = max(self.largest_block, len(histories))
        lengths = (histories > 0).sum(dim=1)
        last = histories.gather(1, (lengths - 1).clamp_min(0).unsqueeze(1))
        return last.squeeze(1)

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start]`` from the table."""
        assert 1 <= start < stop <= self.n_items + 1
        return self.table[queries, start:stop]


class VectorTableRanker(TableRanker):
    """Inner products of the last item's vector with all item vectors."""

    def __init__(self, vectors: Tensor) -> None:
        super().__init__(torch.empty((1, len(vectors))))
        self.vectors = vectors

    def score(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns ``[B, stop - start]`` inner products."""
        return self.vectors[queries] @ self.vectors[start:stop].T


def random_cases(n_cases: int, n_items: int, seed: int, longest: int = 9) -> Cases:
    """Returns cases with histories of 1 to `longest` items."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, n_cases)
    histories = [rng.integers(1, n_items + 1, length).tolist() for length in lengths]
    return make_cases(histories, rng.integers(1, n_items + 1, n_cases).tolist())
