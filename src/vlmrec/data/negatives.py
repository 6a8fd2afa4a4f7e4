"""Negative items, drawn from an explicit generator; never padding, never a positive unasked."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

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

    @staticmethod
    def over(
        pool: IntArray, histories: Histories, exclude: Exclusion = "history"
    ) -> "UniformNegatives":
        """Returns a sampler over `pool`; "history" excludes what the user has in training."""
        stride = int(pool.max()) + 1
        if exclude == "nothing":
            return UniformNegatives(pool, None, stride)
        users = histories.users[histories.row_of_events()]
        items = histories.flat().astype(np.int64)
        stride = max(stride, int(items.max(initial=0)) + 1)
        return UniformNegatives(pool, np.unique(users * stride + items), stride)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> IntArray:
        """Returns items of that shape, each drawn independently."""
        return self.pool[rng.integers(len(self.pool), size=shape)]

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
        drawn = self.draw((len(users), width, n), rng)
        if self.known is None:
            return drawn
        flat, keys = drawn.reshape(-1), np.repeat(users * self.stride, width * n)
        clash = self._clashing(keys, flat, np.arange(len(flat)))
        for _ in range(20):
            if not len(clash):
                break
            flat[clash] = self.draw((len(clash),), rng)
            clash = self._clashing(keys, flat, clash)
        return drawn

    def _clashing(self, keys: IntArray, items: IntArray, rows: IntArray) -> IntArray:
        """Returns which of `rows` hold an item of the user's own."""
        if self.known is None or not len(self.known):
            return rows[:0]
        wanted = keys[rows] + items[rows]
        place = np.searchsorted(self.known, wanted).clip(max=len(self.known) - 1)
        return rows[self.known[place] == wanted]


@dataclass(frozen=True, eq=False)
class PopularNegatives(UniformNegatives):
    """Draws items by a power of their popularity.

    Attributes:
        edges: ``[P] float64`` cumulative probabilities of the pool, the last is 1.
    """

    edges: NDArray[np.float64]

    @classmethod
    def by_popularity(
        cls, pool: IntArray, histories: Histories, power: float, exclude: Exclusion = "history"
    ) -> "PopularNegatives":
        """Returns a sampler over `pool`, with the probabilities of `popularity_odds`."""
        plain = UniformNegatives.over(pool, histories, exclude)
        edges = np.cumsum(popularity_odds(pool, histories, power))
        return cls(plain.pool, plain.known, plain.stride, edges / edges[-1])

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> IntArray:
        """Returns items of that shape, each drawn independently."""
        return self.pool[np.searchsorted(self.edges, rng.random(shape), side="right")]

    def shared(self, n: int, rng: np.random.Generator) -> IntArray:
        """Returns ``[N]`` items for a whole batch, popular ones more than once."""
        return self.draw((n,), rng)


def popularity_odds(pool: IntArray, histories: Histories, power: float) -> NDArray[np.float64]:
    """Returns ``[P]`` how often an item is drawn, as a multiple of uniform drawing.

    The probability is proportional to ``(training events + 1) ** power``; the one lets items
    without events be drawn as well.
    """
    counts = np.bincount(histories.flat(), minlength=int(pool.max()) + 1)[pool]
    weights = (counts + 1.0) ** power
    return weights / weights.mean()


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
