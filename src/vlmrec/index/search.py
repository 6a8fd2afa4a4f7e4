"""What a search is asked and what it answers; every index satisfies the protocol here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vlmrec.core.columns import PADDING_ID
from vlmrec.core.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Limits:
    """Which items may be found.

    Attributes:
        allowed: ``[I + 1] bool``, the same for all queries; None allows every item.
        excluded: ``[B, S] int64`` items that a query of its own must not find, such as those of
            its history; 0 where there are fewer than S.
    """

    allowed: Tensor | None = None
    excluded: Tensor | None = None

    def rows(self, chosen: Tensor | slice | list[int]) -> "Limits":
        """Returns the limits of some of the queries."""
        return Limits(self.allowed, None if self.excluded is None else self.excluded[chosen])

    def possible(self, n_items: int, n_queries: int) -> Tensor:
        """Returns ``[B] int64``: how many items each query may find."""
        allowed = everything(n_items) if self.allowed is None else self.allowed.clone()
        allowed[PADDING_ID] = False
        total = allowed.sum().expand(n_queries)
        if self.excluded is None or not self.excluded.shape[1]:
            return total
        ordered = self.excluded.sort(dim=1).values
        first = torch.ones_like(ordered, dtype=torch.bool)
        first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        return total - (first & allowed[ordered]).sum(dim=1)

    def hides(self, items: Tensor) -> Tensor:
        """Returns ``[B, C] bool`` for ``items [B, C]``: those that must not be found."""
        hidden = items == PADDING_ID
        if self.allowed is not None:
            hidden |= ~self.allowed[items]
        if self.excluded is not None and self.excluded.shape[1]:
            hidden |= _is_among(items, self.excluded)
        return hidden


EVERYTHING = Limits()


@dataclass(frozen=True, eq=False)
class Found:
    """The best items of each query.

    Attributes:
        items: ``[B, k] int64`` internal ids, best first, equals by the lower id; 0 where no
            item is left.
        scores: ``[B, k] float32``, those of the ranker; -inf where no item is left.
    """

    items: Tensor
    scores: Tensor

    @classmethod
    def stacked(cls, parts: "Sequence[Found]", k: int) -> "Found":
        """Returns the answers to several groups of queries, lists of k, as one."""
        items = [torch.zeros(0, k, dtype=torch.int64), *(one.items for one in parts)]
        scores = [torch.zeros(0, k), *(one.scores for one in parts)]
        return cls(torch.cat(items), torch.cat(scores))

    def rows(self, chosen: Tensor | list[int]) -> "Found":
        """Returns the answers to some of the queries."""
        return Found(self.items[chosen], self.scores[chosen])


class Index(Protocol):
    """Finds the best items of queries."""

    @property
    def n_items(self) -> int:
        """Number of items I; internal ids are 1..I."""
        ...

    def search(self, queries: Tensor, k: int, limits: Limits = EVERYTHING) -> Found:
        """Returns the k best items of each query, exactly k wherever k may be found.

        Args:
            queries: ``[B, ...]``, what the ranker's `encode` returned.
            k: Length of the lists.
            limits: Which items may be found.

        Raises:
            ConfigError: k is not positive.
            FloatingPointError: A score is NaN or infinite.
        """
        ...


def everything(n_items: int) -> Tensor:
    """Returns ``[I + 1] bool``: all items, padding is none."""
    allowed = torch.ones(n_items + 1, dtype=torch.bool)
    allowed[PADDING_ID] = False
    return allowed


def require_length(k: int) -> None:
    """Refuses lists without a place.

    Raises:
        ConfigError: k is not positive.
    """
    if k < 1:
        raise ConfigError(f"k was given as {k}; expected at least 1.")


def _is_among(items: Tensor, excluded: Tensor) -> Tensor:
    """Returns ``[B, C] bool``: which ``items [B, C]`` are in their row of ``excluded [B, S]``."""
    ordered = excluded.sort(dim=1).values
    place = torch.searchsorted(ordered, items.contiguous()).clamp_max(ordered.shape[1] - 1)
    return ordered.gather(1, place) == items
