"""Negative items, drawn from an explicit generator; never padding, never a positive unasked."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from vlmrec.data.sequences import Histories, IntArray

Exclusion = Literal["history", "nothing"]


@dataclass(frozen=True, eq=False)
class UniformNegatives:
    """Draws items uniformly.

    Attributes:
        pool: ``[P] int64`` internal ids to draw from.
        known: Sorted ``user * stride + item`` of all training events, or None to allow items of
            the user's training history.
        stride: One more than the largest item id.
    """

    pool: IntArray
    known: IntArray | None
    stride: int

    @classmethod
    def over(
        cls, pool: IntArray, histories: Histories, exclude: Exclusion = "history"
    ) -> "UniformNegatives":
        """Returns a sampler over `pool`; "history" excludes what the user has in training."""
        stride = int(pool.max()) + 1
        if exclude == "nothing":
            return cls(pool, None, stride)
        users = histories.users[histories.row_of_events()]
        items = histories.flat().astype(np.int64)
        stride = max(stride, int(items.max(initial=0)) + 1)
        return cls(pool, np.unique(users * stride + items), stride)

    def shared(self, n: int, rng: np.random.Generator) -> IntArray:
        """Returns ``[N]`` distinct items for a whole batch (positives may be among them)."""
        n = min(n, len(self.pool))
        return self.pool[rng.choice(len(self.pool), size=n, replace=False, shuffle=False)]

    def per_position(
        self, users: IntArray, width: int, n: int, rng: np.random.Generator
    ) -> IntArray:
        """Returns ``[B, T, N]`` items, none of which the row's user has in training.

        A user who has (almost) everything keeps what the last of 20 draws gave.
        """
        shape = (len(users), width, n)
        drawn = self.pool[rng.integers(len(self.pool), size=shape)]
        if self.known is None:
            return drawn
        keys = users[:, None, None] * self.stride
        for _ in range(20):
            place = np.searchsorted(self.known, keys + drawn).clip(max=len(self.known) - 1)
            clash = self.known[place] == keys + drawn
            n_clashes = int(clash.sum())
            if not n_clashes:
                break
            drawn[clash] = self.pool[rng.integers(len(self.pool), size=n_clashes)]
        return drawn


def drawn_negatives(
    sampler: UniformNegatives,
    users: IntArray,
    width: int,
    n: int,
    rng: np.random.Generator,
    *,
    shared: bool,
) -> torch.Tensor:
    """Returns the negatives of a batch: ``[N]`` shared by all places, else ``[B, T, N]``.

    Args:
        sampler: Draws them.
        users: ``[B]`` internal user ids.
        width: Places T of a row.
        n: Negatives N.
        rng: Where random numbers come from.
        shared: One set for the batch.
    """
    if shared:
        return torch.as_tensor(sampler.shared(n, rng))
    return torch.as_tensor(sampler.per_position(users, width, n, rng))
